// SPDX-License-Identifier: BSD-3-Clause
#include "segment.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "linear_rows.h"

namespace fastrelu {
namespace {

// Where a unit crosses 0 between t0 and t1.
using Crossing = std::pair<double, std::size_t>;  // t, unit
void find_crossings(double t0, double t1, const double* z0, const double* z1, std::size_t width,
                    std::vector<Crossing>& crossings) {
  crossings.clear();
  for (std::size_t o = 0; o < width; ++o) {
    if ((z0[o] < 0.0 && z1[o] > 0.0) || (z0[o] > 0.0 && z1[o] < 0.0)) {
      const double t = t0 + (t1 - t0) * (z0[o] / (z0[o] - z1[o]));
      // One that falls on a neighbour by rounding needs no knot of its own.
      if (t > t0 && t < t1) crossings.emplace_back(t, o);
    }
  }
  std::sort(crossings.begin(), crossings.end());
}

// Adds to t every place where one of the units, linear between neighbouring t, crosses 0, and to z
// the units' values there: exactly 0 for one that crosses.
void add_crossings(std::vector<double>& t, std::vector<double>& z, std::size_t width) {
  std::vector<double> new_t, new_z;
  std::vector<Crossing> crossings;
  for (std::size_t m = 0; m < t.size(); ++m) {
    const double* z0 = z.data() + m * width;
    new_t.push_back(t[m]);
    new_z.insert(new_z.end(), z0, z0 + width);
    if (m + 1 == t.size()) break;
    const double* z1 = z0 + width;
    find_crossings(t[m], t[m + 1], z0, z1, width, crossings);
    for (const auto& [at, unit] : crossings) {
      if (at != new_t.back()) {
        const double share = (at - t[m]) / (t[m + 1] - t[m]);
        new_t.push_back(at);
        for (std::size_t o = 0; o < width; ++o) {
          new_z.push_back((1.0 - share) * z0[o] + share * z1[o]);
        }
      }
      new_z[new_z.size() - width + unit] = 0.0;
    }
  }
  t = std::move(new_t);
  z = std::move(new_z);
}

}  // namespace

template <class T>
SegmentPieces along(const Network<T>& net, const double* x0, const double* x1) {
  const std::size_t inputs = net.inputs();
  const double scale = static_cast<double>(net.scale());
  std::vector<double> t{0.0, 1.0}, h(2 * inputs);
  for (std::size_t i = 0; i < inputs; ++i) {
    h[i] = x0[i] * scale;
    h[inputs + i] = x1[i] * scale;
  }
  // Between neighbouring t every unit so far is linear, so its values there are all of it.
  for (const Layer& layer : net.layers()) {
    h = pre_activations(net, layer, h, nullptr);
    if (layer.activation == Activation::identity) continue;
    add_crossings(t, h, layer.fan_out);
    const double slope = negative_slope<T>(layer.activation);
    for (double& z : h) z = z > 0.0 ? z : z * slope;
  }
  return {std::move(t), std::move(h)};
}

template SegmentPieces along(const Network<float>&, const double*, const double*);
template SegmentPieces along(const Network<double>&, const double*, const double*);

}  // namespace fastrelu
