// SPDX-License-Identifier: BSD-3-Clause
// What a mesh of linear regions may have lost to rounding, so that a bound can count it.
//
// Each polygon stands for a pattern of active units. At a point of it another unit may be on the
// wrong side of its kink only where the point is near corners at which that unit is 0 up to the
// error of its value there. docs/piecewise.md has the argument: if several units are wrong at one
// point, there is one corner at which all of them are in doubt. So apart from the polygons' own
// patterns only those can occur that a corner's doubtful units make of the pattern around it. Where
// all of these are the patterns of polygons at the corner, as where two lines cross, nothing is
// lost; the others are listed.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "network.h"
#include "plane_point.h"
#include "polygon_mesh.h"

namespace fastrelu {

// Every pattern of the network in the window is that of a listed polygon, or one of `pattern` in
// which some of the units in `open` may be the other way round. Both (n, hidden units).
struct RegionDoubts {
  std::vector<std::uint8_t> pattern, open;
};

// patterns: (polygons, hidden units) of all polygons of the mesh; is_listed: (polygons,), whether a
// polygon's own pattern is known to the caller. Holds in whatever way the mesh was made. `poll` as
// for linear_regions.
template <class T>
RegionDoubts find_doubts(const Network<T>& net, const PlaneRows& rows, const PolygonMesh& mesh,
                         const std::vector<std::uint8_t>& patterns,
                         const std::vector<bool>& is_listed, const std::function<void()>& poll);

}  // namespace fastrelu
