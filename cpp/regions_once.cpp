// SPDX-License-Identifier: BSD-3-Clause
#include "regions_once.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace fastrelu {
namespace {

using Point = std::pair<double, double>;

// Twice the area of the triangle, positive where it is counter-clockwise.
double turn(const Point& a, const Point& b, const Point& c) {
  return (b.first - a.first) * (c.second - a.second) - (b.second - a.second) * (c.first - a.first);
}

// Counter-clockwise from the lowest point on; nothing of what lies on an edge (Andrew's chains).
std::vector<Point> hull_of(std::vector<Point> points) {
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  std::vector<Point> hull;
  for (int side = 0; side < 2; ++side) {
    const std::size_t first = hull.size();
    for (const Point& p : points) {
      while (hull.size() >= first + 2 && !(turn(hull[hull.size() - 2], hull.back(), p) > 0.0)) {
        hull.pop_back();
      }
      hull.push_back(p);
    }
    hull.pop_back();  // where the other side begins
    std::reverse(points.begin(), points.end());
  }
  return hull;
}

// For each region the first one with its pattern.
std::vector<std::size_t> firsts_of(const Regions& regions, std::size_t count) {
  const std::size_t width = regions.pattern.size() / count;
  const auto* const bytes = reinterpret_cast<const char*>(regions.pattern.data());
  std::unordered_map<std::string_view, std::size_t> seen;
  std::vector<std::size_t> firsts(count);
  for (std::size_t r = 0; r < count; ++r) {
    firsts[r] = seen.emplace(std::string_view(bytes + r * width, width), r).first->second;
  }
  return firsts;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& from, std::size_t region, std::size_t count) {
  const std::size_t each = from.size() / count;
  const auto begin = from.begin() + static_cast<std::ptrdiff_t>(region * each);
  to.insert(to.end(), begin, begin + static_cast<std::ptrdiff_t>(each));
}

}  // namespace

void list_once(Regions& regions) {
  const std::size_t count = regions.offsets.size() - 1;
  if (count < 2) return;
  const std::vector<std::size_t> firsts = firsts_of(regions, count);
  std::vector<std::size_t> parts(count, 0);
  for (const std::size_t first : firsts) ++parts[first];
  if (std::find(parts.begin(), parts.end(), 0U) == parts.end()) return;
  std::vector<std::vector<Point>> corners(count);
  for (std::size_t r = 0; r < count; ++r) {
    for (std::int64_t i = regions.offsets[r]; i < regions.offsets[r + 1]; ++i) {
      const double* const p = regions.vertices.data() + 2 * i;
      corners[firsts[r]].emplace_back(p[0], p[1]);
    }
  }
  Regions once;
  once.offsets.push_back(0);
  for (std::size_t r = 0; r < count; ++r) {
    if (parts[r] == 0) continue;
    for (const Point& p : parts[r] == 1 ? corners[r] : hull_of(corners[r])) {
      once.vertices.push_back(p.first);
      once.vertices.push_back(p.second);
    }
    once.offsets.push_back(static_cast<std::int64_t>(once.vertices.size() / 2));
    append(once.pattern, regions.pattern, r, count);
    append(once.maps, regions.maps, r, count);
  }
  once.doubts = std::move(regions.doubts);
  regions = std::move(once);
}

}  // namespace fastrelu
