// A layer of torch.nn, called with its own tensors: two biases for each gate, no copies and no sums in torch.
#include <vector>

#include "checks.h"

namespace unrolled {
namespace {

// The tensors of a layer in torch's form: x (B, T, D) or (T, B, D), weights and biases of all gates, h0 and c0 (B, H)
// or (1, B, H), or None: zeros.
struct Layer {
  bool time_first;
  nb::handle x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0;
};

// Memory of a call that no tensor has: the sums of the biases, and zeros.
struct Own {
  std::vector<float> bias, zeros;
};

float* state(Checked<float>& checked, const char* name, nb::handle object, int64_t B, int64_t H, bool written) {
  if (array(name, object).ndim == 3) return checked.dense(name, object, {1, B, H}, written);
  return checked.dense(name, object, {B, H}, written);
}

Checked<float> check_layer(Scan<float>& a, Own& own, int recurrence, int threads, bool reverse, nb::handle lengths,
                           const Layer& in) {
  check_recurrence(recurrence);
  check_threads(threads);
  const Array x = array("x", in.x);
  if (x.ndim != 3) throw nb::value_error(("x must have three axes: got " + shape_text(x.size, x.ndim)).c_str());
  Checked<float> checked;
  checked.why = "", checked.time_first = in.time_first;
  checked.G = gates_of(recurrence);
  a.B = checked.B = x.size[in.time_first], a.T_ = checked.T_ = x.size[!in.time_first];
  a.D = checked.D = x.size[2], a.H = a.K = checked.H = units_of(recurrence, in.weight_hh);
  if (a.D < 1) throw nb::value_error("x must have at least one feature: got D = 0");
  a.reverse = reverse, a.relu = recurrence == kElmanRelu, a.threads = threads;
  a.x = checked.sequence<const float>("x", in.x, a.D, false);
  a.lengths = checked.lengths(lengths);
  const int64_t GH = checked.G * a.H, shared = recurrence == kGru ? 2 * a.H : GH;
  a.weight_x = checked.dense("weight_ih", in.weight_ih, {GH, a.D}, false);
  a.weight_h = checked.dense("weight_hh", in.weight_hh, {GH, a.H}, false);
  if (in.bias_ih.is_none() != in.bias_hh.is_none()) throw nb::value_error("bias_ih and bias_hh belong together");
  if (!in.bias_ih.is_none()) {  // ours is their sum, except for the GRU's candidate
    const float* const first = checked.dense("bias_ih", in.bias_ih, {GH}, false);
    const float* const second = checked.dense("bias_hh", in.bias_hh, {GH}, false);
    own.bias.assign(first, first + GH);
    for (int64_t i = 0; i < shared; ++i) own.bias[size_t(i)] += second[i];
    a.bias = own.bias.data();
    if (recurrence == kGru) a.bias_n = second + shared;
  }
  must(!in.c0.is_none(), recurrence == kLstm && !in.h0.is_none(), "c0");
  if (in.h0.is_none()) {
    own.zeros.assign(size_t(a.B * a.H), 0.f);
    a.h0 = own.zeros.data();
    if (recurrence == kLstm) a.c0 = own.zeros.data();
  } else {
    a.h0 = state(checked, "h0", in.h0, a.B, a.H, false);
    if (recurrence == kLstm) a.c0 = state(checked, "c0", in.c0, a.B, a.H, false);
  }
  return checked;
}

// Whether `layer_forward` takes a whole batch of these sizes: else the caller has another way, or torch's error.
bool layer_fits(int recurrence, int64_t D, int64_t H, const Layer& in) {
  int64_t x[3];
  if (D < 1 || H < 1 || !holds_float32(in.x, {-1, -1, D}, true, x)) return false;
  const int64_t GH = gates_of(recurrence) * H, B = x[in.time_first];
  if (B < 1 || x[!in.time_first] < 1) return false;
  if (!holds_float32(in.weight_ih, {GH, D}) || !holds_float32(in.weight_hh, {GH, H})) return false;
  if (!in.bias_ih.is_none() && (!holds_float32(in.bias_ih, {GH}) || !holds_float32(in.bias_hh, {GH}))) return false;
  if (!in.h0.is_none() && !holds_float32(in.h0, {1, B, H})) return false;
  return in.c0.is_none() || holds_float32(in.c0, {1, B, H});
}

void layer_forward(int recurrence, int isa, int threads, bool reverse, nb::handle lengths, const Layer& in,
                   nb::handle y, nb::handle h, nb::handle c, nb::handle saved) {
  Forward<float> a;
  Own own;
  Checked<float> checked = check_layer(a, own, recurrence, threads, reverse, lengths, in);
  must(!c.is_none(), recurrence == kLstm, "c");
  a.y = checked.sequence<float>("y", y, a.H, true);
  a.h = state(checked, "h", h, a.B, a.H, true);
  if (recurrence == kLstm) a.c = state(checked, "c", c, a.B, a.H, true);
  a.saved = checked.dense_or_none("saved", saved, {a.T_, a.B, saved_of(recurrence) * a.H}, true);
  checked.disjoint();
  const Kernel<float>& kernel = kernel_of<float>(isa_of(isa), recurrence);
  const nb::gil_scoped_release release;
  kernel.forward(a);
}

void layer_backward(int recurrence, int isa, int threads, bool reverse, nb::handle lengths, const Layer& in,
                    nb::handle y, nb::handle saved, nb::handle dy, nb::handle dh, nb::handle dc, nb::handle dx,
                    nb::handle dweight_ih, nb::handle dweight_hh, nb::handle dbias_ih, nb::handle dbias_hh,
                    nb::handle dh0, nb::handle dc0) {
  Backward<float> a;
  Own own;
  Checked<float> checked = check_layer(a, own, recurrence, threads, reverse, lengths, in);
  const int64_t GH = checked.G * a.H, shared = recurrence == kGru ? 2 * a.H : GH;
  a.y = checked.sequence<const float>("y", y, a.H, false);
  a.saved = checked.dense_or_none("saved", saved, {a.T_, a.B, saved_of(recurrence) * a.H}, false);
  must(!saved.is_none(), saved_of(recurrence) > 0, "saved");
  if (!dy.is_none()) a.dy = checked.sequence<const float>("dy", dy, a.H, false);
  if (!dh.is_none()) a.dh = state(checked, "dh", dh, a.B, a.H, false);
  must(!dc.is_none() && recurrence != kLstm, false, "dc");
  if (!dc.is_none()) a.dc = state(checked, "dc", dc, a.B, a.H, false);
  if (!dx.is_none()) a.dx = checked.sequence<float>("dx", dx, a.D, true);
  a.dweight_x = checked.dense_or_none("dweight_ih", dweight_ih, {GH, a.D}, true);
  a.dweight_h = checked.dense_or_none("dweight_hh", dweight_hh, {GH, a.H}, true);
  must(!dweight_hh.is_none(), !dweight_ih.is_none(), "dweight_hh");
  must(!dbias_hh.is_none(), !dbias_ih.is_none(), "dbias_hh");
  must(!dbias_ih.is_none() && dweight_ih.is_none(), false, "dbias_ih without dweight_ih");
  a.dbias = checked.dense_or_none("dbias_ih", dbias_ih, {GH}, true);
  float* const second = checked.dense_or_none("dbias_hh", dbias_hh, {GH}, true);
  if (second && recurrence == kGru) a.dbias_n = second + shared;
  if (!dh0.is_none()) a.dh0 = state(checked, "dh0", dh0, a.B, a.H, true);
  must(!dc0.is_none() && recurrence != kLstm, false, "dc0");
  if (!dc0.is_none()) a.dc0 = state(checked, "dc0", dc0, a.B, a.H, true);
  checked.disjoint();
  const Kernel<float>& kernel = kernel_of<float>(isa_of(isa), recurrence);
  const nb::gil_scoped_release release;
  kernel.backward(a);
  if (second) std::copy(a.dbias, a.dbias + shared, second);
}

}  // namespace

void bind_layer(nb::module_& m) {
#define UNROLLED_LAYER                                                                                             \
  nb::handle x, nb::handle weight_ih, nb::handle weight_hh, nb::handle bias_ih, nb::handle bias_hh, nb::handle h0, \
      nb::handle c0
#define UNROLLED_LAYER_NAMES                                                                            \
  nb::arg("time_first"), nb::arg("x").none(), nb::arg("weight_ih").none(), nb::arg("weight_hh").none(), \
      nb::arg("bias_ih").none(), nb::arg("bias_hh").none(), nb::arg("h0").none(), nb::arg("c0").none()
#define UNROLLED_CALL \
  nb::arg("recurrence"), nb::arg("isa"), nb::arg("threads"), nb::arg("reverse"), nb::arg("lengths").none()
  m.def(
      "layer_fits",
      [](int recurrence, int64_t D, int64_t H, bool time_first, UNROLLED_LAYER) {
        return layer_fits(recurrence, D, H, {time_first, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0});
      },
      nb::arg("recurrence"), nb::arg("input_size"), nb::arg("hidden_size"), UNROLLED_LAYER_NAMES);
  m.def(
      "layer_forward",
      [](int recurrence, int isa, int threads, bool reverse, nb::handle lengths, bool time_first, UNROLLED_LAYER,
         nb::handle y, nb::handle h, nb::handle c, nb::handle saved) {
        layer_forward(recurrence, isa, threads, reverse, lengths,
                      {time_first, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0}, y, h, c, saved);
      },
      UNROLLED_CALL, UNROLLED_LAYER_NAMES, nb::arg("y").none(), nb::arg("h").none(), nb::arg("c").none(),
      nb::arg("saved").none());
  m.def(
      "layer_backward",
      [](int recurrence, int isa, int threads, bool reverse, nb::handle lengths, bool time_first, UNROLLED_LAYER,
         nb::handle y, nb::handle saved, nb::handle dy, nb::handle dh, nb::handle dc, nb::handle dx,
         nb::handle dweight_ih, nb::handle dweight_hh, nb::handle dbias_ih, nb::handle dbias_hh, nb::handle dh0,
         nb::handle dc0) {
        layer_backward(recurrence, isa, threads, reverse, lengths,
                       {time_first, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0}, y, saved, dy, dh, dc, dx,
                       dweight_ih, dweight_hh, dbias_ih, dbias_hh, dh0, dc0);
      },
      UNROLLED_CALL, UNROLLED_LAYER_NAMES, nb::arg("y").none(), nb::arg("saved").none(), nb::arg("dy").none(),
      nb::arg("dh").none(), nb::arg("dc").none(), nb::arg("dx").none(), nb::arg("dweight_ih").none(),
      nb::arg("dweight_hh").none(), nb::arg("dbias_ih").none(), nb::arg("dbias_hh").none(), nb::arg("dh0").none(),
      nb::arg("dc0").none());
}

}  // namespace unrolled
