// SPDX-License-Identifier: BSD-3-Clause
// Whether pieces that are fitted each on its own can be joined in the gaps between them, and where.
#pragma once

#include <cstddef>
#include <vector>

#include "hinge_points.h"

namespace fastrelu {

// Where a knot is: at a point, or one or two in the gap between the points `at` - 1 and `at`.
struct HingePlace {
  enum Kind { at_point, in_gap, two_in_gap };
  std::size_t at;
  Kind kind;
};

// Ascending places, at most one at a point or in a gap. The knots of the function that fits the
// points best if lines at points are joined there and in gaps are not asked to; empty if the lines
// do not cross in their gaps. Lines with one point alone, or with a knot at one end and no
// point, have any slope.
std::vector<double> joined_knots(const HingePoints& points, const std::vector<HingePlace>& places);

}  // namespace fastrelu
