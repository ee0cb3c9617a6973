// Instruction sets: those that were compiled, whether this processor has them, and the kernels of each.
//
// Each file of kernels/ is compiled once per instruction set, with UNROLLED_ISA as the namespace and everything but its
// entry points in an unnamed namespace: so the linker cannot take a function compiled for AVX-512 for a caller that
// must run without it. The lists of kernels and instruction sets are in CMakeLists.txt, which writes kernel_lists.h.
#pragma once

#include "../scan.h"
#include "kernel_lists.h"

namespace unrolled {

template <class T>
struct Kernel {
  void (*pack)(const Scan<T>&, T* packed_x, T* packed_h) = nullptr;  // reads H, D and the two weights only
  void (*forward)(const Forward<T>&) = nullptr;
  void (*backward)(const Backward<T>&) = nullptr;
  void (*learn)(const Forward<T>&) = nullptr;  // forward with bfloat16 operands, and y in T
};

// One kernel per recurrence: elman, gru, …
template <class T>
struct Kernels {
#define UNROLLED_MEMBER(recurrence) Kernel<T> recurrence;
  UNROLLED_RECURRENCES(UNROLLED_MEMBER)
#undef UNROLLED_MEMBER
};

// Computations with int8 operands, see base/int8.h.
struct Int8 {
  void (*linear_pack)(const Linear&, float* packed);  // reads D, V and the weight only
  void (*linear)(const Linear&);
  void (*block_step)(const BlockStep&);  // whose products may be int8
  Kernels<float> scans;                  // pack and forward
};

struct Isa {
  const char* name;
  bool (*here)();                                     // whether this processor has it
  long (*multiply_add)(long rounds);                  // see kernels/peak.cc
  void (*linear_pack)(const Linear&, float* packed);  // reads D, V and the weight only
  void (*linear)(const Linear&);
  void (*linear_backward)(const LinearBackward&);
  Int8 int8;          // by VNNI where this processor has it
  Int8 int8_widened;  // without VNNI
  void (*attention)(const Attention&);
  void (*attention_backward)(const AttentionBackward&);
  void (*block_step)(const BlockStep&);
  void (*normalize_rows)(const Norm&);
  void (*log_sum_exp)(const LogSumExp&);
  void (*linear_recurrence)(const LinearRecurrence&);
  void (*linear_recurrence_backward)(const LinearRecurrenceBackward&);
  void (*cross_entropy)(const CrossEntropy&);
  void (*cross_entropy_backward)(const CrossEntropyBackward&);
  Kernels<float> float32;
  Kernels<float> bfloat16;  // with bfloat16 operands (base/bfloat16.h), or null
  Kernels<double> float64;  // portable only; null elsewhere
};

// Best first.
extern const Isa kIsas[];
extern const int kIsaCount;

}  // namespace unrolled
