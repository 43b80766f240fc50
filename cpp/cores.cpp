// SPDX-License-Identifier: BSD-3-Clause
#include "cores.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>
#include <vector>

namespace fastrelu {
namespace {

using Clock = std::chrono::steady_clock;

// How old a mask and the quotas may be: a mask takes a system call, the quotas several files.
constexpr auto kMaskAge = std::chrono::milliseconds(1);
constexpr auto kQuotaAge = std::chrono::seconds(2);

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, at);) parts.push_back(part);
  return parts;
}

bool has(const std::vector<std::string>& words, const char* word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// A hierarchy of control groups that may limit the CPU, as it is mounted.
struct Mount {
  bool version_2;
  std::string point;  // the folder
  std::string group;  // the group that this folder is
};

// A field of mountinfo, in which \ and three octal digits stand for what would end it.
std::string unescaped(const std::string& field) {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string text;
  for (std::size_t i = 0; i < field.size(); ++i) {
    const char* const at = field.c_str() + i;  // what lies behind the end is 0
    if (*at == '\\' && is_octal(at[1]) && is_octal(at[2]) && is_octal(at[3])) {
      text += static_cast<char>((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
      i += 3;
    } else {
      text += *at;
    }
  }
  return text;
}

// Whether `group` is `other` or inside of it.
bool is_within(const std::string& group, const std::string& other) {
  if (other == "/") return true;
  return group.compare(0, other.size(), other) == 0 &&
         (group.size() == other.size() || group[other.size()] == '/');
}

// The mounts among the lines of mountinfo:
// 31 23 0:28 /group /sys/fs/cgroup rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct
std::vector<Mount> cgroup_mounts(const std::string& root) {
  std::vector<Mount> mounts;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> left = split(line.substr(0, dash), ' ');
    const std::vector<std::string> right = split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    const bool version_2 = right[0] == "cgroup2";
    if (!version_2 && !(right[0] == "cgroup" && has(split(right[2], ','), "cpu"))) continue;
    mounts.push_back({version_2, unescaped(left[4]), unescaped(left[3])});
  }
  return mounts;
}

// The group of this process in the hierarchy of version 2, or in that of the CPU of version 1;
// "" for none. Lines: 0::/user.slice, 4:cpu,cpuacct:/user.slice.
std::string own_group(const std::string& root, bool version_2) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    if (version_2 ? names.empty() : has(split(names, ','), "cpu")) return line.substr(second + 1);
  }
  return "";
}

// Cores that the quota of one group allows, or 0 for no quota.
double group_quota(const std::string& folder, bool version_2) {
  std::string quota;
  double period = 0;
  if (version_2) {
    std::ifstream(folder + "/cpu.max") >> quota >> period;
  } else {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  const double number = std::strtod(quota.c_str(), nullptr);  // 0 of "max"
  return number > 0 && period > 0 ? number / period : 0;
}

// The least quota of a group and those above it, up to the mount point.
double least_quota(const std::string& root, const Mount& mount, std::string group) {
  // A container may see a part of the hierarchy alone: its own group is then the mount point.
  if (mount.group != "/" && is_within(group, mount.group)) group.erase(0, mount.group.size());
  if (is_within(group, "/..")) group.clear();
  double least = 0;
  for (;;) {
    if (group == "/") group.clear();
    const double cores = group_quota(root + mount.point + group, mount.version_2);
    if (cores > 0 && (least == 0 || cores < least)) least = cores;
    if (group.empty()) return least;
    group.erase(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

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

unsigned quota_cores(const std::string& root) {
  const std::vector<Mount> mounts = cgroup_mounts(root);
  double least = 0;
  for (const bool version_2 : {true, false}) {
    const std::string group = own_group(root, version_2);
    if (group.empty()) continue;
    const auto shows_own = [&](const Mount& mount) {
      return mount.version_2 == version_2 && is_within(group, mount.group);
    };
    // Others show somebody else's; but which is which nobody knows where a name begins outside of
    // what a container may see.
    const bool any = std::any_of(mounts.begin(), mounts.end(), shows_own);
    for (const Mount& mount : mounts) {
      const bool unknown = is_within(group, "/..") || is_within(mount.group, "/..");
      const bool may = mount.version_2 == version_2 && !any && unknown;
      if (!shows_own(mount) && !may) continue;
      const double cores = least_quota(root, mount, group);
      if (cores > 0 && (least == 0 || cores < least)) least = cores;
    }
  }
  if (least == 0) return 0;
  constexpr double kMost = std::numeric_limits<unsigned>::max();
  return least < 1 ? 1 : static_cast<unsigned>(std::min(least, kMost));
}

}  // namespace fastrelu
