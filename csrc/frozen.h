// Weights packed once for many calls: for decoding step by step, where packing would take most of the time.
#pragma once

#include <memory>
#include <new>
#include <vector>

#include "base/threads.h"
#include "checks.h"

namespace unrolled {

constexpr int64_t kMostLanes = 16;  // float32 lanes of the widest instruction set

inline int64_t whole_vectors(int64_t units) { return (units + kMostLanes - 1) / kMostLanes * kMostLanes; }

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

// Numbers of 32 bits in a row of K int8 weights, its scale and its beginning.
inline int64_t int8_words(int64_t K) { return (K + 3) / 4 + 2; }

constexpr int64_t kMostInputs = 133144;  // of int8: 127² of each, and their sum fits into 32 bits

inline void check_inputs_of_int8(const char* name, int64_t inputs) {
  if (inputs > kMostInputs)
    throw nb::value_error(
        (std::string(name) + " has " + std::to_string(inputs) + " inputs: int8 allows 133144").c_str());
}

// int8: 1, or 2 without VNNI (for tests).
inline const Int8& int8_of(const Isa& isa, int int8) { return int8 == 1 ? isa.int8 : isa.int8_widened; }

// A linear layer's weights, packed by the first call: not every layer of a network is called in decoding.
class FrozenLinear {
 public:
  // int8: 0 for float32, 1 for int8, 2 for int8 without VNNI (for tests).
  FrozenLinear(int isa, nb::object weight, nb::handle bias, int int8);

  // y = W x + b, x (N, D), y (N, V).
  void forward(int threads, nb::handle x, nb::handle y);

  // The layer as part of a block.
  Product product();

  const Isa& instruction_set() const { return isa; }
  int precision() const { return int8; }

 private:
  const float* pack(const Linear& a);
  void check_weight(Checked<float>& checked, Linear& a) const;

  const Isa& isa;
  const nb::object weight;
  const int int8;
  std::vector<float> bias;
  std::unique_ptr<Packed> packed;
};

void bind_frozen_layers(nb::module_& m);  // frozen.cc
void bind_frozen_blocks(nb::module_& m);  // frozen_blocks.cc

}  // namespace unrolled
