// SPDX-License-Identifier: BSD-3-Clause
#include "bounds.h"

#include <numeric>

#include "linear_rows.h"
#include "relaxation.h"

namespace fastrelu {

template <class T>
PreActivationBounds pre_activation_bounds(const Network<T>& net, const double* lower,
                                          const double* upper, Chains chains) {
  const Rounding rounding = rounding_of<T>(chains);
  const Interval x = scaled_inputs(net, lower, upper, chains);
  std::vector<LayerBounds> layers;
  for (const Layer& layer : net.layers()) layers.emplace_back(layer.fan_out);
  BackSubstitution<T, kUnitLanes> back(net, x, layers);
  PreActivationBounds out;
  PassWatch watch;
  for (std::size_t k = 0; k < layers.size(); ++k) {
    LayerBounds& layer = layers[k];
    propagate(net, k, k == 0 ? x : layers[k - 1].a, rounding, chains == Chains::computed, layer);
    if (k > 0) {
      std::vector<std::size_t> units = open_units(layer);
      if (k + 1 == layers.size()) {
        units.resize(layer.size.size());
        std::iota(units.begin(), units.end(), std::size_t{0});
      }
      tighten(net, k, units, chains, back, watch, layer, nullptr);
    }
    activate<T>(negative_slope<T>(net.layers()[k].activation), rounding, chains, layer);
    out.lower.insert(out.lower.end(), layer.z.lower.begin(), layer.z.lower.end());
    out.upper.insert(out.upper.end(), layer.z.upper.begin(), layer.z.upper.end());
  }
  return out;
}

template PreActivationBounds pre_activation_bounds(const Network<float>&, const double*,
                                                   const double*, Chains);
template PreActivationBounds pre_activation_bounds(const Network<double>&, const double*,
                                                   const double*, Chains);

}  // namespace fastrelu
