// SPDX-License-Identifier: BSD-3-Clause
// Runs [begin, end) of a count, and the two ways in which a count is cut into nearly equal ones.
// Pure functions; any thread.
#pragma once

#include <algorithm>
#include <cstddef>

namespace fastrelu {

struct Range {
  std::size_t begin, end;
  std::size_t size() const { return end - begin; }
};

// The t-th of n runs of work for threads.
inline Range share(std::size_t count, unsigned n, unsigned t) {
  return {count * t / n, count * (t + 1) / n};
}

// The s-th of n shards of rows, sizes as numpy.array_split's: the first count % n are one longer.
inline Range shard_of(std::size_t count, std::size_t n, std::size_t s) {
  if (n == 1) return {0, count};  // a division less
  const std::size_t each = count / n, longer = count % n;
  const std::size_t begin = s * each + std::min(s, longer);
  return {begin, begin + each + (s < longer ? 1 : 0)};
}

}  // namespace fastrelu
