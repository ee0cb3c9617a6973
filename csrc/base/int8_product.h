// The int8 product of a linear layer with packed weights, which `int8` and `block` share; see int8.h.
#pragma once

#include "int8.h"
#include "product.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kQuantisedRows = 64;  // before they are multiplied

// Rows of x, quantised: slots of each, and their scales.
struct Quantised {
  const int32_t* row[kQuantisedRows];
  float scale[kQuantisedRows];

  // `count` rows of K numbers each, written to `memory`.
  Quantised(const float* x, long K, long count, int32_t* memory) {
    for (long i = 0; i < count; ++i) {
      int32_t* const to = memory + i * slots_for(K);
      scale[i] = quantise(x + i * K, K, kOffset, reinterpret_cast<int8_t*>(to));
      row[i] = to;
    }
  }
};

// Blocks v … v + N − 1 of rows i … i + M − 1 of y (·, V).
template <int M, int N>
void int8_outputs(const Quantised& x, long i, const PackedInt8<const int32_t>& packed, long v, const float* bias,
                  long V, float* y) {
  constexpr int W = kLanes<float>;
  Ints sum[M][N];
  int8_tile<M, 1, N>(x.row + i, packed, v, 0, sum);
  for (int u = 0; u < N; ++u) {
    const long at = (v + u) * W;
    const int lanes = lanes_of<float>(v + u, V);
    const Vector<float> weight_scale = (Vector<float>)load_ints(packed.scales + at);
    const Vector<float> added = bias ? load_first(bias + at, lanes) : Vector<float>{};
    for (int m = 0; m < M; ++m) {
      const Vector<float> value = __builtin_convertvector(sum[m][u], Vector<float>);
      store_first(y + (i + m) * V + at, value * (weight_scale * x.scale[i + m]) + added, lanes);
    }
  }
}

template <int most_rows, int most_vectors>
void int8_columns(const Quantised& x, long count, const PackedInt8<const int32_t>& packed, long first, long end,
                  const float* bias, long V, float* y) {
  for (long v = first; v < end; v += most_vectors)
    with_height<most_vectors>(int(end - v < most_vectors ? end - v : most_vectors), [&]<int N>() {
      const long tiles = (count + most_rows - 1) / most_rows;
      for (long tile = 0, i = 0; tile < tiles; ++tile) {
        const int height = int((count - i + tiles - tile - 1) / (tiles - tile));
        with_height<most_rows>(height, [&]<int M>() { int8_outputs<M, N>(x, i, packed, v, bias, V, y); });
        i += height;
      }
    });
}

// y = W x + b for `count` rows and the blocks [first, end) of W.
inline void int8_product(const Quantised& x, long count, const PackedInt8<const int32_t>& packed, long first, long end,
                         const float* bias, long V, float* y) {
  if (count == 1)
    int8_columns<1, kInt8Single>(x, count, packed, first, end, bias, V, y);
  else
    int8_columns<kInt8Rows, kInt8Vectors>(x, count, packed, first, end, bias, V, y);
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
