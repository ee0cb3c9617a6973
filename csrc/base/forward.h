// The forward scan of any recurrence.
//
// Time goes in chunks whose sums stay in the second cache: first the input's share of all of a chunk's sums, as one
// product; then step by step what returns is added to them, and the cell turns sums into the next h while they are in
// the first cache.
#pragma once

#include "in_place.h"
#include "scan.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kSumsBytes = 384 * 1024;              // of a chunk, each thread
constexpr long kInPlaceRows = 8, kInPlaceSteps = 2;  // up to which packing the weights does not pay

// --- packed weights ----------------------------------------------------------------------------------------------

// How the gates of a unit are laid side by side for a tile: all of them; in two halves, where they are more than a
// tile has vectors; a single gate's neighbours are other blocks of units, which stand apart.
template <class Cell>
struct Tiling {
  static constexpr int kGates = Cell::kGates;
  static constexpr int kHalves = kGates > kMostVectors ? 2 : 1, kHalf = kGates / kHalves;
};

// k0 <= k < k0 + K of one block of weights (G·H, stride): [half][k][gate of the half][lane].
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

// One block of units of both weights, [block][half][k][gate][lane], gates in the order of the sums.
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
        keeps_h(a.mask || Dot::kPairs),
        y{reinterpret_cast<Out*>(a.y.data), a.y.per_row, a.y.per_step},
        packs(!a.packed_x && (a.B > kInPlaceRows || a.T_ > kInPlaceSteps)),
        packed(packs || a.packed_x),
        packed_x(packs ? take<T>(workspace, blocks * G * W * a.D) : const_cast<T*>(a.packed_x)),
        packed_h(packs ? take<T>(workspace, blocks * G * W * a.K) : const_cast<T*>(a.packed_h)) {
    for (T*& buffer : seen) buffer = take<T>(workspace, a.B * h_stride);
    h = keeps_h ? take<T>(workspace, a.B * h_stride) : nullptr;
    c = Cell::kCell ? take<T>(workspace, a.B * h_stride) : nullptr;
    own = take<Own>(workspace, division.threads);
    for (int id = 0; id < division.threads; ++id) {
      const Part part(division, id, blocks);
      const long rows = part.rows(a.B), units = (part.end - part.block) * W;
      const long some = kSumsBytes / long(sizeof(T)) / larger(1, units * Cell::kSums + a.D);
      own[id].capacity = larger(rows, smaller(larger(some, 48), rows * schedule.steps));
      own[id].sums = take<T>(workspace, own[id].capacity * panels_of(part) * panel_width);
      own[id].sums_of = take<T*>(workspace, own[id].capacity);
      own[id].x = take<const T*>(workspace, own[id].capacity);
      for (auto& rows_of : own[id].seen) rows_of = take<T*>(workspace, rows);
      own[id].y = take<Out*>(workspace, rows);
      own[id].saved = take<T*>(workspace, rows);
    }
    if (a.saved) expect_large(a.saved, a.B * a.T_ * a.H * Cell::kSaved * sizeof(T));
    if (y.per_row == a.T_ * a.H) expect_large(y.data, a.B * a.T_ * a.H * sizeof(Out));
  }

  void work(int id) {
    const Part part(division, id, blocks);
    if (packs)
      for (long block = part.first(blocks); block < part.last(blocks); ++block)
        pack_block_of<T, Cell>(a, block, packed_x, packed_h);
    begin(part);
    if (packs || !division.by_rows) barrier.wait();
    for (long s = 0; s < schedule.steps && part.rows(schedule.active[s]) > 0;) {
      const long end = project(part, s);
      for (long row = 0; s < end; ++s) {
        step(part, s, row);
        row += part.rows(schedule.active[s]);
        if (!division.by_rows) barrier.wait();
      }
    }
    clear_padding(part);
  }

 private:
  using Out = typename Dot::template Out<T>;
  static constexpr int W = kLanes<T>, G = Cell::kGates;
  static constexpr int kPanelBlocks = G == 1 ? kPanelVectors : 1;  // a panel keeps the gates of a unit together
  static constexpr long panel_width = kPanelBlocks * Cell::kSums * W;
  static constexpr int kHalves = Tiling<Cell>::kHalves, kHalf = Tiling<Cell>::kHalf;
  static constexpr int kTileVectors = G == 1 ? kPanelBlocks : kHalf;
  static constexpr int kTogether = together(kTileVectors);  // panels of a single row

  struct Own {      // what one thread writes and no other reads
    long capacity;  // rows × steps of a chunk
    T* sums;        // [panel][row][sums of the panel's units]
    T** sums_of;    // row of a chunk -> its sums in panel 0
    const T** x;    // row of a chunk -> its x
    T** seen[2];    // row -> h as the gates see it
    Out** y;        // row -> where this step's outputs go
    T** saved;
  };

  static long panels_of(const Part& part) { return (part.end - part.block + kPanelBlocks - 1) / kPanelBlocks; }

  // --- products ------------------------------------------------------------------------------------------------

  // sums of `panels` panels (+)= rows · weights, K long. `column` is where the first panel's first such sum stands.
  // Several panels at once are for a single row, and whole ones.
  template <class GateOf>
  void product(const Own& mine, const T* weights, const T* packed_weights, GateOf gate_of, long block, long in_panel,
               int panels, const T* const* rows, long count, long K, T* const* sums, long column, bool fresh) const {
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

  // The state before the first step. Rows without any step keep theirs.
  void begin(const Part& part) {
    Own& mine = own[part.id];
    const long j = part.block * W, units = smaller(part.end * W, a.H) - j;
    const long rows = part.rows(a.B);
    for (long i = 0; i < rows; ++i) {
      const long place = part.place(i), b = schedule.row[place];
      for (int turn = 0; turn < 2; ++turn) mine.seen[turn][i] = seen[turn] + place * h_stride;
      T* const first = keeps_h ? h + place * h_stride + j : mine.seen[0][i] + j;
      copy(first, a.h0 + b * a.H + j, units);
      if (Cell::kCell) copy(c + place * h_stride + j, a.c0 + b * a.H + j, units);
      if (keeps_h) {  // what no unit is must not return as NaN
        const long rest = (part.end - part.block) * W - units;
        clear(first + units, rest);
        if (Cell::kCell) clear(c + place * h_stride + j + units, rest);
        for (long block = part.block; block < part.end; ++block)
          see(mine.seen[0][i], block, load(h + place * h_stride + block * W), b);
      }
      if (schedule.length[place] == 0) {
        copy(a.h + b * a.H + j, a.h0 + b * a.H + j, units);
        if (Cell::kCell) copy(a.c + b * a.H + j, a.c0 + b * a.H + j, units);
      }
    }
    for (long r = 0; r < mine.capacity; ++r) mine.sums_of[r] = mine.sums + r * panel_width;
  }

  // A block of h as the gates will see it: times mask, and rounded where operands are narrow.
  void see(T* row, long block, Vector<T> value, long b) const {
    const long j = block * W;
    if (a.mask) value *= load_first(a.mask + b * a.H + j, lanes_of<T>(block, a.H));
    if constexpr (Dot::kPairs)
      Dot::put(reinterpret_cast<Out*>(row) + j, value, W);
    else
      store(row + j, value);
  }

  // Calls f(first block, blocks in a panel, panels, where their sums begin) for this thread's panels: one by one, or
  // several at once for a single row.
  template <class F>
  void for_panels(const Part& part, long rows, F&& f) const {
    const long width = own[part.id].capacity * panel_width;
    long column = 0;
    for (long block = part.block; block < part.end;) {
      const long whole = (part.end - block) / kPanelBlocks;
      const int panels = packed && rows == 1 && whole > 1 ? int(smaller(whole, kTogether)) : 1;
      const long in_panel = smaller(kPanelBlocks, part.end - block);
      f(block, in_panel, panels, column);
      block += panels * in_panel;
      column += panels * width;
    }
  }

  // The input's share of the sums of a chunk that begins with step s; returns where the chunk ends.
  long project(const Part& part, long s) {
    Own& mine = own[part.id];
    long rows = 0;
    for (; s < schedule.steps; ++s) {
      const long count = part.rows(schedule.active[s]);
      if (count == 0 || (rows && rows + count > mine.capacity)) break;
      for (long i = 0; i < count; ++i) {
        const long place = part.place(i);
        mine.x[rows++] = a.x.at(schedule.row[place], schedule.time(place, s));
      }
    }
    for_panels(part, rows, [&](long block, long in_panel, int panels, long column) {
      product(mine, a.weight_x, packed_x, Cell::x_gate, block, in_panel, panels, mine.x, rows, a.D, mine.sums_of,
              column, true);
      if constexpr (Cell::kSums > G)  // what h alone contributes to begins with zero
        for (long r = 0; r < rows; ++r)
          for (int i = 0; i < panels; ++i)
            clear(mine.sums_of[r] + column + i * mine.capacity * panel_width + G * W, (Cell::kSums - G) * W);
    });
    return s;
  }

  // Step s, whose sums begin at row `row` of the chunk.
  void step(const Part& part, long s, long row) {
    Own& mine = own[part.id];
    const long count = part.rows(schedule.active[s]);
    T** const before = mine.seen[s & 1];
    T** const after = mine.seen[(s + 1) & 1];
    for (long i = 0; i < count; ++i) {
      const long place = part.place(i), b = schedule.row[place];
      mine.y[i] = y.at(b, schedule.time(place, s));
      mine.saved[i] = a.saved ? a.saved + (s * a.B + b) * Cell::kSaved * a.H : nullptr;
    }
    for_panels(part, count, [&](long block, long in_panel, int panels, long column) {
      product(mine, a.weight_h, packed_h, in_order, block, in_panel, panels, before, count, a.K, mine.sums_of + row,
              column + (Cell::kSums - G) * W, false);
      for (int i = 0; i < panels; ++i, column += mine.capacity * panel_width)
        for (long k = 0; k < in_panel; ++k, ++block)
          advance(part, block, count, mine.sums_of + row, column + k * W, before, after);
    });
    const long still = s + 1 < schedule.steps ? part.rows(schedule.active[s + 1]) : 0;
    for (long i = still; i < count; ++i) finish(part, i, after[i]);
  }

  // Sums -> the next h (and c) of one block of units, row by row.
  void advance(const Part& part, long block, long count, T* const* sums, long column, T* const* before,
               T* const* after) {
    Own& mine = own[part.id];
    const long j = block * W;
    const int n = lanes_of<T>(block, a.H);
    Vector<T> bias[Cell::kSums] = {};
    for (int q = 0; q < G; ++q)
      if (a.bias) bias[q] = load_first(a.bias + Cell::x_gate(q) * a.H + j, n);
    if (Cell::kSums > G && a.bias_n) bias[Cell::kSums - 1] = load_first(a.bias_n + j, n);
    for (long i = 0; i < count; ++i) {
      const long place = part.place(i);
      Vector<T> sum[Cell::kSums], out[Cell::kSaved + 1];
      UNROLLED_UNROLL for (int q = 0; q < Cell::kSums; ++q) sum[q] = load(sums[i] + column + q * W);
      Vector<T> state_h = load(keeps_h ? h + place * h_stride + j : before[i] + j);
      Vector<T> state_c = Cell::kCell ? load(c + place * h_stride + j) : Vector<T>{};
      cell.forward(sum, bias, state_h, state_c, out);
      Dot::put(mine.y[i] + j, state_h, n);
      if (keeps_h) store(h + place * h_stride + j, state_h);
      see(after[i], block, state_h, schedule.row[place]);
      if (Cell::kCell) store(c + place * h_stride + j, state_c);
      if (a.saved)
        UNROLLED_UNROLL for (int v = 0; v < Cell::kSaved; ++v)
            store_first(mine.saved[i] + j * Cell::kSaved + v * n, out[v], n);
    }
  }

  // Row i has taken its last step: hand out its state.
  void finish(const Part& part, long i, const T* after) {
    const long place = part.place(i), b = schedule.row[place];
    const long j = part.block * W, units = smaller(part.end * W, a.H) - j;
    copy(a.h + b * a.H + j, (keeps_h ? h + place * h_stride : after) + j, units);
    if (Cell::kCell) copy(a.c + b * a.H + j, c + place * h_stride + j, units);
  }

  void clear_padding(const Part& part) {
    const long j = part.block * W, units = smaller(part.end * W, a.H) - j;
    for (long i = 0; i < part.rows(a.B); ++i)
      for (long t = schedule.length[part.place(i)]; t < a.T_; ++t)
        clear(y.at(schedule.row[part.place(i)], t) + j, units);
  }

  const Forward<T>& a;
  const Cell& cell;
  const Division division;
  const Schedule schedule;
  Barrier barrier;
  const long blocks, h_stride;
  const bool keeps_h;  // apart from what the gates see of it
  const Sequence<Out> y;
  const bool packs;                    // all weights, before the first step
  const bool packed;                   // here or by the caller; else weights are read where they stand
  T *const packed_x, *const packed_h;  // (blocks, D, G, lanes), (blocks, H, G, lanes)
  T* seen[2];                          // (B, h_stride) by turns: h as the gates see it, that is times mask
  T* h;                                // (B, h_stride) h itself, where there is a mask, or pairs
  T* c;                                // (B, h_stride)
  Own* own;
};

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
