// The backward scan of any recurrence.
//
// From the last step to the first: the cell turns dh (and dc) into the gradients of its sums, a product with W_h turns
// those into the dh of the step before. Time is cut into chunks, and the gradients of x and of the weights are computed
// chunk by chunk, while the gradients of the sums are in the second cache:
//
//     dx(t) = d_x(t) · W_x        dW_x += Σ_t d_x(t)ᵀ x(t)        dW_h += Σ_t d_h(t)ᵀ h(t−1)        db += Σ_t d(t)
//
// where d_x are the gradients of the sums that x feeds (the first G), d_h of those that h feeds (the last G). Weight
// gradients are summed over chunks from the last to the first, within a chunk over ascending steps; threads divide the
// units of the gates, so their bits do not depend on the number of threads.
//
// With bfloat16 operands (base/bfloat16.h) d, x, h and the weights are rounded where they enter a product, in pairs
// along its sum: neighbouring units of a gate in the first two products, neighbouring rows of a chunk in the others. An
// x that is narrower than half a vector stays float32.
#pragma once

#include "scan.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kGradientBytes = 512 * 1024;  // of a chunk
constexpr long kLeastRows = 256, kMostRowsOfChunk = 384;
constexpr long kFewRows = 8;  // sequences × steps up to which weights are not packed

template <class T, class Cell, class Dot = MultiplyAdd>
class BackwardScan {
 public:
  BackwardScan(const Backward<T>& a, const Cell& cell, const Division& division, Workspace& workspace)
      : a(a),
        cell(cell),
        division(division),
        schedule(workspace, a.B, a.T_, a.lengths, a.reverse),
        barrier(division.threads),
        blocks(vectors_for<T>(a.H)),
        h_stride(blocks * W + kPad),
        d_stride(Cell::kSums * a.H + kPanelVectors * W + kPad),
        per_gate(Dot::kPairs ? (a.H + 1) / 2 : a.H),
        packed(Dot::kPairs || a.B * a.T_ > kFewRows),
        narrow(a.D * 2 < W) {
    const long wanted = kGradientBytes / long(sizeof(T)) / d_stride;
    const long rows = smaller(larger(kLeastRows, smaller(wanted, kMostRowsOfChunk)), larger(1, a.B * schedule.steps));
    capacity = larger(rows, a.B);
    d = take<T>(workspace, capacity * d_stride);
    d_x = take<const T*>(workspace, capacity);
    d_h = take<const T*>(workspace, capacity);
    if constexpr (Dot::kPairs) {
      rounded_stride = Cell::kSums * per_gate + kPad;
      rounded = take<T>(workspace, capacity * rounded_stride);
      if (a.dweight_x) paired = take<T>(workspace, (capacity + 1) / 2 * d_stride);
    }
    dh = take<T>(workspace, a.B * h_stride);
    dh_of = take<T*>(workspace, a.B);
    dc = Cell::kCell ? take<T>(workspace, a.B * h_stride) : nullptr;
    returned = a.mask ? take<T>(workspace, a.B * h_stride) : nullptr;
    packed_h = take<T>(workspace, blocks * W * G * per_gate);
    if (a.dx.data) {
      packed_x = take<T>(workspace, vectors_for<T>(a.D) * W * G * per_gate);
      expect_large(a.dx.data, a.B * a.T_ * a.D * sizeof(T));
    }
    if (a.dweight_x) {
      expect_large(a.dweight_x, G * a.H * a.D * sizeof(T));
      expect_large(a.dweight_h, G * a.H * a.H * sizeof(T));
      x_panels = take<T>(workspace, narrow ? capacity * a.D : capacity * vectors_for<T>(a.D) * W);
      h_panels = take<T>(workspace, capacity * blocks * W);
      if (narrow) turned = take<T>(workspace, a.D * d_stride);
    }
  }

  void work(int id) {
    const Share share(division, id, blocks);
    pack(share);
    begin(share);
    barrier.wait();
    for (long end = schedule.steps; end > 0;) {
      long first = end, rows = 0;
      while (first > 0 && (rows == 0 || rows + schedule.active[first - 1] <= capacity))
        rows += schedule.active[--first];
      for (long s = end - 1, row = rows; s >= first; --s) {
        row -= schedule.active[s];
        step(share, s, row);
      }
      if (a.dx.data && division.by_sequences) input_gradients(share, first, end);
      barrier.wait();  // all gradients of this chunk are written
      if (a.dx.data && !division.by_sequences) input_gradients(share, first, end);
      if (a.dweight_x) {
        gather(share, first, end);
        barrier.wait();  // x and h of the chunk are written
        weight_gradients(share, rows, end == schedule.steps);
      }
      barrier.wait();  // no thread reads this chunk any more
      end = first;
    }
    finish(share);
  }

 private:
  static constexpr int W = kLanes<T>, G = Cell::kGates;
  static constexpr long kFirstH = Cell::kSums - G;  // the first sum that h feeds

  static int identity(int q) { return q; }

  // The panel that begins with vector v of a matrix with n columns.
  static Panel<T> panel_of(const T* w, long w_stride, long v, long n, long column, bool fresh) {
    const int vectors = int(smaller(kPanelVectors, vectors_for<T>(n) - v));
    return {w, w_stride, W, vectors, lanes_of<T>(v + vectors - 1, n), column, fresh};
  }

  static bool whole(long v, long n) { return (v + kPanelVectors) * W <= n; }

  // --- packing -------------------------------------------------------------------------------------------------

  // Packs columns of weights (G·H, n) in panels [panel][k][vector][lane], k over gates (in the order of the sums) and
  // units.
  template <class GateOf>
  void pack_columns(const T* weights, long n, long v, GateOf gate_of, T* to) const {
    const int vectors = int(smaller(kPanelVectors, vectors_for<T>(n) - v));
    const int last = lanes_of<T>(v + vectors - 1, n);
    to += v * W * G * per_gate;
    for (int q = 0; q < G; ++q)
      for (long k = 0; k < per_gate; ++k, to += vectors * W)
        pack_row(weights + gate_of(q) * a.H * n + v * W, n, k, vectors, last, to);
  }

  // Packs number k of a gate's sum: a row of its weights, or a pair of rows.
  void pack_row(const T* weights, long n, long k, int vectors, int last, T* to) const {
    if constexpr (Dot::kPairs) {
      const T *const first = weights + 2 * k * n, *const second = 2 * k + 1 < a.H ? first + n : nullptr;
      pair_up(first, second, vectors, last, to);
    } else {
      const T* const from = weights + k * n;
      for (int i = 0; i < vectors - 1; ++i) store(to + i * W, load(from + i * W));
      store(to + (vectors - 1) * W, load_first(from + (vectors - 1) * W, last));
    }
  }

  // Pairs of two rows of numbers, the second of which may be missing.
  static void pair_up(const T* first, const T* second, long vectors, int last, T* to) {
    for (long i = 0; i < vectors; ++i) {
      const int lanes = i + 1 < vectors ? W : last;
      store(to + i * W,
            Dot::pairs(load_first(first + i * W, lanes), second ? load_first(second + i * W, lanes) : Vector<T>{}));
    }
  }

  void pack(const Share& share) {
    // For few rows a whole panel is read in place; only the panel that ends outside the matrix is packed.
    for (long v = share.block; v < share.end && passes_back(schedule.steps - 1); v += kPanelVectors)
      if (panel_owner(share, v) && (packed || !whole_h(share, v))) pack_h(share, v);
    if (a.dx.data) {
      const long panels = (vectors_for<T>(a.D) + kPanelVectors - 1) / kPanelVectors;
      for (long p = share.first(panels); p < share.last(panels); ++p)
        if (packed || !whole(p * kPanelVectors, a.D))
          pack_columns(a.weight_x, a.D, p * kPanelVectors, Cell::x_gate, packed_x);
    }
  }

  // When threads divide the sequences, they use the same panels and each packs some of them.
  bool panel_owner(const Share& share, long v) const {
    return !division.by_sequences || (v / kPanelVectors) % division.threads == share.id;
  }
  // A thread's last panel may be narrower than others, as it ends with the thread's share.
  static int panel_vectors(const Share& share, long v) { return int(smaller(kPanelVectors, share.end - v)); }
  bool whole_h(const Share& share, long v) const { return (v + panel_vectors(share, v)) * W <= a.H; }

  void pack_h(const Share& share, long v) const {
    const int vectors = panel_vectors(share, v), last = lanes_of<T>(v + vectors - 1, a.H);
    T* to = packed_h + v * W * G * per_gate;
    for (int q = 0; q < G; ++q)
      for (long k = 0; k < per_gate; ++k, to += vectors * W)
        pack_row(a.weight_h + q * a.H * a.H + v * W, a.H, k, vectors, last, to);
  }

  // --- the scan ------------------------------------------------------------------------------------------------

  void begin(const Share& share) {
    const long j = share.block * W, units = smaller(share.end * W, a.H) - j;
    for (long r = share.first(capacity); r < share.last(capacity); ++r) {
      const T* const operands = Dot::kPairs ? rounded + r * rounded_stride : d + r * d_stride;
      d_x[r] = operands;
      d_h[r] = operands + kFirstH * per_gate;
      if (Dot::kPairs && a.H % 2) clear(rounded + r * rounded_stride, rounded_stride);  // the other half of a last pair
    }
    for (long i = 0; i < share.count(a.B); ++i) {
      const long position = share.position(i), b = schedule.sequence[position];
      T* const dh_row = dh + position * h_stride + j;
      a.dh ? copy(dh_row, a.dh + b * a.H + j, units) : clear(dh_row, units);
      if (share.block == 0) dh_of[position] = (a.mask ? returned : dh) + position * h_stride;
      if (!Cell::kCell) continue;
      T* const dc_row = dc + position * h_stride + j;
      a.dc ? copy(dc_row, a.dc + b * a.H + j, units) : clear(dc_row, units);
    }
  }

  // Whether the gradient of h before step s is needed.
  bool passes_back(long s) const { return s > 0 || a.dh0; }

  const T* h_before(long position, long s) const {
    const long b = schedule.sequence[position];
    return s == 0 ? a.h0 + b * a.H : a.y.at(b, schedule.time(position, s - 1));
  }

  // Runs step s, whose gradients begin at row `row` of the chunk.
  void step(const Share& share, long s, long row) {
    const long count = share.count(schedule.active[s]);
    for (long i = 0; i < count; ++i) retreat(share, share.position(i), s, row + share.position(i));
    if (!passes_back(s)) return;
    if (!division.by_sequences) barrier.wait();
    // The dh of the step before, as far as it passes through the gates.
    const T* rows[kMostRowsAtOnce];
    T* into[kMostRowsAtOnce];
    for (long i0 = 0; i0 < count; i0 += kMostRowsAtOnce) {
      const long some = smaller(kMostRowsAtOnce, count - i0);
      for (long i = 0; i < some; ++i) {
        rows[i] = d_h[row + share.position(i0 + i)];
        into[i] = dh_of[share.position(i0 + i)];
      }
      for (long v = share.block; v < share.end; v += kPanelVectors) {
        const int vectors = panel_vectors(share, v), last = lanes_of<T>(v + vectors - 1, a.H);
        const bool fresh = a.mask || !Cell::kDirect;
        const bool in_place = !packed && whole_h(share, v);
        const T* const w = in_place ? a.weight_h + v * W : packed_h + v * W * G * per_gate;
        multiply<T, Dot>(rows, some, G * per_gate,
                         Panel<T>{w, in_place ? a.H : long(vectors) * W, W, vectors, last, v * W, fresh}, into);
      }
    }
    if (a.mask)
      for (long i = 0; i < count; ++i) unmask(share, share.position(i));
  }

  // dh, dc -> the gradients of the sums of one sequence, and the direct terms of dh and dc of the step before.
  void retreat(const Share& share, long position, long s, long row) {
    const long b = schedule.sequence[position], t = schedule.time(position, s);
    const T* const saved = Cell::kSaved ? a.saved + (s * a.B + b) * Cell::kSaved * a.H : nullptr;
    const T* const saved_before = s ? a.saved + ((s - 1) * a.B + b) * Cell::kSaved * a.H : nullptr;
    const T* const h_row = h_before(position, s);
    const T* const y = a.y.at(b, t);
    const T* const dy = a.dy.data ? a.dy.at(b, t) : nullptr;
    T* const dh_row = dh + position * h_stride;
    T* const d_row = d + row * d_stride;
    for (long block = share.block; block < share.end; ++block) {
      const long j = block * W;
      const int n = lanes_of<T>(block, a.H);
      Vector<T> kept[Cell::kSaved + 1], out[Cell::kSums];
      UNROLLED_UNROLL for (int v = 0; v < Cell::kSaved; ++v) kept[v] = load_first(saved + j * Cell::kSaved + v * n, n);
      Vector<T> state_dh = load(dh_row + j), state_dc{}, c_before{};
      if (dy) state_dh += load_first(dy + j, n);
      if constexpr (Cell::kCell) {
        state_dc = load(dc + position * h_stride + j);
        c_before = s ? load_first(saved_before + j * Cell::kSaved + (Cell::kSaved - 1) * n, n)
                     : load_first(a.c0 + b * a.H + j, n);
      }
      cell.backward(kept, load_first(y + j, n), load_first(h_row + j, n), c_before, state_dh, state_dc, out);
      UNROLLED_UNROLL for (int q = 0; q < Cell::kSums; ++q) {
        store_first(d_row + q * a.H + j, out[q], n);
        if constexpr (Dot::kPairs)
          Dot::put(reinterpret_cast<uint16_t*>(rounded + row * rounded_stride + q * per_gate) + j, out[q], n);
      }
      if (Cell::kDirect) store(dh_row + j, state_dh);
      if (Cell::kCell) store(dc + position * h_stride + j, state_dc);
    }
  }

  // dh = its direct term + mask ⊙ the gradient through the gates
  void unmask(const Share& share, long position) {
    const long b = schedule.sequence[position];
    for (long block = share.block; block < share.end; ++block) {
      const long j = block * W;
      const Vector<T> back =
          load(returned + position * h_stride + j) * load_first(a.mask + b * a.H + j, lanes_of<T>(block, a.H));
      T* const row = dh + position * h_stride + j;
      store(row, Cell::kDirect ? load(row) + back : back);
    }
  }

  // --- gradients of a chunk [first, end) of steps ----------------------------------------------------------------

  // dx of this thread's sequences; when threads divide units, of its share of the chunk's rows (or of the columns of x,
  // if there are too few rows).
  void input_gradients(const Share& share, long first, long end) {
    long rows = 0;
    for (long s = first; s < end; ++s) rows += schedule.active[s];
    const long panels = (vectors_for<T>(a.D) + kPanelVectors - 1) / kPanelVectors;
    const bool by_columns = !division.by_sequences && rows < 8 * division.threads;
    const long from = division.by_sequences || by_columns ? 0 : share.first(rows);
    const long to = division.by_sequences || by_columns ? rows : share.last(rows);
    const T* d_rows[kMostRowsAtOnce];
    T* dx_rows[kMostRowsAtOnce];
    long count = 0, row = 0;
    const auto flush = [&] {
      for (long p = by_columns ? share.first(panels) : 0; p < (by_columns ? share.last(panels) : panels); ++p)
        input_panel(d_rows, count, p * kPanelVectors, dx_rows);
      count = 0;
    };
    for (long s = first; s < end; ++s) {
      for (long position = 0; position < schedule.active[s]; ++position, ++row) {
        if (division.by_sequences ? position % share.stride != share.offset : row < from || row >= to) continue;
        d_rows[count] = d_x[row];
        dx_rows[count++] = a.dx.at(schedule.sequence[position], schedule.time(position, s));
        if (count == kMostRowsAtOnce) flush();
      }
    }
    if (count) flush();
  }

  void input_panel(const T* const* d_rows, long count, long v, T* const* dx_rows) const {
    if (packed || !whole(v, a.D)) {
      const int vectors = int(smaller(kPanelVectors, vectors_for<T>(a.D) - v));
      multiply<T, Dot>(d_rows, count, G * per_gate,
                       panel_of(packed_x + v * W * G * per_gate, long(vectors) * W, v, a.D, v * W, true), dx_rows);
      return;
    }
    const T* of_gate[kMostRowsAtOnce];
    for (int q = 0; q < G; ++q) {  // the gates of weight_x are in another order than the sums
      for (long i = 0; i < count; ++i) of_gate[i] = d_rows[i] + q * a.H;
      multiply(of_gate, count, a.H,
               panel_of(a.weight_x + Cell::x_gate(q) * a.H * a.D + v * W, a.D, v, a.D, v * W, q == 0), dx_rows);
    }
  }

  // Copies x and the h before each step of the chunk into panels [panel][row][vector][lane] for the products below.
  void gather(const Share& share, long first, long end) {
    long row = 0, rows = 0;
    for (long s = first; s < end; ++s) rows += schedule.active[s];
    if (Dot::kPairs) return gather_pairs(share, first, end, rows);
    const long from = share.first(rows), to = share.last(rows);
    for (long s = first; s < end; ++s) {
      if (row + schedule.active[s] <= from || row >= to) {
        row += schedule.active[s];
        continue;
      }
      for (long position = 0; position < schedule.active[s]; ++position, ++row) {
        if (row < from || row >= to) continue;
        const long b = schedule.sequence[position];
        const T* const x = a.x.at(b, schedule.time(position, s));
        if (narrow)
          copy(x_panels + row * a.D, x, a.D);
        else
          into_panels(x, nullptr, a.D, row, x_panels);
        into_panels(h_before(position, s), a.mask ? a.mask + b * a.H : nullptr, a.H, row, h_panels);
      }
    }
  }

  // The same in pairs of rows, and d as well.
  void gather_pairs(const Share& share, long first, long end, long rows) {
    const long from = share.first((rows + 1) / 2) * 2, to = smaller(rows, share.last((rows + 1) / 2) * 2);
    const T *x[2], *h[2], *mask[2];
    long row = 0;
    for (long s = first; s < end; ++s)
      for (long position = 0; position < schedule.active[s]; ++position, ++row) {
        if (row < from || row >= to) continue;
        const long b = schedule.sequence[position];
        x[row % 2] = a.x.at(b, schedule.time(position, s)), h[row % 2] = h_before(position, s);
        mask[row % 2] = a.mask ? a.mask + b * a.H : nullptr;
        if (narrow) copy(x_panels + row * a.D, x[row % 2], a.D);
        if (row % 2 == 0 && row + 1 < rows) continue;
        if (row % 2 == 0) x[1] = h[1] = nullptr;  // the last row has no neighbour
        if (!narrow) pair_into_panels(x, nullptr, a.D, row / 2, x_panels);
        pair_into_panels(h, a.mask ? mask : nullptr, a.H, row / 2, h_panels);
        const T* const d_row = d + row / 2 * 2 * d_stride;
        const long n = Cell::kSums * a.H, vectors = vectors_for<T>(n);
        if constexpr (Dot::kPairs)
          pair_up(d_row, h[1] ? d_row + d_stride : nullptr, vectors, lanes_of<T>(vectors - 1, n),
                  paired + row / 2 * d_stride);
      }
  }

  void pair_into_panels(const T* const* from, const T* const* times, long n, long pair, T* to) const {
    const long all = vectors_for<T>(n);
    for (long v = 0; v < all; v += kPanelVectors) {
      const long vectors = smaller(kPanelVectors, all - v);
      T* const at = to + v * W * capacity + pair * vectors * W;
      for (long i = 0; i < vectors; ++i) {
        const long column = (v + i) * W;
        const int lanes = lanes_of<T>(v + i, n);
        Vector<T> value[2] = {};
        for (int k = 0; k < (from[1] ? 2 : 1); ++k) {
          value[k] = load_first(from[k] + column, lanes);
          if (times) value[k] *= load_first(times[k] + column, lanes);
        }
        if constexpr (Dot::kPairs) store(at + i * W, Dot::pairs(value[0], value[1]));
      }
    }
  }

  void into_panels(const T* from, const T* times, long n, long row, T* to) const {
    const long all = vectors_for<T>(n);
    for (long v = 0; v < all; v += kPanelVectors) {
      const long vectors = smaller(kPanelVectors, all - v);
      T* const at = to + v * W * capacity + row * vectors * W;
      for (long i = 0; i < vectors; ++i) {
        const int lanes = lanes_of<T>(v + i, n);
        Vector<T> value = load_first(from + (v + i) * W, lanes);
        if (times) value *= load_first(times + (v + i) * W, lanes);
        store(at + i * W, value);
      }
    }
  }

  void weight_gradients(const Share& share, long rows, bool fresh) {
    const long step = 8;  // units of a gate are divided in groups of eight
    const long u0 = smaller(a.H, share.first((a.H + step - 1) / step) * step);
    const long u1 = smaller(a.H, share.last((a.H + step - 1) / step) * step);
    if (narrow)
      narrow_gradients(share, rows, fresh);
    else
      outer_products(x_panels, a.D, 0, Cell::x_gate, u0, u1, rows, fresh, a.dweight_x);
    outer_products(h_panels, a.H, kFirstH, identity, u0, u1, rows, fresh, a.dweight_h);
    if (a.dbias)
      for (int q = 0; q < G; ++q) add_rows(q, u0, u1, rows, fresh, a.dbias + Cell::x_gate(q) * a.H);
    if (a.dbias_n) add_rows(Cell::kSums - 1, u0, u1, rows, fresh, a.dbias_n);
  }

  // weights (G·H, n) += Σ_rows dᵀ · panels, units u0 … u1 of each gate.
  template <class GateOf>
  void outer_products(const T* panels, long n, long first_sum, GateOf gate_of, long u0, long u1, long rows, bool fresh,
                      T* weights) const {
    for (long v = 0; v < vectors_for<T>(n); v += kPanelVectors) {
      const long vectors = smaller(kPanelVectors, vectors_for<T>(n) - v);
      const Panel<T> panel = panel_of(panels + v * W * capacity, vectors * W, v, n, v * W, fresh);
      for (int q = 0; q < G; ++q)
        multiply_transposed<T, Dot>((Dot::kPairs ? paired : d) + (first_sum + q) * a.H + u0, d_stride, u1 - u0,
                                    Dot::kPairs ? (rows + 1) / 2 : rows, panel, weights + (gate_of(q) * a.H + u0) * n,
                                    n);
    }
  }

  // dW_xᵀ for an x narrower than a vector: the rows are its few inputs, the panels the gradients of the sums.
  void narrow_gradients(const Share& share, long rows, bool fresh) {
    const long n = G * a.H, panels = (vectors_for<T>(n) + kPanelVectors - 1) / kPanelVectors;
    for (long p = share.first(panels); p < share.last(panels); ++p) {
      const long v = p * kPanelVectors;
      multiply_transposed(x_panels, a.D, a.D, rows, panel_of(d + v * W, d_stride, v, n, v * W, fresh), turned,
                          d_stride);
    }
  }

  void add_rows(int sum, long u0, long u1, long rows, bool fresh, T* to) const {
    for (long u = u0; u < u1; u += W) {
      const int n = int(smaller(W, u1 - u));
      Vector<T> total = fresh ? Vector<T>{} : load_first(to + u, n);
      for (long r = 0; r < rows; ++r) total += load_first(d + r * d_stride + sum * a.H + u, n);
      store_first(to + u, total, n);
    }
  }

  void finish(const Share& share) {
    const long j = share.block * W, units = smaller(share.end * W, a.H) - j;
    for (long i = 0; i < share.count(a.B); ++i) {
      const long position = share.position(i), b = schedule.sequence[position];
      if (a.dh0) copy(a.dh0 + b * a.H + j, dh + position * h_stride + j, units);
      if (Cell::kCell && a.dc0) copy(a.dc0 + b * a.H + j, dc + position * h_stride + j, units);
      if (a.dx.data && share.block == 0)
        for (long t = schedule.length[position]; t < a.T_; ++t) clear(a.dx.at(b, t), a.D);
    }
    if (!a.dweight_x || share.id != 0) return;
    if (schedule.steps == 0) {
      clear(a.dweight_x, G * a.H * a.D);
      clear(a.dweight_h, G * a.H * a.H);
      if (a.dbias) clear(a.dbias, G * a.H);
      if (a.dbias_n) clear(a.dbias_n, a.H);
    } else if (narrow) {
      for (int q = 0; q < G; ++q)
        for (long u = 0; u < a.H; ++u)
          for (long k = 0; k < a.D; ++k)
            a.dweight_x[(Cell::x_gate(q) * a.H + u) * a.D + k] = turned[k * d_stride + q * a.H + u];
    }
  }

  static constexpr long kMostRowsAtOnce = 256;  // pointers on the stack

  const Backward<T>& a;
  const Cell& cell;
  const Division division;
  const Schedule schedule;
  Barrier barrier;
  const long blocks, h_stride, d_stride;
  const long per_gate;  // length of a gate's part of a sum over units: H, or its pairs
  const bool packed;    // all weights, before the first step; else they are read in place
  const bool narrow;    // x is narrower than half a vector
  long capacity;        // sequences × steps of a chunk
  T* d;                 // (capacity, d_stride) gradients of the sums: [sum][unit]
  long rounded_stride = 0;
  T *rounded = nullptr, *paired = nullptr;  // the same in bfloat16: in pairs of units, and of rows
  const T **d_x, **d_h;  // row -> its operands of the products, from the first sum that x feeds, that h feeds
  T* dh;                 // (B, h_stride)
  T** dh_of;             // position -> the result of the product with W_h: dh, or `returned` with a mask
  T* dc;                 // (B, h_stride)
  T* returned;           // (B, h_stride) the gradient through the gates, before the mask
  T *packed_h, *packed_x = nullptr;
  T *x_panels = nullptr, *h_panels = nullptr;  // of a chunk
  T* turned = nullptr;                         // (D, d_stride) dW_x transposed
};

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
