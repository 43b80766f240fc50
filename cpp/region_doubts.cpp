// SPDX-License-Identifier: BSD-3-Clause
#include "region_doubts.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <set>
#include <utility>

#include "linear_rows.h"

namespace fastrelu {
namespace {

using Pattern = std::vector<std::uint8_t>;
using Units = std::vector<std::uint32_t>;

// The polygons at each vertex.
struct Around {
  std::vector<std::size_t> ends;
  std::vector<std::uint32_t> polygons;

  explicit Around(const PolygonMesh& mesh) : ends(mesh.vertex_count() + 1, 0) {
    const PolygonMesh::Polygons& all = mesh.polygons();
    for (const std::uint32_t v : all.corners) ++ends[v + 1];
    for (std::size_t v = 1; v < ends.size(); ++v) ends[v] += ends[v - 1];
    std::vector<std::size_t> at(ends.begin(), ends.end() - 1);
    polygons.resize(all.corners.size());
    for (std::size_t p = 0; p < all.size(); ++p) {
      for (const std::uint32_t* v = all.begin(p); v != all.end(p); ++v) {
        polygons[at[*v]++] = static_cast<std::uint32_t>(p);
      }
    }
  }
};

// The pre-activations of all hidden units at a vertex, and which of them are in doubt there.
struct VertexSigns {
  Uncertain z;
  Units doubtful;
};

template <class T>
class DoubtFinder {
 public:
  DoubtFinder(const Network<T>& net, const PlaneRows& rows, const PolygonMesh& mesh,
              const std::vector<std::uint8_t>& patterns)
      : net_(net),
        at_(net, rows, ErrorKind::certain),
        mesh_(mesh),
        patterns_(patterns),
        around_(mesh) {
    for (std::size_t k = 0; k + 1 < net.layers().size(); ++k) hidden_ += net.layers()[k].fan_out;
  }

  RegionDoubts run(const std::vector<bool>& is_listed, const std::function<void()>& poll);

 private:
  const std::uint8_t* pattern(std::size_t polygon) const {
    return patterns_.data() + polygon * hidden_;
  }
  VertexSigns signs_at(std::uint32_t vertex);
  bool all_patterns_around(std::uint32_t vertex, const Units& doubtful) const;
  bool is_too_thin(std::size_t polygon, const std::vector<const VertexSigns*>& corners,
                   Units& doubtful) const;
  void add(std::size_t polygon, const Units& doubtful);

  const Network<T>& net_;
  PlanePoint<T> at_;
  const PolygonMesh& mesh_;
  const std::vector<std::uint8_t>& patterns_;
  const Around around_;
  std::size_t hidden_ = 0;
  std::set<std::pair<Pattern, Pattern>> found_;
};

// A unit is in doubt where its error may change its sign, or where the polygons around do not agree
// with its sign or with each other. Its activation is then off by what it may be on the wrong side,
// in the function as much as in the map of a polygon around.
template <class T>
VertexSigns DoubtFinder<T>::signs_at(std::uint32_t vertex) {
  VertexSigns out;
  Pattern active(hidden_, 0), inactive(hidden_, 0);
  for (std::size_t at = around_.ends[vertex]; at < around_.ends[vertex + 1]; ++at) {
    const std::uint8_t* p = pattern(around_.polygons[at]);
    for (std::size_t i = 0; i < hidden_; ++i) (p[i] != 0 ? active : inactive)[i] = 1;
  }
  at_.start(mesh_.points().data() + 2 * vertex);
  Uncertain h = at_.inputs(), z;
  std::size_t unit = 0;
  for (std::size_t k = 0; k + 1 < net_.layers().size(); ++k) {
    const Layer& layer = net_.layers()[k];
    at_.layer(k, h, z);
    out.z.value.insert(out.z.value.end(), z.value.begin(), z.value.end());
    out.z.error.insert(out.z.error.end(), z.error.begin(), z.error.end());
    const double slope = negative_slope<T>(layer.activation);
    activate(slope, z, h);
    for (std::size_t o = 0; o < layer.fan_out; ++o, ++unit) {
      if (layer.activation == Activation::identity) continue;
      const double value = z.value[o], error = z.error[o];
      // Zero for certain has no side.
      if (value == 0.0 && error == 0.0) continue;
      const bool is_sure =
          value > error ? inactive[unit] == 0 : value < -error && active[unit] == 0;
      if (is_sure) continue;
      out.doubtful.push_back(static_cast<std::uint32_t>(unit));
      h.error[o] = 3.0 * (std::fabs(value) + error) * (1 + 4 * kRounding);
    }
  }
  return out;
}

// Whether the polygons at a vertex have all patterns of the doubtful units.
template <class T>
bool DoubtFinder<T>::all_patterns_around(std::uint32_t vertex, const Units& doubtful) const {
  constexpr std::size_t kMost = 10;
  if (doubtful.size() > kMost) return false;
  std::vector<bool> seen(std::size_t{1} << doubtful.size(), false);
  for (std::size_t at = around_.ends[vertex]; at < around_.ends[vertex + 1]; ++at) {
    const std::uint8_t* p = pattern(around_.polygons[at]);
    std::size_t index = 0;
    for (const std::uint32_t unit : doubtful) index = 2 * index + (p[unit] != 0 ? 1 : 0);
    seen[index] = true;
  }
  return std::all_of(seen.begin(), seen.end(), [](bool one) { return one; });
}

// Whether units may be wrong at a point without a corner at which all of them are in doubt. The
// point is a mean of the corners with weights; a unit is wrong at it only if the corners at which
// it is in doubt have all but `share` of the weight. Shares that add up to less than 1 leave some.
template <class T>
bool DoubtFinder<T>::is_too_thin(std::size_t polygon,
                                 const std::vector<const VertexSigns*>& corners,
                                 Units& doubtful) const {
  doubtful.clear();
  for (const VertexSigns* corner : corners) {
    doubtful.insert(doubtful.end(), corner->doubtful.begin(), corner->doubtful.end());
  }
  std::sort(doubtful.begin(), doubtful.end());
  doubtful.erase(std::unique(doubtful.begin(), doubtful.end()), doubtful.end());
  double shares = 0.0;
  for (const std::uint32_t unit : doubtful) {
    const double sign = pattern(polygon)[unit] != 0 ? 1.0 : -1.0;
    // The least that the unit is on the right side, and the most that it may be on the wrong one.
    double right = std::numeric_limits<double>::infinity(), wrong = 0.0;
    for (const VertexSigns* corner : corners) {
      const double value = sign * corner->z.value[unit], error = corner->z.error[unit];
      if (value > error) right = std::min(right, value - error);
      if (!(value > error)) wrong = std::max(wrong, error - value);
    }
    if (right == std::numeric_limits<double>::infinity() || wrong == 0.0) continue;
    shares += wrong / (wrong + right);
  }
  return !(shares < 0.999);
}

template <class T>
void DoubtFinder<T>::add(std::size_t polygon, const Units& doubtful) {
  Pattern base(pattern(polygon), pattern(polygon) + hidden_), open(hidden_, 0);
  for (const std::uint32_t unit : doubtful) {
    base[unit] = 0;
    open[unit] = 1;
  }
  found_.emplace(std::move(base), std::move(open));
}

template <class T>
RegionDoubts DoubtFinder<T>::run(const std::vector<bool>& is_listed,
                                 const std::function<void()>& poll) {
  const PolygonMesh::Polygons& polygons = mesh_.polygons();
  // Neighbours in the order share corners: what is known of the last vertices is kept.
  constexpr std::size_t kKept = 4096;
  std::vector<VertexSigns> known(std::min(kKept, mesh_.vertex_count()));
  std::vector<std::int64_t> whose(known.size(), -1);
  std::vector<bool> visited(mesh_.vertex_count(), false);
  std::vector<VertexSigns> others;
  std::vector<const VertexSigns*> corners;
  Units doubtful;
  for (std::size_t p = 0; p < polygons.size(); ++p) {
    if (p % 64 == 0) poll();
    corners.clear();
    others.clear();
    others.reserve(static_cast<std::size_t>(polygons.end(p) - polygons.begin(p)));
    for (const std::uint32_t* v = polygons.begin(p); v != polygons.end(p); ++v) {
      const std::size_t place = *v % known.size();
      if (whose[place] != *v) {
        known[place] = signs_at(*v);
        whose[place] = *v;
      }
      // A later corner of the same polygon may take the place.
      others.push_back(known[place]);
      corners.push_back(&others.back());
      if (visited[*v]) continue;
      visited[*v] = true;
      if (!all_patterns_around(*v, others.back().doubtful)) add(p, others.back().doubtful);
    }
    if (is_too_thin(p, corners, doubtful)) {
      add(p, doubtful);
    } else if (!is_listed[p]) {
      add(p, {});
    }
  }
  RegionDoubts out;
  for (const auto& [pattern, open] : found_) {
    out.pattern.insert(out.pattern.end(), pattern.begin(), pattern.end());
    out.open.insert(out.open.end(), open.begin(), open.end());
  }
  return out;
}

}  // namespace

template <class T>
RegionDoubts find_doubts(const Network<T>& net, const PlaneRows& rows, const PolygonMesh& mesh,
                         const std::vector<std::uint8_t>& patterns,
                         const std::vector<bool>& is_listed, const std::function<void()>& poll) {
  return DoubtFinder<T>(net, rows, mesh, patterns).run(is_listed, poll);
}

template RegionDoubts find_doubts(const Network<float>&, const PlaneRows&, const PolygonMesh&,
                                  const std::vector<std::uint8_t>&, const std::vector<bool>&,
                                  const std::function<void()>&);
template RegionDoubts find_doubts(const Network<double>&, const PlaneRows&, const PolygonMesh&,
                                  const std::vector<std::uint8_t>&, const std::vector<bool>&,
                                  const std::function<void()>&);

}  // namespace fastrelu
