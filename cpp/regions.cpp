// SPDX-License-Identifier: BSD-3-Clause
#include "regions.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "edge_crossing.h"
#include "linear_rows.h"
#include "plane_point.h"
#include "polygon_mesh.h"
#include "regions_once.h"

namespace fastrelu {
namespace {

// What one hidden layer added: its units' patterns on the polygons it left, (polygons, width), and
// which polygon of the layer before each was cut from.
struct Level {
  std::vector<std::uint8_t> active;
  std::vector<std::uint32_t> parents;
};

// The polygon's corners into `out`: those at one place once, none if it has no area.
void outline(const PolygonMesh& mesh, std::size_t polygon, std::vector<double>& out) {
  const PolygonMesh::Polygons& polygons = mesh.polygons();
  out.clear();
  for (const std::uint32_t* corner = polygons.begin(polygon); corner != polygons.end(polygon);
       ++corner) {
    const double* p = mesh.points().data() + 2 * *corner;
    const std::size_t n = out.size();
    if (n > 0 && out[n - 2] == p[0] && out[n - 1] == p[1]) continue;
    out.push_back(p[0]);
    out.push_back(p[1]);
  }
  while (out.size() > 2 && out[0] == out[out.size() - 2] && out[1] == out.back()) {
    out.resize(out.size() - 2);
  }
  double area = 0.0;
  for (std::size_t i = 2; i + 3 < out.size(); i += 2) {
    area +=
        (out[i] - out[0]) * (out[i + 3] - out[1]) - (out[i + 2] - out[0]) * (out[i + 1] - out[1]);
  }
  if (!(area > 0.0)) out.clear();
}

template <class T>
class Cutter {
 public:
  Cutter(const Network<T>& net, const Plane& plane, std::size_t max_regions,
         const std::function<void()>& poll)
      : net_(net),
        rows_(plane_rows(net, plane.rows)),
        at_(net, rows_, ErrorKind::likely),
        crossings_(net, at_),
        max_regions_(max_regions),
        poll_(poll),
        mesh_(plane.u0, plane.u1, plane.v0, plane.v1) {}

  Regions run(bool with_doubts);

 private:
  // Values with their errors at all vertices, (vertices, width).
  using AtVertices = Uncertain;
  AtVertices inputs_at_vertices();
  AtVertices layer_at_vertices(std::size_t k, const AtVertices& h);
  AtVertices cut_by_layer(std::size_t k, AtVertices z);
  std::vector<std::uint32_t> cut_all(std::size_t k);
  std::vector<std::uint8_t> patterns(const Layer& layer) const;
  void lineage_of(std::size_t polygon);
  void add_pattern(std::vector<std::uint8_t>& out) const;
  void add_map(Regions& out);

  const Network<T>& net_;
  const PlaneRows rows_;
  PlanePoint<T> at_;
  UnitCrossings<T> crossings_;
  const std::size_t max_regions_;
  const std::function<void()>& poll_;
  PolygonMesh mesh_;
  std::vector<Level> levels_;

  // The polygon of lineage_of's last call and its ancestors; those of add_map's last call, and the
  // maps of the layers there: before and after the activation, (3, width).
  std::vector<std::uint32_t> lineage_, mapped_;
  std::vector<std::vector<double>> z_, h_;
  std::vector<double> outline_;
};

template <class T>
typename Cutter<T>::AtVertices Cutter<T>::inputs_at_vertices() {
  AtVertices x;
  for (std::size_t v = 0; v < mesh_.vertex_count(); ++v) {
    at_.start(mesh_.points().data() + 2 * v);
    x.value.insert(x.value.end(), at_.inputs().value.begin(), at_.inputs().value.end());
    x.error.insert(x.error.end(), at_.inputs().error.begin(), at_.inputs().error.end());
  }
  return x;
}

template <class T>
typename Cutter<T>::AtVertices Cutter<T>::layer_at_vertices(std::size_t k, const AtVertices& h) {
  const Layer& layer = net_.layers()[k];
  const std::size_t from = layer.fan_in, to = layer.fan_out;
  AtVertices z;
  z.resize(mesh_.vertex_count() * to);
  for (std::size_t v = 0; v < mesh_.vertex_count(); ++v) {
    if (v % 256 == 0) poll_();
    at_.start(mesh_.points().data() + 2 * v);
    at_.layer(k, h.value.data() + v * from, h.error.data() + v * from, z.value.data() + v * to,
              z.error.data() + v * to);
  }
  const auto finite = [](double number) { return std::isfinite(number); };
  if (!std::all_of(z.value.begin(), z.value.end(), finite) ||
      !std::all_of(z.error.begin(), z.error.end(), finite)) {
    throw std::invalid_argument("network: its numbers overflow float64 on this window");
  }
  return z;
}

// Cuts by the units of a layer with these pre-activations; returns its activations.
template <class T>
typename Cutter<T>::AtVertices Cutter<T>::cut_by_layer(std::size_t k, AtVertices z) {
  const Layer& layer = net_.layers()[k];
  for (double& error : z.error) error *= kToleratedErrors;
  mesh_.set_functions(std::move(z.value), std::move(z.error), layer.fan_out,
                      crossings_.first_id(k));
  crossings_.set_layer(k);
  std::vector<std::uint32_t> parents = cut_all(k);
  levels_.push_back({patterns(layer), std::move(parents)});
  z.value = mesh_.values();
  z.error = mesh_.tolerances();
  for (double& error : z.error) error /= kToleratedErrors;
  AtVertices h;
  activate(negative_slope<T>(layer.activation), z, h);
  return h;
}

// Cuts every polygon by the units of layer k; returns the polygons that the parts come from.
template <class T>
std::vector<std::uint32_t> Cutter<T>::cut_all(std::size_t k) {
  const std::size_t count = mesh_.polygons().size();
  std::vector<std::uint32_t> parents;
  for (std::size_t p = 0; p < count; ++p) {
    poll_();
    parents.resize(mesh_.cut(p, max_regions_, crossings_), static_cast<std::uint32_t>(p));
    const std::size_t regions = parents.size() + (count - p - 1);
    if (regions > max_regions_) {
      throw TooManyRegions(
          "max_regions: more than " + std::to_string(max_regions_) + " regions, already " +
          std::to_string(regions) + " when hidden layer " + std::to_string(k + 1) + " of " +
          std::to_string(net_.layers().size() - 1) + " had cut " + std::to_string(p + 1) + " of " +
          std::to_string(count) + "; expected a smaller window or a larger max_regions");
    }
  }
  mesh_.finish_cuts();
  return parents;
}

template <class T>
std::vector<std::uint8_t> Cutter<T>::patterns(const Layer& layer) const {
  const PolygonMesh::Polygons& polygons = mesh_.polygons();
  std::vector<std::uint8_t> patterns(polygons.size() * layer.fan_out, 0);
  for (std::size_t p = 0; p < polygons.size(); ++p) {
    std::uint8_t* active = patterns.data() + p * layer.fan_out;
    for (const std::uint32_t* corner = polygons.begin(p); corner != polygons.end(p); ++corner) {
      for (std::size_t o = 0; o < layer.fan_out; ++o) {
        if (mesh_.sign(*corner, o) > 0) active[o] = 1;
      }
    }
  }
  return patterns;
}

// The polygon of each layer that this one was cut from.
template <class T>
void Cutter<T>::lineage_of(std::size_t polygon) {
  const std::size_t hidden = levels_.size();
  lineage_.resize(hidden);
  for (std::size_t k = hidden; k-- > 0;) {
    lineage_[k] = k + 1 == hidden ? static_cast<std::uint32_t>(polygon)
                                  : levels_[k + 1].parents[lineage_[k + 1]];
  }
}

template <class T>
void Cutter<T>::add_pattern(std::vector<std::uint8_t>& out) const {
  for (std::size_t k = 0; k < levels_.size(); ++k) {
    const std::size_t width = net_.layers()[k].fan_out;
    const std::uint8_t* active = levels_[k].active.data() + lineage_[k] * width;
    out.insert(out.end(), active, active + width);
  }
}

// The map of a region. Neighbours in the order share their first layers, so those are kept from one
// region to the next.
template <class T>
void Cutter<T>::add_map(Regions& out) {
  const std::size_t hidden = levels_.size();
  bool changed = z_.empty();  // the layer before
  z_.resize(hidden);
  h_.resize(hidden);
  mapped_.resize(hidden);
  for (std::size_t k = 0; k < hidden; ++k) {
    const Layer& layer = net_.layers()[k];
    if (changed) {
      const std::vector<double>& before = k == 0 ? rows_.inputs : h_[k - 1];
      z_[k] = pre_activations(net_, layer, before, rows_.factor.data());
    }
    changed = changed || lineage_[k] != mapped_[k];
    if (!changed) continue;
    const std::uint8_t* active = levels_[k].active.data() + lineage_[k] * layer.fan_out;
    const double slope = negative_slope<T>(layer.activation);
    h_[k] = z_[k];
    for (std::size_t i = 0; i < h_[k].size(); ++i) {
      if (active[i % layer.fan_out] == 0) h_[k][i] *= slope;
    }
  }
  mapped_ = lineage_;
  const std::vector<double>& last = hidden == 0 ? rows_.inputs : h_.back();
  const std::vector<double> map =
      pre_activations(net_, net_.layers().back(), last, rows_.factor.data());
  out.maps.insert(out.maps.end(), map.begin(), map.end());
}

template <class T>
Regions Cutter<T>::run(bool with_doubts) {
  AtVertices h = inputs_at_vertices();
  for (std::size_t k = 0; k + 1 < net_.layers().size(); ++k) {
    AtVertices z = layer_at_vertices(k, h);
    if (net_.layers()[k].activation != Activation::identity) {
      h = cut_by_layer(k, std::move(z));
      continue;
    }
    // No kink, no cut: each polygon is its own parent.
    std::vector<std::uint32_t> parents(mesh_.polygons().size());
    std::iota(parents.begin(), parents.end(), 0U);
    const std::size_t active = mesh_.polygons().size() * net_.layers()[k].fan_out;
    levels_.push_back({std::vector<std::uint8_t>(active, 1), std::move(parents)});
    h = std::move(z);
  }
  const std::size_t count = mesh_.polygons().size();
  Regions out;
  out.offsets.push_back(0);
  std::vector<std::uint8_t> patterns;  // of all polygons
  std::vector<bool> is_listed(count, false);
  for (std::size_t p = 0; p < count; ++p) {
    poll_();
    outline(mesh_, p, outline_);
    is_listed[p] = !outline_.empty();
    if (!is_listed[p] && !with_doubts) continue;
    lineage_of(p);
    add_pattern(with_doubts ? patterns : out.pattern);
    if (!is_listed[p]) continue;
    if (with_doubts) add_pattern(out.pattern);
    out.vertices.insert(out.vertices.end(), outline_.begin(), outline_.end());
    out.offsets.push_back(static_cast<std::int64_t>(out.vertices.size() / 2));
    add_map(out);
  }
  list_once(out);
  if (with_doubts) out.doubts = find_doubts(net_, rows_, mesh_, patterns, is_listed, poll_);
  return out;
}

}  // namespace

template <class T>
Regions linear_regions(const Network<T>& net, const Plane& plane, std::size_t max_regions,
                       bool with_doubts, const std::function<void()>& poll) {
  return Cutter<T>(net, plane, max_regions, poll).run(with_doubts);
}

template Regions linear_regions(const Network<float>&, const Plane&, std::size_t, bool,
                                const std::function<void()>&);
template Regions linear_regions(const Network<double>&, const Plane&, std::size_t, bool,
                                const std::function<void()>&);

}  // namespace fastrelu
