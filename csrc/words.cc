// The Python module unrolled._words: the words of ASCII texts, as the regular expression WORDS of
// data/encoding/tokenizers.py splits them (the definition, which the `tokenizers` library computes for any text).
//
// In ASCII its classes are  letters a-z A-Z,  alphanumeric letters and 0-9,  white space \t \n \v \f \r and blank, and
// its alternatives at a position p, of which the first that matches is the word:
//
//   alphanumeric, as few as possible, before n't     a run that ends with n and has 't behind it, without the n
//   n't                                              not before a letter, as the two above and below
//   's 'd 'm 't 're 've 'll
//   alphanumeric, as many as possible
//   any other character but white space
#include <nanobind/nanobind.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace nb = nanobind;

namespace {

static_assert(std::endian::native == std::endian::little, "hash reads the bytes of a word as one number");

enum Class : uint8_t { kSpace, kLetter, kDigit, kOther };

constexpr std::array<Class, 128> classes() {
  std::array<Class, 128> of{};
  for (int c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    of[c] = space ? kSpace : letter ? kLetter : c >= '0' && c <= '9' ? kDigit : kOther;
  }
  return of;
}
constexpr std::array<Class, 128> kClass = classes();

constexpr size_t kPadding = 8;  // bytes that may be read behind a word

inline bool letter(char c) { return kClass[static_cast<uint8_t>(c)] == kLetter; }
inline bool alphanumeric(char c) { return letter(c) || kClass[static_cast<uint8_t>(c)] == kDigit; }
inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// A text of which every byte is below 128, folded if wanted, with zeros behind it.
class Text {
 public:
  // Whether `object` is an ASCII string; its words are then those of this text.
  bool read(PyObject* object, bool lowercase) {
    if (!PyUnicode_Check(object)) return false;
    Py_ssize_t size = 0;
    const char* utf8 = PyUnicode_AsUTF8AndSize(object, &size);
    if (utf8 == nullptr) {  // an unpaired surrogate
      PyErr_Clear();
      return false;
    }
    bytes_.resize(size + kPadding);
    uint8_t all = 0;
    for (Py_ssize_t i = 0; i < size; ++i) {
      all |= static_cast<uint8_t>(utf8[i]);
      bytes_[i] = lowercase ? lower(utf8[i]) : utf8[i];
    }
    std::memset(bytes_.data() + size, 0, kPadding);
    end_ = bytes_.data() + size;
    return all < 128;
  }

  // Call visit(word, size) for each word in order.
  template <class Visit>
  void words(Visit visit) const {
    const char* p = bytes_.data();
    while (p < end_) {
      if (kClass[static_cast<uint8_t>(*p)] == kSpace) {
        ++p;
        continue;
      }
      const char* next = word_end(p);
      visit(p, static_cast<size_t>(next - p));
      p = next;
    }
  }

 private:
  // The zeros behind the text are no letters, and match no part of a contraction.
  static bool ends_negation(const char* n) {
    return lower(n[0]) == 'n' && n[1] == '\'' && lower(n[2]) == 't' && !letter(n[3]);
  }

  static size_t contraction(const char* p) {
    if (p[0] != '\'') return 0;
    const char a = lower(p[1]), b = lower(p[2]);
    if ((a == 's' || a == 'd' || a == 'm' || a == 't') && !letter(p[2])) return 2;
    const bool two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
    return two && !letter(p[3]) ? 3 : 0;
  }

  const char* word_end(const char* p) const {
    if (!alphanumeric(*p)) {
      const size_t size = contraction(p);
      return p + (size ? size : 1);
    }
    const char* end = p + 1;
    while (end < end_ && alphanumeric(*end)) ++end;
    if (!ends_negation(end - 1)) return end;
    return end - 1 > p ? end - 1 : p + 3;
  }

  std::vector<char> bytes_;
  const char* end_ = nullptr;
};

// Words with a number each, in an open hash table.
class Table {
 public:
  explicit Table(size_t expected = 0) {
    size_t slots = 64;
    while (slots < 2 * expected) slots *= 2;
    slots_.resize(slots);
  }

  // The number of a word, added with 0 if it is new. `word` has kPadding readable bytes behind it.
  int64_t& at(const char* word, size_t size) {
    if (2 * (used_ + 1) > slots_.size()) grow();
    Slot& slot = find(hash(word, size), word, size);
    if (slot.size == kFree) {
      slot = {hash(word, size), arena_.size(), size, 0};
      arena_.append(word, size);
      ++used_;
    }
    return slot.number;
  }

  // The number of a word; `missing` if it is not there.
  int64_t get(const char* word, size_t size, int64_t missing) {
    const Slot& slot = find(hash(word, size), word, size);
    return slot.size == kFree ? missing : slot.number;
  }

  template <class Visit>
  void each(Visit visit) const {
    for (const Slot& slot : slots_)
      if (slot.size != kFree) visit(arena_.data() + slot.offset, slot.size, slot.number);
  }

 private:
  static constexpr size_t kFree = ~size_t{0};
  struct Slot {
    uint64_t hash = 0;
    size_t offset = 0, size = kFree;
    int64_t number = 0;
  };

  static uint64_t hash(const char* word, size_t size) {
    constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
    uint64_t h = size * kOdd;
    for (size_t i = 0; i < size; i += 8) {
      uint64_t eight;
      std::memcpy(&eight, word + i, 8);
      if (size - i < 8) eight &= (uint64_t{1} << (8 * (size - i))) - 1;
      h = (h ^ eight) * kOdd;
      h ^= h >> 32;
    }
    return h;
  }

  Slot& find(uint64_t h, const char* word, size_t size) {
    for (size_t i = h;; ++i) {
      Slot& slot = slots_[i & (slots_.size() - 1)];
      if (slot.size == kFree) return slot;
      if (slot.hash == h && slot.size == size && std::memcmp(arena_.data() + slot.offset, word, size) == 0) return slot;
    }
  }

  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.size != kFree) find(slot.hash, arena_.data() + slot.offset, slot.size) = slot;
  }

  std::vector<Slot> slots_;
  std::string arena_;
  size_t used_ = 0;
};

nb::bytes as_bytes(const std::vector<int32_t>& values) {
  return nb::bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int32_t));
}

class Scanner {
 public:
  Scanner(const nb::list& tokens, bool lowercase) : table_(tokens.size()), lowercase_(lowercase) {
    Text text;
    int32_t id = 0;
    for (const nb::handle token : tokens) {
      Py_ssize_t size = 0;
      const char* utf8 = PyUnicode_AsUTF8AndSize(token.ptr(), &size);
      if (utf8 == nullptr) throw nb::python_error();
      std::string padded(utf8, size);
      padded.append(kPadding, '\0');
      table_.at(padded.data(), size) = id++;
    }
  }

  // The ids of the texts one after the other, and their numbers, both int32; -1 and no ids for a text that is not
  // ASCII.
  nb::tuple encode(const nb::list& texts, int32_t unknown) {
    std::vector<int32_t> ids, lengths;
    Text text;
    for (const nb::handle each : texts) {
      if (!text.read(each.ptr(), lowercase_)) {
        lengths.push_back(-1);
        continue;
      }
      const size_t before = ids.size();
      text.words(
          [&](const char* word, size_t size) { ids.push_back(static_cast<int32_t>(table_.get(word, size, unknown))); });
      if (ids.size() == before) ids.push_back(unknown);
      lengths.push_back(static_cast<int32_t>(ids.size() - before));
    }
    return nb::make_tuple(as_bytes(ids), as_bytes(lengths));
  }

 private:
  Table table_;
  bool lowercase_;
};

class Counter {
 public:
  explicit Counter(bool lowercase) : lowercase_(lowercase) {}

  // Count the words of the texts that are ASCII, and return the others.
  nb::list add(const nb::list& texts) {
    nb::list others;
    Text text;
    for (const nb::handle each : texts) {
      if (text.read(each.ptr(), lowercase_))
        text.words([&](const char* word, size_t size) { ++table_.at(word, size); });
      else
        others.append(each);
    }
    return others;
  }

  nb::dict counts() const {
    nb::dict counts;
    table_.each([&](const char* word, size_t size, int64_t number) { counts[nb::str(word, size)] = number; });
    return counts;
  }

 private:
  Table table_;
  bool lowercase_;
};

}  // namespace

NB_MODULE(_words, m) {
  nb::set_leak_warnings(false);  // a scanner that a cache holds lives as long as the interpreter
  m.doc() = "Words of ASCII texts, as the regular expression of unrolled.data.encoding.tokenizers splits them.";
  nb::class_<Scanner>(m, "Scanner", "Texts to the ids of their words.")
      .def(nb::init<const nb::list&, bool>(), nb::arg("tokens"), nb::arg("lowercase"))
      .def("encode", &Scanner::encode, nb::arg("texts"), nb::arg("unknown"));
  nb::class_<Counter>(m, "Counter", "Numbers of occurrences of words.")
      .def(nb::init<bool>(), nb::arg("lowercase"))
      .def("add", &Counter::add, nb::arg("texts"))
      .def("counts", &Counter::counts);
}
