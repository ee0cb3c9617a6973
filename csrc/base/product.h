// The matrix product of all kernels: C += A · W, or C = A · W.
//
// W is cut into panels of a few vectors of columns. A vector of step k + 1 begins `w_stride` after that of step k, and
// the next vector of the same step `v_stride` after it:
//
//     w[k·w_stride + v·v_stride + lane] = W(k, column 0 of the panel + v·kLanes + lane)
//
// Rows of A and C are given by pointers, because those of x may be anywhere in the caller's tensor. A tile of a few
// rows and one panel stays in registers over k.
//
// One order of sums: every number of C is one chain of multiply-adds over ascending k that begins with the value in C
// (or with zero). Tile heights, panels, blocks of k and threads only decide which thread computes a chain and when it
// is stored in between; so they change no bit, and a row has the same bits in any batch.
#pragma once

#include "vector.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr int kMostVectors = kRegisters == 32 ? 4 : 3;  // of a tile
constexpr int kMostRows = kRegisters == 32 ? 8 : 6;     // of a tile

// The rows of a tile that leave registers for the panel's vectors and one number of A.
constexpr int most_rows(int vectors) {
  const int rows = (kRegisters - 1 - vectors) / vectors;
  return rows < kMostRows ? rows : kMostRows;
}

constexpr long kL1Bytes = 32 * 1024;  // of the first cache, for a block of a panel

// A by rows: M rows, a pointer to each.
template <class T, int M>
struct ByRow {
  const T* row[M];
  UNROLLED_INLINE T at(int m, long k) const { return row[m][k]; }
};

// A by columns, for the product with the transpose of a matrix: M columns from `first` on, `stride` apart along k.
template <class T>
struct ByColumn {
  const T* first;
  long stride;
  UNROLLED_INLINE T at(int m, long k) const { return first[k * stride + m]; }
};

// The operation on a number of A and a vector of W. In bfloat16.h a "number" is a pair of two.
struct MultiplyAdd {
  template <class T>
  using Out = T;  // the numbers of y
  static constexpr bool kPairs = false;
  template <class T>
  static UNROLLED_INLINE void add(Vector<T>& sum, T x, Vector<T> w) {
    sum += fill(x) * w;
  }
  template <class T>
  static UNROLLED_INLINE void put(T* to, Vector<T> value, int n) {
    store_first(to, value, n);
  }
};

template <class T, int M, int N, class Dot, class A>
UNROLLED_INLINE void tile(const A& a, long K, const T* w, long w_stride, long v_stride, T* const* c, long column,
                          int last, bool fresh) {
  constexpr int W = kLanes<T>;
  Vector<T> sum[M][N];
  if (fresh) {
    UNROLLED_UNROLL for (int m = 0; m < M; ++m) UNROLLED_UNROLL for (int v = 0; v < N; ++v) sum[m][v] = Vector<T>{};
  } else {
    UNROLLED_UNROLL for (int m = 0; m < M; ++m) {
      UNROLLED_UNROLL for (int v = 0; v < N - 1; ++v) sum[m][v] = load(c[m] + column + v * W);
      sum[m][N - 1] = load_first(c[m] + column + (N - 1) * W, last);
    }
  }
  for (long k = 0; k < K; ++k, w += w_stride) {
    Vector<T> b[N];
    UNROLLED_UNROLL for (int v = 0; v < N; ++v) b[v] = load(w + v * v_stride);
    UNROLLED_UNROLL for (int m = 0; m < M; ++m) {
      const T x = a.at(m, k);
      UNROLLED_UNROLL for (int v = 0; v < N; ++v) Dot::template add<T>(sum[m][v], x, b[v]);
    }
  }
  UNROLLED_UNROLL for (int m = 0; m < M; ++m) {
    UNROLLED_UNROLL for (int v = 0; v < N - 1; ++v) store(c[m] + column + v * W, sum[m][v]);
    store_first(c[m] + column + (N - 1) * W, sum[m][N - 1], last);
  }
}

// One panel of a product: `rows` rows of A (each K long) times the panel, into columns [column, …) of the rows of C.
template <class T>
struct Panel {
  const T* w;
  long w_stride;  // from one k to the next
  long v_stride;  // from one vector to the next
  int vectors;    // 1 … kMostVectors
  int last;       // lanes of the last vector, as far as C has columns
  long column;    // in a row of C
  bool fresh;     // C = A · W, not C += A · W
};

template <class T, int M, int N, class Dot>
void row_tile(const T* const* a, long k0, long K, const Panel<T>& p, T* const* c, bool fresh) {
  ByRow<T, M> rows;
  UNROLLED_UNROLL for (int m = 0; m < M; ++m) rows.row[m] = a[m] + k0;
  tile<T, M, N, Dot>(rows, K, p.w + k0 * p.w_stride, p.w_stride, p.v_stride, c, p.column, p.last, fresh);
}

template <class T, int M, int N, class Dot>
void column_tile(const T* a, long a_stride, long k0, long K, const Panel<T>& p, T* const* c, bool fresh) {
  const ByColumn<T> columns{a + k0 * a_stride, a_stride};
  tile<T, M, N, Dot>(columns, K, p.w + k0 * p.w_stride, p.w_stride, p.v_stride, c, p.column, p.last, fresh);
}

// Calls f.template operator()<M>() with M equal to the run-time height m.
template <int M, class F>
UNROLLED_INLINE void with_height(int m, F&& f) {
  if constexpr (M > 0) {
    if (m == M)
      f.template operator()<M>();
    else
      with_height<M - 1>(m, f);
  }
}

// Cuts rows into tiles of nearly equal height and, for more than one tile, k into blocks whose panel stays in the first
// cache. Calls f.template operator()<M>(first row, first k, number of k).
template <class T, int N, class F>
UNROLLED_INLINE void in_tiles(long rows, long K, F&& f) {
  constexpr int most = most_rows(N);
  const long tiles = (rows + most - 1) / most;
  const long block = tiles <= 1 ? K : kL1Bytes / (N * kVectorBytes);
  long k0 = 0;
  do {
    const long some = K - k0 < block ? K - k0 : block;
    for (long i = 0, row = 0; i < tiles; ++i) {
      const int height = int((rows - row + tiles - i - 1) / (tiles - i));
      with_height<most>(height, [&]<int M>() { f.template operator()<M>(row, k0, some); });
      row += height;
    }
    k0 += block;
  } while (k0 < K);
}

template <class T, int N, class Dot>
void multiply_rows(const T* const* a, long rows, long K, const Panel<T>& p, T* const* c) {
  in_tiles<T, N>(rows, K, [&]<int M>(long row, long k0, long some) {
    row_tile<T, M, N, Dot>(a + row, k0, some, p, c + row, p.fresh && k0 == 0);
  });
}

template <class T, int N, class Dot>
void multiply_columns(const T* a, long a_stride, long rows, long K, const Panel<T>& p, T* c0, long c_stride) {
  in_tiles<T, N>(rows, K, [&]<int M>(long row, long k0, long some) {
    T* c[M];
    for (int m = 0; m < M; ++m) c[m] = c0 + (row + m) * c_stride;
    column_tile<T, M, N, Dot>(a + row, a_stride, k0, some, p, c, p.fresh && k0 == 0);
  });
}

// One row and P panels at once, w_panel and column_panel apart: with one panel, a row has too few chains of sums to
// keep the multiply-adders busy while each waits for its predecessor.
template <class T, int N, int P, class Dot>
void single_row(const T* a, long K, const Panel<T>& p, long w_panel, T* c, long column_panel) {
  constexpr int W = kLanes<T>;
  Vector<T> sum[P][N];
  c += p.column;
  UNROLLED_UNROLL for (int i = 0; i < P; ++i) UNROLLED_UNROLL for (int v = 0; v < N; ++v) sum[i][v] =
      p.fresh ? Vector<T>{} : load(c + i * column_panel + v * W);
  const T* w = p.w;
  for (long k = 0; k < K; ++k, w += p.w_stride) {
    UNROLLED_UNROLL for (int i = 0; i < P; ++i) UNROLLED_UNROLL for (int v = 0; v < N; ++v)
        Dot::template add<T>(sum[i][v], a[k], load(w + i * w_panel + v * p.v_stride));
  }
  UNROLLED_UNROLL for (int i = 0; i < P; ++i) UNROLLED_UNROLL for (int v = 0; v < N; ++v)
      store(c + i * column_panel + v * W, sum[i][v]);
}

// The number of panels of N vectors that a single row takes at once.
constexpr int together(int vectors) { return (kRegisters / 2) / vectors < 4 ? (kRegisters / 2) / vectors : 4; }

// Rows of C (+)= rows of A · panel.
template <class T, class Dot = MultiplyAdd>
void multiply(const T* const* a, long rows, long K, const Panel<T>& p, T* const* c) {
  if (rows == 0) return;
  switch (p.vectors) {
    case 1:
      return multiply_rows<T, 1, Dot>(a, rows, K, p, c);
    case 2:
      return multiply_rows<T, 2, Dot>(a, rows, K, p, c);
    case 3:
      return multiply_rows<T, 3, Dot>(a, rows, K, p, c);
    case 4:
      if constexpr (kMostVectors >= 4) return multiply_rows<T, 4, Dot>(a, rows, K, p, c);
  }
}

// The same with A transposed: row m of C takes a[k·a_stride + m]; rows of C are c_stride apart.
template <class T, class Dot = MultiplyAdd>
void multiply_transposed(const T* a, long a_stride, long rows, long K, const Panel<T>& p, T* c, long c_stride) {
  if (rows == 0) return;
  switch (p.vectors) {
    case 1:
      return multiply_columns<T, 1, Dot>(a, a_stride, rows, K, p, c, c_stride);
    case 2:
      return multiply_columns<T, 2, Dot>(a, a_stride, rows, K, p, c, c_stride);
    case 3:
      return multiply_columns<T, 3, Dot>(a, a_stride, rows, K, p, c, c_stride);
    case 4:
      if constexpr (kMostVectors >= 4) return multiply_columns<T, 4, Dot>(a, a_stride, rows, K, p, c, c_stride);
  }
}

// Loads four neighbours of each of W / 4 rows, four rows apart: quarter l of the vector is row 4·l.
UNROLLED_INLINE Vector<float> load_quarters(const float* from, long stride) {
#if defined(__AVX512F__)
  __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(from));
  v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(from + 4 * stride));
  v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(from + 8 * stride));
  return _mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(from + 12 * stride));
#elif defined(__AVX2__)
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)), _mm_loadu_ps(from + 4 * stride), 1);
#else
  (void)stride;
  return load(from);
#endif
}

// Interleaves a and b within each quarter, by one number or by two: (a0 b0 a1 b1) or (a0 a1 b0 b1); high: from the
// second half of the quarter.
template <int by, bool high>
UNROLLED_INLINE Vector<float> interleave(Vector<float> a, Vector<float> b) {
  VectorOf<float>::bits pick{};
  for (int i = 0; i < kLanes<float>; ++i) {
    const int quarter = i / 4 * 4, at = i % 4;
    const bool of_b = by == 1 ? at % 2 : at / 2;
    pick[i] = quarter + 2 * high + (by == 1 ? at / 2 : at % 2) + of_b * kLanes<float>;
  }
  return __builtin_shuffle(a, b, pick);
}

// Transposes W rows × 4 columns into 4 vectors of W. The costly step of a transposition is the exchange between
// quarters of a vector, so the loads already put the quarters in order.
UNROLLED_INLINE void transpose_four(const float* from, long stride, float* to, long to_stride) {
  const Vector<float> r0 = load_quarters(from, stride), r1 = load_quarters(from + stride, stride);
  const Vector<float> r2 = load_quarters(from + 2 * stride, stride), r3 = load_quarters(from + 3 * stride, stride);
  const Vector<float> low01 = interleave<1, false>(r0, r1), high01 = interleave<1, true>(r0, r1);
  const Vector<float> low23 = interleave<1, false>(r2, r3), high23 = interleave<1, true>(r2, r3);
  store(to, interleave<2, false>(low01, low23));
  store(to + to_stride, interleave<2, true>(low01, low23));
  store(to + 2 * to_stride, interleave<2, false>(high01, high23));
  store(to + 3 * to_stride, interleave<2, true>(high01, high23));
}

// Packs kLanes rows of a matrix (row stride `stride`, 0 <= k < K) as one vector of a panel, k by k:
// to[k·to_stride + lane] = from[lane·stride + k]. Rows from `rows` on do not exist and are zero.
template <class T>
void pack_transposed(const T* from, long stride, int rows, long K, T* to, long to_stride) {
  long k = 0;
  if constexpr (sizeof(T) == sizeof(float)) {
    if (rows == kLanes<T>)
      for (; k + 4 <= K; k += 4) transpose_four(from + k, stride, to + k * to_stride, to_stride);
  }
  for (; k < K; ++k)
    for (int i = 0; i < kLanes<T>; ++i) to[k * to_stride + i] = i < rows ? from[i * stride + k] : T(0);
}

// The number of vectors that cover n numbers.
template <class T>
UNROLLED_INLINE long vectors_for(long n) {
  return (n + kLanes<T> - 1) / kLanes<T>;
}

// The number of lanes of vector v that exist, of n numbers in all.
template <class T>
UNROLLED_INLINE int lanes_of(long v, long n) {
  const long rest = n - v * kLanes<T>;
  return rest < kLanes<T> ? int(rest) : kLanes<T>;
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
