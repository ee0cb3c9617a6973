// A linear layer, forward and backward, in one order of sums: a row has the same bits in any batch, and every number
// the same bits for any number of threads.
//
//     y_n = W x_n + b                          k ascending, then bias
//     dx_n = Wᵀ dy_n                           v ascending
//     dW = Σ_n dy_n x_nᵀ,  db = Σ_n dy_n       n ascending; db in chunks of n, each summed by itself
#include "../base/in_place.h"
#include "../base/panels.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kFewRows = 8;              // up to which weights are not packed
constexpr long kWorkOfThread = 1l << 17;  // multiply-adds that justify a thread

// Packs kLanes columns of a matrix (K rows, `stride` apart) as one vector of a panel, k by k. Columns from `columns` on
// do not exist and are zero.
void pack_columns(const float* from, long stride, int columns, long K, float* to) {
  for (long k = 0; k < K; ++k, from += stride, to += W) store(to, load_first(from, columns));
}

// Packs a block of W rows of a weight (V, D): [k][lane].
void pack_block(const Linear& a, long block, float* packed) {
  pack_transposed(a.weight + block * W * a.D, a.D, lanes_of<float>(block, a.V), a.D, packed + block * W * a.D, W);
}

class LinearPass {
 public:
  LinearPass(const Linear& a, int threads, Workspace& workspace)
      : a(a),
        threads(threads),
        barrier(threads),
        blocks(vectors_for<float>(a.V)),
        few(a.N <= kFewRows),
        packs(!few && !a.packed),
        packed(packs ? take<float>(workspace, blocks * W * a.D) : const_cast<float*>(a.packed)),
        sums(take<float>(workspace, threads * kFewRows * kPanelVectors * W)) {}

  void work(int id) {
    const Range mine(blocks, id, threads);
    if (packs) {
      for (long block = mine.first; block < mine.end; ++block) pack_block(a, block, packed);
      barrier.wait();
    }
    if (!packed)
      in_place(mine, sums + id * kFewRows * kPanelVectors * W);
    else if (few)
      product(a.x, a.D, packed, a.V, a.bias, a.y, Range(a.N, 0, 1), mine);
    else
      product(a.x, a.D, packed, a.V, a.bias, a.y, Range(a.N, id, threads), Range(blocks, 0, 1));
  }

 private:
  // A few rows, without packed weights.
  void in_place(Range mine, float* row_sums) const {
    const float* x[kFewRows];
    float* to[kFewRows];
    for (long i = 0; i < a.N; ++i) x[i] = a.x + i * a.D, to[i] = row_sums + i * kPanelVectors * W;
    for (long v = mine.first; v < mine.end; v += kPanelVectors) {
      const int vectors = int(smaller(kPanelVectors, mine.end - v));
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
  const bool few;     // rows: threads divide the units, else the rows
  const bool packs;
  float* const packed;  // [block][k][lane], or null: then the weights are read in place
  float* const sums;
};

class LinearBackwardPass {
 public:
  LinearBackwardPass(const LinearBackward& a, int threads, Workspace& workspace)
      : a(a), threads(threads), barrier(threads), blocks(vectors_for<float>(a.D)) {
    if (a.dx) packed_w = take<float>(workspace, blocks * W * a.V);
    if (!a.dweight && !a.dbias) return;
    for (float*& panels : packed_x) panels = take<float>(workspace, blocks * W * kChunk);
    tiles = take<float>(workspace, threads * kTile * kChunk);
  }

  void work(int id) {
    if (a.dx) {
      each_block(id, [&](long block) {
        pack_columns(a.weight + block * W, a.D, lanes_of<float>(block, a.D), a.V, packed_w + block * W * a.V);
      });
      barrier.wait();
      product(a.dy, a.V, packed_w, a.D, nullptr, a.dx, Range(a.N, id, threads), Range(blocks, 0, 1));
    }
    if (a.dweight || a.dbias) weights(id);
  }

 private:
  static constexpr long kChunk = kL1Bytes / (kPanelVectors * kVectorBytes);  // rows; their panel stays in the cache
  static constexpr int kTile = most_rows(kPanelVectors);                     // units at once

  template <class F>
  void each_block(int id, F&& f) const {
    const Range mine(blocks, id, threads);
    for (long block = mine.first; block < mine.end; ++block) f(block);
  }

  // For each chunk of rows, all threads pack x into panels; then each thread computes its own units, with dy in tiles.
  // The panels of a chunk may be packed while slower threads still read those of the chunk before it.
  void weights(int id) {
    const long units = (a.V + kTile - 1) / kTile;
    const long first = smaller(a.V, units * id / threads * kTile),
               end = smaller(a.V, units * (id + 1) / threads * kTile);
    if (a.N == 0 && !a.add) {
      if (a.dweight) clear(a.dweight + first * a.D, (end - first) * a.D);
      if (a.dbias) clear(a.dbias + first, end - first);
    }
    for (long n = 0, chunk = 0; n < a.N; n += kChunk, ++chunk) {
      const long rows = smaller(kChunk, a.N - n);
      float* const panels = packed_x[chunk % 2];
      if (a.dweight)
        each_block(id, [&](long block) {
          pack_columns(a.x + n * a.D + block * W, a.D, lanes_of<float>(block, a.D), rows, panels + block * W * rows);
        });
      barrier.wait();
      for (long u = first; u < end; u += kTile)
        tile_of(n, rows, u, int(smaller(kTile, end - u)), panels, tiles + id * kTile * kChunk);
    }
  }

  // Adds `rows` rows from n on to units u … u + count − 1 of dW and db.
  void tile_of(long n, long rows, long u, int count, const float* panels, float* tile) const {
    float sums[kTile] = {};
    for (long k = 0; k < rows; ++k)
      for (int m = 0; m < count; ++m) sums[m] += tile[k * kTile + m] = a.dy[(n + k) * a.V + u + m];
    const bool fresh = n == 0 && !a.add;
    if (a.dbias)
      for (int m = 0; m < count; ++m) a.dbias[u + m] = fresh ? sums[m] : a.dbias[u + m] + sums[m];
    if (!a.dweight) return;
    for (long v = 0; v < blocks; v += kPanelVectors) {
      const int vectors = int(smaller(kPanelVectors, blocks - v));
      const int last = lanes_of<float>(v + vectors - 1, a.D);
      multiply_transposed(tile, kTile, count, rows,
                          Panel<float>{panels + v * W * rows, W, rows * W, vectors, last, v * W, fresh},
                          a.dweight + u * a.D, a.D);
    }
  }

  const LinearBackward& a;
  const int threads;
  Barrier barrier;
  const long blocks;          // of one vector of inputs
  float* packed_w = nullptr;  // [block][v][lane]
  float* packed_x[2] = {};    // [block][row][lane], of this chunk and the one before
  float* tiles = nullptr;     // [row][unit], one per thread
};

}  // namespace

void linear_pack(const Linear& a, float* packed) {
  for (long block = 0; block < vectors_for<float>(a.V); ++block) pack_block(a, block, packed);
}
void linear(const Linear& a) { run<LinearPass>(a, a.N * a.D * a.V / kWorkOfThread); }
void linear_backward(const LinearBackward& a) { run<LinearBackwardPass>(a, a.N * a.D * a.V / kWorkOfThread); }

}  // namespace unrolled::UNROLLED_ISA
