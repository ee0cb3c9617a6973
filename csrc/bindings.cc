// The Python module: each function checks its tensors (arrays.h), releases the GIL and calls a kernel.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "base/isa.h"
#include "base/threads.h"

namespace unrolled {
namespace {

enum Recurrence { kElman, kElmanRelu, kGru, kLstm };

const Isa& isa_of(int index) {
  if (index < 0 || index >= kIsaCount) throw nb::value_error("isa: no instruction set has this index");
  if (!kIsas[index].here())
    throw nb::value_error((std::string("isa: this processor has no ") + kIsas[index].name).c_str());
  return kIsas[index];
}

template <class T>
const Kernel<T>& kernel_of(const Isa& isa, int recurrence, bool bfloat16 = false) {
  const Kernels<T>* kernels;
  if constexpr (sizeof(T) == 4)
    kernels = bfloat16 ? &isa.bfloat16 : &isa.float32;
  else
    kernels = &isa.float64;
  const Kernel<T>& found = recurrence == kGru ? kernels->gru : recurrence == kLstm ? kernels->lstm : kernels->elman;
  if (found.forward == nullptr)
    throw nb::value_error(bfloat16 ? "isa: bfloat16 needs AVX-512 with its bfloat16 extension"
                                   : "isa: float64 is computed by the portable kernels only");
  return found;
}

void must(bool there, bool wanted, const char* name) {
  if (there != wanted)
    throw nb::value_error(
        (std::string(name) + (wanted ? " is missing" : " is not an argument of this recurrence")).c_str());
}

// The common arguments of forward and backward.
struct Weights {
  nb::handle weight_x, weight_h, bias, bias_n;
};

struct Inputs {
  nb::handle x, lengths;
  Weights weights;
  nb::handle mask, h0, c0;
};

int64_t gates_of(int recurrence) { return recurrence == kGru ? 3 : recurrence == kLstm ? 4 : 1; }

void check_threads(int threads) {
  if (threads < 1 || threads > 1024)
    throw nb::value_error(("threads must be 1 … 1024: got " + std::to_string(threads)).c_str());
}

void check_recurrence(int recurrence) {
  if (recurrence < kElman || recurrence > kLstm) throw nb::value_error("recurrence: no recurrence has this index");
}

template <class T>
void check_weights(Checked<T>& checked, Scan<T>& a, int recurrence, const Weights& in) {
  const int64_t GH = checked.G * a.H, of_pair = checked.bfloat16 ? 2 : 1;
  a.weight_x = checked.dense("weight_x", in.weight_x, {GH, a.D * of_pair}, false, true);
  a.weight_h = checked.dense("weight_h", in.weight_h, {GH, a.K * of_pair}, false, true);
  a.bias = checked.dense_or_none("bias", in.bias, {GH}, false);
  a.bias_n = checked.dense_or_none("bias_n", in.bias_n, {a.H}, false);
  if (!in.bias_n.is_none()) must(true, recurrence == kGru, "bias_n");
}

// Checks x, lengths and the sizes, for weights of H units.
template <class T>
Checked<T> check_sequence(Scan<T>& a, int recurrence, int threads, bool reverse, int64_t H, nb::handle x_object,
                          nb::handle lengths) {
  check_threads(threads);
  const Array x = array("x", x_object);
  if (x.ndim != 3) throw nb::value_error(("x must have shape (B, T, D): got " + shape_text(x.size, x.ndim)).c_str());
  Checked<T> checked;
  checked.G = gates_of(recurrence);
  a.B = checked.B = x.size[0], a.T_ = checked.T_ = x.size[1];
  a.D = checked.D = x.size[2], a.H = a.K = checked.H = H;
  if (a.D < 1) throw nb::value_error("x must have at least one feature: got D = 0");
  a.reverse = reverse, a.relu = recurrence == kElmanRelu, a.threads = threads;
  checked.bfloat16 = x.bfloat16;
  a.x = checked.template sequence<const T>("x", x_object, a.D, false);
  if (checked.bfloat16) {
    if (a.D % 2 || a.x.per_sequence % 2 || a.x.per_step % 2 || reinterpret_cast<uintptr_t>(a.x.data) % 4)
      throw nb::value_error("x must have an even number of features, and rows and steps that begin with a whole pair");
    a.D /= 2, a.K = (H + 1) / 2, a.x.per_sequence /= 2, a.x.per_step /= 2;
  }
  a.lengths = checked.lengths(lengths);
  return checked;
}

template <class T>
void check_states(Checked<T>& checked, Scan<T>& a, int recurrence, nb::handle mask, nb::handle h0, nb::handle c0) {
  a.mask = checked.dense_or_none("mask", mask, {a.B, a.H}, false);
  a.h0 = checked.dense("h0", h0, {a.B, a.H}, false);
  must(!c0.is_none(), recurrence == kLstm, "c0");
  a.c0 = checked.dense_or_none("c0", c0, {a.B, a.H}, false);
}

// Returns H. In bfloat16 a row of weight_h is padded to a whole pair, so H is taken from the number of rows.
int64_t units_of(int recurrence, nb::handle weight_h_object) {
  const Array weight_h = array("weight_h", weight_h_object);
  if (weight_h.ndim != 2)
    throw nb::value_error(
        ("weight_h must have shape (G·H, H): got " + shape_text(weight_h.size, weight_h.ndim)).c_str());
  if (weight_h.size[1] < 1) throw nb::value_error("weight_h must have at least one unit: got H = 0");
  return weight_h.bfloat16 ? weight_h.size[0] / gates_of(recurrence) : weight_h.size[1];
}

template <class T>
Checked<T> check_inputs(Scan<T>& a, int recurrence, int threads, bool reverse, const Inputs& in) {
  check_recurrence(recurrence);
  const int64_t H = units_of(recurrence, in.weights.weight_h);
  Checked<T> checked = check_sequence(a, recurrence, threads, reverse, H, in.x, in.lengths);
  check_weights(checked, a, recurrence, in.weights);
  check_states(checked, a, recurrence, in.mask, in.h0, in.c0);
  return checked;
}

template <class T>
void check_outputs(Checked<T>& checked, Forward<T>& a, int recurrence, nb::handle y, nb::handle h, nb::handle c,
                   bool learns = false) {
  must(!c.is_none(), recurrence == kLstm, "c");
  a.y = checked.template sequence<T>("y", y, a.H, true, !learns);
  a.h = checked.dense("h", h, {a.B, a.H}, true);
  a.c = checked.dense_or_none("c", c, {a.B, a.H}, true);
}

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

// --- weights packed once for many calls: for decoding step by step, where packing would take most of the time

constexpr int64_t kMostLanes = 16;  // float32 lanes of the widest instruction set

int64_t whole_vectors(int64_t units) { return (units + kMostLanes - 1) / kMostLanes * kMostLanes; }

// Aligned memory for packed weights.
class Packed {
 public:
  explicit Packed(int64_t numbers)
      : data(static_cast<float*>(operator new(size_t(numbers) * sizeof(float), std::align_val_t(kLine)))) {
    expect_large(data.get(), size_t(numbers) * sizeof(float));
  }
  float* get() const { return data.get(); }

 private:
  static constexpr size_t kLine = 64;
  struct Free {
    void operator()(float* data) const { operator delete(data, std::align_val_t(kLine)); }
  };
  std::unique_ptr<float, Free> data;
};

// A cell's packed weights.
class FrozenCell {
 public:
  FrozenCell(int recurrence, int isa, nb::handle weight_x, nb::handle weight_h, nb::handle bias, nb::handle bias_n)
      : recurrence((check_recurrence(recurrence), recurrence)), kernel(kernel_of<float>(isa_of(isa), recurrence)) {
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
    packed = std::make_unique<Packed>(checked.G * units * (D + H));
    packed_h = packed->get() + checked.G * units * D;
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

constexpr int64_t kMostInputs = 133144;  // of int8: 127² of each, and their sum fits into 32 bits

// A linear layer's weights, packed by the first call: not every layer of a network is called in decoding.
class FrozenLinear {
 public:
  // int8: 0 for float32, 1 for int8, 2 for int8 without VNNI (for tests).
  FrozenLinear(int isa, nb::object weight, nb::handle bias, int int8)
      : isa(isa_of(isa)), weight(std::move(weight)), int8(int8) {
    Checked<float> checked;
    Linear a;
    check_weight(checked, a);
    const float* const values = checked.dense_or_none("bias", bias, {a.V}, false);
    if (values) this->bias.assign(values, values + a.V);
    if (int8 && a.D > kMostInputs)
      throw nb::value_error(("weight has " + std::to_string(a.D) + " inputs: int8 allows 133144").c_str());
  }

  // y = W x + b, x (N, D), y (N, V).
  void forward(int threads, nb::handle x, nb::handle y) {
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
    (int8 ? int8_product().linear : isa.linear)(a);
  }

  // The layer as part of a block.
  Product product() {
    if (int8) throw std::invalid_argument("a block computes float32 weights, and these are int8");
    Checked<float> checked;
    Linear a;
    check_weight(checked, a);
    return {a.D, a.V, pack(a), bias.empty() ? nullptr : bias.data()};
  }

  const Isa& instruction_set() const { return isa; }

 private:
  const Int8& int8_product() const { return int8 == 1 ? isa.int8 : isa.int8_widened; }

  const float* pack(const Linear& a) {
    if (!packed) {
      packed = std::make_unique<Packed>(whole_vectors(a.V) * (int8 ? (a.D + 3) / 4 + 2 : a.D));
      (int8 ? int8_product().pack : isa.linear_pack)(a, packed->get());
    }
    return packed->get();
  }

  void check_weight(Checked<float>& checked, Linear& a) const {
    checked.why = "";
    const Array weights = array("weight", weight);
    if (weights.ndim != 2)
      throw nb::value_error(("weight must have shape (V, D): got " + shape_text(weights.size, weights.ndim)).c_str());
    a.V = weights.size[0], a.D = weights.size[1];
    a.weight = checked.dense("weight", weight, {a.V, a.D}, false);
  }

  const Isa& isa;
  const nb::object weight;
  const int int8;
  std::vector<float> bias;
  std::unique_ptr<Packed> packed;
};

// A norm: gain (D) or None, bias (D) or None.
struct FrozenNorm {
  std::vector<float> gain, bias;
  float epsilon = 0;
  bool rms = false;

  FrozenNorm() = default;
  FrozenNorm(int64_t D, nb::handle gain, nb::handle bias, double epsilon, bool rms)
      : epsilon(float(epsilon)), rms(rms) {
    Checked<float> checked;
    checked.why = "";
    if (const float* const values = checked.dense_or_none("gain", gain, {D}, false))
      this->gain.assign(values, values + D);
    if (const float* const values = checked.dense_or_none("bias", bias, {D}, false))
      this->bias.assign(values, values + D);
  }
  Normalization get() const {
    return {gain.empty() ? nullptr : gain.data(), bias.empty() ? nullptr : bias.data(), epsilon, rms};
  }
};

// The blocks of a Transformer with packed weights, for single steps of all of them in one call.
class FrozenBlocks {
 public:
  FrozenBlocks(int isa, int64_t D) : isa(isa_of(isa)), D(D) {
    if (D < 1) throw nb::value_error("D must be at least 1");
  }
  FrozenBlocks(const FrozenBlocks&) = delete;

  // Adds a block: five linear layers or, with cross-attention, seven keyword arguments of FrozenLinear; two norms or
  // three, each (gain, bias, epsilon, rms).
  void add(int64_t num_heads, int64_t kv_heads, bool pre, bool gated, int phi, nb::list norms, nb::object project,
           nb::object output, nb::object inner, nb::object outer, nb::object query, nb::object cross_output) {
    Block b{};
    b.D = D, b.N = num_heads, b.M = kv_heads, b.pre = pre, b.gated = gated, b.cross = !query.is_none();
    if (b.N < 1 || b.M < 1 || b.N % b.M || D % b.N) throw nb::value_error("heads do not divide the size");
    if (phi < 0 || phi > int(Phi::kSilu)) throw nb::value_error("phi: no nonlinearity has this index");
    b.phi = Phi(phi), b.K = D / b.N;
    b.project = linear("project", project, D, D + 2 * b.M * b.K);
    b.output = linear("output", output, D, D);
    b.inner = linear("inner", inner, D, -1);
    b.F = gated ? b.inner.V / 2 : b.inner.V;
    if (gated && b.inner.V % 2) throw nb::value_error("inner: a gated layer has an even number of outputs");
    b.outer = linear("outer", outer, b.F, D);
    if (b.cross) {
      b.query = linear("query", query, D, D);
      b.cross_output = linear("cross_output", cross_output, D, D);
    }
    if (int(nb::len(norms)) != (b.cross ? 3 : 2)) throw nb::value_error("norms: one for each sublayer");
    auto kept = std::make_unique<FrozenNorm[]>(3);
    for (int i = 0; i < int(nb::len(norms)); ++i) {
      kept[size_t(i)] = norm_of(nb::borrow<nb::tuple>(norms[i]));
      b.norms[i] = kept[size_t(i)].get();
    }
    all_norms.push_back(std::move(kept));
    blocks.push_back(b);
  }

  void set_norm(nb::tuple norm) {
    last = norm_of(norm);
    has_last = true;
  }

  // One step: y (B, D) of x (B, D), plus rows `lengths` of `positions` (·, D) where it is not None. keys, values: of
  // each block, (B, M, C, K), into which the step is written. source_keys, source_values: (B, M, S, K) of each block.
  void step(int threads, nb::handle x, nb::handle y, nb::handle positions, nb::handle rotary, nb::handle lengths,
            int64_t longest, nb::list keys, nb::list values, nb::handle source_keys, nb::handle source_lengths) const {
    check_threads(threads);
    if (blocks.empty()) throw nb::value_error("there are no blocks");
    const Array rows = array("x", x);
    if (rows.ndim != 2)
      throw nb::value_error(("x must have shape (B, D): got " + shape_text(rows.size, rows.ndim)).c_str());
    Checked<float> checked;
    checked.why = "";
    const int64_t B = rows.size[0], K = blocks[0].K;
    const float* const from = checked.dense("x", x, {B, D}, false);
    float* const to = checked.dense("y", y, {B, D}, true);
    checked.B = B, checked.T_ = longest;
    if (lengths.is_none()) throw nb::type_error("lengths must be int64: got None");
    BlockStep a{};
    a.B = B, a.threads = threads, a.longest = longest, a.x = to;
    a.lengths = checked.lengths(lengths);
    const float* const places = table("positions", positions, D, longest);
    a.rotary = table("rotary", rotary, 2 * K, longest);
    const int64_t L = int64_t(blocks.size());
    if (int64_t(nb::len(keys)) != L || int64_t(nb::len(values)) != L)
      throw nb::value_error("keys and values: one of each for every block");
    const bool cross = blocks[0].cross;
    std::vector<Heads> heads;
    heads.reserve(size_t(4 * L));
    for (int64_t i = 0; i < L; ++i) {
      const Block& b = blocks[size_t(i)];
      heads.push_back(room("keys", keys[size_t(i)], B, b, longest + 1));
      heads.push_back(room("values", values[size_t(i)], B, b, longest + 1));
    }
    if (cross) {
      const auto pairs = nb::borrow<nb::tuple>(source_keys);
      if (int64_t(nb::len(pairs)) != L) throw nb::value_error("source_keys: a pair for every block");
      for (int64_t i = 0; i < L; ++i) {
        const Block& b = blocks[size_t(i)];
        const auto pair = nb::borrow<nb::tuple>(pairs[size_t(i)]);
        const int64_t S = array("source_keys", pair[0]).size[2];
        if (i == 0) a.S = S;
        if (S != a.S || S < 1) throw nb::value_error("source_keys: of the same source, of at least one step");
        heads.push_back(room("source_keys", pair[0], B, b, S));
        heads.push_back(room("source_values", pair[1], B, b, S));
      }
      checked.T_ = a.S;
      if (source_lengths.is_none()) throw nb::type_error("source_lengths must be int64: got None");
      a.source_lengths = checked.lengths(source_lengths);
      for (int64_t b = 0; b < B; ++b)
        if (a.source_lengths[b] < 1) throw nb::value_error("source_lengths must be at least 1");
    }
    checked.disjoint();
    const nb::gil_scoped_release release;
    for (int64_t b = 0; b < B; ++b)
      for (int64_t i = 0; i < D; ++i) to[b * D + i] = from[b * D + i] + (places ? places[a.lengths[b] * D + i] : 0.f);
    for (int64_t i = 0; i < L; ++i) {
      a.block = &blocks[size_t(i)];
      a.key = heads[size_t(2 * i)], a.value = heads[size_t(2 * i + 1)];
      if (cross) a.source_key = heads[size_t(2 * (L + i))], a.source_value = heads[size_t(2 * (L + i) + 1)];
      isa.block_step(a);
    }
    if (has_last) isa.normalize_rows({B, D, last.get(), to, to});
  }

 private:
  FrozenNorm norm_of(nb::tuple norm) const {
    if (nb::len(norm) != 4) throw nb::value_error("a norm is (gain, bias, epsilon, rms)");
    return FrozenNorm(D, norm[0], norm[1], nb::cast<double>(norm[2]), nb::cast<bool>(norm[3]));
  }

  Product linear(const char* name, nb::object layer, int64_t inputs, int64_t outputs) {
    auto& frozen = nb::cast<FrozenLinear&>(layer);
    if (&frozen.instruction_set() != &isa)
      throw nb::value_error((std::string(name) + " is packed for another instruction set").c_str());
    const Product found = frozen.product();
    if (found.D != inputs || (outputs >= 0 && found.V != outputs))
      throw nb::value_error((std::string(name) + " has the wrong size").c_str());
    layers.push_back(std::move(layer));  // keeps what is packed
    return found;
  }

  // A table (n, size) with a row for position `longest`, or null.
  static const float* table(const char* name, nb::handle object, int64_t size, int64_t longest) {
    if (object.is_none()) return nullptr;
    Checked<float> checked;
    checked.why = "";
    const Array found = array(name, object);
    if (found.ndim != 2 || found.size[0] <= longest)
      throw nb::value_error((std::string(name) + " has no row for position " + std::to_string(longest)).c_str());
    return checked.dense(name, object, {found.size[0], size}, false);
  }

  // Keys or values (B, M, at least `steps`, K), whose steps are contiguous.
  static Heads room(const char* name, nb::handle object, int64_t B, const Block& b, int64_t steps) {
    const Array found = array(name, object);
    if (found.ndim != 4 || found.size[0] != B || found.size[1] != b.M || found.size[2] < steps || found.size[3] != b.K)
      throw nb::value_error((std::string(name) + " must have shape (B, M, " + std::to_string(steps) +
                             " or more, K): got " + shape_text(found.size, found.ndim))
                                .c_str());
    if (found.integer || found.bfloat16 || found.bytes != 4)
      throw nb::type_error((std::string(name) + " must be float32").c_str());
    if (b.K > 1 && found.stride[3] != 1)
      throw nb::value_error((std::string(name) + " must be contiguous along its last axis").c_str());
    return {reinterpret_cast<float*>(found.data), found.stride[0], found.stride[1], found.stride[2]};
  }

  const Isa& isa;
  const int64_t D;
  std::vector<Block> blocks;
  std::vector<nb::object> layers;
  std::vector<std::unique_ptr<FrozenNorm[]>> all_norms;
  FrozenNorm last;
  bool has_last = false;
};

// to[i] = from[index[i]], the first `steps` of keys or values (B, M, ., K) of each pair in `from` and `to`.
void gather_heads(nb::handle index, nb::list from, nb::list to, int64_t steps) {
  const Array rows = array("index", index);
  if (rows.ndim != 1 || !rows.integer || rows.bytes != 8) throw nb::type_error("index must be (B,) int64");
  if (rows.size[0] > 1 && rows.stride[0] != 1) throw nb::value_error("index must be contiguous");
  const auto* const chosen = reinterpret_cast<const int64_t*>(rows.data);
  const int64_t B = rows.size[0];
  std::vector<Array> all;
  if (nb::len(from) != nb::len(to)) throw nb::value_error("from and to must be of one length");
  for (size_t i = 0; i < nb::len(from); ++i) {
    const Array a = array("from", from[i]), b = array("to", to[i]);
    for (const Array& each : {a, b})
      if (each.ndim != 4 || each.bytes != 4 || each.integer || each.size[1] != a.size[1] || each.size[2] < steps ||
          each.size[3] != a.size[3] || (each.size[3] > 1 && each.stride[3] != 1) ||
          (each.size[2] > 1 && each.stride[2] != each.size[3]))
        throw nb::value_error("from and to must be float32 (B, M, steps or more, K), whose steps follow each other");
    if (b.size[0] != B) throw nb::value_error("to must have as many sequences as index");
    if (a.data < b.end() && b.data < a.end()) throw nb::value_error("from overlaps to");
    for (int64_t row = 0; row < B; ++row)
      if (chosen[row] < 0 || chosen[row] >= a.size[0]) throw nb::value_error("index is out of range");
    all.push_back(a), all.push_back(b);
  }
  const nb::gil_scoped_release release;
  for (size_t i = 0; i < all.size(); i += 2) {
    const Array &a = all[i], &b = all[i + 1];
    const size_t bytes = size_t(steps * a.size[3]) * sizeof(float);
    for (int64_t row = 0; row < B; ++row)
      for (int64_t m = 0; m < a.size[1]; ++m)
        memcpy(b.data + (row * b.stride[0] + m * b.stride[1]) * 4,
               a.data + (chosen[row] * a.stride[0] + m * a.stride[1]) * 4, bytes);
  }
}

// ln Σ e^x of each row of x (N, V): y (N).
void log_sum_exp(int isa, nb::handle x, nb::handle y) {
  const Isa& chosen = isa_of(isa);
  const Array rows = array("x", x);
  if (rows.ndim != 2 || rows.size[1] < 1)
    throw nb::value_error(("x must have shape (N, V): got " + shape_text(rows.size, rows.ndim)).c_str());
  if (rows.bytes != 4 || rows.integer || rows.bfloat16) throw nb::type_error("x must be float32");
  if (rows.size[1] > 1 && rows.stride[1] != 1) throw nb::value_error("x must be contiguous along its last axis");
  Checked<float> checked;
  float* const to = checked.dense("y", y, {rows.size[0]}, true);
  const LogSumExp a{rows.size[0], rows.size[1], rows.stride[0], reinterpret_cast<const float*>(rows.data), to};
  const nb::gil_scoped_release release;
  chosen.log_sum_exp(a);
}

// Gradients of a linear layer from dy (N, V): dx (N, D), dweight (V, D) and dbias (V), each or None.
void linear_backward(int isa, int threads, nb::handle x, nb::handle weight, nb::handle dy, nb::handle dx,
                     nb::handle dweight, nb::handle dbias) {
  const Isa& chosen = isa_of(isa);
  Checked<float> checked;
  LinearBackward a;
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
  const Array x = array("x", in.x);
  if (x.ndim != 3 || D < 1 || H < 1 || !holds_float32(in.x, {x.size[0], x.size[1], D}, true)) return false;
  const int64_t GH = gates_of(recurrence) * H, B = x.size[in.time_first];
  if (B < 1 || x.size[!in.time_first] < 1) return false;
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
  nb::class_<FrozenCell>(m, "FrozenCell", "A cell's float32 weights, packed once for many forward calls.")
      .def(nb::init<int, int, nb::handle, nb::handle, nb::handle, nb::handle>(), nb::arg("recurrence"), nb::arg("isa"),
           nb::arg("weight_x").none(), nb::arg("weight_h").none(), nb::arg("bias").none(), nb::arg("bias_n").none())
      .def("forward", &FrozenCell::forward, nb::arg("threads"), nb::arg("reverse"), nb::arg("x").none(),
           nb::arg("lengths").none(), nb::arg("mask").none(), nb::arg("h0").none(), nb::arg("c0").none(),
           nb::arg("y").none(), nb::arg("h").none(), nb::arg("c").none());
  nb::class_<FrozenLinear>(m, "FrozenLinear",
                           "A linear layer's weights, packed once for many forward calls: in float32 or int8.")
      .def(nb::init<int, nb::object, nb::handle, int>(), nb::arg("isa"), nb::arg("weight").none(),
           nb::arg("bias").none(), nb::arg("int8") = 0)
      .def("forward", &FrozenLinear::forward, nb::arg("threads"), nb::arg("x").none(), nb::arg("y").none());
  nb::class_<FrozenBlocks>(m, "FrozenBlocks", "The blocks of a Transformer, for single steps in one call.")
      .def(nb::init<int, int64_t>(), nb::arg("isa"), nb::arg("size"))
      .def("add", &FrozenBlocks::add, nb::arg("num_heads"), nb::arg("kv_heads"), nb::arg("pre"), nb::arg("gated"),
           nb::arg("phi"), nb::arg("norms"), nb::arg("project"), nb::arg("output"), nb::arg("inner"), nb::arg("outer"),
           nb::arg("query").none(), nb::arg("cross_output").none())
      .def("set_norm", &FrozenBlocks::set_norm, nb::arg("norm"))
      .def("step", &FrozenBlocks::step, nb::arg("threads"), nb::arg("x").none(), nb::arg("y").none(),
           nb::arg("positions").none(), nb::arg("rotary").none(), nb::arg("lengths").none(), nb::arg("longest"),
           nb::arg("keys"), nb::arg("values"), nb::arg("source_keys").none(), nb::arg("source_lengths").none());
  m.def("gather_heads", &gather_heads, nb::arg("index").none(), nb::arg("from"), nb::arg("to"), nb::arg("steps"));
  m.def("log_sum_exp", &log_sum_exp, nb::arg("isa"), nb::arg("x").none(), nb::arg("y").none());
  m.def("linear", &linear, nb::arg("isa"), nb::arg("threads"), nb::arg("x").none(), nb::arg("weight").none(),
        nb::arg("bias").none(), nb::arg("y").none());
  m.def("linear_backward", &linear_backward, nb::arg("isa"), nb::arg("threads"), nb::arg("x").none(),
        nb::arg("weight").none(), nb::arg("dy").none(), nb::arg("dx").none(), nb::arg("dweight").none(),
        nb::arg("dbias").none());
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
