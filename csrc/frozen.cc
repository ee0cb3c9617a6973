// Cells and linear layers whose weights are packed once.
#include "frozen.h"

#include <string>
#include <utility>

namespace unrolled {
namespace {

const Kernel<float>& kernel_of(const Isa& isa, int recurrence, int int8) {
  if (!int8) return kernel_of<float>(isa, recurrence);
  const Kernels<float>& scans = int8_of(isa, int8).scans;
  return recurrence == kGru ? scans.gru : recurrence == kLstm ? scans.lstm : scans.elman;
}

// A cell's packed weights.
class FrozenCell {
 public:
  // int8: see FrozenLinear.
  FrozenCell(int recurrence, int isa, nb::handle weight_x, nb::handle weight_h, nb::handle bias, nb::handle bias_n,
             int int8)
      : recurrence((check_recurrence(recurrence), recurrence)), kernel(kernel_of(isa_of(isa), recurrence, int8)) {
    Scan<float> a;
    Checked<float> checked;
    checked.G = gates_of(recurrence);
    a.H = a.K = H = units_of(recurrence, weight_h);
    const Array inputs = array("weight_x", weight_x);
    a.D = D = inputs.ndim == 2 ? inputs.size[1] : 0;
    if (D < 1) throw nb::value_error("weight_x must have shape (G·H, D), D at least 1");
    check_weights(checked, a, recurrence, {weight_x, weight_h, bias, bias_n});
    if (a.bias) this->bias.assign(a.bias, a.bias + checked.G * H);
    if (a.bias_n) this->bias_n.assign(a.bias_n, a.bias_n + H);
    const int64_t units = whole_vectors(H);
    if (int8) check_inputs_of_int8("weight_x", D), check_inputs_of_int8("weight_h", H);
    const int64_t words_x = int8 ? int8_words(D) : D, words_h = int8 ? int8_words(H) : H;
    packed = std::make_unique<Packed>(checked.G * units * (words_x + words_h));
    packed_h = packed->get() + checked.G * units * words_x;
    kernel.pack(a, packed->get(), packed_h);
  }

  void forward(int threads, bool reverse, nb::handle x, nb::handle lengths, nb::handle mask, nb::handle h0,
               nb::handle c0, nb::handle y, nb::handle h, nb::handle c) const {
    Forward<float> a;
    Checked<float> checked = check_sequence(a, recurrence, threads, reverse, H, x, lengths);
    if (checked.bfloat16) throw nb::type_error("x must be float32, as the weights are");
    if (a.D != D)
      throw nb::value_error(
          ("x must have " + std::to_string(D) + " features, as the weights: got " + std::to_string(a.D)).c_str());
    a.bias = bias.empty() ? nullptr : bias.data();
    a.bias_n = bias_n.empty() ? nullptr : bias_n.data();
    a.packed_x = packed->get(), a.packed_h = packed_h;
    check_states(checked, a, recurrence, mask, h0, c0);
    check_outputs(checked, a, recurrence, y, h, c);
    checked.disjoint();
    const nb::gil_scoped_release release;
    kernel.forward(a);
  }

 private:
  const int recurrence;
  const Kernel<float>& kernel;
  int64_t D, H;
  std::vector<float> bias, bias_n;
  std::unique_ptr<Packed> packed;  // both weights, see `pack` of a kernel
  float* packed_h;
};

}  // namespace

FrozenLinear::FrozenLinear(int isa, nb::object weight, nb::handle bias, int int8)
    : isa(isa_of(isa)), weight(std::move(weight)), int8(int8) {
  Checked<float> checked;
  Linear a;
  check_weight(checked, a);
  const float* const values = checked.dense_or_none("bias", bias, {a.V}, false);
  if (values) this->bias.assign(values, values + a.V);
  if (int8) check_inputs_of_int8("weight", a.D);
}

void FrozenLinear::forward(int threads, nb::handle x, nb::handle y) {
  check_threads(threads);
  const Array rows = array("x", x);
  if (rows.ndim != 2)
    throw nb::value_error(("x must have shape (N, D): got " + shape_text(rows.size, rows.ndim)).c_str());
  Checked<float> checked;
  Linear a;
  check_weight(checked, a);
  a.N = rows.size[0], a.threads = threads;
  a.x = checked.dense("x", x, {a.N, a.D}, false);
  a.bias = bias.empty() ? nullptr : bias.data();
  a.y = checked.dense("y", y, {a.N, a.V}, true);
  checked.disjoint();
  a.packed = pack(a);
  const nb::gil_scoped_release release;
  (int8 ? int8_of(isa, int8).linear : isa.linear)(a);
}

Product FrozenLinear::product() {
  Checked<float> checked;
  Linear a;
  check_weight(checked, a);
  return {a.D, a.V, pack(a), bias.empty() ? nullptr : bias.data(), int8 != 0};
}

const float* FrozenLinear::pack(const Linear& a) {
  if (!packed) {
    packed = std::make_unique<Packed>(whole_vectors(a.V) * (int8 ? int8_words(a.D) : a.D));
    (int8 ? int8_of(isa, int8).linear_pack : isa.linear_pack)(a, packed->get());
  }
  return packed->get();
}

void FrozenLinear::check_weight(Checked<float>& checked, Linear& a) const {
  checked.why = "";
  const Array weights = array("weight", weight);
  if (weights.ndim != 2)
    throw nb::value_error(("weight must have shape (V, D): got " + shape_text(weights.size, weights.ndim)).c_str());
  a.V = weights.size[0], a.D = weights.size[1];
  a.weight = checked.dense("weight", weight, {a.V, a.D}, false);
}

void bind_frozen_layers(nb::module_& m) {
  nb::class_<FrozenCell>(m, "FrozenCell", "A cell's weights, packed once for many forward calls: in float32 or int8.")
      .def(nb::init<int, int, nb::handle, nb::handle, nb::handle, nb::handle, int>(), nb::arg("recurrence"),
           nb::arg("isa"), nb::arg("weight_x").none(), nb::arg("weight_h").none(), nb::arg("bias").none(),
           nb::arg("bias_n").none(), nb::arg("int8") = 0)
      .def("forward", &FrozenCell::forward, nb::arg("threads"), nb::arg("reverse"), nb::arg("x").none(),
           nb::arg("lengths").none(), nb::arg("mask").none(), nb::arg("h0").none(), nb::arg("c0").none(),
           nb::arg("y").none(), nb::arg("h").none(), nb::arg("c").none());
  nb::class_<FrozenLinear>(m, "FrozenLinear",
                           "A linear layer's weights, packed once for many forward calls: in float32 or int8.")
      .def(nb::init<int, nb::object, nb::handle, int>(), nb::arg("isa"), nb::arg("weight").none(),
           nb::arg("bias").none(), nb::arg("int8") = 0)
      .def("forward", &FrozenLinear::forward, nb::arg("threads"), nb::arg("x").none(), nb::arg("y").none());
}

}  // namespace unrolled
