// Tensors as arrays: read through DLPack, checked against a call's sizes and against each other for overlap.
//
// A tensor is read through its type's `__dlpack_c_exchange_api__` (DLPack 1.3): a borrowed view, some 50 ns, where
// a capsule costs microseconds a tensor. Every error is a TypeError or ValueError that names the argument.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <string>

#include "scan.h"

namespace nb = nanobind;

namespace unrolled {

using DlTensor = nb::dlpack::dltensor;

// The head of DLPack's exchange API, up to the function used here.
struct DlExchange {
  struct {
    uint32_t major, minor;
  } version;
  void* previous;
  void* allocate;
  void* managed_from_object;
  void* managed_to_object;
  int (*borrow)(void* object, DlTensor* view);
};

inline const DlExchange* exchange_of(PyTypeObject* type) {
  static PyTypeObject* known[4] = {};  // torch.Tensor, torch.nn.Parameter, …; guarded by the GIL
  static const DlExchange* exchange[4] = {};
  for (int i = 0; i < 4; ++i)
    if (known[i] == type) return exchange[i];
  const nb::object capsule =
      nb::steal(PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), "__dlpack_c_exchange_api__"));
  if (!capsule.is_valid()) {
    PyErr_Clear();
    return nullptr;
  }
  const auto* found = static_cast<const DlExchange*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  if (found == nullptr) {
    PyErr_Clear();
    return nullptr;
  }
  if (found->version.major != 1) return nullptr;
  for (int i = 0; i < 4; ++i)
    if (known[i] == nullptr) {
      Py_INCREF(reinterpret_cast<PyObject*>(type));  // PyTypeObject is opaque in the stable ABI
      known[i] = type, exchange[i] = found;
      break;
    }
  return found;
}

inline std::string shape_text(const int64_t* sizes, int count) {
  std::string text = "(";
  for (int i = 0; i < count; ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
  return text + (count == 1 ? ",)" : ")");
}

struct Array {
  const char* name = nullptr;
  char* data = nullptr;
  int ndim = 0;
  int64_t size[4] = {}, stride[4] = {};
  int bytes = 0;  // of one number
  bool integer = false, bfloat16 = false;

  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= size[i];
    return n;
  }
  // One past the last byte of the last number.
  const char* end() const {
    if (numel() == 0) return data;
    int64_t last = 0;
    for (int i = 0; i < ndim; ++i) last += (size[i] - 1) * stride[i];
    return data + (last + 1) * bytes;
  }
};

inline Array array(const char* name, nb::handle object) {
  const DlExchange* exchange = exchange_of(Py_TYPE(object.ptr()));
  if (exchange == nullptr) {
    const std::string type = nb::type_name(object.type()).c_str();
    throw nb::type_error((std::string(name) + " must be a torch.Tensor: got " + type).c_str());
  }
  DlTensor view;
  if (exchange->borrow(object.ptr(), &view) != 0) {
    PyErr_Clear();
    throw nb::type_error((std::string(name) + " must be a dense tensor with storage").c_str());
  }
  Array found;
  found.name = name;
  if (view.device.device_type != nb::device::cpu::value)
    throw nb::type_error((std::string(name) + " must be on the CPU").c_str());
  found.integer = view.dtype.code == uint8_t(nb::dlpack::dtype_code::Int);
  found.bfloat16 = view.dtype.code == uint8_t(nb::dlpack::dtype_code::Bfloat);
  const bool real = view.dtype.code == uint8_t(nb::dlpack::dtype_code::Float);
  if (view.dtype.lanes != 1 || !(found.integer || found.bfloat16 || real))
    throw nb::type_error((std::string(name) + " must hold float32, float64, bfloat16 or (lengths) int64").c_str());
  if (view.ndim > 4) throw nb::value_error((std::string(name) + " has " + std::to_string(view.ndim) + " axes").c_str());
  found.bytes = view.dtype.bits / 8;
  found.ndim = view.ndim;
  found.data = static_cast<char*>(view.data) + view.byte_offset;
  int64_t dense = 1;
  for (int i = view.ndim - 1; i >= 0; --i) {
    found.size[i] = view.shape[i];
    // The stride of an axis of size 0 or 1 is not used.
    found.stride[i] = view.strides && view.shape[i] > 1 ? view.strides[i] : dense;
    if (found.stride[i] < 0) throw nb::value_error((std::string(name) + " has a negative stride").c_str());
    dense *= std::max<int64_t>(view.shape[i], 1);
  }
  if (view.data == nullptr && found.numel() > 0)  // a wrapper subclass, or a lazy zero
    throw nb::type_error((std::string(name) + " must be a dense tensor with storage").c_str());
  return found;
}

// Whether the object is a float32 tensor on the CPU of these sizes, contiguous or, with `rows`, along its last axis.
// The error of nothing: for a caller that has another way.
inline bool holds_float32(nb::handle object, std::initializer_list<int64_t> sizes, bool rows = false) {
  const DlExchange* exchange = exchange_of(Py_TYPE(object.ptr()));
  DlTensor view;
  if (exchange == nullptr) return false;
  if (exchange->borrow(object.ptr(), &view) != 0) {
    PyErr_Clear();
    return false;
  }
  if (view.device.device_type != nb::device::cpu::value || view.dtype.lanes != 1 || view.dtype.bits != 32 ||
      view.dtype.code != uint8_t(nb::dlpack::dtype_code::Float) || view.ndim != int(sizes.size()) ||
      view.data == nullptr)
    return false;
  int64_t dense = 1;
  for (int i = view.ndim - 1; i >= 0; --i) {
    const int64_t size = sizes.begin()[i];
    if (view.shape[i] != size) return false;
    if (size > 1 && view.strides && (rows && i + 1 < view.ndim ? view.strides[i] < 0 : view.strides[i] != dense))
      return false;
    dense *= size;
  }
  return true;
}

// The tensors of one call, each checked against the call's sizes, and all of them for overlap.
template <class T>
class Checked {
 public:
  int64_t B, T_, D, H, G;
  bool time_first = false;        // sequences are (T, B, n)
  bool bfloat16 = false;          // operands (x, both weights, y) are bfloat16, in pairs; the others are float32
  const char* why = ", as x is";  // reason for the required type

  Array check(const char* name, nb::handle object, std::initializer_list<int64_t> sizes, bool operand = false) {
    const Array found = array(name, object);
    bool fits = found.ndim == int(sizes.size());
    for (int i = 0; fits && i < found.ndim; ++i) fits = found.size[i] == sizes.begin()[i];
    if (!fits)
      throw nb::value_error((std::string(name) + " must have shape " + shape_text(sizes.begin(), int(sizes.size())) +
                             ": got " + shape_text(found.size, found.ndim))
                                .c_str());
    const bool in_pairs = bfloat16 && operand;
    if (found.integer || found.bfloat16 != in_pairs || found.bytes != (in_pairs ? 2 : int(sizeof(T))))
      throw nb::type_error((std::string(name) + " must be " +
                            (in_pairs         ? "bfloat16, as x is"
                             : bfloat16       ? "float32, next to a bfloat16 x"
                             : sizeof(T) == 4 ? std::string("float32") + why
                                              : std::string("float64") + why))
                               .c_str());
    return found;
  }

  T* dense(const char* name, nb::handle object, std::initializer_list<int64_t> sizes, bool written,
           bool operand = false) {
    const Array found = check(name, object, sizes, operand);
    int64_t stride = 1;
    for (int i = found.ndim - 1; i >= 0; --i) {
      if (found.size[i] > 1 && found.numel() && found.stride[i] != stride)
        throw nb::value_error((std::string(name) + " must be contiguous").c_str());
      stride *= std::max<int64_t>(found.size[i], 1);
    }
    (written ? outputs : inputs).add(found);
    return reinterpret_cast<T*>(found.data);
  }

  T* dense_or_none(const char* name, nb::handle object, std::initializer_list<int64_t> sizes, bool written) {
    return object.is_none() ? nullptr : dense(name, object, sizes, written);
  }

  template <class U>
  Sequence<U> sequence(const char* name, nb::handle object, int64_t n, bool written, bool operand = true) {
    const Array found = check(name, object, {time_first ? T_ : B, time_first ? B : T_, n}, operand);
    if (n > 1 && found.numel() && found.stride[2] != 1)
      throw nb::value_error((std::string(name) + " must be contiguous along its last axis").c_str());
    const int64_t row = found.stride[time_first], step = found.stride[!time_first];
    if (written && B > 0 && T_ > 0 && !((T_ == 1 || step >= n) && (B == 1 || row >= (T_ - 1) * step + n)) &&
        !((B == 1 || row >= n) && (T_ == 1 || step >= (B - 1) * row + n)))
      throw nb::value_error((std::string(name) + " overlaps itself").c_str());
    (written ? outputs : inputs).add(found);
    return {reinterpret_cast<T*>(found.data), row, step};
  }

  void disjoint() const {
    for (int i = 0; i < outputs.count; ++i) {
      for (int k = i + 1; k < outputs.count; ++k) apart(outputs.array[i], outputs.array[k]);
      for (int k = 0; k < inputs.count; ++k) apart(outputs.array[i], inputs.array[k]);
    }
  }

  const int64_t* lengths(nb::handle object) {
    if (object.is_none()) return nullptr;
    const Array found = array("lengths", object);
    if (!found.integer || found.bytes != 8) throw nb::type_error("lengths must be int64");
    if (found.ndim != 1 || found.size[0] != B)
      throw nb::value_error(
          ("lengths must have shape " + shape_text(&B, 1) + ": got " + shape_text(found.size, found.ndim)).c_str());
    if (B > 1 && found.stride[0] != 1) throw nb::value_error("lengths must be contiguous");
    const auto* const values = reinterpret_cast<const int64_t*>(found.data);
    for (int64_t b = 0; b < B; ++b)
      if (values[b] < 0 || values[b] > T_)
        throw nb::value_error(
            ("lengths must lie between 0 and " + std::to_string(T_) + ": got " + std::to_string(values[b])).c_str());
    inputs.add(found);
    return values;
  }

 private:
  struct Arrays {  // large enough for every call
    Array array[16];
    int count = 0;
    void add(const Array& one) { array[count++] = one; }
  };

  static void apart(const Array& a, const Array& b) {
    if (a.data < b.end() && b.data < a.end() && a.numel() && b.numel())
      throw nb::value_error((std::string(a.name) + " overlaps " + b.name).c_str());
  }

  Arrays inputs, outputs;
};

}  // namespace unrolled
