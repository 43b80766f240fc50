// SPDX-License-Identifier: BSD-3-Clause
#include "random.h"

#include <algorithm>
#include <utility>

#include "dispatch.h"

namespace fastrelu {
namespace {

__extension__ typedef unsigned __int128 Wide;

struct Product {
  std::uint64_t high, low;
};
Product multiply(std::uint64_t a, std::uint64_t b) {
  const Wide p = static_cast<Wide>(a) * b;
  return {static_cast<std::uint64_t>(p >> 64), static_cast<std::uint64_t>(p)};
}

}  // namespace

std::array<std::uint64_t, 4> philox_block(const std::array<std::uint64_t, 4>& counter,
                                          const std::array<std::uint64_t, 2>& key) {
  std::array<std::uint64_t, 4> words;
  kernels<float>().philox_blocks(counter.data(), key.data(), 1, words.data());
  return words;
}

void RandomStream::fill() {
  filled_ = std::min(std::max(4u, 2 * filled_), 4 * kMostBlocks);
  kernels<float>().philox_blocks(counter_.data(), key_.data(), filled_ / 4, words_.data());
  counter_[0] += filled_ / 4;
  used_ = 0;
}

std::uint64_t RandomStream::below(std::uint64_t n) {
  Product p = multiply(next(), n);
  if (p.low < n) {
    const std::uint64_t threshold = (0 - n) % n;
    while (p.low < threshold) p = multiply(next(), n);
  }
  return p.high;
}

void draw_order(std::uint64_t seed, Purpose purpose, std::uint64_t index, std::uint64_t time,
                Index first, std::size_t n, Index* order, Poll poll) {
  RandomStream stream(seed, purpose, index, time);
  constexpr std::size_t kBetween = std::size_t{1} << 16;  // some milliseconds
  Stopwatch watch(poll);
  for (std::size_t begin = 0; begin < n; begin += kBetween) {
    const std::size_t end = std::min(n, begin + kBetween);
    for (std::size_t i = begin; i < end; ++i) order[i] = first + static_cast<Index>(i);
    if (watch.due() && watch.stop()) throw Interrupted();
  }
  for (std::size_t end = n; end > 1;) {
    const std::size_t begin = std::max<std::size_t>(1, end - std::min(end, kBetween));
    for (std::size_t i = end; i-- > begin;) std::swap(order[i], order[stream.below(i + 1)]);
    end = begin;
    if (watch.due() && watch.stop()) throw Interrupted();
  }
}

void draw_subset(std::uint64_t seed, std::uint64_t step, std::size_t n, std::size_t m, Index* rows,
                 std::uint8_t* taken) {
  RandomStream stream(seed, Purpose::subset, 0, step);
  std::size_t count = 0;
  for (std::size_t j = n - m; j < n; ++j) {
    std::size_t t = stream.below(j + 1);
    if (taken[t] != 0) t = j;
    taken[t] = 1;
    rows[count++] = static_cast<Index>(t);
  }
  for (std::size_t i = 0; i < count; ++i) taken[rows[i]] = 0;
}

void draw_with_replacement(std::uint64_t seed, std::uint64_t step, std::size_t n, std::size_t m,
                           Index* rows) {
  RandomStream stream(seed, Purpose::with_replacement, 0, step);
  for (std::size_t i = 0; i < m; ++i) rows[i] = static_cast<Index>(stream.below(n));
}

}  // namespace fastrelu
