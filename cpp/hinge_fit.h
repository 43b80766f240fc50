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

// n_points (x, y) in any order, finite, their range not above the largest float64; hinges >= 1
// knots (fewer if there are at most hinges + 2 different x). In float64 by plain loops over the
// sorted points: the same bits everywhere, for any order of the points. Time: that of sorting, and
// a share that grows with the square of the hinges but not the points. `poll` is called many times;
// what it throws ends the work.
HingeFit fit_hinges(
    const double* x, const double* y, std::size_t n_points, std::size_t hinges,
    const std::function<void()>& poll = [] {});

}  // namespace fastrelu
