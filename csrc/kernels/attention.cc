// One step of additive attention, forward and backward: a decoder's query over an encoder's outputs.
//
//     a_s = tanh(query + key_s);   score_s = v · a_s;   weights = softmax over the real s
//     context = Σ_s weights_s o_s
//
//     dweights_s = dcontext · o_s (+ dweights_s);   do_s = weights_s dcontext
//     dscore_s = weights_s (dweights_s − Σ_r weights_r dweights_r)
//     dkey_s = dscore_s v (1 − a_s²);   dquery = Σ_s dkey_s;   dv = Σ_s dscore_s a_s
//
// Each sequence is computed alone, s ascending, so that it has the same bits in any batch and with any padding; dv is
// summed over the sequences in their order, for any number of threads. The backward pass computes a again: keeping it
// for every step of a decoder would take (T, B, S, A) numbers.
#include "../base/activations.h"
#include "../base/scan.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr int W = kLanes<float>;
constexpr long kWorkOfThread = 1l << 15;  // numbers of a that justify a thread
constexpr int kTogether = 8;              // vectors of the context that are summed up at once

// Calls f(first number, lanes) for each vector of n numbers.
template <class F>
UNROLLED_INLINE void each_vector(long n, F&& f) {
  for (long i = 0; i < n; i += W) f(i, int(smaller(W, n - i)));
}

UNROLLED_INLINE float sum_of(Vector<float> lanes) {
  float sum = 0;
  for (int i = 0; i < W; ++i) sum += lanes[i];
  return sum;
}

class AttentionPass {
 public:
  AttentionPass(const Attention& a, int threads, Workspace&) : a(a), threads(threads) {}

  void work(int id) const {
    for (long b = a.B * id / threads; b < a.B * (id + 1) / threads; ++b) sequence(b);
  }

 private:
  void sequence(long b) const {
    const long real = a.lengths[b];
    float* const weights = a.weights + b * a.S;
    for (long s = 0; s < real; ++s) weights[s] = score(a.query + b * a.A, a.keys + (b * a.S + s) * a.A);
    softmax(weights, real);
    clear(weights + real, a.S - real);
    const float* const outputs = a.outputs + b * a.S * a.D;
    long d = 0;
    for (; d + kTogether * W <= a.D; d += kTogether * W) sums<kTogether>(weights, real, outputs + d, b * a.D + d, W);
    each_vector(a.D - d, [&](long i, int lanes) { sums<1>(weights, real, outputs + d + i, b * a.D + d + i, lanes); });
  }

  float score(const float* query, const float* key) const {
    Vector<float> sum{};
    each_vector(a.A, [&](long i, int n) {
      sum += load_first(a.v + i, n) * tanh(load_first(query + i, n) + load_first(key + i, n));
    });
    return sum_of(sum);
  }

  static void softmax(float* scores, long n) {
    float most = scores[0], sum = 0;
    for (long s = 1; s < n; ++s) most = scores[s] > most ? scores[s] : most;
    each_vector(n,
                [&](long s, int lanes) { store_first(scores + s, exp(load_first(scores + s, lanes) - most), lanes); });
    for (long s = 0; s < n; ++s) sum += scores[s];
    for (long s = 0; s < n; ++s) scores[s] /= sum;
  }

  // N vectors of the context, the last with `lanes` numbers.
  template <int N>
  void sums(const float* weights, long real, const float* outputs, long at, int lanes) const {
    Vector<float> sum[N] = {};
    for (long s = 0; s < real; ++s, outputs += a.D)
      UNROLLED_UNROLL for (int i = 0; i < N; ++i) sum[i] +=
          fill(weights[s]) * load_first(outputs + i * W, i + 1 < N ? W : lanes);
    UNROLLED_UNROLL for (int i = 0; i < N; ++i) store_first(a.context + at + i * W, sum[i], i + 1 < N ? W : lanes);
  }

  const Attention& a;
  const int threads;
};

class AttentionBackwardPass {
 public:
  AttentionBackwardPass(const AttentionBackward& a, int threads, Workspace& workspace)
      : a(a),
        threads(threads),
        barrier(threads),
        dscores(take<float>(workspace, a.B * a.S)),
        dv(take<float>(workspace, a.B * a.A)) {}

  void work(int id) {
    for (long b = a.B * id / threads; b < a.B * (id + 1) / threads; ++b) sequence(b);
    barrier.wait();
    const long vectors = vectors_for<float>(a.A);
    for (long i = vectors * id / threads; i < vectors * (id + 1) / threads; ++i) {
      const int n = lanes_of<float>(i, a.A);
      Vector<float> sum = a.add ? load_first(a.dv + i * W, n) : Vector<float>{};
      for (long b = 0; b < a.B; ++b) sum += load_first(dv + b * a.A + i * W, n);
      store_first(a.dv + i * W, sum, n);
    }
  }

 private:
  void sequence(long b) const {
    const long real = a.lengths[b], first = b * a.S;
    const float *const weights = a.weights + first, *const query = a.query + b * a.A;
    float *const dscore = dscores + first, *const dquery = a.dquery + b * a.A, *const dv_b = dv + b * a.A;
    float mean = 0;
    for (long s = 0; s < real; ++s) {
      dscore[s] = through_context(weights[s], a.outputs + (first + s) * a.D, b, a.doutputs + (first + s) * a.D);
      if (a.dweights) dscore[s] += a.dweights[first + s];
      mean += weights[s] * dscore[s];
    }
    clear(dquery, a.A);
    clear(dv_b, a.A);
    for (long s = 0; s < real; ++s) {
      const Vector<float> d = fill(weights[s] * (dscore[s] - mean));
      const float* const key = a.keys + (first + s) * a.A;
      float* const dkey = a.dkeys + (first + s) * a.A;
      each_vector(a.A, [&](long i, int n) {
        const Vector<float> tanh_i = tanh(load_first(query + i, n) + load_first(key + i, n));
        const Vector<float> inner = d * load_first(a.v + i, n) * (1.f - tanh_i * tanh_i);
        put(dkey + i, inner, n);
        store_first(dquery + i, load_first(dquery + i, n) + inner, n);
        store_first(dv_b + i, load_first(dv_b + i, n) + d * tanh_i, n);
      });
    }
    if (a.add) return;
    clear(a.dkeys + (first + real) * a.A, (a.S - real) * a.A);
    clear(a.doutputs + (first + real) * a.D, (a.S - real) * a.D);
  }

  // Writes, or adds to the value of an earlier call.
  void put(float* to, Vector<float> value, int n) const {
    store_first(to, a.add ? load_first(to, n) + value : value, n);
  }

  // Writes the gradient of an output through the context; returns that of its weight.
  float through_context(float weight, const float* output, long b, float* doutput) const {
    if (!a.dcontext) {
      if (!a.add) clear(doutput, a.D);
      return 0;
    }
    const float* const dcontext = a.dcontext + b * a.D;
    Vector<float> sum{};
    each_vector(a.D, [&](long d, int n) {
      const Vector<float> dc = load_first(dcontext + d, n);
      sum += dc * load_first(output + d, n);
      put(doutput + d, fill(weight) * dc, n);
    });
    return sum_of(sum);
  }

  const AttentionBackward& a;
  const int threads;
  Barrier barrier;
  float* const dscores;  // (B, S)
  float* const dv;       // (B, A)
};

}  // namespace

void attention(const Attention& a) { run<AttentionPass>(a, a.B * a.S * a.A / kWorkOfThread); }
void attention_backward(const AttentionBackward& a) { run<AttentionBackwardPass>(a, a.B * a.S * a.A / kWorkOfThread); }

}  // namespace unrolled::UNROLLED_ISA
