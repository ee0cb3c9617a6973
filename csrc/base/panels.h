// The product of a linear layer with packed weights, which `linear` and `block` share.
#pragma once

#include "scan.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kRowsAtOnce = 256;  // whose sums stay in the second cache
constexpr int W = kLanes<float>;
constexpr int kTogether = together(kPanelVectors);  // panels that a single row takes at once

// A range of rows or of blocks: the share of one of `threads` threads in `all`.
struct Range {
  long first, end;
  Range(long all, int id, int threads) : first(all * id / threads), end(all * (id + 1) / threads) {}
};

// c_n = packed · a_n (+ bias) for these rows n and these blocks of W columns: a (·, K), packed [block][k][lane],
// c (·, columns).
void product(const float* a, long K, const float* packed, long columns, const float* bias, float* c, Range rows,
             Range blocks) {
  const float* from[kRowsAtOnce];
  float* to[kRowsAtOnce];
  for (long n = rows.first; n < rows.end; n += kRowsAtOnce) {
    const long count = smaller(kRowsAtOnce, rows.end - n);
    for (long i = 0; i < count; ++i) from[i] = a + (n + i) * K, to[i] = c + (n + i) * columns;
    for (long v = blocks.first; v < blocks.end;) {
      const long whole = (smaller(blocks.end, columns / W) - v) / kPanelVectors;  // panels without a missing lane
      const int panels = count > 1 || whole < 2 ? 1 : whole >= kTogether ? kTogether : 2;
      const int vectors = int(smaller(kPanelVectors, blocks.end - v));
      const int last = lanes_of<float>(v + vectors - 1, columns);
      const Panel<float> panel{packed + v * W * K, W, K * W, vectors, last, v * W, true};
      if (panels == 2)
        single_row<float, kPanelVectors, 2, MultiplyAdd>(from[0], K, panel, kPanelVectors * W * K, to[0],
                                                         kPanelVectors * W);
      else if (panels == kTogether)
        single_row<float, kPanelVectors, kTogether, MultiplyAdd>(from[0], K, panel, kPanelVectors * W * K, to[0],
                                                                 kPanelVectors * W);
      else
        multiply(from, count, K, panel, to);
      const long end = v + panels * vectors;
      if (bias)
        for (long i = 0; i < count; ++i)
          for (long block = v; block < end; ++block) {
            const int n_units = lanes_of<float>(block, columns);
            float* const at = to[i] + block * W;
            store_first(at, load_first(at, n_units) + load_first(bias + block * W, n_units), n_units);
          }
      v = end;
    }
  }
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
