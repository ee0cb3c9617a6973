// The GRU scan, forward and backward. Twin of src/unrolled/cells/gru.py: change one, and the twin law is red until the
// other follows.
//
//     r_t = σ(W_xr x_t + b_r + W_hr h_{t−1})                      reset gate
//     z_t = σ(W_xz x_t + b_z + W_hz h_{t−1})                      update gate
//     n_t = tanh(W_xn x_t + b_n + r_t ⊙ (W_hn h_{t−1} + bias_n))  candidate, reset after the product
//     h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}
//
// The candidate has two sums, x_n (of the input) and h_n (of the state): four sums for three gates.
// Backward, from dh_t; a gate's d is the gradient of its sum, before the nonlinearity:
//
//     dx_n = dh_t ⊙ (1 − z_t) ⊙ (1 − n_t²)           dz_t = dh_t ⊙ (h_{t−1} − n_t) ⊙ z_t (1 − z_t)
//     dh_n = dx_n ⊙ r_t                              dr_t = dx_n ⊙ h_n ⊙ r_t (1 − r_t)
//     dh_{t−1} = dh_t ⊙ z_t + W_hᵀ (dr, dz, dh_n)
#include "../base/entries.h"

namespace unrolled::UNROLLED_ISA {
namespace {

struct Gru {
  static constexpr int kGates = 3, kSums = 4;  // sums: x_n r z h_n; x feeds n r z, h feeds r z n
  static constexpr int kSaved = 4;             // r z n h_n
  static constexpr bool kCell = false, kDirect = true;
  static constexpr int x_gate(int q) { return q == 0 ? 2 : q - 1; }  // packed order is r z n

  template <class V>
  UNROLLED_INLINE void forward(const V* sum, const V* bias, V& h, V&, V* saved) const {
    const V r = sigmoid(sum[1] + bias[1]);
    const V z = sigmoid(sum[2] + bias[2]);
    const V h_n = sum[3] + bias[3];
    const V n = tanh(sum[0] + bias[0] + r * h_n);
    h = (1 - z) * n + z * h;
    saved[0] = r, saved[1] = z, saved[2] = n, saved[3] = h_n;
  }

  // dh: in, the gradient of h_t; out, the term of dh_{t−1} that does not pass through W_h.
  template <class V>
  UNROLLED_INLINE void backward(const V* saved, V, V h_before, V, V& dh, V&, V* d) const {
    const V r = saved[0], z = saved[1], n = saved[2], h_n = saved[3];
    d[0] = dh * (1 - z) * (1 - n * n);
    d[1] = d[0] * h_n * r * (1 - r);
    d[2] = dh * (h_before - n) * z * (1 - z);
    d[3] = d[0] * r;
    dh *= z;
  }
};

}  // namespace

UNROLLED_ENTRIES(gru, Gru, (Gru{}))

}  // namespace unrolled::UNROLLED_ISA
