// The product of a few rows with weights that are not packed, for calls of a step or two, where packing would cost more
// than it saves.
//
//     C(r, u) += Σ_k A(r, k) · W(u, k)        W row by row, as torch stores it
//
// A square of W is transposed in registers, so that a vector holds one k of several units; then each number of C is the
// same chain of multiply-adds over ascending k as in product.h, with the same bits.
#pragma once

#include "product.h"

namespace unrolled::UNROLLED_ISA {
namespace {

// Quarters (four numbers each) of a and b, in the order of the template's arguments; those of b are counted after a's.
template <int... quarters>
UNROLLED_INLINE Vector<float> pick_quarters(Vector<float> a, Vector<float> b) {
  constexpr int order[] = {quarters...};
  VectorOf<float>::bits pick{};
  for (int i = 0; i < kLanes<float>; ++i) pick[i] = order[i / 4] * 4 + i % 4;
  return __builtin_shuffle(a, b, pick);
}

// Transposes a square: v[i][k] becomes v[k][i].
UNROLLED_INLINE void transpose(Vector<float>* v) {
  constexpr int W = kLanes<float>;
  Vector<float> turned[W];  // [group of four rows][k of a quarter]
  UNROLLED_UNROLL for (int g = 0; g < W; g += 4) {
    const Vector<float> low01 = interleave<1, false>(v[g], v[g + 1]), high01 = interleave<1, true>(v[g], v[g + 1]);
    const Vector<float> low23 = interleave<1, false>(v[g + 2], v[g + 3]);
    const Vector<float> high23 = interleave<1, true>(v[g + 2], v[g + 3]);
    turned[g] = interleave<2, false>(low01, low23);
    turned[g + 1] = interleave<2, true>(low01, low23);
    turned[g + 2] = interleave<2, false>(high01, high23);
    turned[g + 3] = interleave<2, true>(high01, high23);
  }
  // Quarter l of turned[4g + j] holds k = 4l + j of rows 4g …; quarters are exchanged between the groups.
  UNROLLED_UNROLL for (int j = 0; j < 4; ++j) {
    if constexpr (W == 16) {
      const Vector<float> a = pick_quarters<0, 1, 4, 5>(turned[j], turned[4 + j]);
      const Vector<float> b = pick_quarters<2, 3, 6, 7>(turned[j], turned[4 + j]);
      const Vector<float> c = pick_quarters<0, 1, 4, 5>(turned[8 + j], turned[12 + j]);
      const Vector<float> d = pick_quarters<2, 3, 6, 7>(turned[8 + j], turned[12 + j]);
      v[j] = pick_quarters<0, 2, 4, 6>(a, c);
      v[4 + j] = pick_quarters<1, 3, 5, 7>(a, c);
      v[8 + j] = pick_quarters<0, 2, 4, 6>(b, d);
      v[12 + j] = pick_quarters<1, 3, 5, 7>(b, d);
    } else if constexpr (W == 8) {
      v[j] = pick_quarters<0, 2>(turned[j], turned[4 + j]);
      v[4 + j] = pick_quarters<1, 3>(turned[j], turned[4 + j]);
    } else {
      v[j] = turned[j];
    }
  }
}

UNROLLED_INLINE void transpose(Vector<double>* v) {
  constexpr int W = kLanes<double>;
  for (int i = 0; i < W; ++i)
    for (int k = 0; k < i; ++k) {
      const double kept = v[i][k];
      v[i][k] = v[k][i];
      v[k][i] = kept;
    }
}

// One vector of units: their rows of W, and the column of their sums in a row of C.
template <class T>
struct Units {
  const T* w;
  int lanes;  // units that exist
  long column;
};

constexpr int kMostInPlace = 4;  // rows, and vectors of units, at once
constexpr long kAhead = 256;     // bytes by which a row of W is prefetched
constexpr long kLongRow = 1024;  // bytes from which a single row of C takes fewer rows of W at once: they are streams

// R rows, P vectors of units. Their squares take turns, so that the chains of one run while another is transposed.
template <class T, int P, int R, class Dot>
void few_rows(const Units<T>* units, long stride, long K, const T* const* a, T* const* c, bool fresh) {
  constexpr int W = kLanes<T>;
  Vector<T> sum[P][R];
  UNROLLED_UNROLL for (int p = 0; p < P; ++p) UNROLLED_UNROLL for (int r = 0; r < R; ++r) sum[p][r] =
      fresh ? Vector<T>{} : load(c[r] + units[p].column);
  for (long k0 = 0; k0 < K; k0 += W) {
    const int some = K - k0 < W ? int(K - k0) : W;
    // At the end of these rows, the beginning of those that are next in memory.
    const long ahead = kAhead / long(sizeof(T)), to_fetch = k0 + ahead < K ? ahead : ahead - K + P * W * stride;
    UNROLLED_UNROLL for (int p = 0; p < P; ++p) {
      const T* const from = units[p].w + k0;
      Vector<T> v[W];
      if (some == W && units[p].lanes == W) {
        UNROLLED_UNROLL for (int i = 0; i < W; ++i) {
          v[i] = load(from + i * stride);
          __builtin_prefetch(from + i * stride + to_fetch);
        }
      } else {
        for (int i = 0; i < W; ++i) v[i] = i < units[p].lanes ? load_first(from + i * stride, some) : Vector<T>{};
      }
      transpose(v);
      UNROLLED_UNROLL for (int k = 0; k < W; ++k) {
        if (k < some) UNROLLED_UNROLL for (int r = 0; r < R; ++r) Dot::template add<T>(sum[p][r], a[r][k0 + k], v[k]);
      }
    }
  }
  UNROLLED_UNROLL for (int p = 0; p < P; ++p) UNROLLED_UNROLL for (int r = 0; r < R; ++r)
      store(c[r] + units[p].column, sum[p][r]);
}

// rows of C (+)= rows of A · Wᵀ for `vectors` vectors of units, K long; rows of W are `stride` apart.
template <class T, class Dot = MultiplyAdd>
void multiply_in_place(const T* const* a, long rows, long K, const Units<T>* units, int vectors, long stride,
                       T* const* c, bool fresh) {
  constexpr int most = kRegisters == 32 ? kMostInPlace : 2;  // of a single row
  const int at_once = stride * long(sizeof(T)) < kLongRow ? most : 2;
  for (long r = 0; r < rows; r += kMostInPlace) {
    const int height = int(rows - r < kMostInPlace ? rows - r : kMostInPlace);
    for (int v = 0; v < vectors;) {
      const int limit = height == 1 ? at_once : 2;
      const int width = vectors - v < limit ? vectors - v : limit;
      with_height<kMostInPlace>(height, [&]<int R>() {
        with_height<(R == 1 ? most : 2)>(
            width, [&]<int P>() { few_rows<T, P, R, Dot>(units + v, stride, K, a + r, c + r, fresh); });
      });
      v += width;
    }
  }
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
