// A linear layer's forward pass, in the sums' one order: what stands behind a recurrent layer (the head, from h to
// logits) then has the same bits for a row whatever stands beside it.
//
//     y_n = W x_n + b        k ascending, then bias
#include "../base/in_place.h"
#include "../base/scan.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kFewRows = 8;              // up to which packing the weights does not pay
constexpr long kRowsAtOnce = 256;         // whose sums stay in the second cache
constexpr long kWorkOfThread = 1l << 17;  // multiply-adds that are worth waking a thread

class LinearPass {
 public:
  LinearPass(const Linear& a, int threads, Workspace& workspace)
      : a(a), threads(threads), barrier(threads), blocks(vectors_for<float>(a.V)), packed(a.N > kFewRows) {
    if (packed) packed_w = take<float>(workspace, blocks * W * a.D);
    sums = take<float>(workspace, threads * kFewRows * kPanelVectors * W);
  }

  void work(int id) {
    if (packed) {
      for (long block = blocks * id / threads; block < blocks * (id + 1) / threads; ++block)
        pack_transposed(a.weight + block * W * a.D, a.D, lanes_of<float>(block, a.V), a.D, packed_w + block * W * a.D,
                        W);
      barrier.wait();
      for (long n = a.N * id / threads, end = a.N * (id + 1) / threads; n < end; n += kRowsAtOnce)
        rows(n, smaller(kRowsAtOnce, end - n));
    } else {
      few_rows_of(blocks * id / threads, blocks * (id + 1) / threads, sums + id * kFewRows * kPanelVectors * W);
    }
  }

 private:
  static constexpr int W = kLanes<float>;

  void rows(long n, long count) const {
    const float* x[kRowsAtOnce];
    float* y[kRowsAtOnce];
    for (long i = 0; i < count; ++i) x[i] = a.x + (n + i) * a.D, y[i] = a.y + (n + i) * a.V;
    for (long v = 0; v < blocks; v += kPanelVectors) {
      const int vectors = int(smaller(kPanelVectors, blocks - v));
      multiply(
          x, count, a.D,
          Panel<float>{packed_w + v * W * a.D, W, a.D * W, vectors, lanes_of<float>(v + vectors - 1, a.V), v * W, true},
          y);
      if (a.bias)
        for (long i = 0; i < count; ++i)
          for (long block = v; block < v + vectors; ++block) {
            const int n_units = lanes_of<float>(block, a.V);
            float* const at = y[i] + block * W;
            store_first(at, load_first(at, n_units) + load_first(a.bias + block * W, n_units), n_units);
          }
    }
  }

  void few_rows_of(long first, long end, float* own) const {
    const float* x[kFewRows];
    float* to[kFewRows];
    for (long i = 0; i < a.N; ++i) x[i] = a.x + i * a.D, to[i] = own + i * kPanelVectors * W;
    for (long v = first; v < end; v += kPanelVectors) {
      const int vectors = int(smaller(kPanelVectors, end - v));
      Units<float> units[kPanelVectors];
      for (int u = 0; u < vectors; ++u)
        units[u] = {a.weight + (v + u) * W * a.D, lanes_of<float>(v + u, a.V), long(u) * W};
      multiply_in_place(x, a.N, a.D, units, vectors, a.D, to, true);
      for (long i = 0; i < a.N; ++i)
        for (int u = 0; u < vectors; ++u) {
          const int lanes = units[u].lanes;
          Vector<float> sum = load(to[i] + u * W);
          if (a.bias) sum += load_first(a.bias + (v + u) * W, lanes);
          store_first(a.y + i * a.V + (v + u) * W, sum, lanes);
        }
    }
  }

  const Linear& a;
  const int threads;
  Barrier barrier;
  const long blocks;  // of one vector of outputs
  const bool packed;
  float* packed_w = nullptr;  // [block][k][lane]
  float* sums;
};

}  // namespace

void linear(const Linear& a) {
  const long wanted = smaller(a.threads, larger(1, a.N * a.D * a.V / kWorkOfThread));
  for (int threads = int(wanted);; threads = 1) {
    Workspace& workspace = Workspace::of_this_thread();
    workspace.begin();
    LinearPass pass(a, threads, workspace);
    if (run_team(threads, [](void* it, int id) { static_cast<LinearPass*>(it)->work(id); }, &pass)) return;
  }
}

}  // namespace unrolled::UNROLLED_ISA
