// SPDX-License-Identifier: BSD-3-Clause
// Random numbers: Philox 4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// 2011), counter-based, so that a draw is a pure function of (seed, purpose, index, time) and
// nothing needs to be saved to resume. docs/arithmetic.md lays out keys and counters. Pure
// functions and a small value type; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "array.h"
#include "poll.h"

namespace fastrelu {

enum class Purpose : std::uint64_t {
  initial_weights = 1,
  row_order = 2,
  subset = 3,
  with_replacement = 4,
  dropout = 5,
  replicate = 6,
  chunk_order = 7,
  membership = 8,
  block_order = 9,
};

std::array<std::uint64_t, 4> philox_block(const std::array<std::uint64_t, 4>& counter,
                                          const std::array<std::uint64_t, 2>& key);

class RandomStream {
 public:
  RandomStream(std::uint64_t seed, Purpose purpose, std::uint64_t index, std::uint64_t time)
      : counter_{0, index, time, 0}, key_{seed, static_cast<std::uint64_t>(purpose)} {}

  std::uint64_t next() {
    if (used_ == filled_) fill();
    return words_[used_++];
  }
  // U[0, 1) in steps of 2^-53.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // A whole number in [0, n), n >= 1: multiply-shift with rejection (Lemire 2019).
  std::uint64_t below(std::uint64_t n);

 private:
  // One block, then twice as many each time: a kernel runs several at once.
  void fill();

  static constexpr unsigned kMostBlocks = 32;
  std::array<std::uint64_t, 4> counter_;
  std::array<std::uint64_t, 2> key_;
  unsigned used_ = 0, filled_ = 0;
  std::array<std::uint64_t, 4 * kMostBlocks> words_;
};

// order[0..n) = first + a random permutation of 0..n-1 (Fisher-Yates). Interrupted where `poll`
// stops it.
void draw_order(std::uint64_t seed, Purpose purpose, std::uint64_t index, std::uint64_t time,
                Index first, std::size_t n, Index* order, Poll poll = {});
// rows[0..m): a uniform m-subset of 0..n-1, in the order in which Floyd's method inserts it.
// `taken` is n bytes, all 0 before and after.
void draw_subset(std::uint64_t seed, std::uint64_t step, std::size_t n, std::size_t m, Index* rows,
                 std::uint8_t* taken);
void draw_with_replacement(std::uint64_t seed, std::uint64_t step, std::size_t n, std::size_t m,
                           Index* rows);

}  // namespace fastrelu
