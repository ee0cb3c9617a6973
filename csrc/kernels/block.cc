// One step of a block of a Transformer, as layers/block.py defines it, for each of B sequences of any length:
//
//     pre:  x ← x + f(norm(x));   post:  x ← norm(x + f(x))      f: self-attention, attention to a source, feedforward
//
//     q, k, v = W x + b, turned by their positions;  the new k and v are written behind those of the sequence
//     weights = softmax_s(q · k_s / √K);   y = W Σ_s weights_s v_s + b
//     feedforward(x) = W_2 φ(W_1 x + b_1) + b_2;   gated:  W_2 (φ(a) ⊙ g) + b_2,  [a, g] = W_1 x + b_1
//
// Each sequence is computed alone, in an order of sums that depends on its own length only, so that it has the same
// bits in any batch and for any number of threads. Threads divide the outputs of each product and the heads. A product
// with int8 weights reads its input rounded to int8, row by row (base/int8.h); all else is float32.
#include "../base/activations.h"
#include "../base/int8_product.h"
#include "../base/panels.h"
#include "../base/sums.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kWorkOfThread = 1l << 18;  // multiply-adds of a block that justify a thread

// Vectors of n numbers: calls f(first number, lanes).
template <class F>
UNROLLED_INLINE void each_vector(long n, F&& f) {
  for (long i = 0; i < n; i += W) f(i, int(smaller(W, n - i)));
}

void normalize(const Normalization& norm, const float* x, long D, float* y) {
  float mean = 0;
  if (!norm.rms) {
    Vector<float> sum{};
    each_vector(D, [&](long i, int n) { sum += load_first(x + i, n); });
    mean = sum_of(sum) / float(D);
  }
  Vector<float> squares{};
  each_vector(D, [&](long i, int n) {
    Vector<float> d = load_first(x + i, n) - mean;
    if (n < W)
      for (int lane = n; lane < W; ++lane) d[lane] = 0;
    squares += d * d;
  });
  const float scale = 1 / std::sqrt(sum_of(squares) / float(D) + norm.epsilon);
  each_vector(D, [&](long i, int n) {
    Vector<float> value = (load_first(x + i, n) - mean) * scale;
    if (norm.gain) value *= load_first(norm.gain + i, n);
    if (norm.bias) value += load_first(norm.bias + i, n);
    store_first(y + i, value, n);
  });
}

UNROLLED_INLINE Vector<float> activate(Phi phi, Vector<float> x) {
  switch (phi) {
    case Phi::kTanh:
      return tanh(x);
    case Phi::kRelu:
      return relu(x);
    case Phi::kGelu:
      return x * 0.5f * (1.f + erf(x * 0.70710678118654752f));
    case Phi::kGeluTanh:
      return x * 0.5f * (1.f + tanh(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    default:
      return x * sigmoid(x);
  }
}

class BlockPass {
 public:
  BlockPass(const BlockStep& a, int threads, Workspace& workspace)
      : a(a),
        of(*a.block),
        threads(threads),
        barrier(threads),
        project(take<float>(workspace, a.B * of.project.V)),
        context(take<float>(workspace, a.B * of.D)),
        hidden(take<float>(workspace, a.B * of.inner.V)),
        out(take<float>(workspace, a.B * of.D)),
        private_x(take<float>(workspace, threads * a.B * of.D)),
        steps(larger(a.longest + 1, of.cross ? a.S : 0) + W),
        scores(take<float>(workspace, threads * steps)),
        slots(slots_for(larger(of.D, of.F))),
        quantised(take<int32_t>(workspace, threads * smaller(a.B, kQuantisedRows) * slots)) {}

  void work(int id) {
    float* const h = private_x + id * a.B * of.D;
    int norm = 0;
    enter(h, norm);
    product_of(of.project, h, project, id);
    barrier.wait();
    self_attention(id);
    barrier.wait();
    add(of.output, context, h, norm++, id);
    if (of.cross) {
      enter(h, norm);
      product_of(of.query, h, project, id);
      barrier.wait();
      cross_attention(id);
      barrier.wait();
      add(of.cross_output, context, h, norm++, id);
    }
    enter(h, norm);
    product_of(of.inner, h, hidden, id);
    if (of.gated) barrier.wait();
    through_phi(id);
    barrier.wait();
    add(of.outer, hidden, h, norm, id);
    if (!of.pre)  // the last norm is not followed by a sublayer that would compute it
      for (long b = a.B * id / threads; b < a.B * (id + 1) / threads; ++b)
        normalize(of.norms[norm], a.x + b * of.D, of.D, a.x + b * of.D);
  }

 private:
  // The input of a sublayer, (B, D), in each thread: norm(x) before it, or the norm of the sublayer before this one.
  void enter(float* h, int norm) const {
    for (long b = 0; b < a.B; ++b) {
      const float* const x = a.x + b * of.D;
      if (of.pre)
        normalize(of.norms[norm], x, of.D, h + b * of.D);
      else if (norm > 0)
        normalize(of.norms[norm - 1], x, of.D, h + b * of.D);
      else
        copy(h + b * of.D, x, of.D);
    }
  }

  Range mine(const Product& p, int id) const { return Range(vectors_for<float>(p.V), id, threads); }

  void product_of(const Product& p, const float* from, float* to, int id) const {
    if (!p.int8) return product(from, p.D, p.packed, p.V, p.bias, to, Range(a.B, 0, 1), mine(p, id));
    const PackedInt8<const int32_t> packed(1, p.V, p.D, reinterpret_cast<const int32_t*>(p.packed));
    const Range blocks = mine(p, id);
    for (long b = 0; b < a.B; b += kQuantisedRows) {
      const long count = smaller(kQuantisedRows, a.B - b);
      const Quantised x(from + b * p.D, p.D, count, quantised + id * smaller(a.B, kQuantisedRows) * slots);
      int8_product(x, count, packed, blocks.first, blocks.end, p.bias, p.V, to + b * p.V);
    }
  }

  // x ← x + W from + b, or h + W from + b, where a norm has changed x into h; then all threads meet.
  void add(const Product& p, const float* from, const float* h, int norm, int id) {
    product_of(p, from, out, id);
    const float* const base = of.pre || norm == 0 ? a.x : h;
    const Range blocks = mine(p, id);
    const long first = blocks.first * W, end = smaller(blocks.end * W, p.V);
    for (long b = 0; b < a.B; ++b)
      each_vector(end - first, [&](long i, int n) {
        const long at = b * of.D + first + i;
        store_first(a.x + at, load_first(base + at, n) + load_first(out + at, n), n);
      });
    barrier.wait();
  }

  void through_phi(int id) {
    if (!of.gated) {
      const Range blocks = mine(of.inner, id);
      const long first = blocks.first * W, end = smaller(blocks.end * W, of.F);
      for (long b = 0; b < a.B; ++b) {
        float* const at = hidden + b * of.F + first;
        each_vector(end - first,
                    [&](long i, int n) { store_first(at + i, activate(of.phi, load_first(at + i, n)), n); });
      }
      return;
    }
    // A row of [a, g], 2 F numbers, becomes φ(a) ⊙ g at the place of a; rows are then brought together.
    for (long b = a.B * id / threads; b < a.B * (id + 1) / threads; ++b) {
      float* const row = hidden + b * 2 * of.F;
      each_vector(of.F, [&](long i, int n) {
        store_first(row + i, activate(of.phi, load_first(row + i, n)) * load_first(row + of.F + i, n), n);
      });
    }
    barrier.wait();
    if (id == 0)
      for (long b = 1; b < a.B; ++b) memmove(hidden + b * of.F, hidden + b * 2 * of.F, size_t(of.F) * sizeof(float));
  }

  // Turns a query or key of K numbers by its position: factors [cos, cos, 1], [−sin, sin, 0] of (x_i, x_{i+h}, rest).
  void turn(float* x, long position) const {
    const float *const cos = a.rotary + position * 2 * of.K, *const sin = cos + of.K;
    const long half = of.K / 2;
    for (long i = 0; i < half; ++i) {
      const float low = x[i], high = x[i + half];
      x[i] = low * cos[i] + high * sin[i];
      x[i + half] = high * cos[i + half] + low * sin[i + half];
    }
  }

  void self_attention(int id) const {
    const long each = of.N / of.M, K = of.K, all = a.B * of.M;
    for (long i = all * id / threads; i < all * (id + 1) / threads; ++i) {
      const long b = i / of.M, m = i % of.M, position = a.lengths[b];
      float* const row = project + b * of.project.V;
      float *const query = row + m * each * K, *const key = row + (of.N + m) * K;
      const float* const value = row + (of.N + of.M + m) * K;
      if (a.rotary) {
        for (long q = 0; q < each; ++q) turn(query + q * K, position);
        turn(key, position);
      }
      copy(a.key.at(b, m) + position * a.key.per_step, key, K);
      copy(a.value.at(b, m) + position * a.value.per_step, value, K);
      for (long q = 0; q < each; ++q)
        attend(query + q * K, a.key.at(b, m), a.key.per_step, a.value.at(b, m), a.value.per_step, position + 1,
               scores + id * steps, context + b * of.D + (m * each + q) * K);
    }
  }

  void cross_attention(int id) const {
    const long each = of.N / of.M, K = of.K, all = a.B * of.M;
    for (long i = all * id / threads; i < all * (id + 1) / threads; ++i) {
      const long b = i / of.M, m = i % of.M;
      for (long q = 0; q < each; ++q) {
        const long at = b * of.D + (m * each + q) * K;
        attend(project + at, a.source_key.at(b, m), a.source_key.per_step, a.source_value.at(b, m),
               a.source_value.per_step, a.source_lengths[b], scores + id * steps, context + at);
      }
    }
  }

  // The context of one query over `real` steps.
  void attend(float* query, const float* keys, long key_step, const float* values, long value_step, long real,
              float* weights, float* to) const {
    const long K = of.K;
    const float root = 1 / std::sqrt(float(K));
    each_vector(K, [&](long i, int n) { store_first(query + i, load_first(query + i, n) * root, n); });
    for (long s = 0; s < real; s += W) {
      const int count = int(smaller(W, real - s));
      Vector<float> sums[W] = {};
      for (int i = 0; i < count; ++i) {
        const float* const key = keys + (s + i) * key_step;
        each_vector(K, [&](long k, int n) { sums[i] += load_first(query + k, n) * load_first(key + k, n); });
      }
      store(weights + s, sums_of(sums));
    }
    softmax(weights, real);
    long k = 0;
    for (; k + 4 * W <= K; k += 4 * W) sum_values<4>(weights, real, values + k, value_step, to + k, W);
    for (; k + 2 * W <= K; k += 2 * W) sum_values<2>(weights, real, values + k, value_step, to + k, W);
    for (; k < K; k += W) sum_values<1>(weights, real, values + k, value_step, to + k, int(smaller(W, K - k)));
  }

  static void softmax(float* scores, long n) {
    float most = scores[0];
    for (long s = 1; s < n; ++s) most = scores[s] > most ? scores[s] : most;
    Vector<float> sums{};
    each_vector(n, [&](long s, int lanes) {
      store_first(scores + s, exp(load_first(scores + s, lanes) - most), lanes);
      sums += load_first(scores + s, lanes);
    });
    const float scale = 1 / sum_of(sums);
    each_vector(n, [&](long s, int lanes) { store_first(scores + s, load_first(scores + s, lanes) * scale, lanes); });
  }

  // V vectors of the context, the last with `lanes` numbers.
  template <int V>
  static void sum_values(const float* weights, long real, const float* values, long step, float* to, int lanes) {
    constexpr int chains = V >= kChains ? 2 : kChains;
    Vector<float> sum[chains][V] = {};
    long s = 0;
    for (; s + chains <= real; s += chains)
      UNROLLED_UNROLL for (int i = 0; i < chains; ++i) UNROLLED_UNROLL for (int v = 0; v < V; ++v) sum[i][v] +=
          fill(weights[s + i]) * load_first(values + (s + i) * step + v * W, v + 1 < V ? W : lanes);
    for (; s < real; ++s)
      UNROLLED_UNROLL for (int v = 0; v < V; ++v) sum[0][v] +=
          fill(weights[s]) * load_first(values + s * step + v * W, v + 1 < V ? W : lanes);
    UNROLLED_UNROLL for (int i = 1; i < chains; ++i) UNROLLED_UNROLL for (int v = 0; v < V; ++v) sum[0][v] += sum[i][v];
    UNROLLED_UNROLL for (int v = 0; v < V; ++v) store_first(to + v * W, sum[0][v], v + 1 < V ? W : lanes);
  }

  const BlockStep& a;
  const Block& of;
  const int threads;
  Barrier barrier;
  float* const project;    // (B, (N + 2 M) K), then the queries of cross-attention
  float* const context;    // (B, D)
  float* const hidden;     // (B, F), gated (B, 2 F)
  float* const out;        // (B, D)
  float* const private_x;  // (B, D) of each thread
  const long steps;
  float* const scores;  // of one query, in each thread
  const long slots;
  int32_t* const quantised;  // (rows at once, slots) in each thread
};

}  // namespace

void block_step(const BlockStep& a) {
  const Block& of = *a.block;
  const long weights = of.D * (of.project.V + of.output.V + of.query.V + of.cross_output.V + of.inner.V) + of.F * of.D;
  run<BlockPass>(a, a.B * weights / kWorkOfThread);
}

void normalize_rows(const Norm& a) {
  for (long b = 0; b < a.B; ++b) normalize(a.norm, a.x + b * a.D, a.D, a.y + b * a.D);
}

}  // namespace unrolled::UNROLLED_ISA
