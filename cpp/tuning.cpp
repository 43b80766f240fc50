// SPDX-License-Identifier: BSD-3-Clause
#include "tuning.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__unix__)
#include <unistd.h>
#endif

#include "environment.h"
#include "kernels/kernels.h"

namespace fastrelu {
namespace {

constexpr std::size_t kLeastChainTerms = 32, kPanelBytes = 128;
constexpr std::size_t kLeastGradient = std::size_t{1} << 14, kMostGradient = std::size_t{1} << 24;

// All of a tuning in one number, so that who reads beside who sets has the one or the other whole.
std::uint64_t packed(const Tuning& t) {
  return std::uint64_t{t.chain_terms} << 32 | std::uint64_t{t.gradient_bytes} << 1 |
         std::uint64_t{t.prefetch};
}
Tuning unpacked(std::uint64_t number) {
  Tuning t{};
  t.chain_terms = static_cast<std::size_t>(number >> 32);
  t.gradient_bytes = static_cast<std::size_t>((number & 0xffffffff) >> 1);
  t.prefetch = (number & 1) != 0;
  return t;
}

std::atomic<std::uint64_t>& current() {
  static std::atomic<std::uint64_t> now(packed(tuning_for(caches_here())));
  return now;
}

[[noreturn]] void refuse(const std::string& part) {
  throw std::invalid_argument(
      "FASTRELU_TUNE: expected parts such as chain=256,gradient=256K,prefetch=on (chain from " +
      std::to_string(kLeastChainTerms) + " to " + std::to_string(kMostChainTerms) +
      ", gradient from 16K to 16M, prefetch on or off), got '" + part + "'");
}

// A whole number, with K or M for 2^10 or 2^20 of them, from `least` to `most`.
std::size_t size_of(const std::string& part, const std::string& text, std::size_t least,
                    std::size_t most) {
  std::size_t digits = 0, value = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    value = value * 10 + static_cast<std::size_t>(text[digits] - '0');
    if (value > kMostGradient) refuse(part);
  }
  const std::string unit = text.substr(digits);
  if (digits == 0 || (!unit.empty() && unit != "K" && unit != "M")) refuse(part);
  value <<= unit.empty() ? 0 : unit == "K" ? 10 : 20;
  if (value < least || value > most) refuse(part);
  return value;
}

void set_part(Tuning* t, const std::string& part) {
  const std::size_t equals = part.find('=');
  if (equals == std::string::npos) refuse(part);
  const std::string name = part.substr(0, equals), value = part.substr(equals + 1);
  if (name == "chain") {
    t->chain_terms = size_of(part, value, kLeastChainTerms, kMostChainTerms);
  } else if (name == "gradient") {
    t->gradient_bytes = size_of(part, value, kLeastGradient, kMostGradient);
  } else if (name == "prefetch" && (value == "on" || value == "off")) {
    t->prefetch = value == "on";
  } else {
    refuse(part);
  }
}

std::string in_units(std::size_t bytes) {
  return bytes % 1024 == 0 ? std::to_string(bytes / 1024) + "K" : std::to_string(bytes);
}

#if defined(__APPLE__)
std::size_t asked(const char* name) {
  std::int64_t value = 0;
  std::size_t size = sizeof value;
  if (sysctlbyname(name, &value, &size, nullptr, 0) != 0 || value < 0) return 0;
  return static_cast<std::size_t>(value);
}
#elif defined(_SC_LEVEL1_DCACHE_SIZE)
std::size_t asked(int name) {
  const long value = sysconf(name);
  return value < 0 ? 0 : static_cast<std::size_t>(value);
}
#endif

}  // namespace

Caches caches_here() {
#if defined(__APPLE__)
  return {asked("hw.l1dcachesize"), asked("hw.l2cachesize")};
#elif defined(_SC_LEVEL1_DCACHE_SIZE)
  return {asked(_SC_LEVEL1_DCACHE_SIZE), asked(_SC_LEVEL2_CACHE_SIZE)};
#else
  return {0, 0};
#endif
}

Tuning tuning_for(const Caches& caches) {
  // Where the system does not say: what most processors have had.
  const std::size_t l1 = caches.l1 == 0 ? 32 << 10 : caches.l1;
  const std::size_t l2 = caches.l2 == 0 ? std::size_t{1} << 20 : caches.l2;
  Tuning t{};
  t.chain_terms = std::clamp(l1 / kPanelBytes, std::size_t{128}, kMostChainTerms);
  t.gradient_bytes = std::clamp(l2 / 4, std::size_t{1} << 16, std::size_t{1} << 20);
  t.prefetch = true;
  return t;
}

Tuning tuning() { return unpacked(current().load(std::memory_order_relaxed)); }

std::string tuning_text() {
  const Tuning t = tuning();
  return "chain=" + std::to_string(t.chain_terms) + ",gradient=" + in_units(t.gradient_bytes) +
         ",prefetch=" + (t.prefetch ? "on" : "off");
}

void set_tuning(const std::string& wanted) {
  Tuning t = tuning_for(caches_here());
  for (std::size_t begin = 0; begin < wanted.size();) {
    const std::size_t comma = std::min(wanted.find(',', begin), wanted.size());
    set_part(&t, wanted.substr(begin, comma - begin));
    begin = comma + 1;
    if (begin == wanted.size() && comma != wanted.size()) refuse("");
  }
  current().store(packed(t), std::memory_order_relaxed);
}

void set_tuning_from_environment() {
  const std::string wanted = environment_text("FASTRELU_TUNE");
  if (!wanted.empty()) set_tuning(wanted);
}

}  // namespace fastrelu
