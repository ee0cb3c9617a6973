// int8 operands with int32 sums. With scales s_x (of a row of x) and s_w (of a row of W),
//
//     q(a) = round(a / s),  s = max|a| / 127               to the nearest, ties to even; −127 … 127
//     y_v = s_x · s_w[v] · Σ_k q(x)_k q(W)_vk + b_v        the sum is an integer, the rest float32
//
// The sum is the same integer on every instruction set, because no instruction used here saturates: vpdpbusd sums four
// products in 32 bits; without it bytes are widened to 16 bits for vpmaddwd. vpdpbusd takes x unsigned, so 128 is added
// to x, and a sum begins with −128 Σ_k q(W)_vk. Sums wrap modulo 2³², so only the result must fit: kMostInputs.
//
// Weights of G gates (1 in a linear layer) are packed as [block of kLanes units][slot of four k][gate][lane][k], then
// one beginning and one scale for each [block][gate][lane].
#pragma once

#include <cmath>
#include <limits>

#include "scan.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr int kSlot = 4;  // numbers of k in 32 bits
typedef int32_t Ints __attribute__((vector_size(kVectorBytes)));
typedef int32_t UnalignedInts __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));

UNROLLED_INLINE Ints load_ints(const int32_t* from) { return *reinterpret_cast<const UnalignedInts*>(from); }
UNROLLED_INLINE void store_ints(int32_t* to, Ints value) { *reinterpret_cast<UnalignedInts*>(to) = value; }

// `spread` prepares a slot of x, `split` a vector of slots of W; `add` adds the four products of each lane.
#if defined(UNROLLED_VNNI)
constexpr int kOffset = 128;  // added to x
typedef Ints SlotOfX;
typedef Ints SlotsOfW;
UNROLLED_INLINE SlotsOfW split(Ints w) { return w; }
UNROLLED_INLINE SlotOfX spread(int32_t x) { return Ints{} + x; }
UNROLLED_INLINE void add(Ints& sum, SlotOfX x, SlotsOfW w) {
#if defined(__AVX512F__)
  sum = (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
#else
  sum = (Ints)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
#endif
}
#elif defined(__AVX2__)
constexpr int kOffset = 0;
struct Halves {  // 16 bits each: numbers 0 and 2 of a slot, and 1 and 3
  Ints even, odd;
};
typedef Halves SlotOfX;
typedef Halves SlotsOfW;
UNROLLED_INLINE Halves split(Ints w) {
#if defined(__AVX512F__)
  return {(Ints)_mm512_srai_epi16(_mm512_slli_epi16((__m512i)w, 8), 8), (Ints)_mm512_srai_epi16((__m512i)w, 8)};
#else
  return {(Ints)_mm256_srai_epi16(_mm256_slli_epi16((__m256i)w, 8), 8), (Ints)_mm256_srai_epi16((__m256i)w, 8)};
#endif
}
UNROLLED_INLINE Halves spread(int32_t x) { return split(Ints{} + x); }
UNROLLED_INLINE void add(Ints& sum, const Halves& x, const Halves& w) {
#if defined(__AVX512F__)
  sum += (Ints)_mm512_madd_epi16((__m512i)x.even, (__m512i)w.even);
  sum += (Ints)_mm512_madd_epi16((__m512i)x.odd, (__m512i)w.odd);
#else
  sum += (Ints)_mm256_madd_epi16((__m256i)x.even, (__m256i)w.even);
  sum += (Ints)_mm256_madd_epi16((__m256i)x.odd, (__m256i)w.odd);
#endif
}
#else
constexpr int kOffset = 0;
struct Quarters {
  Ints k[kSlot];
};
typedef Quarters SlotOfX;
typedef Quarters SlotsOfW;
UNROLLED_INLINE Quarters split(Ints w) {
  Quarters out;
  for (int i = 0; i < kSlot; ++i) {
    int32_t lanes[kLanes<float>];
    for (int lane = 0; lane < kLanes<float>; ++lane) lanes[lane] = int8_t(uint32_t(w[lane]) >> (8 * i));
    out.k[i] = load_ints(lanes);
  }
  return out;
}
UNROLLED_INLINE Quarters spread(int32_t x) {
  Quarters out;
  for (int i = 0; i < kSlot; ++i) out.k[i] = Ints{} + int32_t(int8_t(uint32_t(x) >> (8 * i)));
  return out;
}
UNROLLED_INLINE void add(Ints& sum, const Quarters& x, const Quarters& w) {
  for (int i = 0; i < kSlot; ++i) sum += x.k[i] * w.k[i];
}
#endif

// The slots that cover K numbers.
UNROLLED_INLINE long slots_for(long K) { return (K + kSlot - 1) / kSlot; }

// Writes q(a) + offset, K numbers and zeros to the end of the last slot; returns the scale. A row with an infinity or
// NaN has the scale NaN, and so the result NaN; one below 1e-30 everywhere has the scale 0.
inline float quantise(const float* a, long K, int offset, int8_t* to) {
  if (K < 0) __builtin_unreachable();  // else a compiler warns of the size of memset
  int32_t most = 0;                    // max|a|: its bits are ordered as integers, NaN above infinity
  for (long k = 0; k < K; ++k) {
    int32_t bits;
    memcpy(&bits, a + k, sizeof bits);
    bits &= 0x7fffffff;
    most = bits > most ? bits : most;
  }
  float largest;
  memcpy(&largest, &most, sizeof largest);
  const bool finite = most < 0x7f800000, zero = largest < 1e-30f;
  memset(to + K / kSlot * kSlot, offset, size_t(slots_for(K) - K / kSlot) * kSlot);
  if (!finite || zero) {
    memset(to, offset, size_t(K));
    return finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  const float inverse = 127 / largest;
  long k = 0;
#if defined(__AVX512F__)
  for (; k + 16 <= K; k += 16) {
    const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(a + k), _mm512_set1_ps(inverse));
    const __m512i q = _mm512_maskz_cvtps_epi32(__mmask16(-1), scaled);  // the unmasked forms warn in GCC 12
    _mm_storeu_si128((__m128i*)(to + k),
                     _mm512_maskz_cvtepi32_epi8(__mmask16(-1), _mm512_add_epi32(q, _mm512_set1_epi32(offset))));
  }
#elif defined(__AVX2__)
  for (; k + 8 <= K; k += 8) {
    const __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(a + k), _mm256_set1_ps(inverse)));
    const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    const __m128i bytes = _mm_add_epi8(_mm_packs_epi16(half, half), _mm_set1_epi8(char(offset)));
    _mm_storel_epi64((__m128i*)(to + k), bytes);
  }
#endif
  for (; k < K; ++k) to[k] = int8_t(lrintf(a[k] * inverse) + offset);
  return largest / 127;
}

#if defined(__AVX512F__)
constexpr int kInt8Vectors = 4, kInt8Rows = 6, kInt8Single = 8;
#elif defined(__AVX2__)
constexpr int kInt8Vectors = 2, kInt8Rows = 4, kInt8Single = 4;
#else
constexpr int kInt8Vectors = 1, kInt8Rows = 2, kInt8Single = 2;
#endif

// The parts of a packed matrix of G gates of `units` rows each, and K columns.
template <class Word>
struct PackedInt8 {
  PackedInt8(long G, long units, long K, Word* packed)
      : G(G),
        slots(slots_for(K)),
        blocks((units + kLanes<float> - 1) / kLanes<float>),
        weights(packed),
        begins(packed + blocks * G * kLanes<float> * slots),
        scales(begins + blocks * G * kLanes<float>) {}
  Word* block(long i) const { return weights + i * G * kLanes<float> * slots; }
  long G, slots, blocks;
  Word *weights, *begins, *scales;  // scales are float32 in 32 bits
};

// Packs rows gate_of(q) · units … of weight (·, K) as gate q.
template <class GateOf>
void int8_pack_matrix(const float* weight, long G, long units, long K, GateOf gate_of, float* to, int32_t* row) {
  constexpr int W = kLanes<float>;
  const PackedInt8<int32_t> packed(G, units, K, reinterpret_cast<int32_t*>(to));
  for (long block = 0; block < packed.blocks; ++block)
    for (long q = 0; q < G; ++q)
      for (long lane = 0; lane < W; ++lane) {
        const long unit = block * W + lane, at = (block * G + q) * W + lane;
        float scale = 0;
        int32_t sum = 0;
        if (unit < units) {
          auto* const numbers = reinterpret_cast<int8_t*>(row);
          scale = quantise(weight + (gate_of(int(q)) * units + unit) * K, K, 0, numbers);
          for (long k = 0; k < K; ++k) sum += numbers[k];
        } else {
          memset(row, 0, size_t(packed.slots) * sizeof(int32_t));
        }
        int32_t* const weights = packed.block(block) + q * W + lane;
        for (long s = 0; s < packed.slots; ++s) weights[s * G * W] = row[s];
        packed.begins[at] = -kOffset * sum;
        memcpy(packed.scales + at, &scale, sizeof scale);
      }
}

// The sums of M rows of x and of P blocks, N neighbouring gates of each: `gate` is the first. All in slots.
template <int M, int N, int P>
UNROLLED_INLINE void int8_tile(const int32_t* const* x, const PackedInt8<const int32_t>& packed, long block, long gate,
                               Ints (&sum)[M][P * N]) {
  constexpr int W = kLanes<float>;
  const long G = packed.G, stride = G * W * packed.slots;
  const int32_t* const begin = packed.begins + (block * G + gate) * W;
  UNROLLED_UNROLL for (int m = 0; m < M; ++m) UNROLLED_UNROLL for (int v = 0; v < P * N; ++v) sum[m][v] =
      load_ints(begin + (v / N * G + v % N) * W);
  const int32_t* w = packed.block(block) + gate * W;
  for (long s = 0; s < packed.slots; ++s, w += G * W) {
    SlotsOfW b[P * N];
    UNROLLED_UNROLL for (int v = 0; v < P * N; ++v) b[v] = split(load_ints(w + v / N * stride + v % N * W));
    UNROLLED_UNROLL for (int m = 0; m < M; ++m) {
      const SlotOfX a = spread(x[m][s]);
      UNROLLED_UNROLL for (int v = 0; v < P * N; ++v) add(sum[m][v], a, b[v]);
    }
  }
}

}  // namespace
}  // namespace unrolled::UNROLLED_ISA
