// SPDX-License-Identifier: BSD-3-Clause
#include "edge_crossing.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fastrelu {
namespace {

// How far off 0 a value is, in likely errors. Places are sought until that is a few.
constexpr double kFew = 3;
double off(const Uncertain& z, std::size_t o) {
  const double size = std::fabs(z.value[o]);
  return size > 0.0 ? size / z.error[o] : 0.0;
}

// What a unit that should be 0 may be.
double doubt(const Uncertain& z, std::size_t o) {
  return std::fabs(z.value[o]) + kToleratedErrors * z.error[o];
}

bool equal(const double* a, const double* b) { return a[0] == b[0] && a[1] == b[1]; }

// Whether p is between the ends of the edge, seen along it.
bool is_between(const double* p, const MeshEdge& edge) {
  const double u = edge.b[0] - edge.a[0], v = edge.b[1] - edge.a[1];
  return (p[0] - edge.a[0]) * u + (p[1] - edge.a[1]) * v > 0.0 &&
         (p[0] - edge.b[0]) * u + (p[1] - edge.b[1]) * v < 0.0;
}

}  // namespace

template <class T>
UnitCrossings<T>::UnitCrossings(const Network<T>& net, PlanePoint<T>& at) : at_(at) {
  std::uint32_t id = 0;
  for (const Layer& layer : net.layers()) {
    first_ids_.push_back(id);
    id += static_cast<std::uint32_t>(layer.fan_out);
  }
}

template <class T>
void UnitCrossings<T>::find(const MeshEdge& edge, double* point, double* values,
                            double* tolerances) {
  const bool owned = edge.owner >= 0;
  if (owned) {
    const auto id = static_cast<std::uint32_t>(edge.owner);
    owner_layer_ = layer_;
    while (first_ids_[owner_layer_] > id) --owner_layer_;
    owner_ = id - first_ids_[owner_layer_];
  }
  search_along(edge, point);
  if (owned) put_on_both(edge, point);
  const Uncertain& z = at_.z(layer_);
  for (std::size_t o = 0; o < z.value.size(); ++o) {
    values[o] = z.value[o];
    tolerances[o] = kToleratedErrors * z.error[o];
  }
  allow_for_place(edge, owned, values, tolerances);
}

// A unit that changes sign close by may be 0 at the true place of the crossing: what the two lines
// are off 0 at the place found, in terms of the unit, is added to its tolerance.
template <class T>
void UnitCrossings<T>::allow_for_place(const MeshEdge& edge, bool owned, const double* values,
                                       double* tolerances) {
  constexpr double kClose = 1e-6;  // of what the unit is at the edge's ends
  bool known = false;
  for (std::size_t o = 0; o < at_.z(layer_).value.size(); ++o) {
    const double size = std::fabs(values[o]);
    const double at_ends = std::max(std::fabs(edge.all_at_a[o]), std::fabs(edge.all_at_b[o]));
    if (o == edge.f || size <= tolerances[o] || !(size <= kClose * at_ends)) continue;
    if (!known) at_.gradients(layer_, gradients_);
    known = true;
    const std::size_t width = at_.z(layer_).value.size();
    const double g[2] = {gradients_[o], gradients_[width + o]};
    const double h[2] = {gradients_[edge.f], gradients_[width + edge.f]};
    double along[2] = {edge.b[0] - edge.a[0], edge.b[1] - edge.a[1]};
    double off_edge = 0;
    if (owned) {
      std::vector<double> all;
      at_.gradients(owner_layer_, all);
      const double p[2] = {all[owner_], all[all.size() / 2 + owner_]};
      const double share = (g[0] * h[1] - g[1] * h[0]) / (p[0] * h[1] - p[1] * h[0]);
      off_edge = std::fabs(share) * doubt(at_.z(owner_layer_), owner_);
      along[0] = p[1];
      along[1] = -p[0];
    }
    const double share = (g[0] * along[0] + g[1] * along[1]) / (h[0] * along[0] + h[1] * along[1]);
    const double more = off_edge + std::fabs(share) * doubt(at_.z(layer_), edge.f);
    if (std::isfinite(more)) tolerances[o] += more;
  }
}

// To where the unit is 0 on the edge: each time linearly between the nearest places on both sides.
template <class T>
void UnitCrossings<T>::search_along(const MeshEdge& edge, double* point) {
  constexpr int kMost = 30;
  double a[2] = {edge.a[0], edge.a[1]}, b[2] = {edge.b[0], edge.b[1]};
  double at_a = edge.all_at_a[edge.f], at_b = edge.all_at_b[edge.f];
  double best[2] = {a[0], a[1]}, least = std::numeric_limits<double>::infinity();
  for (int turn = 0; turn < kMost; ++turn) {
    // From the nearer end, and never beyond.
    const bool from_a = std::fabs(at_a) <= std::fabs(at_b);
    const double share = from_a ? at_a / (at_a - at_b) : at_b / (at_b - at_a);
    for (std::size_t k = 0; k < 2; ++k) {
      point[k] = from_a ? a[k] + share * (b[k] - a[k]) : b[k] + share * (a[k] - b[k]);
    }
    at_.run(point, layer_);
    const Uncertain& z = at_.z(layer_);
    const double value = z.value[edge.f], now = off(z, edge.f);
    if (!(now > kFew)) return;
    if (!(now < 0.5 * least)) break;
    least = now;
    std::copy(point, point + 2, best);
    if (equal(point, a) || equal(point, b)) return;
    double* const end = (value > 0.0) == (at_a > 0.0) ? a : b;
    std::copy(point, point + 2, end);
    (end == a ? at_a : at_b) = value;
  }
  std::copy(best, best + 2, point);
  at_.run(point, layer_);
}

// Newton's steps to where both the unit and the edge's owner are 0, as long as they get nearer.
template <class T>
void UnitCrossings<T>::put_on_both(const MeshEdge& edge, double* point) {
  constexpr int kMost = 40;
  const std::size_t k = owner_layer_, o = owner_;
  double worst = std::max(off(at_.z(k), o), off(at_.z(layer_), edge.f));
  for (int turn = 0; turn < kMost && worst > kFew; ++turn) {
    std::vector<double> all;
    at_.gradients(k, all);
    const double g[2] = {all[o], all[all.size() / 2 + o]};
    at_.gradients(layer_, all);
    const double h[2] = {all[edge.f], all[all.size() / 2 + edge.f]};
    const double determinant = g[0] * h[1] - g[1] * h[0];
    const double z = at_.z(k).value[o], y = at_.z(layer_).value[edge.f];
    const double moved[2] = {point[0] - (z * h[1] - y * g[1]) / determinant,
                             point[1] - (y * g[0] - z * h[0]) / determinant};
    if (!is_between(moved, edge)) break;
    at_.run(moved, layer_);
    const double now = std::max(off(at_.z(k), o), off(at_.z(layer_), edge.f));
    // Beside a point where all values are 0 the errors shrink with them: a shorter way counts, too.
    const bool nearer = now < 0.5 * worst || std::fabs(at_.z(k).value[o]) < 1e-3 * std::fabs(z);
    if (!nearer) break;
    worst = now;
    std::copy(moved, moved + 2, point);
  }
  at_.run(point, layer_);
}

template class UnitCrossings<float>;
template class UnitCrossings<double>;

}  // namespace fastrelu
