// SPDX-License-Identifier: BSD-3-Clause
// Roundings may say that a line crosses a very thin polygon more than once (polygon_mesh.h), and so
// cut one region into several. What has one pattern is one convex region: here it is listed once.
#pragma once

#include "regions.h"

namespace fastrelu {

// Makes one region of those that have the same pattern: the convex hull of their corners, from the
// lowest s (then t) on, at the place and with the map of the first.
void list_once(Regions& regions);

}  // namespace fastrelu
