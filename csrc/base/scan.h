// The description of a recurrence and the division of its work among threads, for the forward and the backward scan.
//
// A recurrence (kernels/lstm.cc, …) is a struct Cell with
//     kGates     gates in the weights, G
//     kSums      sums of a unit before its nonlinearities; the input contributes to the first G, h to the last G.
//                (Only the GRU has more sums than gates: x_n, r, z, h_n; its h_n must not be added to x_n.)
//     x_gate(q)  the gate of weight_x and bias that feeds sum q
//     kSaved     numbers per unit and step that forward saves for backward
//     kCell      whether there is a cell state c
//     kDirect    whether dh_{t−1} has a term that does not pass through W_h
//     forward, backward: one step of a vector of units
//
// Units (0 … H − 1) are handled in blocks of one vector. Threads divide either the sequences, without waiting for each
// other, or the blocks, with a barrier after each step: for a few sequences, or for weights larger than a core's cache.
#pragma once

#include "../scan.h"
#include "product.h"
#include "schedule.h"
#include "threads.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr int kPanelVectors = kRegisters == 32 ? 4 : 2;  // of a panel without gates that must stay together
constexpr long kPad = 16;                                // numbers between rows, so that strides are no powers of two

UNROLLED_INLINE constexpr long smaller(long a, long b) { return a < b ? a : b; }
UNROLLED_INLINE constexpr long larger(long a, long b) { return a > b ? a : b; }

struct Division {
  int threads;
  bool by_sequences;
};

template <class T, class Cell>
Division divide(const Scan<T>& a) {
  const long per_sequence = Cell::kGates * a.H * (a.D + a.H), recurrent = Cell::kGates * a.H * a.H;
  const long threads = a.threads;
  if (threads <= 1 || a.B * a.T_ * per_sequence < 60'000) return {1, true};
  const bool weights_spill = recurrent * long(sizeof(T)) > (2l << 20);
  if (a.B >= 4 * threads && !(weights_spill && a.B < 32 * threads)) return {int(threads), true};
  const long blocks = vectors_for<T>(a.H);
  if (blocks >= threads && a.B * recurrent >= 12'000) return {int(threads), false};
  if (a.B >= threads) return {int(threads), true};
  return {1, true};
}

// One thread's share of the work: every `stride`-th position of the schedule from `offset` on, and the blocks
// [block, end).
struct Share {
  int id, threads;
  long stride, offset;
  long block, end;

  Share(const Division& division, int id, long blocks)
      : id(id),
        threads(division.threads),
        stride(division.by_sequences ? threads : 1),
        offset(division.by_sequences ? id : 0),
        block(division.by_sequences ? 0 : blocks * id / threads),
        end(division.by_sequences ? blocks : blocks * (id + 1) / threads) {}

  long count(long of) const { return (of - offset + stride - 1) / stride; }  // of the first `of` positions
  long position(long i) const { return i * stride + offset; }
  long first(long n) const { return n * id / threads; }  // this thread's range of n items that all threads divide
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

// Runs the pass that make(threads, workspace) returns on its team; without a team, on this thread alone.
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

// The same for a pass without a cell, on at most `worth` threads, the number that its work justifies.
template <class Pass, class Call>
void run(const Call& call, long worth) {
  const long wanted = smaller(call.threads, larger(1, worth));
  on_team(int(wanted), [&](int threads, Workspace& workspace) { return Pass(call, threads, workspace); });
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
