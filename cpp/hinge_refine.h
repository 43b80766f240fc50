// SPDX-License-Identifier: BSD-3-Clause
// From good knots to a minimum of the sum of squares.
#pragma once

#include <vector>

#include "hinge_points.h"

namespace fastrelu {

// The best function with given knots.
struct HingeValues {
  double least = 0;            // sum of squares
  std::vector<double> values;  // at the knots
  double left_slope = 0, right_slope = 0;
};
HingeValues solve_hinges(const HingePoints& points, const std::vector<double>& knots);

struct Knots {
  std::vector<double> at;  // ascending, between the second point and the last but one
  double least = 0;        // sum of squares that the best values leave
};
// Knots from which no joint step and no move of one of them to anywhere between its neighbours (in
// reach of some hundred points) gets lower; at most so many rounds of both.
Knots refine_hinges(const HingePoints& points, std::vector<double> knots, int rounds);

// With one more knot where it helps most, for each piece that it may lie on; the best first. Only
// every `stride`-th point is looked at.
std::vector<Knots> insert_hinge(const HingePoints& points, const std::vector<double>& knots,
                                std::size_t stride);

}  // namespace fastrelu
