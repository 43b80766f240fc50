// SPDX-License-Identifier: BSD-3-Clause
#include "dispatch.h"

#include <atomic>
#include <cstdint>
#include <stdexcept>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "environment.h"

namespace fastrelu {

#define FASTRELU_DECLARE_TABLES(isa)              \
  namespace isa {                                 \
  extern const KernelTable<float> table_float32;  \
  extern const KernelTable<double> table_float64; \
  }
#if defined(__x86_64__)
#if !defined(FASTRELU_WITHOUT_X86_V4)
FASTRELU_DECLARE_TABLES(x86_v4)
#endif
FASTRELU_DECLARE_TABLES(x86_v3)
#endif
#if defined(__aarch64__)
FASTRELU_DECLARE_TABLES(neon)
#endif
FASTRELU_DECLARE_TABLES(baseline)

namespace {

bool always() { return true; }
#if defined(__x86_64__)
// What the processor computes and the operating system keeps of it. The compilers' own
// __builtin_cpu_supports asks their run-time library, and that of Zig's Clang says no to
// everything.
struct Processor {
  bool x86_v3 = false;
  bool x86_v4 = false;
};

__attribute__((target("xsave"))) std::uint64_t kept_registers() { return _xgetbv(0); }

Processor asked() {
  constexpr auto bit = [](unsigned place) { return 1u << place; };
  constexpr unsigned kFma = bit(12), kXsave = bit(27), kAvx = bit(28);           // leaf 1, ecx
  constexpr unsigned kAvx2 = bit(5);                                             // leaf 7, ebx
  constexpr unsigned kAvx512 = bit(16) | bit(17) | bit(28) | bit(30) | bit(31);  // F DQ CD BW VL
  constexpr std::uint64_t kYmm = 0x6, kZmm = 0xe6;
  const auto all = [](auto of, auto wanted) { return (of & wanted) == wanted; };

  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  Processor found;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || !all(ecx, kFma | kXsave | kAvx)) return found;
  const std::uint64_t kept = kept_registers();
  if (!all(kept, kYmm) || __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return found;
#if defined(__APPLE__)
  const bool keeps_zmm = true;  // from the first use on
#else
  const bool keeps_zmm = all(kept, kZmm);
#endif
  found.x86_v3 = all(ebx, kAvx2);
  found.x86_v4 = found.x86_v3 && keeps_zmm && all(ebx, kAvx512);
  return found;
}

// Asked once: a virtual machine takes microseconds for each answer.
const Processor& this_processor() {
  static const Processor found = asked();
  return found;
}

#if !defined(FASTRELU_WITHOUT_X86_V4)
bool has_x86_v4() { return this_processor().x86_v4; }
#endif
bool has_x86_v3() { return this_processor().x86_v3; }
#endif

struct Isa {
  const char* name;
  bool (*runs_here)();
  const KernelTable<float>* float32;
  const KernelTable<double>* float64;
};

const Isa kIsas[] = {
#if defined(__x86_64__)
#if !defined(FASTRELU_WITHOUT_X86_V4)
    {"x86_v4", has_x86_v4, &x86_v4::table_float32, &x86_v4::table_float64},
#endif
    {"x86_v3", has_x86_v3, &x86_v3::table_float32, &x86_v3::table_float64},
#endif
#if defined(__aarch64__)
    {"neon", always, &neon::table_float32, &neon::table_float64},
#endif
    {"baseline", always, &baseline::table_float32, &baseline::table_float64},
};

const Isa* best() {
  for (const Isa& isa : kIsas) {
    if (isa.runs_here()) return &isa;
  }
  return nullptr;  // never: baseline always runs
}

std::atomic<const Isa*> active{nullptr};

const Isa& current() {
  const Isa* isa = active.load(std::memory_order_acquire);
  if (isa == nullptr) {
    const Isa* const found = best();
    if (active.compare_exchange_strong(isa, found, std::memory_order_acq_rel)) isa = found;
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
  const std::string name = environment_text("FASTRELU_ISA");
  if (!name.empty()) select_isa(name);
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
