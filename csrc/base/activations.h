// σ, tanh and ReLU of a vector. Not a number stays not a number, as in torch: each comparison is written so that it
// keeps its argument when it is false.
//
// float32: within 3 units in the last place of max(|f(x)|, a small number), far inside the error budget of the twin
// law. float64, which is there for checking gradients, asks the C library lane by lane.
#pragma once

#include <cmath>

#include "vector.h"

namespace unrolled::UNROLLED_ISA {
namespace {

UNROLLED_INLINE Vector<float> clamp(Vector<float> x, float low, float high) {
  x = x < fill(low) ? fill(low) : x;
  return x > fill(high) ? fill(high) : x;
}

// e^x = 2^n e^r with n the nearest integer to x / ln 2, and a polynomial for e^r on |r| <= ln 2 / 2 (Cephes).
UNROLLED_INLINE Vector<float> exp(Vector<float> x) {
  using Bits = VectorOf<float>::bits;
  x = clamp(x, -87.3f, 88.3f);
  const float round = 12582912.f;  // 1.5 · 2^23: adding it leaves the nearest integer in the low bits
  const Vector<float> shifted = x * 1.44269504088896341f + round;
  const Vector<float> n = shifted - round;
  const Vector<float> r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector<float> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + (r + 1.f);
  return p * (Vector<float>)(((Bits)shifted + 127) << 23);  // the product keeps NaN
}

UNROLLED_INLINE Vector<float> sigmoid(Vector<float> x) { return 1.f / (1.f + exp(-x)); }

// An odd rational function of degree 13 over 6 (Eigen's), exact near 0, constant beyond ±7.9.
UNROLLED_INLINE Vector<float> tanh(Vector<float> x) {
  x = clamp(x, -7.90531110763549805f, 7.90531110763549805f);
  const Vector<float> s = x * x;
  Vector<float> p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = p * s - 8.60467152213735e-11f;
  p = p * s + 5.12229709037114e-08f;
  p = p * s + 1.48572235717979e-05f;
  p = p * s + 6.37261928875436e-04f;
  p = p * s + 4.89352455891786e-03f;
  Vector<float> q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = q * s + 2.26843463243900e-03f;
  q = q * s + 4.89352518554385e-03f;
  return x * p / q;
}

UNROLLED_INLINE Vector<double> sigmoid(Vector<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = 1 / (1 + ::exp(-x[i]));
  return x;
}

UNROLLED_INLINE Vector<double> tanh(Vector<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = ::tanh(x[i]);
  return x;
}

template <class V>
UNROLLED_INLINE V relu(V x) {
  return x < V{} ? V{} : x;
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
