// A linear layer with int8 operands: the equations are in base/int8.h. A row has the same bits in any batch and for any
// number of threads, because the sums are integers.
#include "../base/int8.h"

#include "../base/product.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kFewRows = 8;              // up to which threads divide the outputs, not the rows
constexpr long kRowsAtOnce = 64;          // quantised before they are multiplied
constexpr long kWorkOfThread = 1l << 19;  // multiply-adds that justify a thread
constexpr int W = kLanes<float>;

// The parts of packed weights; see base/int8.h.
template <class Word>
struct PackedInt8 {
  PackedInt8(const Linear& a, Word* packed)
      : slots(slots_for(a.D)),
        blocks(vectors_for<float>(a.V)),
        weights(packed),
        begins(packed + blocks * W * slots),
        scales(begins + blocks * W) {}
  long slots, blocks;
  Word *weights, *begins, *scales;  // scales are float32 in 32 bits
};

class Int8LinearPass {
 public:
  Int8LinearPass(const Linear& a, int threads, Workspace& workspace)
      : a(a),
        threads(threads),
        packed(a, reinterpret_cast<const int32_t*>(a.packed)),
        quantised(take<int32_t>(workspace, threads * kRowsAtOnce * packed.slots)) {}

  void work(int id) {
    const bool few = a.N <= kFewRows;
    const long first = few ? 0 : a.N * id / threads, end = few ? a.N : a.N * (id + 1) / threads;
    const long v_first = few ? packed.blocks * id / threads : 0;
    const long v_end = few ? packed.blocks * (id + 1) / threads : packed.blocks;
    int32_t* const mine = quantised + id * kRowsAtOnce * packed.slots;
    for (long n = first; n < end; n += kRowsAtOnce) {
      const long count = smaller(kRowsAtOnce, end - n);
      const int32_t* x[kRowsAtOnce];
      float scale[kRowsAtOnce];
      for (long i = 0; i < count; ++i) {
        int32_t* const to = mine + i * packed.slots;
        scale[i] = quantise(a.x + (n + i) * a.D, a.D, kOffset, reinterpret_cast<int8_t*>(to));
        x[i] = to;
      }
      if (count == 1)
        columns<1, kInt8Single>(x, scale, count, n, v_first, v_end);
      else
        columns<kInt8Rows, kInt8Vectors>(x, scale, count, n, v_first, v_end);
    }
  }

 private:
  template <int most_rows, int most_vectors>
  void columns(const int32_t* const* x, const float* scale, long count, long n, long v_first, long v_end) const {
    for (long v = v_first; v < v_end; v += most_vectors)
      with_height<most_vectors>(int(smaller(most_vectors, v_end - v)), [&]<int N>() {
        const long tiles = (count + most_rows - 1) / most_rows;
        for (long tile = 0, i = 0; tile < tiles; ++tile) {
          const int height = int((count - i + tiles - tile - 1) / (tiles - tile));
          with_height<most_rows>(height, [&]<int M>() { outputs<M, N>(x + i, scale + i, n + i, v); });
          i += height;
        }
      });
  }

  // Rows n … n + M − 1 and blocks v … v + N − 1 of y.
  template <int M, int N>
  void outputs(const int32_t* const* x, const float* scale, long n, long v) const {
    Ints sum[M][N];
    int8_tile<M, N>(x, packed.slots, packed.weights + v * W * packed.slots, W * packed.slots, packed.begins + v * W,
                    sum);
    for (int u = 0; u < N; ++u) {
      const long at = (v + u) * W;
      const int lanes = lanes_of<float>(v + u, a.V);
      const Vector<float> weight_scale = (Vector<float>)load_ints(packed.scales + at);
      const Vector<float> bias = a.bias ? load_first(a.bias + at, lanes) : Vector<float>{};
      for (int m = 0; m < M; ++m) {
        const Vector<float> y = __builtin_convertvector(sum[m][u], Vector<float>) * (weight_scale * scale[m]) + bias;
        store_first(a.y + (n + m) * a.V + at, y, lanes);
      }
    }
  }

  const Linear& a;
  const int threads;
  const PackedInt8<const int32_t> packed;
  int32_t* const quantised;  // (threads, kRowsAtOnce, slots)
};

}  // namespace

void int8_linear_pack(const Linear& a, float* to) {
  const PackedInt8<int32_t> packed(a, reinterpret_cast<int32_t*>(to));
  Workspace& workspace = Workspace::of_this_thread();
  workspace.begin();
  int32_t* const row = take<int32_t>(workspace, packed.slots);
  for (long v = 0; v < packed.blocks * W; ++v) {
    int32_t* const weights = packed.weights + v / W * W * packed.slots + v % W;
    float scale = 0;
    int32_t sum = 0;
    if (v < a.V) {
      auto* const numbers = reinterpret_cast<int8_t*>(row);
      scale = quantise(a.weight + v * a.D, a.D, 0, numbers);
      for (long k = 0; k < a.D; ++k) sum += numbers[k];
    } else {
      clear(row, packed.slots);
    }
    for (long s = 0; s < packed.slots; ++s) weights[s * W] = row[s];
    packed.begins[v] = -kOffset * sum;
    memcpy(packed.scales + v, &scale, sizeof scale);
  }
}

void int8_linear(const Linear& a) { run<Int8LinearPass>(a, a.N * a.D * a.V / kWorkOfThread); }

}  // namespace unrolled::UNROLLED_ISA
