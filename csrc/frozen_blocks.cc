// The blocks of a Transformer with packed weights, and the cache that their steps write.
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "frozen.h"

namespace unrolled {
namespace {

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
      (int8 ? int8_of(isa, int8).block_step : isa.block_step)(a);
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
    if (found.int8) {
      if (int8 && int8 != frozen.precision()) throw nb::value_error("int8 products of two kinds");
      int8 = frozen.precision();
    }
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
  int int8 = 0;  // of its products, as in FrozenLinear
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

}  // namespace

void bind_frozen_blocks(nb::module_& m) {
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
}

}  // namespace unrolled
