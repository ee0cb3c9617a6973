// bfloat16 operands with float32 sums: weights, x and the h of the recurrent product are bfloat16, taken in pairs. A
// pair takes the place of a number, as 32 bits that are only moved; so D and K count pairs, and packing, tiles and
// order are those of product.h. States, sums and nonlinearities stay float32. So do y and all gradients in training,
// where the backward pass rounds its operands itself.
#pragma once

#include "product.h"

namespace unrolled::UNROLLED_ISA {
namespace {

struct PairDot {
  template <class T>
  using Out = uint16_t;
  static constexpr bool kPairs = true;
  template <class T>
  static UNROLLED_INLINE void add(Vector<float>& sum, float x, Vector<float> w) {
    sum = (Vector<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_ps(x), (__m512bh)w);
  }
  // Stores the first n numbers, rounded to the nearest bfloat16.
  static UNROLLED_INLINE void put(uint16_t* to, Vector<float> value, int n) {
    const __m256i rounded = (__m256i)_mm512_cvtneps_pbh((__m512)value);
    _mm256_mask_storeu_epi16(to, __mmask16((1u << n) - 1), rounded);
  }
  static UNROLLED_INLINE void put_pair(uint16_t* to, Vector<float> value, int n) { put(to, value, n); }
  // Pairs of the numbers of two vectors, each rounded: lane i is (first[i], second[i]).
  static UNROLLED_INLINE Vector<float> pairs(Vector<float> first, Vector<float> second) {
    constexpr __mmask16 kAll = 0xffff;
    const __m512i low = _mm512_maskz_cvtepu16_epi32(kAll, (__m256i)_mm512_cvtneps_pbh((__m512)first));
    const __m512i high = _mm512_maskz_cvtepu16_epi32(kAll, (__m256i)_mm512_cvtneps_pbh((__m512)second));
    return (Vector<float>)_mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
};

// The same with outputs in float32.
struct LearningDot : PairDot {
  template <class T>
  using Out = T;
  static UNROLLED_INLINE void put(float* to, Vector<float> value, int n) { store_first(to, value, n); }
};

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
