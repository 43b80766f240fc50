// SPDX-License-Identifier: BSD-3-Clause
#include "polygon_mesh.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace fastrelu {
namespace {

constexpr double kTolerance = 0x1p-46;  // 64 roundings

// Between a and b, never beyond, and a itself where they are equal: from the nearer end.
double between(double a, double b, double share) {
  return share <= 0.5 ? a + share * (b - a) : b + (1.0 - share) * (a - b);
}

int sign(double value) { return value > 0.0 ? 1 : value < 0.0 ? -1 : 0; }

}  // namespace

PolygonMesh::PolygonMesh(double u0, double u1, double v0, double v1)
    : points_{u0, v0, u1, v0, u1, v1, u0, v1} {
  polygons_.corners = {0, 1, 2, 3};
  polygons_.ends = {4};
  polygons_.parents = {0};
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
  std::iota(polygons_.parents.begin(), polygons_.parents.end(), 0U);
}

void PolygonMesh::cut(std::size_t f) {
  if (!classify(f)) return;
  on_edge_.clear();
  cut_.corners.clear();
  cut_.ends.clear();
  cut_.parents.clear();
  for (std::size_t p = 0; p < polygons_.size(); ++p) {
    bool positive = false, negative = false;
    for (std::size_t i = polygons_.begin(p); i < polygons_.ends[p]; ++i) {
      const int s = signs_[polygons_.corners[i]];
      positive = positive || s > 0;
      negative = negative || s < 0;
    }
    if (positive && negative) {
      split(p, f);
    } else {
      const auto first = polygons_.corners.begin();
      append(first + static_cast<std::ptrdiff_t>(polygons_.begin(p)),
             first + static_cast<std::ptrdiff_t>(polygons_.ends[p]), polygons_.parents[p]);
    }
  }
  std::swap(polygons_, cut_);
}

// Whether f takes both signs at all.
bool PolygonMesh::classify(std::size_t f) {
  signs_.resize(vertex_count());
  bool positive = false, negative = false;
  for (std::size_t v = 0; v < signs_.size(); ++v) {
    const int s = sign(values_[v * width_ + f]);
    signs_[v] = static_cast<std::int8_t>(s);
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
  signs_.push_back(0);
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
void PolygonMesh::split(std::size_t polygon, std::size_t f) {
  const std::size_t begin = polygons_.begin(polygon), end = polygons_.ends[polygon];
  const std::uint32_t parent = polygons_.parents[polygon];
  const auto sign_at = [this](std::uint32_t vertex) { return signs_[vertex]; };
  ring_.clear();
  for (std::size_t i = begin; i < end; ++i) {
    const std::uint32_t a = polygons_.corners[i];
    const std::uint32_t b = polygons_.corners[i + 1 < end ? i + 1 : begin];
    ring_.push_back(a);
    if (sign_at(a) * sign_at(b) < 0) ring_.push_back(crossing(a, b, f));
  }
  const auto is_negative = [&](std::uint32_t v) { return sign_at(v) < 0; };
  const auto is_positive = [&](std::uint32_t v) { return sign_at(v) > 0; };
  std::rotate(ring_.begin(), std::find_if(ring_.begin(), ring_.end(), is_negative), ring_.end());
  rest_.clear();
  for (auto from = ring_.begin(); from != ring_.end();) {
    if (is_negative(*from)) {
      rest_.push_back(*from++);
      continue;
    }
    // From here to the next negative corner, zeros and positive ones; zeros at both ends.
    const auto to = std::find_if(from, ring_.end(), is_negative);
    const auto first = std::find_if(from, to, is_positive);
    if (first == to) {
      rest_.insert(rest_.end(), from, to);
    } else {
      auto last = to;
      while (!is_positive(*--last)) {
      }
      append(first - 1, last + 2, parent);
      rest_.insert(rest_.end(), from, first);
      rest_.insert(rest_.end(), last + 1, to);
    }
    from = to;
  }
  append(rest_.begin(), rest_.end(), parent);
}

template <class Iterator>
void PolygonMesh::append(Iterator first, Iterator last, std::uint32_t parent) {
  cut_.corners.insert(cut_.corners.end(), first, last);
  cut_.ends.push_back(cut_.corners.size());
  cut_.parents.push_back(parent);
}

}  // namespace fastrelu
