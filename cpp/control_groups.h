// SPDX-License-Identifier: BSD-3-Clause
// What the control groups of this process leave it: the least limit from its own group up to the
// root of each hierarchy, of version 2 and 1. `root` stands before /proc and each mount point, for
// tests. Any thread; several files are read.
#pragma once

#include <string>

namespace fastrelu {

// Whole cores that the CPU quotas leave (cpu.max, cpu.cfs_quota_us), 1 at least, or 0 where there
// is none.
unsigned quota_cores(const std::string& root);

// Bytes of memory (memory.max, memory.limit_in_bytes), or 0 for no limit; version 1 says some 2^63
// where there is none.
double memory_limit(const std::string& root);

}  // namespace fastrelu
