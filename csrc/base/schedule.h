// The sequences of a batch by length, the longest first: those that have a step s are always the first ones, and a
// padded step costs nothing.
#pragma once

#include <cstdint>

#include "threads.h"

namespace unrolled {

struct Schedule {
  Schedule(Workspace& workspace, int64_t B, int64_t T, const int64_t* lengths, bool reverse);

  int64_t B, steps;  // sequences; steps of the longest one
  bool reverse;
  int64_t* sequence;  // (B) position in this order -> index in the batch
  int64_t* length;    // (B) position -> its real steps
  int64_t* active;    // (steps + 1) the number of sequences that have step s; the last is 0

  // The time of step s of the sequence at `position`.
  int64_t time(int64_t position, int64_t s) const { return reverse ? length[position] - 1 - s : s; }
};

}  // namespace unrolled
