// SPDX-License-Identifier: BSD-3-Clause
// A rectangle cut into convex polygons by the zero lines of functions that are linear on each.
//
// Each vertex is stored once, with the functions' values there, and every decision is made from the
// signs of those values at the vertices alone. So polygons that share a vertex agree about it, an
// edge is cut once for both its polygons, and the polygons always fill the rectangle without gap
// or overlap, whatever was rounded. A value within 64 roundings of the function's largest one
// counts as 0: a line that passes a vertex this closely goes through it, and a second copy of a
// line cuts nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace fastrelu {

class PolygonMesh {
 public:
  // Polygons, counter-clockwise, one after another.
  struct Polygons {
    std::vector<std::uint32_t> corners;  // vertices
    std::vector<std::size_t> ends;       // into corners
    std::vector<std::uint32_t> parents;  // which polygon of set_values each was cut from
    std::size_t size() const { return ends.size(); }
    std::size_t begin(std::size_t p) const { return p == 0 ? 0 : ends[p - 1]; }
  };

  PolygonMesh(double u0, double u1, double v0, double v1);

  std::size_t vertex_count() const { return points_.size() / 2; }
  const std::vector<double>& points() const { return points_; }  // (vertices, 2)
  const std::vector<double>& values() const { return values_; }  // (vertices, width)
  const Polygons& polygons() const { return polygons_; }

  // New functions, linear on each polygon: (vertices, width). Every polygon is its own parent.
  void set_values(std::vector<double> values, std::size_t width);

  // Cuts every polygon on which function `f` takes both signs. The parts take their polygon's
  // place, that where f is positive first.
  void cut(std::size_t f);

 private:
  bool classify(std::size_t f);
  std::uint32_t crossing(std::uint32_t a, std::uint32_t b, std::size_t f);
  void split(std::size_t polygon, std::size_t f);
  template <class Iterator>
  void append(Iterator first, Iterator last, std::uint32_t parent);

  std::vector<double> points_, values_, tolerances_;
  std::size_t width_ = 0;
  Polygons polygons_;

  // Of the cut under way.
  std::vector<std::int8_t> signs_;                            // of f at the vertices
  std::unordered_map<std::uint64_t, std::uint32_t> on_edge_;  // (lower end, higher end): new vertex
  Polygons cut_;
  std::vector<std::uint32_t> ring_, rest_;
};

}  // namespace fastrelu
