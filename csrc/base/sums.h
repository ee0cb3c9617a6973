// Sums of the lanes of vectors.
#pragma once

#include "vector.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr int kChains = 4;  // of a long sum: neighbouring terms go to different ones, which do not wait for each other

// Sums of neighbours: lane i of the result is that of lanes 2 i and 2 i + 1 of [a, b].
UNROLLED_INLINE Vector<float> pair_sums(Vector<float> a, Vector<float> b) {
  VectorOf<float>::bits even{}, odd{};
  for (int i = 0; i < kLanes<float>; ++i) even[i] = 2 * i, odd[i] = 2 * i + 1;
  return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, odd);
}

// The sums of kLanes vectors: lane i is the sum of vector i.
UNROLLED_INLINE Vector<float> sums_of(Vector<float>* v) {
  UNROLLED_UNROLL for (int count = kLanes<float>; count > 1; count /= 2)
      UNROLLED_UNROLL for (int i = 0; i < count / 2; ++i) v[i] = pair_sums(v[2 * i], v[2 * i + 1]);
  return v[0];
}

UNROLLED_INLINE float sum_of(Vector<float> v) {
  for (int count = kLanes<float>; count > 1; count /= 2) v = pair_sums(v, v);
  return v[0];
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
