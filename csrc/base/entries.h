// The entry points of a recurrence, for each number type that this instruction set computes: see isa.h.
#pragma once

#include "activations.h"
#include "backward.h"
#include "forward.h"
#include "int8_scan.h"

#define UNROLLED_INT8_ENTRIES(name, Cell, make)                                                 \
  void name##_int8_pack(const Scan<float>& a, float* x, float* h) { int8_pack<Cell>(a, x, h); } \
  void name##_int8_forward(const Forward<float>& a) { run<Int8Scan<Cell>>(a, make, divide<float, Cell>(a)); }

#if defined(UNROLLED_VNNI)  // int8 operands, on processors with instructions for them
#define UNROLLED_ENTRIES(name, Cell, make) UNROLLED_INT8_ENTRIES(name, Cell, make)
#elif defined(UNROLLED_BFLOAT16)  // bfloat16 operands, on processors with instructions for them
#include "bfloat16.h"
#define UNROLLED_ENTRIES(name, Cell, make)                                                   \
  void name##_pack(const Scan<float>& a, float* x, float* h) { pack<float, Cell>(a, x, h); } \
  void name##_forward(const Forward<float>& a) {                                             \
    run<ForwardScan<float, Cell, PairDot>>(a, make, divide<float, Cell>(a));                 \
  }                                                                                          \
  void name##_learn(const Forward<float>& a) {                                               \
    run<ForwardScan<float, Cell, LearningDot>>(a, make, divide<float, Cell>(a));             \
  }                                                                                          \
  void name##_backward(const Backward<float>& a) {                                           \
    run<BackwardScan<float, Cell, PairDot>>(a, make, divide<float, Cell>(a));                \
  }
#else
#define UNROLLED_ENTRIES_OF(T, name, Cell, make)                                                       \
  void name##_pack(const Scan<T>& a, T* x, T* h) { pack<T, Cell>(a, x, h); }                           \
  void name##_forward(const Forward<T>& a) { run<ForwardScan<T, Cell>>(a, make, divide<T, Cell>(a)); } \
  void name##_backward(const Backward<T>& a) { run<BackwardScan<T, Cell>>(a, make, divide<T, Cell>(a)); }
#if defined(UNROLLED_FLOAT64)
#define UNROLLED_ENTRIES(name, Cell, make)     \
  UNROLLED_INT8_ENTRIES(name, Cell, make)      \
  UNROLLED_ENTRIES_OF(float, name, Cell, make) \
  UNROLLED_ENTRIES_OF(double, name, Cell, make)
#else
#define UNROLLED_ENTRIES(name, Cell, make) \
  UNROLLED_INT8_ENTRIES(name, Cell, make)  \
  UNROLLED_ENTRIES_OF(float, name, Cell, make)
#endif
#endif
