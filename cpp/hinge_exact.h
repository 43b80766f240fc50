// SPDX-License-Identifier: BSD-3-Clause
// The least sum of squares of all, for few points or few hinges, by enumeration.
//
// A knot is either at a point, where the lines on both sides are fitted together, or in the gap
// between two points, where each side is fitted on its own and the lines happen to cross in the
// gap; two knots in one gap join any two lines. (Where the sum of squares is least, a knot that is
// not held at a point by the sum's kink there feels nothing of the other side.) So the choices are
// finitely many. What the pieces cost at least, each fitted on its own, rules most of them out.
#pragma once

#include <cstddef>
#include <functional>

#include "hinge_points.h"
#include "hinge_refine.h"

namespace fastrelu {

// Whether so few points, or hinges, are enumerated: at most 12 points, or at most 3 hinges and 256
// points.
bool is_few(std::size_t n_points, std::size_t hinges);

// The best n knots, if they are better than `known`, else those. is_few(points.size(), n), and more
// than n + 2 points. `poll` is called many times; what it throws ends the work.
Knots exact_hinges(const HingePoints& points, std::size_t n, Knots known,
                   const std::function<void()>& poll);

}  // namespace fastrelu
