// The arguments of the kernels. Letters: B batch, T time, D input size, H hidden size, G gates.
//
// The comment of each pointer gives its shape, and whether it may be null. Arrays are dense, except for a Sequence.
// bindings.cc, frozen.cc and frozen_blocks.cc check all arguments before a kernel is called.
#pragma once

#include <cstdint>

namespace unrolled {

// (B, T, ·): step t of sequence b begins at data + b * per_sequence + t * per_step; its numbers are contiguous.
template <class T>
struct Sequence {
  T* data = nullptr;
  int64_t per_sequence = 0, per_step = 0;
  T* at(int64_t b, int64_t t) const { return data + b * per_sequence + t * per_step; }
};

template <class T>
struct Scan {
  int64_t B, T_, D, H;
  int64_t K;             // length of the product with h: H, or its pairs in bfloat16
  bool reverse = false;  // from each sequence's last real step to its first
  bool relu = false;     // Elman only: ReLU in place of tanh
  int threads = 1;       // upper bound

  const int64_t* lengths = nullptr;  // (B) real steps of each sequence; null: all T
  Sequence<const T> x;               // (B, T, D)
  const T* weight_x;                 // (G·H, D)
  const T* weight_h;                 // (G·H, H)
  const T* packed_x = nullptr;       // both as the same kernel's `pack` wrote them, or null
  const T* packed_h = nullptr;
  const T* bias = nullptr;    // (G·H), or null
  const T* bias_n = nullptr;  // (H) GRU only, or null
  const T* mask = nullptr;    // (B, H) multiplies h where it enters the gates, or null
  const T* h0;                // (B, H)
  const T* c0 = nullptr;      // (B, H) LSTM only
};

template <class T>
struct Forward : Scan<T> {
  Sequence<T> y;       // (B, T, H) written; zero at padded steps
  T* h;                // (B, H) written: the state after each sequence's last real step
  T* c = nullptr;      // (B, H) written, LSTM only
  T* saved = nullptr;  // (T, B, S·H) written for backward, or null: GRU r z n h_n, LSTM i f g o c, by blocks of units
};

template <class T>
struct Backward : Scan<T> {
  Sequence<const T> y;       // (B, T, H) from forward
  const T* saved = nullptr;  // (T, B, S·H) from forward
  Sequence<const T> dy;      // (B, T, H), or null
  const T* dh = nullptr;     // (B, H) gradient of the last h, or null
  const T* dc = nullptr;     // (B, H) gradient of the last c, or null
  Sequence<T> dx;            // (B, T, D) written, or null
  T* dweight_x = nullptr;    // (G·H, D) written, or null: then the three below are not written either
  T* dweight_h = nullptr;    // (G·H, H)
  T* dbias = nullptr;        // (G·H), or null
  T* dbias_n = nullptr;      // (H) GRU only, or null
  T* dh0 = nullptr;          // (B, H) written, or null
  T* dc0 = nullptr;          // (B, H) written, or null, LSTM only
};

struct Linear {
  int64_t N, D, V;  // rows, inputs, outputs
  int threads;
  const float* x;                 // (N, D)
  const float* weight;            // (V, D)
  const float* packed = nullptr;  // the same as the same kernel's linear_pack wrote it, or null
  const float* bias;              // (V), or null
  float* y;                       // (N, V) written
};

struct LinearBackward {
  int64_t N, D, V;
  int threads;
  const float* x;       // (N, D)
  const float* weight;  // (V, D)
  const float* dy;      // (N, V)
  float* dx;            // (N, D) written, or null
  float* dweight;       // (V, D) written, or null
  float* dbias;         // (V) written, or null
  bool add;             // whether dweight and dbias are added to instead
};

struct Attention {
  int64_t B, S, A, D;  // sequences, steps of the source, size of the keys, size of the outputs
  int threads;
  const float* query;      // (B, A)
  const float* keys;       // (B, S, A)
  const float* v;          // (A)
  const float* outputs;    // (B, S, D)
  const int64_t* lengths;  // (B), 1 … S each
  float* weights;          // (B, S) written; 0 at padding
  float* context;          // (B, D) written
};

struct AttentionBackward {
  int64_t B, S, A, D;
  int threads;
  const float* query;
  const float* keys;
  const float* v;
  const float* outputs;
  const int64_t* lengths;
  const float* weights;   // (B, S) from the forward pass
  const float* dweights;  // (B, S), or null
  const float* dcontext;  // (B, D), or null
  float* dquery;          // (B, A) written
  float* dkeys;           // (B, S, A) written, or added to
  float* dv;              // (A) like dkeys
  float* doutputs;        // (B, S, D) like dkeys
  bool add;               // dkeys, dv and doutputs are added to
};

// A linear layer inside a block.
struct Product {
  int64_t D = 0, V = 0;
  const float* packed = nullptr;  // as linear_pack wrote it
  const float* bias = nullptr;    // (V), or null
  bool int8 = false;              // packed by int8_linear_pack
};

struct Normalization {
  const float* gain = nullptr;  // (D), or null
  const float* bias = nullptr;  // (D), or null
  float epsilon = 0;
  bool rms = false;  // else layer norm
};

enum class Phi : int { kTanh, kRelu, kGelu, kGeluTanh, kSilu };

// Keys or values (B, M, steps, K): those of a step are contiguous.
struct Heads {
  float* data = nullptr;
  int64_t per_sequence = 0, per_head = 0, per_step = 0;
  float* at(int64_t b, int64_t m) const { return data + b * per_sequence + m * per_head; }
};

// The sizes and weights of a block: see layers/block.py.
struct Block {
  int64_t D, N, M, K, F;  // size, heads of queries, of keys and values, their size, size of the hidden layer
  bool pre, cross, gated;
  Phi phi;
  Normalization norms[3];  // of self-attention, of cross-attention where there is one, of the feedforward network
  Product project, output, query, cross_output, inner, outer;
};

struct BlockStep {
  const Block* block;
  int64_t B;
  int threads;
  const int64_t* lengths;          // (B) steps before this one
  int64_t longest;                 // the largest
  Heads key, value;                // step lengths[b] of each sequence is written
  const float* rotary;             // (·, 2 K) factors of each position, or null
  Heads source_key, source_value;  // cross-attention only
  const int64_t* source_lengths;   // (B), 1 … S each
  int64_t S;
  float* x;  // (B, D) read and written
};

struct Norm {
  int64_t B, D;
  Normalization norm;
  const float* x;  // (B, D)
  float* y;        // (B, D) written; may be x
};

// ln Σ_v e^{x_v} of each row.
struct LogSumExp {
  int64_t N, V, per_row;
  const float* x;  // (N, V), rows per_row apart
  float* y;        // (N) written
};

// h_t = a_t h_{t−1} + b_t, see kernels/recurrence.cc; all arrays are dense.
struct LinearRecurrence {
  int threads;
  int64_t B, T, H;
  const float *a, *b;  // (B, T, H)
  const float* h0;     // (B, H)
  float* h;            // (B, T, H) written
};

struct LinearRecurrenceBackward {
  int threads;
  int64_t B, T, H;
  const float *a, *h, *dh;  // (B, T, H)
  const float* h0;          // (B, H)
  float *da, *db;           // (B, T, H) written
  float* dh0;               // (B, H) written
};

// The cross-entropy −Σ_v q_v ln p_v of each row, see kernels/cross_entropy.cc.
struct CrossEntropy {
  int threads;
  int64_t N, V, per_row, ignored;
  float smoothing;
  const float* x;          // (N, V), rows per_row apart
  const int64_t* targets;  // (N), in 0 … V − 1, or `ignored`
  float *nats, *log_sums;  // (N) written: ℓ and S
};

struct CrossEntropyBackward {
  int threads;
  int64_t N, V, per_row, ignored;
  float smoothing;
  const float* x;
  const int64_t* targets;
  const float *log_sums, *dnats;  // (N)
  float* dx;                      // (N, V) written, dense; may be x
};

}  // namespace unrolled
