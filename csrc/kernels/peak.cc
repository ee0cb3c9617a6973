// How many multiply-adds a second this instruction set does here, from registers alone: what the kernels are measured
// against (benchmarks/kernels.py).
#include "../base/product.h"

namespace unrolled::UNROLLED_ISA {
namespace {

// The compiler must not see that all chains compute the same.
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

// `rounds` × 16 independent chains of multiply-adds; returns how many numbers were multiplied and added.
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
