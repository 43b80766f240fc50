// SPDX-License-Identifier: BSD-3-Clause
#include "regions.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "linear_rows.h"
#include "polygon_mesh.h"

namespace fastrelu {
namespace {

// What one hidden layer added: its units' patterns on the polygons it left, (polygons, width), and
// which polygon of the layer before each was cut from.
struct Level {
  std::vector<std::uint8_t> active;
  std::vector<std::uint32_t> parents;
};

// The plane's rows without and with the factors of the biases.
struct Rows {
  std::vector<double> inputs;  // (n, inputs), times the network's scale
  std::vector<double> factor;  // (n,)
};

template <class T>
Rows plane_rows(const Network<T>& net, const double* rows) {
  const std::size_t width = net.inputs();
  const double scale = static_cast<double>(net.scale());
  Rows out;
  for (std::size_t n = 0; n < 3; ++n) {
    const double* row = rows + n * (width + 1);
    for (std::size_t i = 0; i < width; ++i) out.inputs.push_back(row[i] * scale);
    out.factor.push_back(row[width]);
  }
  return out;
}

// One number for each vertex from those of the plane's rows, `stride` apart.
void at_vertices(const std::vector<double>& points, const double* rows, std::size_t stride,
                 double* out, std::size_t out_stride) {
  for (std::size_t v = 0; v < points.size() / 2; ++v) {
    out[v * out_stride] =
        points[2 * v] * rows[0] + points[2 * v + 1] * rows[stride] + rows[2 * stride];
  }
}

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
        max_regions_(max_regions),
        poll_(poll),
        mesh_(plane.u0, plane.u1, plane.v0, plane.v1) {}

  Regions run();

 private:
  std::vector<double> corner_inputs() const;
  std::vector<double> values_at_vertices(const Layer& layer, const std::vector<double>& h) const;
  void cut_by_layer(std::size_t k, std::vector<double>& h);
  std::vector<std::uint32_t> cut_all(std::size_t k);
  std::vector<std::uint8_t> patterns(const Layer& layer) const;
  void add_map(std::size_t polygon, Regions& out);

  const Network<T>& net_;
  const Rows rows_;
  const std::size_t max_regions_;
  const std::function<void()>& poll_;
  PolygonMesh mesh_;
  std::vector<Level> levels_;

  // The polygon of add_map's last call, its ancestors, and the maps of the layers there: before
  // and after the activation, (3, width).
  std::vector<std::uint32_t> lineage_;
  std::vector<std::vector<double>> z_, h_;
  std::vector<double> outline_;
};

template <class T>
std::vector<double> Cutter<T>::corner_inputs() const {
  const std::size_t width = net_.inputs();
  std::vector<double> h(mesh_.vertex_count() * width);
  for (std::size_t i = 0; i < width; ++i) {
    at_vertices(mesh_.points(), rows_.inputs.data() + i, width, h.data() + i, width);
  }
  return h;
}

template <class T>
std::vector<double> Cutter<T>::values_at_vertices(const Layer& layer,
                                                  const std::vector<double>& h) const {
  constexpr std::size_t kBlock = 1024;  // vertices from one poll to the next
  const std::size_t vertices = mesh_.vertex_count();
  std::vector<double> factor(vertices), z;
  at_vertices(mesh_.points(), rows_.factor.data(), 1, factor.data(), 1);
  z.reserve(vertices * layer.fan_out);
  for (std::size_t v = 0; v < vertices; v += kBlock) {
    poll_();
    const std::size_t end = std::min(v + kBlock, vertices);
    const std::vector<double> block(h.data() + v * layer.fan_in, h.data() + end * layer.fan_in);
    const std::vector<double> part = pre_activations(net_, layer, block, factor.data() + v);
    z.insert(z.end(), part.begin(), part.end());
  }
  return z;
}

// h: at the vertices, before the layer and after it.
template <class T>
void Cutter<T>::cut_by_layer(std::size_t k, std::vector<double>& h) {
  const Layer& layer = net_.layers()[k];
  mesh_.set_values(values_at_vertices(layer, h), layer.fan_out);
  std::vector<std::uint32_t> parents;
  if (layer.activation == Activation::identity) {
    parents.resize(mesh_.polygons().size());
    std::iota(parents.begin(), parents.end(), 0U);
  } else {
    parents = cut_all(k);
  }
  levels_.push_back({patterns(layer), std::move(parents)});
  h = mesh_.take_values();
  const double slope = negative_slope<T>(layer.activation);
  for (double& z : h) z = z > 0.0 ? z : z * slope;
}

// Cuts every polygon by the units of layer k; returns the polygons that the parts come from.
template <class T>
std::vector<std::uint32_t> Cutter<T>::cut_all(std::size_t k) {
  const std::size_t count = mesh_.polygons().size();
  std::vector<std::uint32_t> parents;
  for (std::size_t p = 0; p < count; ++p) {
    poll_();
    parents.resize(mesh_.cut(p, max_regions_), static_cast<std::uint32_t>(p));
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
  std::vector<std::uint8_t> patterns(polygons.size() * layer.fan_out,
                                     layer.activation == Activation::identity ? 1 : 0);
  for (std::size_t p = 0; p < polygons.size(); ++p) {
    std::uint8_t* active = patterns.data() + p * layer.fan_out;
    for (const std::uint32_t* corner = polygons.begin(p); corner != polygons.end(p); ++corner) {
      const double* z = mesh_.values().data() + *corner * layer.fan_out;
      for (std::size_t o = 0; o < layer.fan_out; ++o) {
        active[o] = static_cast<std::uint8_t>(active[o] | static_cast<std::uint8_t>(z[o] > 0.0));
      }
    }
  }
  return patterns;
}

// Pattern and map of a region. Neighbours in the order share their first layers, so those are
// kept from one region to the next.
template <class T>
void Cutter<T>::add_map(std::size_t polygon, Regions& out) {
  const std::size_t hidden = levels_.size();
  std::vector<std::uint32_t> lineage(hidden);
  for (std::size_t k = hidden; k-- > 0;) {
    lineage[k] = k + 1 == hidden ? static_cast<std::uint32_t>(polygon)
                                 : levels_[k + 1].parents[lineage[k + 1]];
  }
  const bool first = z_.empty();
  z_.resize(hidden);
  h_.resize(hidden);
  bool changed = first;  // the layer before
  for (std::size_t k = 0; k < hidden; ++k) {
    const Layer& layer = net_.layers()[k];
    if (changed) {
      const std::vector<double>& before = k == 0 ? rows_.inputs : h_[k - 1];
      z_[k] = pre_activations(net_, layer, before, rows_.factor.data());
    }
    changed = changed || lineage[k] != lineage_[k];
    const std::uint8_t* active = levels_[k].active.data() + lineage[k] * layer.fan_out;
    out.pattern.insert(out.pattern.end(), active, active + layer.fan_out);
    if (!changed) continue;
    const double slope = negative_slope<T>(layer.activation);
    h_[k] = z_[k];
    for (std::size_t i = 0; i < h_[k].size(); ++i) {
      if (active[i % layer.fan_out] == 0) h_[k][i] *= slope;
    }
  }
  lineage_ = std::move(lineage);
  const std::vector<double>& last = hidden == 0 ? rows_.inputs : h_.back();
  const std::vector<double> map =
      pre_activations(net_, net_.layers().back(), last, rows_.factor.data());
  out.maps.insert(out.maps.end(), map.begin(), map.end());
}

template <class T>
Regions Cutter<T>::run() {
  std::vector<double> h = corner_inputs();
  for (std::size_t k = 0; k + 1 < net_.layers().size(); ++k) cut_by_layer(k, h);
  Regions out;
  out.offsets.push_back(0);
  for (std::size_t p = 0; p < mesh_.polygons().size(); ++p) {
    poll_();
    outline(mesh_, p, outline_);
    if (outline_.empty()) continue;
    out.vertices.insert(out.vertices.end(), outline_.begin(), outline_.end());
    out.offsets.push_back(static_cast<std::int64_t>(out.vertices.size() / 2));
    add_map(p, out);
  }
  return out;
}

}  // namespace

template <class T>
Regions linear_regions(const Network<T>& net, const Plane& plane, std::size_t max_regions,
                       const std::function<void()>& poll) {
  return Cutter<T>(net, plane, max_regions, poll).run();
}

template Regions linear_regions(const Network<float>&, const Plane&, std::size_t,
                                const std::function<void()>&);
template Regions linear_regions(const Network<double>&, const Plane&, std::size_t,
                                const std::function<void()>&);

}  // namespace fastrelu
