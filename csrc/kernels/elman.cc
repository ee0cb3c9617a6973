// The Elman scan, forward and backward. Twin of src/unrolled/cells/elman.py: change one, and the twin law is red until
// the other follows.
//
//     h_t = φ(W_x x_t + b + W_h h_{t−1})        φ = tanh, or ReLU
//
// Backward, from dh_t; d_t is the gradient of the sum, before φ:
//
//     d_t = dh_t ⊙ (1 − h_t²)                   ReLU: dh_t where h_t > 0
//     dh_{t−1} = W_hᵀ d_t
#include "../base/entries.h"

namespace unrolled::UNROLLED_ISA {
namespace {

struct Elman {
  static constexpr int kGates = 1, kSums = 1;
  static constexpr int kSaved = 0;  // y is enough
  static constexpr bool kCell = false, kDirect = false;
  static constexpr int x_gate(int) { return 0; }

  bool is_relu;

  template <class V>
  UNROLLED_INLINE void forward(const V* sum, const V* bias, V& h, V&, V*) const {
    const V a = sum[0] + bias[0];
    h = is_relu ? relu(a) : tanh(a);
  }

  template <class V>
  UNROLLED_INLINE void backward(const V*, V h, V, V, V& dh, V&, V* d) const {
    d[0] = is_relu ? (h <= V{} ? V{} : dh) : dh * (1 - h * h);
  }
};

}  // namespace

UNROLLED_ENTRIES(elman, Elman, (Elman{a.relu}))

}  // namespace unrolled::UNROLLED_ISA
