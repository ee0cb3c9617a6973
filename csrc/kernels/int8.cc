// A linear layer with int8 operands: the equations are in base/int8.h. A row has the same bits in any batch and for any
// number of threads, because the sums are integers.
#include "../base/int8_product.h"
#include "../base/scan.h"

namespace unrolled::UNROLLED_ISA {
namespace {

constexpr long kFewRows = 8;              // up to which threads divide the outputs, not the rows
constexpr long kWorkOfThread = 1l << 19;  // multiply-adds that justify a thread

class Int8LinearPass {
 public:
  Int8LinearPass(const Linear& a, int threads, Workspace& workspace)
      : a(a),
        threads(threads),
        packed(1, a.V, a.D, reinterpret_cast<const int32_t*>(a.packed)),
        quantised(take<int32_t>(workspace, threads * kQuantisedRows * packed.slots)) {}

  void work(int id) {
    const bool few = a.N <= kFewRows;
    const long first = few ? 0 : a.N * id / threads, end = few ? a.N : a.N * (id + 1) / threads;
    const long v_first = few ? packed.blocks * id / threads : 0;
    const long v_end = few ? packed.blocks * (id + 1) / threads : packed.blocks;
    int32_t* const mine = quantised + id * kQuantisedRows * packed.slots;
    for (long n = first; n < end; n += kQuantisedRows) {
      const long count = smaller(kQuantisedRows, end - n);
      const Quantised x(a.x + n * a.D, a.D, count, mine);
      int8_product(x, count, packed, v_first, v_end, a.bias, a.V, a.y + n * a.V);
    }
  }

 private:
  const Linear& a;
  const int threads;
  const PackedInt8<const int32_t> packed;
  int32_t* const quantised;  // (threads, kQuantisedRows, slots)
};

}  // namespace

void int8_linear_pack(const Linear& a, float* to) {
  Workspace& workspace = Workspace::of_this_thread();
  workspace.begin();
  int32_t* const row = take<int32_t>(workspace, slots_for(a.D));
  int8_pack_matrix(a.weight, 1, a.V, a.D, [](int) { return 0; }, to, row);
}

void int8_linear(const Linear& a) { run<Int8LinearPass>(a, a.N * a.D * a.V / kWorkOfThread); }

}  // namespace unrolled::UNROLLED_ISA
