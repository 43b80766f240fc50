// SPDX-License-Identifier: BSD-3-Clause
// Least-squares fits of a continuous piecewise-linear function with free knots.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace fastrelu {

struct HingeFit {
  std::vector<double> knots, values;
  double left_slope = 0, right_slope = 0;
};

// (x, y) in any order, finite, their range not above the largest float64. `weight`: of each in the
// sum of squares, from the smallest to the largest within 1e12, or null for equal ones.
struct HingeData {
  const double* x;
  const double* y;
  const double* weight;
  std::size_t size;
};

// hinges >= 1 knots (fewer if there are at most hinges + 2 different x). In float64 by plain loops
// over the sorted points: the same bits everywhere, for any order of the points of equal weights.
// Time: that of sorting, and a share that grows with the square of the hinges but not the points.
// `poll` is called many times; what it throws ends the work.
HingeFit fit_hinges(
    const HingeData& data, std::size_t hinges, const std::function<void()>& poll = [] {});

// The same with these knots, ascending; what no point determines is 0, or as its neighbour.
HingeFit fit_values(
    const HingeData& data, const std::vector<double>& knots,
    const std::function<void()>& poll = [] {});

}  // namespace fastrelu
