// A vector of numbers, of the instruction set's width. GCC's and Clang's vector extensions give + − × ÷ and
// comparisons; this file adds loading and storing, whole vectors or the first n numbers only.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define UNROLLED_INLINE inline __attribute__((always_inline))
#define UNROLLED_UNROLL _Pragma("GCC unroll 32")

namespace unrolled::UNROLLED_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr int kRegisters = 16;
#else
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 16;
#endif

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
  typedef float unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t bits __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VectorOf<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
  typedef double unaligned __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef int64_t bits __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vector = typename VectorOf<T>::type;

template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(T));

template <class T>
UNROLLED_INLINE Vector<T> load(const T* from) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(from);
}

template <class T>
UNROLLED_INLINE void store(T* to, Vector<T> value) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(to) = value;
}

template <class T>
UNROLLED_INLINE Vector<T> fill(T value) {
  return value - Vector<T>{};  // minus, not plus: −0 + 0 would be 0, and an addition
}

// The first n numbers; zero in the other lanes, whose memory is not touched. 0 < n <= kLanes.
template <class T>
UNROLLED_INLINE Vector<T> load_first(const T* from, int n) {
  if (n == kLanes<T>) return load(from);
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), from);
#endif
  T lanes[kLanes<T>] = {};
  for (int i = 0; i < n; ++i) lanes[i] = from[i];
  return load(lanes);
}

template <class T>
UNROLLED_INLINE void store_first(T* to, Vector<T> value, int n) {
  if (n == kLanes<T>) return store(to, value);
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_mask_storeu_ps(to, __mmask16((1u << n) - 1), value);
#endif
  T lanes[kLanes<T>];
  store(lanes, value);
  for (int i = 0; i < n; ++i) to[i] = lanes[i];
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
