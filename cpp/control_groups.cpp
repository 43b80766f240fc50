// SPDX-License-Identifier: BSD-3-Clause
#include "control_groups.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

namespace fastrelu {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, at);) parts.push_back(part);
  return parts;
}

bool has(const std::vector<std::string>& words, const char* word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Returns the limit that the files in a group's folder set, or 0 for none.
using GroupLimit = double(const std::string& folder, bool version_2);

// A hierarchy of control groups, as it is mounted.
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

// The mounts among the lines of mountinfo of version 2, and of version 1 with a controller:
// 31 23 0:28 /group /sys/fs/cgroup rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct
std::vector<Mount> cgroup_mounts(const std::string& root, const char* controller) {
  std::vector<Mount> mounts;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> left = split(line.substr(0, dash), ' ');
    const std::vector<std::string> right = split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    const bool version_2 = right[0] == "cgroup2";
    if (!version_2 && !(right[0] == "cgroup" && has(split(right[2], ','), controller))) continue;
    mounts.push_back({version_2, unescaped(left[4]), unescaped(left[3])});
  }
  return mounts;
}

// The group of this process in the hierarchy of version 2, or in a controller's of version 1; ""
// for none. Lines: 0::/user.slice, 4:cpu,cpuacct:/user.slice.
std::string own_group(const std::string& root, bool version_2, const char* controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    if (version_2 ? names.empty() : has(split(names, ','), controller))
      return line.substr(second + 1);
  }
  return "";
}

// The least limit of a group and those above it, up to the mount point.
double least_limit(const std::string& root, const Mount& mount, std::string group,
                   GroupLimit* limit_of) {
  // A container may see a part of the hierarchy alone: its own group is then the mount point.
  if (mount.group != "/" && is_within(group, mount.group)) group.erase(0, mount.group.size());
  if (is_within(group, "/..")) group.clear();
  double least = 0;
  for (;;) {
    if (group == "/") group.clear();
    const double limit = limit_of(root + mount.point + group, mount.version_2);
    if (limit > 0 && (least == 0 || limit < least)) least = limit;
    if (group.empty()) return least;
    group.erase(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
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

// Bytes that one group may have, or 0 for no limit.
double group_memory(const std::string& folder, bool version_2) {
  std::string limit;
  std::ifstream(folder + (version_2 ? "/memory.max" : "/memory.limit_in_bytes")) >> limit;
  const double bytes = std::strtod(limit.c_str(), nullptr);  // 0 of "max"
  return bytes > 0 && bytes < std::numeric_limits<double>::infinity() ? bytes : 0;
}

// The least limit of this process's groups in a hierarchy, 0 for none.
double least_group_limit(const std::string& root, const char* controller, GroupLimit* limit_of) {
  const std::vector<Mount> mounts = cgroup_mounts(root, controller);
  double least = 0;
  for (const bool version_2 : {true, false}) {
    const std::string group = own_group(root, version_2, controller);
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
      const double limit = least_limit(root, mount, group, limit_of);
      if (limit > 0 && (least == 0 || limit < least)) least = limit;
    }
  }
  return least;
}

}  // namespace

unsigned quota_cores(const std::string& root) {
  const double least = least_group_limit(root, "cpu", group_quota);
  if (least == 0) return 0;
  constexpr double kMost = std::numeric_limits<unsigned>::max();
  return least < 1 ? 1 : static_cast<unsigned>(std::min(least, kMost));
}

double memory_limit(const std::string& root) {
  return least_group_limit(root, "memory", group_memory);
}

}  // namespace fastrelu
