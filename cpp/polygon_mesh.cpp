// SPDX-License-Identifier: BSD-3-Clause
#include "polygon_mesh.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fastrelu {
namespace {

constexpr double kTolerance = 0x1p-46;  // 64 roundings

// Between a and b, never beyond, and a itself where they are equal: from the nearer end.
double between(double a, double b, double share) {
  return share <= 0.5 ? a + share * (b - a) : b + (1.0 - share) * (a - b);
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
    : points_{u0, v0, u1, v0, u1, v1, u0, v1} {
  polygons_.corners = {0, 1, 2, 3};
  polygons_.ends = {0, 4};
}

void PolygonMesh::set_values(std::vector<double> values, std::size_t width) {
  values_ = std::move(values);
  width_ = width;
  tolerances_.assign(width, 0.0);
  for (std::size_t at = 0; at < values_.size(); at += width) {
    for (std::size_t f = 0; f < width; ++f) {
      tolerances_[f] = std::max(tolerances_[f], std::abs(values_[at + f]));
    }
  }
  for (double& t : tolerances_) t *= kTolerance;
  for (std::size_t at = 0; at < values_.size(); at += width) {
    for (std::size_t f = 0; f < width; ++f) {
      if (std::abs(values_[at + f]) <= tolerances_[f]) values_[at + f] = 0.0;
    }
  }
}

std::size_t PolygonMesh::cut(std::size_t polygon, std::size_t most) {
  parts_.clear();
  parts_.append(polygons_.begin(polygon), polygons_.end(polygon));
  for (std::size_t f = 0; f < width_ && cut_.size() + parts_.size() <= most; ++f) {
    // One that has one sign on the polygon has it on every part.
    if (!takes_both_signs(polygons_.begin(polygon), polygons_.end(polygon), f)) continue;
    next_.clear();
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      if (takes_both_signs(parts_.begin(p), parts_.end(p), f)) {
        split(parts_.begin(p), parts_.end(p), f);
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

int PolygonMesh::sign(std::uint32_t vertex, std::size_t f) const {
  const double value = values_[vertex * width_ + f];
  return value > 0.0 ? 1 : value < 0.0 ? -1 : 0;
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
std::uint32_t PolygonMesh::crossing(std::uint32_t a, std::uint32_t b, std::size_t f) {
  if (a > b) std::swap(a, b);
  const auto vertex = static_cast<std::uint32_t>(vertex_count());
  const auto [at, is_new] = on_edge_.emplace(std::uint64_t{a} << 32 | b, vertex);
  if (!is_new) return at->second;
  points_.resize(points_.size() + 2);
  values_.resize(values_.size() + width_);
  const double* from = values_.data() + a * width_;
  const double* to = values_.data() + b * width_;
  double* out = values_.data() + vertex * width_;
  const double share = from[f] / (from[f] - to[f]);
  for (std::size_t k = 0; k < width_; ++k) {
    out[k] = between(from[k], to[k], share);
    if (std::abs(out[k]) <= tolerances_[k]) out[k] = 0.0;
  }
  out[f] = 0.0;
  for (std::size_t k = 0; k < 2; ++k) {
    points_[2 * vertex + k] = between(points_[2 * a + k], points_[2 * b + k], share);
  }
  return vertex;
}

// Chords cut the positive corners off. A line crosses a convex polygon once; should roundings in a
// very thin one say more often, there are as many chords, and the polygons still fit together.
void PolygonMesh::split(const std::uint32_t* first, const std::uint32_t* last, std::size_t f) {
  ring_.clear();
  for (const std::uint32_t* corner = first; corner != last; ++corner) {
    const std::uint32_t a = *corner, b = corner + 1 != last ? corner[1] : *first;
    ring_.push_back(a);
    if (sign(a, f) * sign(b, f) < 0) ring_.push_back(crossing(a, b, f));
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
