// SPDX-License-Identifier: BSD-3-Clause
// Where to put n knots: the best choice of all among some hundred places, then among places around
// those found, nearer and nearer, with refine_hinges after each.
#pragma once

#include <cstddef>
#include <functional>

#include "hinge_points.h"
#include "hinge_refine.h"

namespace fastrelu {

// More than n + 2 points. `poll` is called many times; what it throws ends the work.
Knots search_hinges(const HingePoints& points, std::size_t n, const std::function<void()>& poll);

}  // namespace fastrelu
