#include "isa.h"

namespace unrolled {
namespace {

#define UNROLLED_KERNELS(isa, T)                                                                                      \
  Kernels<T> {                                                                                                        \
    {isa::elman_pack, isa::elman_forward, isa::elman_backward}, {isa::gru_pack, isa::gru_forward, isa::gru_backward}, \
    {                                                                                                                 \
      isa::lstm_pack, isa::lstm_forward, isa::lstm_backward                                                           \
    }                                                                                                                 \
  }

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma");
}
bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
bool always() { return true; }

#if defined(__x86_64__)
const Kernels<float> kBfloat16{{avx512_bf16::elman_pack, avx512_bf16::elman_forward, nullptr},
                               {avx512_bf16::gru_pack, avx512_bf16::gru_forward, nullptr},
                               {avx512_bf16::lstm_pack, avx512_bf16::lstm_forward, nullptr}};
#endif
const Kernels<float> kNone{};

}  // namespace

const Isa kIsas[] = {
#if defined(__x86_64__)
    {"avx512",
     avx512::multiply_add,
     avx512::linear_pack,
     avx512::linear,
     avx512::linear_backward,
     avx512::look,
     avx512::look_backward,
     has_avx512,
     UNROLLED_KERNELS(avx512, float),
     has_avx512_bf16() ? kBfloat16 : kNone,
     {}},
    {"avx2",
     avx2::multiply_add,
     avx2::linear_pack,
     avx2::linear,
     avx2::linear_backward,
     avx2::look,
     avx2::look_backward,
     has_avx2,
     UNROLLED_KERNELS(avx2, float),
     {},
     {}},
#endif
    {"portable",
     portable::multiply_add,
     portable::linear_pack,
     portable::linear,
     portable::linear_backward,
     portable::look,
     portable::look_backward,
     always,
     UNROLLED_KERNELS(portable, float),
     {},
     UNROLLED_KERNELS(portable, double)},
};
const int kIsaCount = sizeof(kIsas) / sizeof(kIsas[0]);

}  // namespace unrolled
