// Which rows have a step s. Rows are taken longest first, so that those that still run are always the first ones, and
// a padded step costs nothing.
#pragma once

#include <cstdint>

#include "threads.h"

namespace unrolled {

struct Schedule {
  Schedule(Workspace& workspace, int64_t B, int64_t T, const int64_t* lengths, bool reverse);

  int64_t B, steps;  // rows; steps of the longest one
  bool reverse;
  int64_t* row;     // (B) place in this order -> row of the batch
  int64_t* length;  // (B) place -> its real steps
  int64_t* active;  // (steps + 1) how many rows have step s; the last is 0

  // The time at which the row at `place` takes its step s.
  int64_t time(int64_t place, int64_t s) const { return reverse ? length[place] - 1 - s : s; }
};

}  // namespace unrolled
