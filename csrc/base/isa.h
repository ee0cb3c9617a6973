// Instruction sets: which ones were compiled, which one this processor has, and the kernels of each.
//
// Each file of kernels/ is compiled once per instruction set, with UNROLLED_ISA as the namespace and everything but
// the functions named here in an unnamed namespace: so no function compiled for AVX-512 can be taken by the linker for
// a caller that must run without it.
#pragma once

#include "../scan.h"

namespace unrolled {

template <class T>
struct Kernel {
  void (*pack)(const Scan<T>&, T* packed_x, T* packed_h) = nullptr;  // reads H, D and the two weights only
  void (*forward)(const Forward<T>&) = nullptr;
  void (*backward)(const Backward<T>&) = nullptr;
};

template <class T>
struct Kernels {
  Kernel<T> elman, gru, lstm;
};

struct Isa {
  const char* name;
  long (*multiply_add)(long rounds);                  // see kernels/peak.cc
  void (*linear_pack)(const Linear&, float* packed);  // reads D, V and the weight only
  void (*linear)(const Linear&);
  void (*linear_backward)(const LinearBackward&);
  void (*look)(const Look&);
  void (*look_backward)(const LookBackward&);
  bool (*here)();  // whether this processor can run it
  Kernels<float> float32;
  Kernels<float> bfloat16;  // pack and forward with bfloat16 operands (base/bfloat16.h), or null
  Kernels<double> float64;  // portable only; null elsewhere
};

// Best first.
extern const Isa kIsas[];
extern const int kIsaCount;

#define UNROLLED_DECLARE(isa)                             \
  namespace isa {                                         \
  long multiply_add(long rounds);                         \
  void linear_pack(const Linear&, float*);                \
  void linear(const Linear&);                             \
  void linear_backward(const LinearBackward&);            \
  void look(const Look&);                                 \
  void look_backward(const LookBackward&);                \
  void elman_pack(const Scan<float>&, float*, float*);    \
  void elman_forward(const Forward<float>&);              \
  void elman_backward(const Backward<float>&);            \
  void gru_pack(const Scan<float>&, float*, float*);      \
  void gru_forward(const Forward<float>&);                \
  void gru_backward(const Backward<float>&);              \
  void lstm_pack(const Scan<float>&, float*, float*);     \
  void lstm_forward(const Forward<float>&);               \
  void lstm_backward(const Backward<float>&);             \
  void elman_pack(const Scan<double>&, double*, double*); \
  void elman_forward(const Forward<double>&);             \
  void elman_backward(const Backward<double>&);           \
  void gru_pack(const Scan<double>&, double*, double*);   \
  void gru_forward(const Forward<double>&);               \
  void gru_backward(const Backward<double>&);             \
  void lstm_pack(const Scan<double>&, double*, double*);  \
  void lstm_forward(const Forward<double>&);              \
  void lstm_backward(const Backward<double>&);            \
  }
UNROLLED_DECLARE(avx512)
UNROLLED_DECLARE(avx2)
UNROLLED_DECLARE(portable)
UNROLLED_DECLARE(avx512_bf16)
#undef UNROLLED_DECLARE

}  // namespace unrolled
