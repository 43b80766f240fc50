// SPDX-License-Identifier: BSD-3-Clause
#include "cores.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "control_groups.h"

namespace fastrelu {
namespace {

using Clock = std::chrono::steady_clock;

// How old a mask and the quotas may be: a mask takes a system call, the quotas several files.
constexpr auto kMaskAge = std::chrono::milliseconds(1);
constexpr auto kQuotaAge = std::chrono::seconds(2);

unsigned known_quota(bool now) {
  static std::atomic<unsigned> cores{0};
  static std::atomic<Clock::rep> looked{0};  // at no time
  const Clock::rep time = Clock::now().time_since_epoch().count();
  const Clock::rep before = looked.load(std::memory_order_acquire);
  if (now || before == 0 || time - before > Clock::duration(kQuotaAge).count()) {
    // Others go on with what was found last, meanwhile; at first they look, too.
    if (before != 0) looked.store(time, std::memory_order_relaxed);
    cores.store(quota_cores(""), std::memory_order_relaxed);
    if (before == 0) looked.store(time, std::memory_order_release);
  }
  return cores.load(std::memory_order_relaxed);
}

struct OwnCores {
  CoreSet cores;
  Clock::time_point looked;
  bool is_known = false;
};

OwnCores& own(bool now) {
  thread_local OwnCores found;
  const Clock::time_point time = Clock::now();
  if (now || !found.is_known || time - found.looked > kMaskAge) {
    found = {CoreSet::of_this_thread(), time, true};
  }
  return found;
}

}  // namespace

#if defined(__linux__)
CoreSet CoreSet::of_this_thread() {
  CoreSet found;
  CPU_ZERO(&found.mask_);
  found.known_ = sched_getaffinity(0, sizeof found.mask_, &found.mask_) == 0;
  return found;
}

unsigned CoreSet::count() const {
  return known_ ? static_cast<unsigned>(CPU_COUNT(&mask_)) : std::thread::hardware_concurrency();
}

bool CoreSet::operator==(const CoreSet& other) const {
  return known_ == other.known_ && (!known_ || CPU_EQUAL(&mask_, &other.mask_));
}

void CoreSet::take() const {
  if (known_) sched_setaffinity(0, sizeof mask_, &mask_);
}
#else
CoreSet CoreSet::of_this_thread() { return {}; }
unsigned CoreSet::count() const { return std::thread::hardware_concurrency(); }
bool CoreSet::operator==(const CoreSet&) const { return true; }
void CoreSet::take() const {}
#endif

const CoreSet& own_cores() { return own(false).cores; }

unsigned usable_cores(bool now) {
  const unsigned cores = own(now).cores.count(), quota = known_quota(now);
  return std::max(1u, quota > 0 ? std::min(cores, quota) : cores);
}

}  // namespace fastrelu
