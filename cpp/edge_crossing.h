// SPDX-License-Identifier: BSD-3-Clause
// Where a unit's zero line crosses an edge of the mesh (polygon_mesh.h).
//
// A place is found from values at the edge's ends, then from values nearer by, until the unit is 0
// there up to a few roundings of that place: ends that are far away, or where values are huge, say
// little about it. An edge that lies on another unit's zero line may have been rounded off that
// line; where that shows, the place is put on both lines. Where it still may be off, third lines
// that pass near enough count as passing through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plane_point.h"
#include "polygon_mesh.h"

namespace fastrelu {

template <class T>
class UnitCrossings : public EdgeCrossings {
 public:
  // `at` must outlive this.
  UnitCrossings(const Network<T>& net, PlanePoint<T>& at);

  // Functions are the pre-activations of layer k from now on; their ids follow those of the layers
  // before.
  void set_layer(std::size_t k) { layer_ = k; }
  std::uint32_t first_id(std::size_t k) const { return first_ids_[k]; }

  void find(const MeshEdge& edge, double* point, double* values, double* tolerances) override;

 private:
  void search_along(const MeshEdge& edge, double* point);
  void put_on_both(const MeshEdge& edge, double* point);
  void allow_for_place(const MeshEdge& edge, bool owned, const double* values, double* tolerances);

  PlanePoint<T>& at_;
  std::vector<std::uint32_t> first_ids_;
  std::size_t layer_ = 0;
  std::size_t owner_layer_ = 0, owner_ = 0;  // the unit that an edge lies on
  std::vector<double> gradients_;
};

}  // namespace fastrelu
