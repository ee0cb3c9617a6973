#include "isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace unrolled {
namespace {

bool has_portable() { return true; }

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma");
}

bool has_avx512_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

// AVX-VNNI is bit 4 of EAX in leaf 7.1; older compilers have no name for it in __builtin_cpu_supports.
bool has_avx2_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
#endif

}  // namespace

// The entry points of kernels/. A recurrence is declared for all number types; base/entries.h defines those that an
// instruction set computes.
#define UNROLLED_DECLARE(T, name)           \
  void name##_pack(const Scan<T>&, T*, T*); \
  void name##_forward(const Forward<T>&);   \
  void name##_backward(const Backward<T>&);
#define UNROLLED_DECLARE_RECURRENCE(name) UNROLLED_DECLARE(float, name) UNROLLED_DECLARE(double, name)
#define UNROLLED_DECLARE_INT8_SCAN(name)                     \
  void name##_int8_pack(const Scan<float>&, float*, float*); \
  void name##_int8_forward(const Forward<float>&);
#define UNROLLED_DECLARE_INT8                   \
  void int8_linear_pack(const Linear&, float*); \
  void int8_linear(const Linear&);              \
  void block_step(const BlockStep&);            \
  UNROLLED_RECURRENCES(UNROLLED_DECLARE_INT8_SCAN)
#define UNROLLED_DECLARE_ISA(isa)                                   \
  namespace isa {                                                   \
  UNROLLED_RECURRENCES(UNROLLED_DECLARE_RECURRENCE)                 \
  long multiply_add(long rounds);                                   \
  void linear_pack(const Linear&, float*);                          \
  void linear(const Linear&);                                       \
  void linear_backward(const LinearBackward&);                      \
  UNROLLED_DECLARE_INT8                                             \
  void attention(const Attention&);                                 \
  void attention_backward(const AttentionBackward&);                \
  void normalize_rows(const Norm&);                                 \
  void log_sum_exp(const LogSumExp&);                               \
  void linear_recurrence(const LinearRecurrence&);                  \
  void linear_recurrence_backward(const LinearRecurrenceBackward&); \
  void cross_entropy(const CrossEntropy&);                          \
  void cross_entropy_backward(const CrossEntropyBackward&);         \
  }
#define UNROLLED_DECLARE_LEARN(name) void name##_learn(const Forward<float>&);
#define UNROLLED_DECLARE_BFLOAT16(isa)                \
  namespace isa##_bf16 {                              \
    UNROLLED_RECURRENCES(UNROLLED_DECLARE_RECURRENCE) \
    UNROLLED_RECURRENCES(UNROLLED_DECLARE_LEARN)      \
  }
#define UNROLLED_DECLARE_VNNI(isa) \
  namespace isa##_vnni {           \
    UNROLLED_DECLARE_INT8          \
  }
UNROLLED_ISAS(UNROLLED_DECLARE_ISA)
UNROLLED_VNNI_ISAS(UNROLLED_DECLARE_VNNI)
UNROLLED_BFLOAT16_ISAS(UNROLLED_DECLARE_BFLOAT16)

namespace {

// Defaults: no bfloat16 and no float64 kernels. Functions of the same names in an instruction set's namespace take
// precedence.
[[maybe_unused]] Kernels<float> bfloat16() { return {}; }
[[maybe_unused]] Kernels<double> float64() { return {}; }

}  // namespace

#define UNROLLED_KERNEL(name) {name##_pack, name##_forward, name##_backward},
#define UNROLLED_BFLOAT16_KERNEL(name) {name##_pack, name##_forward, name##_backward, name##_learn},

#define UNROLLED_DEFINE_FLOAT64(isa)                                                   \
  namespace isa {                                                                      \
  static Kernels<double> float64() { return {UNROLLED_RECURRENCES(UNROLLED_KERNEL)}; } \
  }
UNROLLED_FLOAT64_ISAS(UNROLLED_DEFINE_FLOAT64)

#define UNROLLED_DEFINE_BFLOAT16(isa)                                                                        \
  namespace isa##_bf16 {                                                                                     \
    static Kernels<float> kernels() { return {UNROLLED_RECURRENCES(UNROLLED_BFLOAT16_KERNEL)}; }             \
  }                                                                                                          \
  namespace isa {                                                                                            \
  static Kernels<float> bfloat16() { return has_##isa##_bf16() ? isa##_bf16::kernels() : Kernels<float>{}; } \
  }
UNROLLED_BFLOAT16_ISAS(UNROLLED_DEFINE_BFLOAT16)

#define UNROLLED_INT8_KERNEL(name) {name##_int8_pack, name##_int8_forward},
#define UNROLLED_INT8_OF(name)                                                                                      \
  static Int8 name() {                                                                                              \
    return {int8_linear_pack, int8_linear, block_step, Kernels<float>{UNROLLED_RECURRENCES(UNROLLED_INT8_KERNEL)}}; \
  }
#define UNROLLED_DEFINE_WIDENED(isa) \
  namespace isa {                    \
  UNROLLED_INT8_OF(int8_widened)     \
  }
#define UNROLLED_DEFINE_VNNI(isa)                                                         \
  namespace isa##_vnni {                                                                  \
    UNROLLED_INT8_OF(int8)                                                                \
  }                                                                                       \
  namespace isa {                                                                         \
  static Int8 int8() { return has_##isa##_vnni() ? isa##_vnni::int8() : int8_widened(); } \
  }
UNROLLED_ISAS(UNROLLED_DEFINE_WIDENED)
UNROLLED_VNNI_ISAS(UNROLLED_DEFINE_VNNI)
namespace portable {
static Int8 int8() { return int8_widened(); }
}  // namespace portable

#define UNROLLED_DEFINE_ISA(isa)                                      \
  namespace isa {                                                     \
  static Isa all() {                                                  \
    return {.name = #isa,                                             \
            .here = has_##isa,                                        \
            .multiply_add = multiply_add,                             \
            .linear_pack = linear_pack,                               \
            .linear = linear,                                         \
            .linear_backward = linear_backward,                       \
            .int8 = int8(),                                           \
            .int8_widened = int8_widened(),                           \
            .attention = attention,                                   \
            .attention_backward = attention_backward,                 \
            .block_step = block_step,                                 \
            .normalize_rows = normalize_rows,                         \
            .log_sum_exp = log_sum_exp,                               \
            .linear_recurrence = linear_recurrence,                   \
            .linear_recurrence_backward = linear_recurrence_backward, \
            .cross_entropy = cross_entropy,                           \
            .cross_entropy_backward = cross_entropy_backward,         \
            .float32 = {UNROLLED_RECURRENCES(UNROLLED_KERNEL)},       \
            .bfloat16 = bfloat16(),                                   \
            .float64 = float64()};                                    \
  }                                                                   \
  }
UNROLLED_ISAS(UNROLLED_DEFINE_ISA)

#define UNROLLED_ISA_ENTRY(isa) isa::all(),
const Isa kIsas[] = {UNROLLED_ISAS(UNROLLED_ISA_ENTRY)};
const int kIsaCount = sizeof(kIsas) / sizeof(kIsas[0]);

}  // namespace unrolled
