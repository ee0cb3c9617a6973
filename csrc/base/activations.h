// σ, tanh and ReLU of a vector. NaN stays NaN, as in torch: each comparison is written so that it keeps its argument
// when it is false.
//
// float32: within 3 units in the last place of max(|f(x)|, a small number), far inside the error budget of the twin
// law. float64, which serves to check gradients, calls the C library lane by lane.
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
  x = clamp(x, -87.3f, 89.f);      // exp(89) is infinite, so that a gate can close: σ(−89) = 0, as in torch
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

// Near 0 an odd polynomial (Cephes), which keeps every digit of a small x; elsewhere sign(x) (1 − 2 / (e^2|x| + 1)),
// which keeps the digits of 1 − tanh², the derivative of a nearly saturated unit.
UNROLLED_INLINE Vector<float> tanh(Vector<float> x) {
  using Bits = VectorOf<float>::bits;
  const Bits sign = (Bits)x & INT32_MIN;
  const Vector<float> magnitude = (Vector<float>)((Bits)x ^ sign);
  const Vector<float> s = x * x;
  Vector<float> p = s * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * s - 5.37397155531e-2f;
  p = p * s + 1.33314422036e-1f;
  p = p * s - 3.33332819422e-1f;
  const Vector<float> near = p * s * x + x;
  const Vector<float> far = 1.f - 2.f / (exp(magnitude + magnitude) + 1.f);
  return magnitude < fill(0.625f) ? near : (Vector<float>)((Bits)far | sign);
}

UNROLLED_INLINE Vector<double> sigmoid(Vector<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = 1 / (1 + ::exp(-x[i]));
  return x;
}

UNROLLED_INLINE Vector<double> tanh(Vector<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = ::tanh(x[i]);
  return x;
}

// erf by a rational function of x on |x| <= 4, beyond which it is 1 in float32 (the coefficients of Eigen and XLA):
// within 4 units in the last place of 1.
UNROLLED_INLINE Vector<float> erf(Vector<float> x) {
  x = clamp(x, -4.f, 4.f);
  const Vector<float> s = x * x;
  Vector<float> p = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
  p = p * s - 2.10102402082508e-06f;
  p = p * s - 5.69250639462346e-05f;
  p = p * s - 7.34990630326855e-04f;
  p = p * s - 2.95459980854025e-03f;
  p = p * s - 1.60960333262415e-02f;
  Vector<float> q = s * -1.45660718464996e-05f - 2.13374055278905e-04f;
  q = q * s - 1.68282697438203e-03f;
  q = q * s - 7.37332916720468e-03f;
  q = q * s - 1.42647390514189e-02f;
  return x * p / q;
}

template <class V>
UNROLLED_INLINE V relu(V x) {
  return x < V{} ? V{} : x;
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
