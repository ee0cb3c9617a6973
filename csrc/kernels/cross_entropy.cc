// The cross-entropy of a softmax and its gradient, row by row, and the logarithm of a softmax's normaliser:
//
//     S = ln Σ_v e^{x_v}      ℓ = −Σ_v q_v (x_v − S)      dx_v = (e^{x_v − S} − q_v) dℓ
//     q_v = (1 − ε) [v = target] + ε / V      (label smoothing, Szegedy et al. 2016)
//
// A row whose target is `ignored` has ℓ = 0 and dx = 0. The powers are computed twice, so that nothing of the size of x
// is stored between the two passes; dx may be x. A row has the same bits in any batch and for any number of threads.
#include <cmath>

#include "../base/activations.h"
#include "../base/scan.h"
#include "../base/sums.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr int W = kLanes<float>;
constexpr long kWorkOfThread = 1l << 15;  // numbers that justify a thread

float largest_of(const float* x, long V) {
  Vector<float> most_of = fill(x[0]);
  long i = 0;
  for (; i + W <= V; i += W) {
    const Vector<float> value = load(x + i);
    most_of = value > most_of ? value : most_of;
  }
  float most = x[0];
  for (int lane = 0; lane < W; ++lane) most = most_of[lane] > most ? most_of[lane] : most;
  for (; i < V; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

// Σ_i f(x_i), where f maps vectors to vectors. Two orders of magnitude fewer roundings than terms: kChains vectors.
template <class F>
UNROLLED_INLINE float sum_over(const float* x, long V, F&& f) {
  Vector<float> sum[kChains] = {};
  long i = 0;
  for (; i + kChains * W <= V; i += kChains * W)
    UNROLLED_UNROLL for (int c = 0; c < kChains; ++c) sum[c] += f(load(x + i + c * W));
  for (; i + W <= V; i += W) sum[0] += f(load(x + i));
  float rest = 0;
  if (i < V) {
    const Vector<float> last = f(load_first(x + i, int(V - i)));
    for (int lane = 0; lane < int(V - i); ++lane) rest += last[lane];
  }
  UNROLLED_UNROLL for (int c = 1; c < kChains; ++c) sum[0] += sum[c];
  return sum_of(sum[0]) + rest;
}

// ln Σ_v e^{x_v − most}.
float log_sum(const float* x, long V, float most) {
  return std::log(sum_over(x, V, [&](Vector<float> value) { return exp(value - most); }));
}

class CrossEntropyPass {
 public:
  CrossEntropyPass(const CrossEntropy& a, int threads, Workspace&) : a(a), threads(threads) {}

  void work(int id) {
    for (long row = a.N * id / threads; row < a.N * (id + 1) / threads; ++row) {
      const float* const x = a.x + row * a.per_row;
      const long target = a.targets[row];
      if (target == a.ignored) {
        a.nats[row] = a.log_sums[row] = 0;
        continue;
      }
      const float most = largest_of(x, a.V), log_s = log_sum(x, a.V, most);
      float nats = log_s - (1 - a.smoothing) * (x[target] - most);
      if (a.smoothing > 0)
        nats -= a.smoothing * sum_over(x, a.V, [&](Vector<float> value) { return value - most; }) / float(a.V);
      a.nats[row] = nats;
      a.log_sums[row] = most + log_s;
    }
  }

 private:
  const CrossEntropy& a;
  const int threads;
};

class CrossEntropyBackwardPass {
 public:
  CrossEntropyBackwardPass(const CrossEntropyBackward& a, int threads, Workspace&) : a(a), threads(threads) {}

  void work(int id) {
    const float spread = a.smoothing / float(a.V);
    for (long row = a.N * id / threads; row < a.N * (id + 1) / threads; ++row) {
      const float* const x = a.x + row * a.per_row;
      float* const dx = a.dx + row * a.V;
      const long target = a.targets[row];
      if (target == a.ignored) {
        memset(dx, 0, size_t(a.V) * sizeof(float));
        continue;
      }
      const float log_s = a.log_sums[row], scale = a.dnats[row];
      for (long i = 0; i < a.V; i += W) {
        const int lanes = int(smaller(W, a.V - i));
        store_first(dx + i, (exp(load_first(x + i, lanes) - log_s) - spread) * scale, lanes);
      }
      dx[target] -= (1 - a.smoothing) * scale;
    }
  }

 private:
  const CrossEntropyBackward& a;
  const int threads;
};

}  // namespace

void cross_entropy(const CrossEntropy& a) { run<CrossEntropyPass>(a, a.N * a.V / kWorkOfThread); }
void cross_entropy_backward(const CrossEntropyBackward& a) {
  run<CrossEntropyBackwardPass>(a, a.N * a.V / kWorkOfThread);
}

void log_sum_exp(const LogSumExp& a) {
  for (long row = 0; row < a.N; ++row) {
    const float* const x = a.x + row * a.per_row;
    const float most = largest_of(x, a.V);
    a.y[row] = most + log_sum(x, a.V, most);
  }
}

}  // namespace unrolled::UNROLLED_ISA
