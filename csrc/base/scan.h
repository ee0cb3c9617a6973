// What the forward and the backward scan share: how a recurrence is described, and how its work is divided.
//
// A recurrence (kernels/lstm.cc, …) is a struct Cell with
//     kGates     gates in the weights, G
//     kSums      sums of a unit before its nonlinearities; the input contributes to the first G, h to the last G.
//                (Only the GRU has more sums than gates: x_n, r, z, h_n; what returns must not mix with x_n.)
//     x_gate(q)  which gate of weight_x and bias feeds sum q
//     kSaved     numbers a unit and step that backward wants; kCell whether there is a cell state c
//     forward, backward: one unit's step, on vectors of units
//
// Units (0 … H − 1) are handled in blocks of one vector. Threads divide either the rows, and need not wait for each
// other, or the blocks, and wait after each step: for a few rows, or for weights that no core's cache can hold.
#pragma once

#include "../scan.h"
#include "product.h"
#include "schedule.h"
#include "threads.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr int kPanelVectors = kRegisters == 32 ? 4 : 2;  // of a panel that has no gates to keep together
constexpr long kPad = 16;                                // numbers between rows, against strides of a power of two

UNROLLED_INLINE long smaller(long a, long b) { return a < b ? a : b; }
UNROLLED_INLINE long larger(long a, long b) { return a > b ? a : b; }

struct Division {
  int threads;
  bool by_rows;
};

template <class T, class Cell>
Division divide(const Scan<T>& a) {
  const long per_row = Cell::kGates * a.H * (a.D + a.H), recurrent = Cell::kGates * a.H * a.H;
  const long threads = a.threads;
  if (threads <= 1 || a.B * a.T_ * per_row < 60'000) return {1, true};
  const bool weights_spill = recurrent * long(sizeof(T)) > (2l << 20);
  if (a.B >= 4 * threads && !(weights_spill && a.B < 32 * threads)) return {int(threads), true};
  const long blocks = vectors_for<T>(a.H);
  if (blocks >= threads && a.B * recurrent >= 12'000) return {int(threads), false};
  if (a.B >= threads) return {int(threads), true};
  return {1, true};
}

// One thread's part: every `shares`-th place of the schedule from `share` on, and the blocks [block, end).
struct Part {
  int id, threads;
  long shares, share;
  long block, end;

  Part(const Division& division, int id, long blocks)
      : id(id),
        threads(division.threads),
        shares(division.by_rows ? threads : 1),
        share(division.by_rows ? id : 0),
        block(division.by_rows ? 0 : blocks * id / threads),
        end(division.by_rows ? blocks : blocks * (id + 1) / threads) {}

  long rows(long of) const { return (of - share + shares - 1) / shares; }  // of the first `of` places
  long place(long i) const { return i * shares + share; }
  long first(long n) const { return n * id / threads; }  // this thread's range of n things that all divide
  long last(long n) const { return n * (id + 1) / threads; }
};

template <class T>
T* take(Workspace& workspace, long count) {
  return static_cast<T*>(workspace.take(size_t(count) * sizeof(T)));
}

template <class T>
void copy(T* to, const T* from, long count) {
  memcpy(to, from, size_t(count) * sizeof(T));
}

template <class T>
void clear(T* to, long count) {
  memset(to, 0, size_t(count) * sizeof(T));
}

// Runs the pass that make(threads, workspace) returns on its team; where the team cannot be had, on this thread alone.
template <class Make>
void on_team(int threads, Make&& make) {
  for (;; threads = 1) {
    Workspace& workspace = Workspace::of_this_thread();
    workspace.begin();
    auto pass = make(threads, workspace);
    using Pass = decltype(pass);
    if (run_team(threads, [](void* it, int id) { static_cast<Pass*>(it)->work(id); }, &pass)) return;
  }
}

template <class Pass, class Arguments, class Cell>
void run(const Arguments& arguments, const Cell& cell, const Division& division) {
  on_team(division.threads, [&](int threads, Workspace& workspace) {
    return Pass(arguments, cell, threads == 1 ? Division{1, true} : division, workspace);
  });
}

// The same for a pass without a cell, on as many threads as are `worth` waking.
template <class Pass, class Call>
void run(const Call& call, long worth) {
  const long wanted = smaller(call.threads, larger(1, worth));
  on_team(int(wanted), [&](int threads, Workspace& workspace) { return Pass(call, threads, workspace); });
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
