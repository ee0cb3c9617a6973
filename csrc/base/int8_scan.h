// The forward scan of any recurrence with int8 operands (int8.h): the products with x and with h.
//
//     sums = s_x s_w ⊙ q(W_x) q(x_t) + s_h s_u ⊙ q(W_h) q(h_{t−1})       integers inside, float32 outside
//
// s_x and s_h are scales of a sequence and a step, s_w and s_u of a row of the weights. Gates and states are float32,
// as the cell defines them; h itself is not rounded, only where the gates read it. The integers do not depend on the
// order of their sums, and the rest is computed unit by unit in one function: so a sequence has the same bits in any
// batch, cut anywhere in time, and for any number of threads.
#pragma once

#include "int8.h"
#include "scan.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kInt8SumsBytes = 256 * 1024;  // of a chunk's products with x, per thread

template <class Cell>
void int8_pack(const Scan<float>& a, float* packed_x, float* packed_h) {
  Workspace& workspace = Workspace::of_this_thread();
  workspace.begin();
  int32_t* const row = take<int32_t>(workspace, slots_for(larger(a.D, a.H)));
  int8_pack_matrix(a.weight_x, Cell::kGates, a.H, a.D, Cell::x_gate, packed_x, row);
  int8_pack_matrix(a.weight_h, Cell::kGates, a.H, a.H, [](int q) { return q; }, packed_h, row);
}

template <class Cell>
class Int8Scan {
 public:
  Int8Scan(const Forward<float>& a, const Cell& cell, const Division& division, Workspace& workspace)
      : a(a),
        cell(cell),
        division(division),
        schedule(workspace, a.B, a.T_, a.lengths, a.reverse),
        barrier(division.threads),
        weight_x(G, a.H, a.D, reinterpret_cast<const int32_t*>(a.packed_x)),
        weight_h(G, a.H, a.H, reinterpret_cast<const int32_t*>(a.packed_h)),
        blocks(weight_h.blocks),
        h_stride(blocks * W + kPad) {
    for (float*& buffer : h) buffer = take<float>(workspace, a.B * h_stride);
    c = Cell::kCell ? take<float>(workspace, a.B * h_stride) : nullptr;
    buffers = take<Buffers>(workspace, division.threads);
    for (int id = 0; id < division.threads; ++id) {
      const Share share(division, id, blocks);
      const long sequences = share.count(a.B), width = (share.end - share.block) * G * W;
      const long some = larger(kInt8SumsBytes / long(sizeof(float)) / larger(1, width), 24);
      Buffers& of = buffers[id];
      of.capacity = larger(sequences, smaller(some, sequences * schedule.steps));
      of.sums = take<float>(workspace, of.capacity * width);
      of.x = take<int32_t>(workspace, of.capacity * weight_x.slots);
      of.x_rows = take<const int32_t*>(workspace, of.capacity);
      of.x_scale = take<float>(workspace, of.capacity);
      of.h = take<int32_t>(workspace, sequences * weight_h.slots);
      of.h_rows = take<const int32_t*>(workspace, sequences);
      of.h_scale = take<float>(workspace, sequences);
      of.masked = a.mask ? take<float>(workspace, a.H) : nullptr;
    }
  }

  void work(int id) {
    const Share share(division, id, blocks);
    begin(share);
    if (!division.by_sequences) barrier.wait();
    for (long s = 0; s < schedule.steps && share.count(schedule.active[s]) > 0;) {
      const long end = project(share, s);
      for (long row = 0; s < end; ++s) {
        step(share, s, row);
        row += share.count(schedule.active[s]);
        if (!division.by_sequences) barrier.wait();
      }
    }
    clear_padding(share);
  }

 private:
  static constexpr int W = kLanes<float>, G = Cell::kGates;
  static constexpr int kGroup = G < kInt8Vectors ? G : kInt8Vectors;  // gates of a tile
  static constexpr int kTogether = kGroup < G ? 1 : larger(1, kInt8Vectors / G);
  static constexpr int kTogetherSingle = kGroup < G ? 1 : (kInt8Single + G - 1) / G;
  static constexpr int kMostSums = larger(kInt8Rows * kTogether, kTogetherSingle) * G * W;

  struct Buffers {  // of one thread
    long capacity;  // sequences × steps of a chunk
    float* sums;    // [row of the chunk][block][gate][lane], of the products with x
    int32_t* x;     // quantised rows of the chunk
    const int32_t** x_rows;
    float* x_scale;
    int32_t* h;  // quantised rows of h, of each sequence of the share
    const int32_t** h_rows;
    float* h_scale;
    float* masked;  // h ⊙ mask
  };

  // Integer sums of M rows and P blocks, to [row][block][gate][lane].
  template <int M, int P>
  static void sums_of(const int32_t* const* x, const PackedInt8<const int32_t>& packed, long block, int32_t* to) {
    each_group<M, P, 0>(x, packed, block, to);
  }

  template <int M, int P, int first>
  static void each_group(const int32_t* const* x, const PackedInt8<const int32_t>& packed, long block, int32_t* to) {
    if constexpr (first < G) {
      constexpr int N = G - first < kGroup ? G - first : kGroup;
      Ints sum[M][P * N];
      int8_tile<M, N, P>(x, packed, block, first, sum);
      UNROLLED_UNROLL for (int m = 0; m < M; ++m) UNROLLED_UNROLL for (int v = 0; v < P * N; ++v)
          store_ints(to + ((m * P + v / N) * G + first + v % N) * W, sum[m][v]);
      each_group<M, P, first + N>(x, packed, block, to);
    }
  }

  // Calls f(row, rows, block, blocks, sums) for tiles of all `count` rows and the blocks of a share.
  template <class F>
  void for_tiles(const Share& share, const int32_t* const* rows, long count, const PackedInt8<const int32_t>& packed,
                 F&& f) const {
    alignas(64) int32_t sums[kMostSums];
    if (count == 1) {
      for (long block = share.block; block < share.end; block += kTogetherSingle) {
        const int together = int(smaller(kTogetherSingle, share.end - block));
        with_height<kTogetherSingle>(together, [&]<int P>() { sums_of<1, P>(rows, packed, block, sums); });
        f(0, 1, block, together, sums);
      }
      return;
    }
    const long tiles = (count + kInt8Rows - 1) / kInt8Rows;
    for (long block = share.block; block < share.end; block += kTogether) {
      const int together = int(smaller(kTogether, share.end - block));
      for (long tile = 0, i = 0; tile < tiles; ++tile) {
        const int height = int((count - i + tiles - tile - 1) / (tiles - tile));
        with_height<kInt8Rows>(height, [&]<int M>() {
          with_height<kTogether>(together, [&]<int P>() { sums_of<M, P>(rows + i, packed, block, sums); });
        });
        f(i, height, block, together, sums);
        i += height;
      }
    }
  }

  // Copies the state before the first step; for sequences of length 0 it is also the final one.
  void begin(const Share& share) {
    const long j = share.block * W, units = smaller(share.end * W, a.H) - j;
    for (long i = 0; i < share.count(a.B); ++i) {
      const long position = share.position(i), b = schedule.sequence[position];
      copy(h[0] + position * h_stride + j, a.h0 + b * a.H + j, units);
      if (Cell::kCell) copy(c + position * h_stride + j, a.c0 + b * a.H + j, units);
      if (schedule.length[position] == 0) {
        copy(a.h + b * a.H + j, a.h0 + b * a.H + j, units);
        if (Cell::kCell) copy(a.c + b * a.H + j, a.c0 + b * a.H + j, units);
      }
    }
  }

  // Computes the products with x for a chunk that begins with step s; returns the step after the chunk.
  long project(const Share& share, long s) {
    Buffers& mine = buffers[share.id];
    long rows = 0;
    for (; s < schedule.steps; ++s) {
      const long count = share.count(schedule.active[s]);
      if (count == 0 || (rows && rows + count > mine.capacity)) break;
      for (long i = 0; i < count; ++i, ++rows) {
        const long position = share.position(i);
        int32_t* const to = mine.x + rows * weight_x.slots;
        const float* const x = a.x.at(schedule.sequence[position], schedule.time(position, s));
        mine.x_scale[rows] = quantise(x, a.D, kOffset, reinterpret_cast<int8_t*>(to));
        mine.x_rows[rows] = to;
      }
    }
    const long width = (share.end - share.block) * G * W;
    for_tiles(share, mine.x_rows, rows, weight_x,
              [&](long row, int height, long block, int together, const int32_t* sums) {
                for (int m = 0; m < height; ++m)
                  for (int p = 0; p < together; ++p, sums += G * W)
                    scale(sums, weight_x.scales + (block + p) * G * W, mine.x_scale[row + m],
                          mine.sums + (row + m) * width + (block + p - share.block) * G * W);
              });
    return s;
  }

  static void scale(const int32_t* sums, const int32_t* scales, float of_row, float* to) {
    UNROLLED_UNROLL for (int q = 0; q < G; ++q) {
      const Vector<float> of_weights = (Vector<float>)load_ints(scales + q * W);
      store(to + q * W, __builtin_convertvector(load_ints(sums + q * W), Vector<float>) * (of_weights * of_row));
    }
  }

  // Runs step s, whose products with x begin at row `first` of the chunk.
  void step(const Share& share, long s, long first) {
    Buffers& mine = buffers[share.id];
    const long count = share.count(schedule.active[s]), width = (share.end - share.block) * G * W;
    const float* const before = h[s & 1];
    float* const after = h[(s + 1) & 1];
    for (long i = 0; i < count; ++i) {
      const long position = share.position(i);
      int32_t* const to = mine.h + i * weight_h.slots;
      mine.h_scale[i] =
          quantise(as_read(mine, before + position * h_stride, position), a.H, kOffset, reinterpret_cast<int8_t*>(to));
      mine.h_rows[i] = to;
    }
    for_tiles(share, mine.h_rows, count, weight_h,
              [&](long row, int height, long block, int together, const int32_t* sums) {
                for (int m = 0; m < height; ++m)
                  for (int p = 0; p < together; ++p, sums += G * W)
                    advance(share, s, row + m, block + p, sums,
                            mine.sums + (first + row + m) * width + (block + p - share.block) * G * W,
                            mine.h_scale[row + m], before, after);
              });
    const long still = s + 1 < schedule.steps ? share.count(schedule.active[s + 1]) : 0;
    for (long i = still; i < count; ++i) finish(share, i, after);
  }

  // h as the gates read it: times mask.
  const float* as_read(const Buffers& mine, const float* of_sequence, long position) const {
    if (!a.mask) return of_sequence;
    const float* const mask = a.mask + schedule.sequence[position] * a.H;
    for (long j = 0; j < a.H; ++j) mine.masked[j] = of_sequence[j] * mask[j];
    return mine.masked;
  }

  // Sums -> the next h (and c) of one block of units of one sequence.
  __attribute__((noinline)) void advance(const Share& share, long s, long i, long block, const int32_t* sums,
                                         const float* of_x, float h_scale, const float* before, float* after) {
    const long position = share.position(i), b = schedule.sequence[position], j = block * W;
    const int n = lanes_of<float>(block, a.H);
    Vector<float> bias[Cell::kSums] = {}, sum[Cell::kSums] = {}, out[Cell::kSaved + 1];
    UNROLLED_UNROLL for (int q = 0; q < G; ++q) {
      if (a.bias) bias[q] = load_first(a.bias + Cell::x_gate(q) * a.H + j, n);
      sum[q] = load(of_x + q * W);
    }
    if (Cell::kSums > G && a.bias_n) bias[Cell::kSums - 1] = load_first(a.bias_n + j, n);
    UNROLLED_UNROLL for (int q = 0; q < G; ++q) {
      const Vector<float> of_weights = (Vector<float>)load_ints(weight_h.scales + (block * G + q) * W);
      sum[Cell::kSums - G + q] +=
          __builtin_convertvector(load_ints(sums + q * W), Vector<float>) * (of_weights * h_scale);
    }
    Vector<float> state_h = load(before + position * h_stride + j);
    Vector<float> state_c = Cell::kCell ? load(c + position * h_stride + j) : Vector<float>{};
    cell.forward(sum, bias, state_h, state_c, out);
    store_first(a.y.at(b, schedule.time(position, s)) + j, state_h, n);
    store(after + position * h_stride + j, state_h);
    if (Cell::kCell) store(c + position * h_stride + j, state_c);
  }

  // Writes the final state of sequence i, after its last step.
  void finish(const Share& share, long i, const float* after) {
    const long position = share.position(i), b = schedule.sequence[position];
    const long j = share.block * W, units = smaller(share.end * W, a.H) - j;
    copy(a.h + b * a.H + j, after + position * h_stride + j, units);
    if (Cell::kCell) copy(a.c + b * a.H + j, c + position * h_stride + j, units);
  }

  void clear_padding(const Share& share) {
    const long j = share.block * W, units = smaller(share.end * W, a.H) - j;
    for (long i = 0; i < share.count(a.B); ++i)
      for (long t = schedule.length[share.position(i)]; t < a.T_; ++t)
        clear(a.y.at(schedule.sequence[share.position(i)], t) + j, units);
  }

  const Forward<float>& a;
  const Cell& cell;
  const Division division;
  const Schedule schedule;
  Barrier barrier;
  const PackedInt8<const int32_t> weight_x, weight_h;
  const long blocks, h_stride;
  float* h[2];  // (B, h_stride) in turn: read by a step, written by it
  float* c;     // (B, h_stride)
  Buffers* buffers;
};

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
