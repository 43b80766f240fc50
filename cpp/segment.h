// SPDX-License-Identifier: BSD-3-Clause
// A network on a segment: t -> net(x0 + t (x1 - x0)), t in [0, 1], is continuous and piecewise
// linear where all activations are (relu, leaky_relu, identity).
#pragma once

#include <vector>

#include "network.h"

namespace fastrelu {

struct SegmentPieces {
  std::vector<double> t;       // ascending, from 0 to 1
  std::vector<double> values;  // (t.size(), outputs), row-major
};

// x0, x1: net.inputs() numbers. In float64 by plain loops, so the same bits everywhere. Activations
// are the caller's to check; finite parameters, too.
template <class T>
SegmentPieces along(const Network<T>& net, const double* x0, const double* x1);

}  // namespace fastrelu
