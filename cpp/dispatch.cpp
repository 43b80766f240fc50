// SPDX-License-Identifier: BSD-3-Clause
#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace fastrelu {

#define FASTRELU_DECLARE_TABLES(isa)              \
  namespace isa {                                 \
  extern const KernelTable<float> table_float32;  \
  extern const KernelTable<double> table_float64; \
  }
#if defined(__x86_64__)
FASTRELU_DECLARE_TABLES(x86_v4)
FASTRELU_DECLARE_TABLES(x86_v3)
#endif
#if defined(__aarch64__)
FASTRELU_DECLARE_TABLES(neon)
#endif
FASTRELU_DECLARE_TABLES(baseline)

namespace {

bool always() { return true; }
#if defined(__x86_64__)
bool has_x86_v4() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}
bool has_x86_v3() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

struct Isa {
  const char* name;
  bool (*runs_here)();
  const KernelTable<float>* float32;
  const KernelTable<double>* float64;
};

const Isa kIsas[] = {
#if defined(__x86_64__)
    {"x86_v4", has_x86_v4, &x86_v4::table_float32, &x86_v4::table_float64},
    {"x86_v3", has_x86_v3, &x86_v3::table_float32, &x86_v3::table_float64},
#endif
#if defined(__aarch64__)
    {"neon", always, &neon::table_float32, &neon::table_float64},
#endif
    {"baseline", always, &baseline::table_float32, &baseline::table_float64},
};

const Isa* best() {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  for (const Isa& isa : kIsas) {
    if (isa.runs_here()) return &isa;
  }
  return nullptr;  // never: baseline always runs
}

std::atomic<const Isa*> active{nullptr};

const Isa& current() {
  const Isa* isa = active.load(std::memory_order_acquire);
  if (isa == nullptr) {
    isa = best();
    active.store(isa, std::memory_order_release);
  }
  return *isa;
}

std::string join(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

}  // namespace

std::vector<std::string> compiled_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : kIsas) names.emplace_back(isa.name);
  return names;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  best();
  for (const Isa& isa : kIsas) {
    if (isa.runs_here()) names.emplace_back(isa.name);
  }
  return names;
}

std::string active_isa() { return current().name; }

void select_isa(const std::string& name) {
  best();
  for (const Isa& isa : kIsas) {
    if (name != isa.name) continue;
    if (!isa.runs_here()) {
      throw std::invalid_argument("FASTRELU_ISA: this processor does not run '" + name +
                                  "'; it runs: " + join(available_isas()));
    }
    active.store(&isa, std::memory_order_release);
    return;
  }
  throw std::invalid_argument("FASTRELU_ISA: unknown instruction set '" + name +
                              "'; this build knows: " + join(compiled_isas()));
}

void select_isa_from_environment() {
  const char* name = std::getenv("FASTRELU_ISA");
  if (name != nullptr && *name != '\0') select_isa(name);
}

template <>
const KernelTable<float>& kernels<float>() {
  return *current().float32;
}
template <>
const KernelTable<double>& kernels<double>() {
  return *current().float64;
}

}  // namespace fastrelu
