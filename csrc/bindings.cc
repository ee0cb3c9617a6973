// The Python module: each function checks its tensors (arrays.h), releases the GIL and calls a kernel.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <atomic>
#include <chrono>
#include <string>

#include "base/threads.h"
#include "checks.h"
#include "frozen.h"

namespace unrolled {
namespace {

template <class T>
void forward_as(int recurrence, int isa, int threads, bool reverse, const Inputs& in, nb::handle y, nb::handle h,
                nb::handle c, nb::handle saved) {
  Forward<T> a;
  Checked<T> checked = check_inputs<T>(a, recurrence, threads, reverse, in);
  const Kernel<T>& kernel = kernel_of<T>(isa_of(isa), recurrence, checked.bfloat16);
  const bool learns = checked.bfloat16 && !array("y", y).bfloat16;  // y in float32, for a backward pass
  if (checked.bfloat16 && !learns) must(!saved.is_none(), false, "saved");
  check_outputs(checked, a, recurrence, y, h, c, learns);
  a.saved = checked.dense_or_none("saved", saved, {a.T_, a.B, saved_of(recurrence) * a.H}, true);
  checked.disjoint();
  const nb::gil_scoped_release release;
  (learns ? kernel.learn : kernel.forward)(a);
}

template <class T>
void backward_as(int recurrence, int isa, int threads, bool reverse, const Inputs& in, nb::handle y, nb::handle saved,
                 nb::handle dy, nb::handle dh, nb::handle dc, nb::handle dx, nb::handle dweight_x, nb::handle dweight_h,
                 nb::handle dbias, nb::handle dbias_n, nb::handle dh0, nb::handle dc0, bool bfloat16) {
  const Kernel<T>& kernel = kernel_of<T>(isa_of(isa), recurrence, bfloat16);
  Backward<T> a;
  Checked<T> checked = check_inputs<T>(a, recurrence, threads, reverse, in);
  if (checked.bfloat16) throw nb::type_error("x must be float32 or float64: the backward pass rounds it itself");
  const int64_t GH = checked.G * a.H;
  a.y = checked.template sequence<const T>("y", y, a.H, false);
  a.saved = checked.dense_or_none("saved", saved, {a.T_, a.B, saved_of(recurrence) * a.H}, false);
  must(!saved.is_none(), saved_of(recurrence) > 0, "saved");
  if (!dy.is_none()) a.dy = checked.template sequence<const T>("dy", dy, a.H, false);
  a.dh = checked.dense_or_none("dh", dh, {a.B, a.H}, false);
  a.dc = checked.dense_or_none("dc", dc, {a.B, a.H}, false);
  if (!dx.is_none()) a.dx = checked.template sequence<T>("dx", dx, a.D, true);
  a.dweight_x = checked.dense_or_none("dweight_x", dweight_x, {GH, a.D}, true);
  a.dweight_h = checked.dense_or_none("dweight_h", dweight_h, {GH, a.H}, true);
  if (dweight_x.is_none() != dweight_h.is_none())
    throw nb::value_error("dweight_x and dweight_h must be requested together");
  a.dbias = checked.dense_or_none("dbias", dbias, {GH}, true);
  a.dbias_n = checked.dense_or_none("dbias_n", dbias_n, {a.H}, true);
  if (!dbias_n.is_none()) must(true, recurrence == kGru, "dbias_n");
  a.dh0 = checked.dense_or_none("dh0", dh0, {a.B, a.H}, true);
  if (!dc0.is_none()) must(true, recurrence == kLstm, "dc0");
  a.dc0 = checked.dense_or_none("dc0", dc0, {a.B, a.H}, true);
  checked.disjoint();
  const nb::gil_scoped_release release;
  kernel.backward(a);
}

void forward(int recurrence, int isa, int threads, bool reverse, nb::handle x, nb::handle lengths, nb::handle weight_x,
             nb::handle weight_h, nb::handle bias, nb::handle bias_n, nb::handle mask, nb::handle h0, nb::handle c0,
             nb::handle y, nb::handle h, nb::handle c, nb::handle saved) {
  const Inputs in{x, lengths, {weight_x, weight_h, bias, bias_n}, mask, h0, c0};
  const bool wide = array("x", x).bytes == 8;
  (wide ? forward_as<double> : forward_as<float>)(recurrence, isa, threads, reverse, in, y, h, c, saved);
}

void backward(int recurrence, int isa, int threads, bool reverse, nb::handle x, nb::handle lengths, nb::handle weight_x,
              nb::handle weight_h, nb::handle bias, nb::handle bias_n, nb::handle mask, nb::handle h0, nb::handle c0,
              nb::handle y, nb::handle saved, nb::handle dy, nb::handle dh, nb::handle dc, nb::handle dx,
              nb::handle dweight_x, nb::handle dweight_h, nb::handle dbias, nb::handle dbias_n, nb::handle dh0,
              nb::handle dc0, bool bfloat16) {
  const Inputs in{x, lengths, {weight_x, weight_h, bias, bias_n}, mask, h0, c0};
  const bool wide = array("x", x).bytes == 8;
  (wide ? backward_as<double> : backward_as<float>)(recurrence, isa, threads, reverse, in, y, saved, dy, dh, dc, dx,
                                                    dweight_x, dweight_h, dbias, dbias_n, dh0, dc0, bfloat16);
}

// Checks the common arguments of both passes of a linear layer: x (N, D), weight (V, D).
template <class Call>
void check_linear(Checked<float>& checked, Call& a, int threads, nb::handle x, nb::handle weight) {
  check_threads(threads);
  checked.why = "";
  const Array rows = array("x", x), weights = array("weight", weight);
  if (rows.ndim != 2)
    throw nb::value_error(("x must have shape (N, D): got " + shape_text(rows.size, rows.ndim)).c_str());
  if (weights.ndim != 2)
    throw nb::value_error(("weight must have shape (V, D): got " + shape_text(weights.size, weights.ndim)).c_str());
  a.N = rows.size[0], a.D = rows.size[1], a.V = weights.size[0], a.threads = threads;
  a.x = checked.dense("x", x, {a.N, a.D}, false);
  a.weight = checked.dense("weight", weight, {a.V, a.D}, false);
}

// y = W x + b; bias (V) or None, y (N, V).
void linear(int isa, int threads, nb::handle x, nb::handle weight, nb::handle bias, nb::handle y) {
  const Isa& chosen = isa_of(isa);
  Checked<float> checked;
  Linear a;
  check_linear(checked, a, threads, x, weight);
  a.bias = checked.dense_or_none("bias", bias, {a.V}, false);
  a.y = checked.dense("y", y, {a.N, a.V}, true);
  checked.disjoint();
  const nb::gil_scoped_release release;
  chosen.linear(a);
}

// Gradients of a linear layer from dy (N, V): dx (N, D), dweight (V, D) and dbias (V), each or None.
void linear_backward(int isa, int threads, nb::handle x, nb::handle weight, nb::handle dy, nb::handle dx,
                     nb::handle dweight, nb::handle dbias, bool add) {
  const Isa& chosen = isa_of(isa);
  Checked<float> checked;
  LinearBackward a;
  a.add = add;
  check_linear(checked, a, threads, x, weight);
  a.dy = checked.dense("dy", dy, {a.N, a.V}, false);
  a.dx = checked.dense_or_none("dx", dx, {a.N, a.D}, true);
  a.dweight = checked.dense_or_none("dweight", dweight, {a.V, a.D}, true);
  a.dbias = checked.dense_or_none("dbias", dbias, {a.V}, true);
  checked.disjoint();
  const nb::gil_scoped_release release;
  chosen.linear_backward(a);
}

// Checks the common arguments of both passes of an attention step.
template <class Call>
void check_attention(Checked<float>& checked, Call& a, int threads, nb::handle query, nb::handle keys, nb::handle v,
                     nb::handle outputs, nb::handle lengths) {
  check_threads(threads);
  checked.why = "";
  const Array all_keys = array("keys", keys), all_outputs = array("outputs", outputs);
  if (all_keys.ndim != 3)
    throw nb::value_error(("keys must have shape (B, S, A): got " + shape_text(all_keys.size, all_keys.ndim)).c_str());
  if (all_outputs.ndim != 3)
    throw nb::value_error(
        ("outputs must have shape (B, S, D): got " + shape_text(all_outputs.size, all_outputs.ndim)).c_str());
  a.B = all_keys.size[0], a.S = all_keys.size[1], a.A = all_keys.size[2], a.D = all_outputs.size[2];
  a.threads = threads;
  a.query = checked.dense("query", query, {a.B, a.A}, false);
  a.keys = checked.dense("keys", keys, {a.B, a.S, a.A}, false);
  a.v = checked.dense("v", v, {a.A}, false);
  a.outputs = checked.dense("outputs", outputs, {a.B, a.S, a.D}, false);
  checked.B = a.B, checked.T_ = a.S;
  if (lengths.is_none()) throw nb::type_error("lengths must be int64: got None");
  a.lengths = checked.lengths(lengths);
  for (int64_t b = 0; b < a.B; ++b)
    if (a.lengths[b] < 1) throw nb::value_error("lengths must be at least 1: the softmax of no scores is undefined");
}

// One step of additive attention: weights (B, S) and context (B, D) of query (B, A), keys (B, S, A), v (A), outputs
// (B, S, D) and lengths (B).
void attention(int isa, int threads, nb::handle query, nb::handle keys, nb::handle v, nb::handle outputs,
               nb::handle lengths, nb::handle weights, nb::handle context) {
  const Isa& chosen = isa_of(isa);
  Checked<float> checked;
  Attention a;
  check_attention(checked, a, threads, query, keys, v, outputs, lengths);
  a.weights = checked.dense("weights", weights, {a.B, a.S}, true);
  a.context = checked.dense("context", context, {a.B, a.D}, true);
  checked.disjoint();
  const nb::gil_scoped_release release;
  chosen.attention(a);
}

// Gradients of an attention step from those of weights and context, each or None. With `add`, those of keys, v and
// outputs are added to the values in dkeys, dv and doutputs.
void attention_backward(int isa, int threads, nb::handle query, nb::handle keys, nb::handle v, nb::handle outputs,
                        nb::handle lengths, nb::handle weights, nb::handle dweights, nb::handle dcontext,
                        nb::handle dquery, nb::handle dkeys, nb::handle dv, nb::handle doutputs, bool add) {
  const Isa& chosen = isa_of(isa);
  Checked<float> checked;
  AttentionBackward a;
  check_attention(checked, a, threads, query, keys, v, outputs, lengths);
  a.weights = checked.dense("weights", weights, {a.B, a.S}, false);
  a.dweights = checked.dense_or_none("dweights", dweights, {a.B, a.S}, false);
  a.dcontext = checked.dense_or_none("dcontext", dcontext, {a.B, a.D}, false);
  a.dquery = checked.dense("dquery", dquery, {a.B, a.A}, true);
  a.dkeys = checked.dense("dkeys", dkeys, {a.B, a.S, a.A}, true);
  a.dv = checked.dense("dv", dv, {a.A}, true);
  a.doutputs = checked.dense("doutputs", doutputs, {a.B, a.S, a.D}, true);
  a.add = add;
  checked.disjoint();
  const nb::gil_scoped_release release;
  chosen.attention_backward(a);
}

// Billions of floating-point operations a second, a multiply-add counted as two.
double peak(int isa, int threads) {
  const Isa& chosen = isa_of(isa);
  check_threads(threads);
  struct Work {
    long (*multiply_add)(long);
    std::atomic<long> done{0};
  } work{chosen.multiply_add};
  const nb::gil_scoped_release release;
  const auto begin = std::chrono::steady_clock::now();
  const auto run = [](void* of, int) {
    auto* const work = static_cast<Work*>(of);
    work->done += work->multiply_add(2'000'000);
  };
  if (!run_team(threads, run, &work)) run_team(1, run, &work);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  return 2e-9 * double(work.done) / seconds.count();
}

}  // namespace
}  // namespace unrolled

NB_MODULE(_kernels, m) {
  using namespace unrolled;
  m.doc() = "The fused kernels, forward and backward. Use unrolled.scan; this module allocates and converts nothing.";
  m.attr("COMPILER") = UNROLLED_COMPILER;
  m.attr("ELMAN") = int(kElman);
  m.attr("ELMAN_RELU") = int(kElmanRelu);
  m.attr("GRU") = int(kGru);
  m.attr("LSTM") = int(kLstm);
  m.def(
      "isas",
      [] {
        nb::list names;
        for (int i = 0; i < kIsaCount; ++i)
          names.append(nb::make_tuple(kIsas[i].name, kIsas[i].here(), kIsas[i].bfloat16.gru.forward != nullptr));
        return names;
      },
      "The compiled instruction sets, best first: name, whether this processor has it, whether it multiplies "
      "bfloat16.");
  m.def("forked", &forked, "Whether this process was forked from one that had loaded the kernels.");
  m.def("peak", &peak, nb::arg("isa"), nb::arg("threads"),
        "The rate of this instruction set's float32 multiply-adds on registers, in 1e9 operations a second.");
#define UNROLLED_INPUTS                                                                                          \
  nb::arg("recurrence"), nb::arg("isa"), nb::arg("threads"), nb::arg("reverse"), nb::arg("x").none(),            \
      nb::arg("lengths").none(), nb::arg("weight_x").none(), nb::arg("weight_h").none(), nb::arg("bias").none(), \
      nb::arg("bias_n").none(), nb::arg("mask").none(), nb::arg("h0").none(), nb::arg("c0").none()
  bind_frozen_layers(m);
  bind_frozen_blocks(m);
  bind_layer(m);
  bind_elementwise(m);
  m.def("linear", &linear, nb::arg("isa"), nb::arg("threads"), nb::arg("x").none(), nb::arg("weight").none(),
        nb::arg("bias").none(), nb::arg("y").none());
  m.def("linear_backward", &linear_backward, nb::arg("isa"), nb::arg("threads"), nb::arg("x").none(),
        nb::arg("weight").none(), nb::arg("dy").none(), nb::arg("dx").none(), nb::arg("dweight").none(),
        nb::arg("dbias").none(), nb::arg("add") = false);
#define UNROLLED_ATTENTION                                                                                  \
  nb::arg("isa"), nb::arg("threads"), nb::arg("query").none(), nb::arg("keys").none(), nb::arg("v").none(), \
      nb::arg("outputs").none(), nb::arg("lengths").none(), nb::arg("weights").none()
  m.def("attention", &attention, UNROLLED_ATTENTION, nb::arg("context").none());
  m.def("attention_backward", &attention_backward, UNROLLED_ATTENTION, nb::arg("dweights").none(),
        nb::arg("dcontext").none(), nb::arg("dquery").none(), nb::arg("dkeys").none(), nb::arg("dv").none(),
        nb::arg("doutputs").none(), nb::arg("add") = false);
  m.def("forward", &forward, UNROLLED_INPUTS, nb::arg("y").none(), nb::arg("h").none(), nb::arg("c").none(),
        nb::arg("saved").none());
  m.def("backward", &backward, UNROLLED_INPUTS, nb::arg("y").none(), nb::arg("saved").none(), nb::arg("dy").none(),
        nb::arg("dh").none(), nb::arg("dc").none(), nb::arg("dx").none(), nb::arg("dweight_x").none(),
        nb::arg("dweight_h").none(), nb::arg("dbias").none(), nb::arg("dbias_n").none(), nb::arg("dh0").none(),
        nb::arg("dc0").none(), nb::arg("bfloat16") = false);
}
