// SPDX-License-Identifier: BSD-3-Clause
#include "segment.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "linear_rows.h"
#include "plane_point.h"
#include "running_error.h"

namespace fastrelu {
namespace {

// Numbers of all units at every t, with their likely errors: (t.size(), width).
using AtKnots = Uncertain;

// -1, 0 or 1; roundings of a 0 have no sign, and so no kink.
int sign(double value, double error) {
  const double tolerance = kToleratedErrors * error;
  return value > tolerance ? 1 : value < -tolerance ? -1 : 0;
}

// Where a unit crosses 0 between t0 and t1.
using Crossing = std::pair<double, std::size_t>;  // t, unit
void find_crossings(const std::vector<double>& t, std::size_t m, const AtKnots& z,
                    std::size_t width, std::vector<Crossing>& crossings) {
  crossings.clear();
  const double *z0 = z.value.data() + m * width, *z1 = z0 + width;
  const double *e0 = z.error.data() + m * width, *e1 = e0 + width;
  for (std::size_t o = 0; o < width; ++o) {
    if (sign(z0[o], e0[o]) * sign(z1[o], e1[o]) < 0) {
      const double at = t[m] + (t[m + 1] - t[m]) * (z0[o] / (z0[o] - z1[o]));
      // One that falls on a neighbour by rounding needs no knot of its own.
      if (at > t[m] && at < t[m + 1]) crossings.emplace_back(at, o);
    }
  }
  std::sort(crossings.begin(), crossings.end());
}

// Adds to t every place where one of the units, linear between neighbouring t, crosses 0, and to z
// the units' values there: exactly 0 for one that crosses.
void add_crossings(std::vector<double>& t, AtKnots& z, std::size_t width) {
  std::vector<double> new_t;
  AtKnots out;
  std::vector<Crossing> crossings;
  for (std::size_t m = 0; m < t.size(); ++m) {
    const double *z0 = z.value.data() + m * width, *e0 = z.error.data() + m * width;
    new_t.push_back(t[m]);
    out.value.insert(out.value.end(), z0, z0 + width);
    out.error.insert(out.error.end(), e0, e0 + width);
    if (m + 1 == t.size()) break;
    const double *z1 = z0 + width, *e1 = e0 + width;
    find_crossings(t, m, z, width, crossings);
    for (const auto& [at, unit] : crossings) {
      if (at != new_t.back()) {
        const double share = (at - t[m]) / (t[m + 1] - t[m]);
        new_t.push_back(at);
        for (std::size_t o = 0; o < width; ++o) {
          out.value.push_back((1.0 - share) * z0[o] + share * z1[o]);
          const double size = std::max(std::fabs(z0[o]), std::fabs(z1[o]));
          out.error.push_back(std::max(e0[o], e1[o]) + 2 * kRounding * size);
        }
      }
      out.value[out.value.size() - width + unit] = 0.0;
    }
  }
  t = std::move(new_t);
  z = std::move(out);
}

// Pre-activations of a layer at every t.
template <class T>
AtKnots through_weights(RunningErrors<T>& errors, const Layer& layer, const AtKnots& h) {
  const std::size_t knots = h.value.size() / layer.fan_in;
  AtKnots z;
  z.resize(knots * layer.fan_out);
  for (std::size_t m = 0; m < knots; ++m) {
    const std::size_t from = m * layer.fan_in, to = m * layer.fan_out;
    errors.layer(layer, h.value.data() + from, h.error.data() + from, 1.0, 0.0, z.value.data() + to,
                 z.error.data() + to);
  }
  return z;
}

}  // namespace

template <class T>
SegmentPieces along(const Network<T>& net, const double* x0, const double* x1) {
  const std::size_t inputs = net.inputs();
  const double scale = static_cast<double>(net.scale());
  std::vector<double> t{0.0, 1.0};
  AtKnots h;
  h.resize(2 * inputs);
  for (std::size_t i = 0; i < inputs; ++i) {
    h.value[i] = x0[i] * scale;
    h.value[inputs + i] = x1[i] * scale;
    h.error[i] = kRounding * std::fabs(h.value[i]);
    h.error[inputs + i] = kRounding * std::fabs(h.value[inputs + i]);
  }
  RunningErrors<T> errors(net, ErrorKind::likely);
  // Between neighbouring t every unit so far is linear, so its values there are all of it.
  for (const Layer& layer : net.layers()) {
    AtKnots z = through_weights(errors, layer, h);
    if (layer.activation == Activation::identity) {
      h = std::move(z);
      continue;
    }
    add_crossings(t, z, layer.fan_out);
    activate(negative_slope<T>(layer.activation), z, h);
  }
  return {std::move(t), std::move(h.value)};
}

template SegmentPieces along(const Network<float>&, const double*, const double*);
template SegmentPieces along(const Network<double>&, const double*, const double*);

}  // namespace fastrelu
