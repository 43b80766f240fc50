// SPDX-License-Identifier: BSD-3-Clause
// The points of a least-squares fit, and what any run of them says about a line through it.
#pragma once

#include <cstddef>
#include <vector>

#include "double_double.h"

namespace fastrelu {

// A run of points, for a line with slope s that is m at their mean x:
//   sum of w (y - line)^2 = rest + spread (s - slope)^2 + weight (m - mean_y)^2
struct Run {
  double weight = 0, mean_x = 0, mean_y = 0;
  double spread = 0;  // sum of w (x - mean_x)^2
  double slope = 0, rest = 0;
};

class HingePoints {
 public:
  // x ascending, all different; weights > 0; magnitudes of x and y at most 1. The constructor's
  // time is linear, that of run() constant.
  HingePoints(std::vector<double> x, std::vector<double> y, const std::vector<double>& weight);

  const std::vector<double>& x() const { return x_; }
  std::size_t size() const { return x_.size(); }
  // Of the points begin .. end - 1.
  Run run(std::size_t begin, std::size_t end) const {
    if (end <= begin) return {};
    return known_.empty() ? sum(begin, end) : known_[begin * (size() + 1) + end];
  }
  // How many points are at x <= at.
  std::size_t up_to(double at) const;

 private:
  // Sums over all points before one. Twice float64's bits: the differences are as good as sums over
  // the run alone, and a perfect fit is known for one.
  struct Sums {
    DoubleDouble w, x, y, xx, xy, yy;
  };
  Run sum(std::size_t begin, std::size_t end) const;

  std::vector<double> x_, y_;
  std::vector<Sums> before_;
  std::vector<Run> known_;  // of few points all runs
};

}  // namespace fastrelu
