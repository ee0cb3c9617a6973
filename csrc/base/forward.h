// The forward scan of any recurrence.
//
// Time is cut into chunks whose sums stay in the second cache. First x · W_x for all sums of a chunk, as one product;
// then step by step h · W_h is added, and the cell turns the sums into the next h while they are in the first cache.
#pragma once

#include "in_place.h"
#include "scan.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kSumsBytes = 384 * 1024;              // of a chunk, per thread
constexpr long kInPlaceRows = 8, kInPlaceSteps = 2;  // up to which weights are not packed

// --- packed weights ----------------------------------------------------------------------------------------------

// The gates of a unit in a tile: all of them, or two halves if they are more than the vectors of a tile. With a single
// gate, the further vectors of a tile are other blocks of units.
template <class Cell>
struct Tiling {
  static constexpr int kGates = Cell::kGates;
  static constexpr int kHalves = kGates > kMostVectors ? 2 : 1, kHalf = kGates / kHalves;
};

// Packs k0 <= k < k0 + K of one block of weights (G·H, stride): [half][k][gate of the half][lane].
template <class T, class Cell, class GateOf>
void pack_block(const T* weights, long H, long stride, long block, long k0, long K, GateOf gate_of, T* to) {
  constexpr int W = kLanes<T>, halves = Tiling<Cell>::kHalves, half_gates = Tiling<Cell>::kHalf;
  for (int half = 0; half < halves; ++half)
    for (int v = 0; v < half_gates; ++v) {
      const T* const from = weights + (gate_of(half * half_gates + v) * H + block * W) * stride + k0;
      pack_transposed(from, stride, lanes_of<T>(block, H), K, to + half * K * half_gates * W + v * W, half_gates * W);
    }
}

inline int in_order(int q) { return q; }

// Packs one block of units of both weights, [block][half][k][gate][lane], gates in the order of the sums.
template <class T, class Cell>
void pack_block_of(const Scan<T>& a, long block, T* packed_x, T* packed_h) {
  constexpr long size = Cell::kGates * kLanes<T>;
  pack_block<T, Cell>(a.weight_x, a.H, a.D, block, 0, a.D, Cell::x_gate, packed_x + block * size * a.D);
  pack_block<T, Cell>(a.weight_h, a.H, a.K, block, 0, a.K, in_order, packed_h + block * size * a.K);
}

template <class T, class Cell>
void pack(const Scan<T>& a, T* packed_x, T* packed_h) {
  for (long block = 0; block < vectors_for<T>(a.H); ++block) pack_block_of<T, Cell>(a, block, packed_x, packed_h);
}

// --- the scan ------------------------------------------------------------------------------------------------------

template <class T, class Cell, class Dot = MultiplyAdd>
class ForwardScan {
 public:
  ForwardScan(const Forward<T>& a, const Cell& cell, const Division& division, Workspace& workspace)
      : a(a),
        cell(cell),
        division(division),
        schedule(workspace, a.B, a.T_, a.lengths, a.reverse),
        barrier(division.threads),
        blocks(vectors_for<T>(a.H)),
        h_stride(blocks * W + kPad),
        separate_h(a.mask || Dot::kPairs),
        y{reinterpret_cast<Out*>(a.y.data), a.y.per_sequence, a.y.per_step},
        packs(!a.packed_x && (a.B > kInPlaceRows || a.T_ > kInPlaceSteps)),
        packed(packs || a.packed_x),
        packed_x(packs ? take<T>(workspace, blocks * G * W * a.D) : const_cast<T*>(a.packed_x)),
        packed_h(packs ? take<T>(workspace, blocks * G * W * a.K) : const_cast<T*>(a.packed_h)) {
    for (T*& buffer : h_in) buffer = take<T>(workspace, a.B * h_stride);
    h = separate_h ? take<T>(workspace, a.B * h_stride) : nullptr;
    c = Cell::kCell ? take<T>(workspace, a.B * h_stride) : nullptr;
    buffers = take<Buffers>(workspace, division.threads);
    for (int id = 0; id < division.threads; ++id) {
      const Share share(division, id, blocks);
      const long sequences = share.count(a.B), units = (share.end - share.block) * W;
      const long some = kSumsBytes / long(sizeof(T)) / larger(1, units * Cell::kSums + a.D);
      buffers[id].capacity = larger(sequences, smaller(larger(some, 48), sequences * schedule.steps));
      buffers[id].sums = take<T>(workspace, buffers[id].capacity * panels_of(share) * panel_width);
      buffers[id].sums_of = take<T*>(workspace, buffers[id].capacity);
      buffers[id].x = take<const T*>(workspace, buffers[id].capacity);
      for (auto& of_step : buffers[id].h_in) of_step = take<T*>(workspace, sequences);
      buffers[id].y = take<Out*>(workspace, sequences);
      buffers[id].saved = take<T*>(workspace, sequences);
    }
    if (a.saved) expect_large(a.saved, a.B * a.T_ * a.H * Cell::kSaved * sizeof(T));
    if (y.per_sequence == a.T_ * a.H) expect_large(y.data, a.B * a.T_ * a.H * sizeof(Out));
  }

  void work(int id) {
    const Share share(division, id, blocks);
    if (packs)
      for (long block = share.first(blocks); block < share.last(blocks); ++block)
        pack_block_of<T, Cell>(a, block, packed_x, packed_h);
    begin(share);
    if (packs || !division.by_sequences) barrier.wait();
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
  using Out = typename Dot::template Out<T>;
  static constexpr int W = kLanes<T>, G = Cell::kGates;
  static constexpr int kPanelBlocks = G == 1 ? kPanelVectors : 1;  // a panel has all gates of a unit
  static constexpr long panel_width = kPanelBlocks * Cell::kSums * W;
  static constexpr int kHalves = Tiling<Cell>::kHalves, kHalf = Tiling<Cell>::kHalf;
  static constexpr int kTileVectors = G == 1 ? kPanelBlocks : kHalf;
  static constexpr int kTogether = together(kTileVectors);  // panels of a single row

  struct Buffers {  // of one thread
    long capacity;  // sequences × steps of a chunk
    T* sums;        // [panel][row][sums of the panel's units]
    T** sums_of;    // row of a chunk -> its sums in panel 0
    const T** x;    // row of a chunk -> its x
    T** h_in[2];    // sequence -> h as the gates read it
    Out** y;        // sequence -> this step's outputs
    T** saved;
  };

  static long panels_of(const Share& share) { return (share.end - share.block + kPanelBlocks - 1) / kPanelBlocks; }

  // --- products ------------------------------------------------------------------------------------------------

  // Sums of `panels` panels (+)= rows · weights, K long; `column` is that of the first sum. Several panels at once are
  // for a single row, and must be whole.
  template <class GateOf>
  void product(const Buffers& mine, const T* weights, const T* packed_weights, GateOf gate_of, long block,
               long in_panel, int panels, const T* const* rows, long count, long K, T* const* sums, long column,
               bool fresh) const {
    if (!packed) {
      Units<T> units[larger(kPanelBlocks, G)];
      const int vectors = G == 1 ? int(in_panel) : G;
      for (int v = 0; v < vectors; ++v) {
        const long at = block + (G == 1 ? v : 0), gate = G == 1 ? 0 : gate_of(v);
        units[v] = {weights + (gate * a.H + at * W) * K, lanes_of<T>(at, a.H), column + v * W};
      }
      multiply_in_place<T, Dot>(rows, count, K, units, vectors, K, sums, fresh);
      return;
    }
    const int vectors = G == 1 ? int(in_panel) : kHalf;
    for (int half = 0; half < kHalves; ++half) {
      Panel<T> panel{nullptr, long(vectors) * W, W, vectors, W, column + half * kHalf * W, fresh};
      panel.w = packed_weights + block * G * W * K + half * K * kHalf * W;
      if (G == 1) panel.w_stride = W, panel.v_stride = K * W;
      if (panels > 1) {
        with_height<kTogether>(panels, [&]<int P>() {
          single_row<T, kTileVectors, P, Dot>(rows[0], K, panel, in_panel * G * W * K, sums[0],
                                              mine.capacity * panel_width);
        });
      } else {
        multiply<T, Dot>(rows, count, K, panel, sums);
      }
    }
  }

  // --- the scan ------------------------------------------------------------------------------------------------

  // Copies the state before the first step; for sequences of length 0 it is also the final one.
  void begin(const Share& share) {
    Buffers& mine = buffers[share.id];
    const long j = share.block * W, units = smaller(share.end * W, a.H) - j;
    const long sequences = share.count(a.B);
    for (long i = 0; i < sequences; ++i) {
      const long position = share.position(i), b = schedule.sequence[position];
      for (int turn = 0; turn < 2; ++turn) mine.h_in[turn][i] = h_in[turn] + position * h_stride;
      T* const first = separate_h ? h + position * h_stride + j : mine.h_in[0][i] + j;
      copy(first, a.h0 + b * a.H + j, units);
      if (Cell::kCell) copy(c + position * h_stride + j, a.c0 + b * a.H + j, units);
      if (separate_h) {  // lanes without a unit must not bring NaN into the products
        const long rest = (share.end - share.block) * W - units;
        clear(first + units, rest);
        if (Cell::kCell) clear(c + position * h_stride + j + units, rest);
        for (long block = share.block; block < share.end; ++block)
          store_h_in(mine.h_in[0][i], block, load(h + position * h_stride + block * W), b);
      }
      if (schedule.length[position] == 0) {
        copy(a.h + b * a.H + j, a.h0 + b * a.H + j, units);
        if (Cell::kCell) copy(a.c + b * a.H + j, a.c0 + b * a.H + j, units);
      }
    }
    for (long r = 0; r < mine.capacity; ++r) mine.sums_of[r] = mine.sums + r * panel_width;
  }

  // Stores a block of h as the gates read it: times mask, and rounded for bfloat16 operands.
  void store_h_in(T* row, long block, Vector<T> value, long b) const {
    const long j = block * W;
    if (a.mask) value *= load_first(a.mask + b * a.H + j, lanes_of<T>(block, a.H));
    if constexpr (Dot::kPairs)
      Dot::put_pair(reinterpret_cast<uint16_t*>(row) + j, value, W);
    else
      store(row + j, value);
  }

  // Calls f(first block, blocks in a panel, panels, column of their sums) for this thread's panels: one by one, or
  // several at once for a single row.
  template <class F>
  void for_panels(const Share& share, long rows, F&& f) const {
    const long width = buffers[share.id].capacity * panel_width;
    long column = 0;
    for (long block = share.block; block < share.end;) {
      const long whole = (share.end - block) / kPanelBlocks;
      const int panels = packed && rows == 1 && whole > 1 ? int(smaller(whole, kTogether)) : 1;
      const long in_panel = smaller(kPanelBlocks, share.end - block);
      f(block, in_panel, panels, column);
      block += panels * in_panel;
      column += panels * width;
    }
  }

  // Computes x · W_x for a chunk that begins with step s; returns the step after the chunk.
  long project(const Share& share, long s) {
    Buffers& mine = buffers[share.id];
    long rows = 0;
    for (; s < schedule.steps; ++s) {
      const long count = share.count(schedule.active[s]);
      if (count == 0 || (rows && rows + count > mine.capacity)) break;
      for (long i = 0; i < count; ++i) {
        const long position = share.position(i);
        mine.x[rows++] = a.x.at(schedule.sequence[position], schedule.time(position, s));
      }
    }
    for_panels(share, rows, [&](long block, long in_panel, int panels, long column) {
      product(mine, a.weight_x, packed_x, Cell::x_gate, block, in_panel, panels, mine.x, rows, a.D, mine.sums_of,
              column, true);
      if constexpr (Cell::kSums > G)  // the sums without x begin with zero
        for (long r = 0; r < rows; ++r)
          for (int i = 0; i < panels; ++i)
            clear(mine.sums_of[r] + column + i * mine.capacity * panel_width + G * W, (Cell::kSums - G) * W);
    });
    return s;
  }

  // Runs step s, whose sums begin at row `row` of the chunk.
  void step(const Share& share, long s, long row) {
    Buffers& mine = buffers[share.id];
    const long count = share.count(schedule.active[s]);
    T** const before = mine.h_in[s & 1];
    T** const after = mine.h_in[(s + 1) & 1];
    for (long i = 0; i < count; ++i) {
      const long position = share.position(i), b = schedule.sequence[position];
      mine.y[i] = y.at(b, schedule.time(position, s));
      mine.saved[i] = a.saved ? a.saved + (s * a.B + b) * Cell::kSaved * a.H : nullptr;
    }
    for_panels(share, count, [&](long block, long in_panel, int panels, long column) {
      product(mine, a.weight_h, packed_h, in_order, block, in_panel, panels, before, count, a.K, mine.sums_of + row,
              column + (Cell::kSums - G) * W, false);
      for (int i = 0; i < panels; ++i, column += mine.capacity * panel_width)
        for (long k = 0; k < in_panel; ++k, ++block)
          advance(share, block, count, mine.sums_of + row, column + k * W, before, after);
    });
    const long still = s + 1 < schedule.steps ? share.count(schedule.active[s + 1]) : 0;
    for (long i = still; i < count; ++i) finish(share, i, after[i]);
  }

  // Sums -> the next h (and c) of one block of units, sequence by sequence.
  void advance(const Share& share, long block, long count, T* const* sums, long column, T* const* before,
               T* const* after) {
    Buffers& mine = buffers[share.id];
    const long j = block * W;
    const int n = lanes_of<T>(block, a.H);
    Vector<T> bias[Cell::kSums] = {};
    for (int q = 0; q < G; ++q)
      if (a.bias) bias[q] = load_first(a.bias + Cell::x_gate(q) * a.H + j, n);
    if (Cell::kSums > G && a.bias_n) bias[Cell::kSums - 1] = load_first(a.bias_n + j, n);
    for (long i = 0; i < count; ++i) {
      const long position = share.position(i);
      Vector<T> sum[Cell::kSums], out[Cell::kSaved + 1];
      UNROLLED_UNROLL for (int q = 0; q < Cell::kSums; ++q) sum[q] = load(sums[i] + column + q * W);
      Vector<T> state_h = load(separate_h ? h + position * h_stride + j : before[i] + j);
      Vector<T> state_c = Cell::kCell ? load(c + position * h_stride + j) : Vector<T>{};
      cell.forward(sum, bias, state_h, state_c, out);
      Dot::put(mine.y[i] + j, state_h, n);
      if (separate_h) store(h + position * h_stride + j, state_h);
      store_h_in(after[i], block, state_h, schedule.sequence[position]);
      if (Cell::kCell) store(c + position * h_stride + j, state_c);
      if (a.saved)
        UNROLLED_UNROLL for (int v = 0; v < Cell::kSaved; ++v)
            store_first(mine.saved[i] + j * Cell::kSaved + v * n, out[v], n);
    }
  }

  // Writes the final state of sequence i, after its last step.
  void finish(const Share& share, long i, const T* after) {
    const long position = share.position(i), b = schedule.sequence[position];
    const long j = share.block * W, units = smaller(share.end * W, a.H) - j;
    copy(a.h + b * a.H + j, (separate_h ? h + position * h_stride : after) + j, units);
    if (Cell::kCell) copy(a.c + b * a.H + j, c + position * h_stride + j, units);
  }

  void clear_padding(const Share& share) {
    const long j = share.block * W, units = smaller(share.end * W, a.H) - j;
    for (long i = 0; i < share.count(a.B); ++i)
      for (long t = schedule.length[share.position(i)]; t < a.T_; ++t)
        clear(y.at(schedule.sequence[share.position(i)], t) + j, units);
  }

  const Forward<T>& a;
  const Cell& cell;
  const Division division;
  const Schedule schedule;
  Barrier barrier;
  const long blocks, h_stride;
  const bool separate_h;  // h is stored apart from h_in
  const Sequence<Out> y;
  const bool packs;                    // all weights, before the first step
  const bool packed;                   // here or by the caller; else weights are read in place
  T *const packed_x, *const packed_h;  // (blocks, D, G, lanes), (blocks, H, G, lanes)
  T* h_in[2];                          // (B, h_stride) in turn: h as the gates read it, that is times mask
  T* h;                                // (B, h_stride) h itself, with a mask or pairs
  T* c;                                // (B, h_stride)
  Buffers* buffers;
};

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
