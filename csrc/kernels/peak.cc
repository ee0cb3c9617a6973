// The peak rate of an instruction set on this machine: multiply-adds on registers alone. The kernels are compared with
// it (benchmarks/kernels.py).
#include "../base/product.h"

namespace unrolled::UNROLLED_ISA {
namespace {

// Hides from the compiler that all chains compute the same.
UNROLLED_INLINE void keep_apart(Vector<float>& chain) {
#if defined(__AVX512F__)
  asm volatile("" : "+v"(chain));
#elif defined(__x86_64__)
  asm volatile("" : "+x"(chain));
#else
  asm volatile("" : "+w"(chain));
#endif
}

}  // namespace

// `rounds` × 16 independent chains of multiply-adds; returns the number of multiply-adds.
long multiply_add(long rounds) {
  constexpr int kChains = kRegisters == 32 ? 16 : 12;
  Vector<float> sum[kChains] = {}, x = fill(0.999f), y = fill(1e-3f);
  for (long i = 0; i < rounds; ++i) {
    UNROLLED_UNROLL for (int k = 0; k < kChains; ++k) {
      sum[k] = sum[k] * x + y;
      keep_apart(sum[k]);
    }
  }
  Vector<float> total{};
  UNROLLED_UNROLL for (int k = 0; k < kChains; ++k) total += sum[k];
  volatile float sink = total[0];
  (void)sink;
  return rounds * kChains * kLanes<float>;
}

}  // namespace unrolled::UNROLLED_ISA
