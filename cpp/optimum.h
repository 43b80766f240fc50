// SPDX-License-Identifier: BSD-3-Clause
// The greatest value of a weighted sum of a piecewise-linear network's outputs over a box of
// inputs, by branch and bound: boxes are bounded (box_bound.h) and halved, those of the greatest
// bounds first, in rounds of a fixed number. docs/bounds.md says how.
//
// The same bits for any number of threads, unless the time ends the search. The calling thread asks
// its poll (poll.h) and is the only one to throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ball.h"
#include "network.h"

namespace fastrelu {

enum class SearchEnd : std::uint8_t {
  optimal,    // the bound is within the tolerance of the value
  decided,    // bound or value are on one side of the threshold
  roundings,  // all boxes are as small as helps; what is left are roundings
  time_limit,
  memory_limit,
};

struct SearchLimits {
  // The search ends when bound - value <= relative_gap * max(|value|, w / 100), w the width of
  // the interval of values that the first bounds leave.
  double relative_gap = 1e-4;
  // Or, with a threshold, when it is known whether any value is above it (with `or_equal`: at least
  // it). Then the gap ends nothing.
  bool has_threshold = false, or_equal = false;
  double threshold = 0;
  double seconds = 0;  // 0: no limit
  std::size_t bytes = std::size_t{1} << 30;
};

struct Optimum {
  std::vector<double> x;  // (inputs,), in the box
  // The sum at x: of one output with weight 1 or -1 to the bit, of others at most the exact sum of
  // the computed outputs.
  double value = 0;
  double bound = 0;  // no computed outputs in the box have a greater sum
  SearchEnd end = SearchEnd::optimal;
  std::size_t boxes = 0;
};

// lower, upper: (inputs,), finite, lower <= upper; ball: none, or one with its center in the box,
// and only inputs in it count; weight: (outputs,), finite. Parameters must be
// finite and activations piecewise linear. std::invalid_argument if a number of T may overflow in
// the box. Allocates up to limits.bytes, and what a round and a thread need.
template <class T>
Optimum maximize_over_box(const Network<T>& net, const double* lower, const double* upper,
                          const Ball& ball, const std::vector<double>& weight,
                          const SearchLimits& limits);

}  // namespace fastrelu
