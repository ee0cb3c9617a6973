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

 private:
  const Int8& int8_product() const { return int8 == 1 ? isa.int8 : isa.int8_widened; }
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
