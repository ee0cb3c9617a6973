#include "schedule.h"

namespace unrolled {

Schedule::Schedule(Workspace& workspace, int64_t B, int64_t T, const int64_t* lengths, bool reverse)
    : B(B), steps(B ? T : 0), reverse(reverse) {
  sequence = static_cast<int64_t*>(workspace.take(B * sizeof(int64_t)));
  length = static_cast<int64_t*>(workspace.take(B * sizeof(int64_t)));
  if (lengths == nullptr) {
    active = static_cast<int64_t*>(workspace.take((steps + 1) * sizeof(int64_t)));
    for (int64_t b = 0; b < B; ++b) sequence[b] = b, length[b] = T;
    for (int64_t s = 0; s < steps; ++s) active[s] = B;
    active[steps] = 0;
    return;
  }
  steps = 0;
  for (int64_t b = 0; b < B; ++b) steps = lengths[b] > steps ? lengths[b] : steps;
  active = static_cast<int64_t*>(workspace.take((steps + 1) * sizeof(int64_t)));
  // Counting sort, longest first, equal ones in the batch's order: active[s] is the number of sequences longer than s,
  // which is also the position of the first sequence of length s.
  for (int64_t s = 0; s <= steps; ++s) active[s] = 0;
  for (int64_t b = 0; b < B; ++b)
    if (lengths[b] > 0) ++active[lengths[b] - 1];
  for (int64_t s = steps - 1; s >= 0; --s) active[s] += active[s + 1];
  auto* const next = static_cast<int64_t*>(workspace.take((steps + 1) * sizeof(int64_t)));
  for (int64_t s = 0; s <= steps; ++s) next[s] = active[s];
  for (int64_t b = 0; b < B; ++b) {
    const int64_t position = next[lengths[b]]++;
    sequence[position] = b, length[position] = lengths[b];
  }
}

}  // namespace unrolled
