// The arguments that several functions of bindings.cc and frozen.cc take, each checked; see arrays.h.
#pragma once

#include <string>

#include "arrays.h"
#include "base/isa.h"

namespace unrolled {

enum Recurrence { kElman, kElmanRelu, kGru, kLstm };

inline const Isa& isa_of(int index) {
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

inline void must(bool there, bool wanted, const char* name) {
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

// Numbers for each unit and step that a forward pass saves for its backward pass.
inline int64_t saved_of(int recurrence) { return recurrence == kGru ? 4 : recurrence == kLstm ? 5 : 0; }

inline int64_t gates_of(int recurrence) { return recurrence == kGru ? 3 : recurrence == kLstm ? 4 : 1; }

inline void check_threads(int threads) {
  if (threads < 1 || threads > 1024)
    throw nb::value_error(("threads must be 1 … 1024: got " + std::to_string(threads)).c_str());
}

inline void check_recurrence(int recurrence) {
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
inline int64_t units_of(int recurrence, nb::handle weight_h_object) {
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

void bind_layer(nb::module_& m);        // layer.cc
void bind_elementwise(nb::module_& m);  // elementwise.cc

}  // namespace unrolled
