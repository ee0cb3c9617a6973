// The LSTM scan, forward and backward. Twin of src/unrolled/cells/lstm.py: change one, and the twin law is red until
// the other follows.
//
//     i_t = σ(W_xi x_t + b_i + W_hi h_{t−1})        input gate
//     f_t = σ(W_xf x_t + b_f + W_hf h_{t−1})        forget gate
//     g_t = tanh(W_xg x_t + b_g + W_hg h_{t−1})     candidate
//     o_t = σ(W_xo x_t + b_o + W_ho h_{t−1})        output gate
//     c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
//     h_t = o_t ⊙ tanh(c_t)
//
// Backward, from dh_t (through y_t and step t + 1) and dc_t (through step t + 1); a gate's d is the gradient of its
// sum, before the nonlinearity:
//
//     dc_t += dh_t ⊙ o_t ⊙ (1 − tanh²(c_t))
//     di_t = dc_t ⊙ g_t ⊙ i_t (1 − i_t)             df_t = dc_t ⊙ c_{t−1} ⊙ f_t (1 − f_t)
//     dg_t = dc_t ⊙ i_t ⊙ (1 − g_t²)                do_t = dh_t ⊙ tanh(c_t) ⊙ o_t (1 − o_t)
//     dc_{t−1} = dc_t ⊙ f_t                         dh_{t−1} = W_hᵀ (di, df, dg, do)
#include "../base/entries.h"

namespace unrolled::UNROLLED_ISA {
namespace {

struct Lstm {
  static constexpr int kGates = 4, kSums = 4;  // i f g o
  static constexpr int kSaved = 5;             // i f g o c
  static constexpr bool kCell = true, kDirect = false;
  static constexpr int x_gate(int q) { return q; }

  template <class V>
  UNROLLED_INLINE void forward(const V* sum, const V* bias, V& h, V& c, V* saved) const {
    const V i = sigmoid(sum[0] + bias[0]);
    const V f = sigmoid(sum[1] + bias[1]);
    const V g = tanh(sum[2] + bias[2]);
    const V o = sigmoid(sum[3] + bias[3]);
    c = f * c + i * g;
    h = o * tanh(c);
    saved[0] = i, saved[1] = f, saved[2] = g, saved[3] = o, saved[4] = c;
  }

  // dc: in, the gradient of c_t through step t + 1; out, the gradient of c_{t−1} through step t.
  template <class V>
  UNROLLED_INLINE void backward(const V* saved, V, V, V c_before, V& dh, V& dc, V* d) const {
    const V i = saved[0], f = saved[1], g = saved[2], o = saved[3], tanh_c = tanh(saved[4]);
    dc += dh * o * (1 - tanh_c * tanh_c);
    d[0] = dc * g * i * (1 - i);
    d[1] = dc * c_before * f * (1 - f);
    d[2] = dc * i * (1 - g * g);
    d[3] = dh * tanh_c * o * (1 - o);
    dc *= f;
  }
};

}  // namespace

UNROLLED_ENTRIES(lstm, Lstm, (Lstm{}))

}  // namespace unrolled::UNROLLED_ISA
