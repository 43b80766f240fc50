// SPDX-License-Identifier: BSD-3-Clause
// A rectangle cut into convex polygons by the zero lines of functions that are linear on each.
//
// Each vertex is stored once, with the functions' values there, and every decision is made from the
// signs of those values at the vertices alone. So polygons that share a vertex agree about it, an
// edge is cut once for both its polygons, and the polygons always fill the rectangle without gap
// or overlap, whatever was rounded. A value within its tolerance counts as 0: a line that passes a
// vertex this closely goes through it, and a second copy of a line cuts nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fastrelu {

// An edge at whose ends function f has opposite signs.
struct MeshEdge {
  const double *a, *b;  // its ends, (2,)
  std::size_t f;
  const double *all_at_a, *all_at_b;  // all functions there, (width,)
  std::int64_t owner;                 // the id of a function that is 0 along it, or -1
};

// What finds the place where a function is 0 on an edge: `point`, (2,), and all functions' values
// and tolerances there, (width,) each.
class EdgeCrossings {
 public:
  virtual ~EdgeCrossings() = default;
  virtual void find(const MeshEdge& edge, double* point, double* values, double* tolerances) = 0;
};

class PolygonMesh {
 public:
  // Polygons, counter-clockwise, one after another.
  struct Polygons {
    std::vector<std::uint32_t> corners;  // vertices
    std::vector<std::size_t> ends{0};    // polygon p has corners ends[p] to ends[p + 1]
    std::size_t size() const { return ends.size() - 1; }
    const std::uint32_t* begin(std::size_t p) const { return corners.data() + ends[p]; }
    const std::uint32_t* end(std::size_t p) const { return corners.data() + ends[p + 1]; }
    void clear();
    void append(const std::uint32_t* first, const std::uint32_t* last);
  };

  PolygonMesh(double u0, double u1, double v0, double v1);

  std::size_t vertex_count() const { return points_.size() / 2; }
  const std::vector<double>& points() const { return points_; }  // (vertices, 2)
  const Polygons& polygons() const { return polygons_; }

  // New functions, linear on each polygon: values and tolerances, (vertices, width), and the id of
  // the first; ids ascend from one call to the next.
  void set_functions(std::vector<double> values, std::vector<double> tolerances, std::size_t width,
                     std::uint32_t first_id);
  const std::vector<double>& values() const { return values_; }
  const std::vector<double>& tolerances() const { return tolerances_; }
  // -1, 0 or 1.
  int sign(std::uint32_t vertex, std::size_t f) const {
    const double value = values_[vertex * width_ + f], tolerance = tolerances_[vertex * width_ + f];
    return value > tolerance ? 1 : value < -tolerance ? -1 : 0;
  }

  // Cutting by all functions: polygon after polygon, 0 to the last, then finish_cuts, which puts
  // the parts in the polygons' place. cut returns how many there are of all polygons so far; it
  // gives up where they are more than `most`. Function after function cuts each part on which it
  // takes both signs in two, that where it is positive first.
  std::size_t cut(std::size_t polygon, std::size_t most, EdgeCrossings& crossings);
  void finish_cuts();

 private:
  bool takes_both_signs(const std::uint32_t* first, const std::uint32_t* last, std::size_t f) const;
  std::uint32_t crossing(std::uint32_t a, std::uint32_t b, std::size_t f, EdgeCrossings& crossings);
  void agree_with_ends(std::uint32_t vertex, std::uint32_t a, std::uint32_t b, std::size_t f);
  void note_zeros(std::uint32_t vertex);
  void split(const std::uint32_t* first, const std::uint32_t* last, std::size_t f,
             EdgeCrossings& crossings);

  std::vector<double> points_, values_, tolerances_;
  std::size_t width_ = 0;
  std::uint32_t first_id_ = 0;
  std::vector<std::vector<std::uint32_t>> zeros_;  // ids of the functions that are 0 at a vertex
  Polygons polygons_;

  // Of the cuts under way. An edge is cut by the first function that does, which is the same one
  // for both polygons at it: (lower end << 32 | higher end) -> the new vertex.
  std::unordered_map<std::uint64_t, std::uint32_t> on_edge_;
  Polygons cut_, parts_, next_;
  std::vector<std::uint32_t> ring_, rest_;
};

}  // namespace fastrelu
