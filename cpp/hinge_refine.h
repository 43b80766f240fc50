// SPDX-License-Identifier: BSD-3-Clause
// From good knots to a minimum of the sum of squares.
#pragma once

#include <functional>
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

// The pieces' lines, where a jump at knot k costs springs[k] times its square (infinity: none is
// allowed; 0: the pieces are fitted each on its own). runs: the points of each piece.
struct HingeLines {
  double least = 0;
  std::vector<double> before, after;  // values on both sides of each knot
  std::vector<double> slopes;         // one more
};
HingeLines solve_lines(const std::vector<Run>& runs, const std::vector<double>& knots,
                       const std::vector<double>& springs);

struct Knots {
  std::vector<double> at;  // ascending, between the second point and the last but one
  double least = 0;        // sum of squares that the best values leave
};
// Knots from which no joint step and no move of one of them to anywhere between its neighbours (in
// reach of some hundred points) gets lower; at most so many rounds of both. `poll` is called many
// times; what it throws ends the work.
Knots refine_hinges(const HingePoints& points, std::vector<double> knots, int rounds,
                    const std::function<void()>& poll);

// With one more knot where it helps most, for each piece that it may lie on; the best first. Only
// every `stride`-th point is looked at.
std::vector<Knots> insert_hinge(const HingePoints& points, const std::vector<double>& knots,
                                std::size_t stride, const std::function<void()>& poll);

}  // namespace fastrelu
