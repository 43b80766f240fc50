// SPDX-License-Identifier: BSD-3-Clause
// What a test of the core needs, and no more: TEST(name) { ... CHECK(condition) ... }. A check that
// fails ends its test; the program says which, and its exit status is 1. One thread runs the tests.
#pragma once

#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fastrelu::tests {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& all_tests() {
  static std::vector<Test> tests;
  return tests;
}

struct Registration {
  Registration(const char* name, void (*run)()) { all_tests().push_back({name, run}); }
};

// What the checks at work are about, outermost first; a failure tells it.
inline std::vector<std::string>& context() {
  static std::vector<std::string> lines;
  return lines;
}

class Context {
 public:
  explicit Context(std::string text) { context().push_back(std::move(text)); }
  ~Context() { context().pop_back(); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
};

inline void check(bool holds, const char* condition, const char* file, int line) {
  if (holds) return;
  std::string text = std::string(file) + ":" + std::to_string(line) + ": " + condition;
  for (const std::string& each : context()) text += "\n    " + each;
  throw std::runtime_error(text);
}

// Equal bytes; any NaN equals any NaN.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool both_nan = a[i] != a[i] && b[i] != b[i];
    if (!both_nan && std::memcmp(&a[i], &b[i], sizeof(T)) != 0) return false;
  }
  return true;
}

template <class Error>
bool throws(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error&) {
    return true;
  }
  return false;
}

}  // namespace fastrelu::tests

#define TEST(name)                                                           \
  static void test_##name();                                                 \
  static const fastrelu::tests::Registration add_##name{#name, test_##name}; \
  static void test_##name()

#define CHECK(condition) fastrelu::tests::check((condition), #condition, __FILE__, __LINE__)
