// SPDX-License-Identifier: BSD-3-Clause
#include "polygon_mesh.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace fastrelu {
namespace {

// The first number that two ascending lists share, or -1.
std::int64_t first_common(const std::vector<std::uint32_t>& a,
                          const std::vector<std::uint32_t>& b) {
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] == b[j]) return a[i];
    if (a[i] < b[j]) {
      ++i;
    } else {
      ++j;
    }
  }
  return -1;
}

}  // namespace

void PolygonMesh::Polygons::clear() {
  corners.clear();
  ends.assign(1, 0);
}

void PolygonMesh::Polygons::append(const std::uint32_t* first, const std::uint32_t* last) {
  corners.insert(corners.end(), first, last);
  ends.push_back(corners.size());
}

PolygonMesh::PolygonMesh(double u0, double u1, double v0, double v1)
    : points_{u0, v0, u1, v0, u1, v1, u0, v1}, zeros_(4) {
  polygons_.corners = {0, 1, 2, 3};
  polygons_.ends = {0, 4};
}

void PolygonMesh::set_functions(std::vector<double> values, std::vector<double> tolerances,
                                std::size_t width, std::uint32_t first_id) {
  values_ = std::move(values);
  tolerances_ = std::move(tolerances);
  width_ = width;
  first_id_ = first_id;
  for (std::uint32_t v = 0; v < vertex_count(); ++v) note_zeros(v);
}

std::size_t PolygonMesh::cut(std::size_t polygon, std::size_t most, EdgeCrossings& crossings) {
  parts_.clear();
  parts_.append(polygons_.begin(polygon), polygons_.end(polygon));
  for (std::size_t f = 0; f < width_ && cut_.size() + parts_.size() <= most; ++f) {
    // One that has one sign on the polygon has it on every part.
    if (!takes_both_signs(polygons_.begin(polygon), polygons_.end(polygon), f)) continue;
    next_.clear();
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      if (takes_both_signs(parts_.begin(p), parts_.end(p), f)) {
        split(parts_.begin(p), parts_.end(p), f, crossings);
      } else {
        next_.append(parts_.begin(p), parts_.end(p));
      }
    }
    std::swap(parts_, next_);
  }
  for (std::size_t p = 0; p < parts_.size(); ++p) cut_.append(parts_.begin(p), parts_.end(p));
  return cut_.size();
}

void PolygonMesh::finish_cuts() {
  std::swap(polygons_, cut_);
  cut_.clear();
  on_edge_.clear();
}

bool PolygonMesh::takes_both_signs(const std::uint32_t* first, const std::uint32_t* last,
                                   std::size_t f) const {
  bool positive = false, negative = false;
  for (; first != last; ++first) {
    const int s = sign(*first, f);
    positive = positive || s > 0;
    negative = negative || s < 0;
  }
  return positive && negative;
}

// The vertex where f is 0 on the edge from a to b, at which f has opposite signs: the same one
// whichever polygon asks.
std::uint32_t PolygonMesh::crossing(std::uint32_t a, std::uint32_t b, std::size_t f,
                                    EdgeCrossings& crossings) {
  if (a > b) std::swap(a, b);
  const auto vertex = static_cast<std::uint32_t>(vertex_count());
  const auto [at, is_new] = on_edge_.emplace(std::uint64_t{a} << 32 | b, vertex);
  if (!is_new) return at->second;
  points_.resize(points_.size() + 2);
  values_.resize(values_.size() + width_);
  tolerances_.resize(tolerances_.size() + width_);
  const MeshEdge edge{
      points_.data() + 2 * a,      points_.data() + 2 * b,      f,
      values_.data() + a * width_, values_.data() + b * width_, first_common(zeros_[a], zeros_[b])};
  crossings.find(edge, points_.data() + 2 * vertex, values_.data() + vertex * width_,
                 tolerances_.data() + vertex * width_);
  agree_with_ends(vertex, a, b, f);
  std::vector<std::uint32_t> zeros;
  std::set_intersection(zeros_[a].begin(), zeros_[a].end(), zeros_[b].begin(), zeros_[b].end(),
                        std::back_inserter(zeros));
  zeros.erase(std::lower_bound(zeros.begin(), zeros.end(), first_id_), zeros.end());
  zeros_.push_back(std::move(zeros));
  note_zeros(vertex);
  return vertex;
}

// On an edge a function has the signs of its ends, or 0; f is 0 at the vertex.
void PolygonMesh::agree_with_ends(std::uint32_t vertex, std::uint32_t a, std::uint32_t b,
                                  std::size_t f) {
  for (std::size_t k = 0; k < width_; ++k) {
    const int s = sign(vertex, k);
    if (s == 0) continue;
    if (k == f || (s != sign(a, k) && s != sign(b, k))) {
      tolerances_[vertex * width_ + k] = std::fabs(values_[vertex * width_ + k]);
    }
  }
}

void PolygonMesh::note_zeros(std::uint32_t vertex) {
  for (std::size_t f = 0; f < width_; ++f) {
    if (sign(vertex, f) == 0) zeros_[vertex].push_back(first_id_ + static_cast<std::uint32_t>(f));
  }
}

// Chords cut the positive corners off. A line crosses a convex polygon once; should roundings in a
// very thin one say more often, there are as many chords, and the polygons still fit together.
void PolygonMesh::split(const std::uint32_t* first, const std::uint32_t* last, std::size_t f,
                        EdgeCrossings& crossings) {
  ring_.clear();
  for (const std::uint32_t* corner = first; corner != last; ++corner) {
    const std::uint32_t a = *corner, b = corner + 1 != last ? corner[1] : *first;
    ring_.push_back(a);
    if (sign(a, f) * sign(b, f) < 0) ring_.push_back(crossing(a, b, f, crossings));
  }
  const auto is_negative = [&](std::uint32_t v) { return sign(v, f) < 0; };
  const auto is_positive = [&](std::uint32_t v) { return sign(v, f) > 0; };
  std::rotate(ring_.begin(), std::find_if(ring_.begin(), ring_.end(), is_negative), ring_.end());
  rest_.clear();
  const std::uint32_t* const end = ring_.data() + ring_.size();
  for (const std::uint32_t* from = ring_.data(); from != end;) {
    if (is_negative(*from)) {
      rest_.push_back(*from++);
      continue;
    }
    // From here to the next negative corner, zeros and positive ones; zeros at both ends.
    const std::uint32_t* const to = std::find_if(from, end, is_negative);
    const std::uint32_t* const positive = std::find_if(from, to, is_positive);
    if (positive == to) {
      rest_.insert(rest_.end(), from, to);
    } else {
      const std::uint32_t* zero = to;  // the first behind the last positive corner
      while (!is_positive(zero[-1])) --zero;
      next_.append(positive - 1, zero + 1);
      rest_.insert(rest_.end(), from, positive);
      rest_.insert(rest_.end(), zero, to);
    }
    from = to;
  }
  next_.append(rest_.data(), rest_.data() + rest_.size());
}

}  // namespace fastrelu
