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

int64_t saved_of(int recurrence) { return recurrence == kGru ? 4 : recurrence == kLstm ? 5 : 0; }

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

// x (N, V), whose rows may be apart.
Array logits_of(nb::handle x) {
  const Array rows = array("x", x);
  if (rows.ndim != 2 || rows.size[1] < 1)
    throw nb::value_error(("x must have shape (N, V): got " + shape_text(rows.size, rows.ndim)).c_str());
  if (rows.bytes != 4 || rows.integer || rows.bfloat16) throw nb::type_error("x must be float32");
  if (rows.size[1] > 1 && rows.stride[1] != 1) throw nb::value_error("x must be contiguous along its last axis");
  return rows;
}

// ln Σ e^x of each row of x (N, V): y (N).
void log_sum_exp(int isa, nb::handle x, nb::handle y) {
  const Isa& chosen = isa_of(isa);
  const Array rows = logits_of(x);
  Checked<float> checked;
  float* const to = checked.dense("y", y, {rows.size[0]}, true);
  const LogSumExp a{rows.size[0], rows.size[1], rows.stride[0], reinterpret_cast<const float*>(rows.data), to};
  const nb::gil_scoped_release release;
  chosen.log_sum_exp(a);
}

// The sizes of a recurrence from a (B, T, H).
template <class Call>
void check_recurrence_of_vectors(Call& call, Checked<float>& checked, int threads, nb::handle a) {
  check_threads(threads);
  const Array decays = array("a", a);
  if (decays.ndim != 3)
    throw nb::value_error(("a must have shape (B, T, H): got " + shape_text(decays.size, decays.ndim)).c_str());
  call.threads = threads, call.B = decays.size[0], call.T = decays.size[1], call.H = decays.size[2];
  checked.why = "";
  call.a = checked.dense("a", a, {call.B, call.T, call.H}, false);
}

// h_t = a_t h_{t−1} + b_t from a and b (B, T, H) and h0 (B, H): h (B, T, H).
void linear_recurrence(int isa, int threads, nb::handle a, nb::handle b, nb::handle h0, nb::handle h) {
  const Isa& chosen = isa_of(isa);
  LinearRecurrence call;
  Checked<float> checked;
  check_recurrence_of_vectors(call, checked, threads, a);
  call.b = checked.dense("b", b, {call.B, call.T, call.H}, false);
  call.h0 = checked.dense("h0", h0, {call.B, call.H}, false);
  call.h = checked.dense("h", h, {call.B, call.T, call.H}, true);
  checked.disjoint();
  const nb::gil_scoped_release release;
  chosen.linear_recurrence(call);
}

// Its gradients from dh (B, T, H): da, db (B, T, H) and dh0 (B, H).
void linear_recurrence_backward(int isa, int threads, nb::handle a, nb::handle h, nb::handle h0, nb::handle dh,
                                nb::handle da, nb::handle db, nb::handle dh0) {
  const Isa& chosen = isa_of(isa);
  LinearRecurrenceBackward call;
  Checked<float> checked;
  check_recurrence_of_vectors(call, checked, threads, a);
  call.h = checked.dense("h", h, {call.B, call.T, call.H}, false);
  call.h0 = checked.dense("h0", h0, {call.B, call.H}, false);
  call.dh = checked.dense("dh", dh, {call.B, call.T, call.H}, false);
  call.da = checked.dense("da", da, {call.B, call.T, call.H}, true);
  call.db = checked.dense("db", db, {call.B, call.T, call.H}, true);
  call.dh0 = checked.dense("dh0", dh0, {call.B, call.H}, true);
  checked.disjoint();
  const nb::gil_scoped_release release;
  chosen.linear_recurrence_backward(call);
}

// The common arguments of a cross-entropy and of its gradient.
template <class Call>
void check_cross_entropy(Call& a, int threads, nb::handle x, nb::handle targets, int64_t ignored, float smoothing) {
  check_threads(threads);
  const Array rows = logits_of(x), goals = array("targets", targets);
  a.threads = threads, a.N = rows.size[0], a.V = rows.size[1], a.per_row = rows.stride[0];
  a.x = reinterpret_cast<const float*>(rows.data);
  a.ignored = ignored, a.smoothing = smoothing;
  if (!(smoothing >= 0 && smoothing <= 1)) throw nb::value_error("smoothing must lie between 0 and 1");
  if (!goals.integer || goals.bytes != 8) throw nb::type_error("targets must be int64");
  if (goals.ndim != 1 || goals.size[0] != a.N || (a.N > 1 && goals.stride[0] != 1))
    throw nb::value_error(("targets must have shape " + shape_text(&a.N, 1) + " and be contiguous").c_str());
  a.targets = reinterpret_cast<const int64_t*>(goals.data);
  for (int64_t n = 0; n < a.N; ++n)
    if (a.targets[n] != ignored && (a.targets[n] < 0 || a.targets[n] >= a.V))
      throw nb::value_error(
          ("targets must lie between 0 and " + std::to_string(a.V - 1) + ": got " + std::to_string(a.targets[n]))
              .c_str());
}

// The cross-entropy of each row of x (N, V) with its target: nats (N), and ln Σ e^x: log_sums (N).
void cross_entropy(int isa, int threads, nb::handle x, nb::handle targets, int64_t ignored, float smoothing,
                   nb::handle nats, nb::handle log_sums) {
  const Isa& chosen = isa_of(isa);
  CrossEntropy a;
  check_cross_entropy(a, threads, x, targets, ignored, smoothing);
  Checked<float> checked;
  a.nats = checked.dense("nats", nats, {a.N}, true);
  a.log_sums = checked.dense("log_sums", log_sums, {a.N}, true);
  checked.disjoint();
  const nb::gil_scoped_release release;
  chosen.cross_entropy(a);
}

// Its gradient from dnats (N): dx (N, V), which may be x.
void cross_entropy_backward(int isa, int threads, nb::handle x, nb::handle targets, int64_t ignored, float smoothing,
                            nb::handle log_sums, nb::handle dnats, nb::handle dx) {
  const Isa& chosen = isa_of(isa);
  CrossEntropyBackward a;
  check_cross_entropy(a, threads, x, targets, ignored, smoothing);
  Checked<float> checked;
  a.log_sums = checked.dense("log_sums", log_sums, {a.N}, false);
  a.dnats = checked.dense("dnats", dnats, {a.N}, false);
  a.dx = checked.dense("dx", dx, {a.N, a.V}, true);
  checked.disjoint();
  const Array rows = logits_of(x);
  const bool same = a.dx == a.x && (a.N <= 1 || a.per_row == a.V);
  const auto* const end = reinterpret_cast<const char*>(a.dx + a.N * a.V);
  if (!same && rows.data < end && reinterpret_cast<const char*>(a.dx) < rows.end())
    throw nb::value_error("dx overlaps x");
  const nb::gil_scoped_release release;
  chosen.cross_entropy_backward(a);
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

// --- a layer of torch.nn: two biases for each gate, no copies and no sums in torch

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
  m.def("log_sum_exp", &log_sum_exp, nb::arg("isa"), nb::arg("x").none(), nb::arg("y").none());
  m.def("linear_recurrence", &linear_recurrence, nb::arg("isa"), nb::arg("threads"), nb::arg("a").none(),
        nb::arg("b").none(), nb::arg("h0").none(), nb::arg("h").none());
  m.def("linear_recurrence_backward", &linear_recurrence_backward, nb::arg("isa"), nb::arg("threads"),
        nb::arg("a").none(), nb::arg("h").none(), nb::arg("h0").none(), nb::arg("dh").none(), nb::arg("da").none(),
        nb::arg("db").none(), nb::arg("dh0").none());
  m.def("cross_entropy", &cross_entropy, nb::arg("isa"), nb::arg("threads"), nb::arg("x").none(),
        nb::arg("targets").none(), nb::arg("ignored"), nb::arg("smoothing"), nb::arg("nats").none(),
        nb::arg("log_sums").none());
  m.def("cross_entropy_backward", &cross_entropy_backward, nb::arg("isa"), nb::arg("threads"), nb::arg("x").none(),
        nb::arg("targets").none(), nb::arg("ignored"), nb::arg("smoothing"), nb::arg("log_sums").none(),
        nb::arg("dnats").none(), nb::arg("dx").none());
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
