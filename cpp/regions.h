// SPDX-License-Identifier: BSD-3-Clause
// The linear regions of a network on a plane: x = origin + s u + t v, (s, t) in a window. Where all
// activations are relu, leaky_relu or identity they are convex polygons.
//
// Layer after layer: on each polygon so far every unit of the next layer is linear, so its zero
// line is the chord that cuts it further (polygon_mesh.h). In float64 by plain loops on one
// thread, so the same bits everywhere, and in the same order: a polygon's parts take its place, the
// part where the cutting unit is active first. A unit counts as 0 where it is within some roundings
// of the numbers there (edge_crossing.h), so that what is large in one place hides nothing in
// another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

#include "network.h"
#include "region_doubts.h"

namespace fastrelu {

struct Plane {
  double u0, u1, v0, v1;  // the window
  // The directions u and v and the origin: (3, inputs + 1), each followed by the factor that the
  // biases get in it. (0, 0, 1) leaves them alone; others give the network's perspective function,
  // w net(x / w), which is linear on the same regions and reaches those at infinity, w = 0.
  const double* rows;
};

struct Regions {
  std::vector<double> vertices;       // (corners, 2): polygon after polygon, counter-clockwise
  std::vector<std::int64_t> offsets;  // (regions + 1)
  std::vector<std::uint8_t> pattern;  // (regions, hidden units): 1 where active
  std::vector<double> maps;           // (regions, 3, outputs): by s, by t, constant
  RegionDoubts doubts;                // if they were asked for: what else there may be
};

// Thrown where a limit of regions is passed: callers may have another way then.
struct TooManyRegions : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Throws TooManyRegions if there are more than max_regions <= 2^30, std::invalid_argument where
// numbers overflow. `poll` is called many times; what it throws ends the work.
template <class T>
Regions linear_regions(const Network<T>& net, const Plane& plane, std::size_t max_regions,
                       bool with_doubts, const std::function<void()>& poll);

}  // namespace fastrelu
