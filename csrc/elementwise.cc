// Kernels without a product: the softmax's normaliser, the cross-entropy, the linear recurrence of vectors.
#include <string>

#include "checks.h"

namespace unrolled {
namespace {

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

}  // namespace

void bind_elementwise(nb::module_& m) {
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
}

}  // namespace unrolled
