// A linear recurrence of vectors, number by number, and its gradient:
//
//     h_t = a_t h_{t−1} + b_t
//     g_t = ∂h_t + a_{t+1} g_{t+1}      ∂a_t = g_t h_{t−1}      ∂b_t = g_t      ∂h_0 = a_1 g_1
//
// Each number is one chain of multiply-adds, so it has the same bits in any batch and for any number of threads, which
// divide the sequences and, where there are few, the units. The work is that of reading and writing memory once.
#include "../base/scan.h"
#include "../base/vector.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr int W = kLanes<float>;
constexpr long kWorkOfThread = 1l << 14;  // numbers that justify a thread
constexpr long kUnits = 1024;             // of a piece: its carried vector stays in the first cache

// Calls f(sequence, first unit, end of units) for the pieces of a thread.
template <class Call, class F>
UNROLLED_INLINE void each_piece(const Call& a, int id, int threads, F&& f) {
  const long parts = (a.H + kUnits - 1) / kUnits, pieces = a.B * parts;
  for (long piece = pieces * id / threads; piece < pieces * (id + 1) / threads; ++piece) {
    const long first = piece % parts * kUnits;
    f(piece / parts, first, smaller(a.H, first + kUnits));
  }
}

class RecurrencePass {
 public:
  RecurrencePass(const LinearRecurrence& a, int threads, Workspace&) : a(a), threads(threads) {}

  void work(int id) {
    each_piece(a, id, threads, [&](long row, long first, long end) {
      const float* before = a.h0 + row * a.H;
      for (long t = 0; t < a.T; ++t) {
        const long at = (row * a.T + t) * a.H;
        for (long i = first; i < end; i += W) {
          const int lanes = int(smaller(W, end - i));
          const Vector<float> decay = load_first(a.a + at + i, lanes), written = load_first(a.b + at + i, lanes);
          store_first(a.h + at + i, decay * load_first(before + i, lanes) + written, lanes);
        }
        before = a.h + at;
      }
    });
  }

 private:
  const LinearRecurrence& a;
  const int threads;
};

class RecurrenceBackwardPass {
 public:
  RecurrenceBackwardPass(const LinearRecurrenceBackward& a, int threads, Workspace&) : a(a), threads(threads) {}

  void work(int id) {
    each_piece(a, id, threads, [&](long row, long first, long end) {
      for (long t = a.T - 1; t >= 0; --t) {
        const long at = (row * a.T + t) * a.H;
        const float* const before = t ? a.h + at - a.H : a.h0 + row * a.H;
        for (long i = first; i < end; i += W) {
          const int lanes = int(smaller(W, end - i));
          Vector<float> g = load_first(a.dh + at + i, lanes);
          if (t + 1 < a.T) g += load_first(a.a + at + a.H + i, lanes) * load_first(a.db + at + a.H + i, lanes);
          store_first(a.db + at + i, g, lanes);
          store_first(a.da + at + i, g * load_first(before + i, lanes), lanes);
          if (t == 0) store_first(a.dh0 + row * a.H + i, load_first(a.a + at + i, lanes) * g, lanes);
        }
      }
    });
  }

 private:
  const LinearRecurrenceBackward& a;
  const int threads;
};

}  // namespace

void linear_recurrence(const LinearRecurrence& a) { run<RecurrencePass>(a, a.B * a.T * a.H / kWorkOfThread); }
void linear_recurrence_backward(const LinearRecurrenceBackward& a) {
  run<RecurrenceBackwardPass>(a, a.B * a.T * a.H / kWorkOfThread);
}

}  // namespace unrolled::UNROLLED_ISA
