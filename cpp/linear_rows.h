// SPDX-License-Identifier: BSD-3-Clause
// A layer's linear part in float64 by plain loops, the same bits everywhere: what a network's exact
// pieces are made of.
#pragma once

#include <cstddef>
#include <vector>

#include "network.h"

namespace fastrelu {

// (rows, fan_out): z = h W + bias_factor b for each row of h, (rows, fan_in). bias_factor has one
// number a row; null stands for ones.
template <class T>
std::vector<double> pre_activations(const Network<T>& net, const Layer& layer,
                                    const std::vector<double>& h, const double* bias_factor) {
  const std::size_t rows = h.size() / layer.fan_in;
  std::vector<double> z(rows * layer.fan_out, 0.0);
  const T* weights = net.parameters() + layer.weight_offset;
  const T* bias = net.parameters() + layer.bias_offset;
  for (std::size_t n = 0; n < rows; ++n) {
    double* out = z.data() + n * layer.fan_out;
    if (net.has_bias()) {
      const double factor = bias_factor == nullptr ? 1.0 : bias_factor[n];
      for (std::size_t o = 0; o < layer.fan_out; ++o)
        out[o] = factor * static_cast<double>(bias[o]);
    }
    for (std::size_t i = 0; i < layer.fan_in; ++i) {
      const double x = h[n * layer.fan_in + i];
      if (x == 0.0) continue;  // of ReLUs about half
      const T* row = weights + i * layer.fan_out;
      for (std::size_t o = 0; o < layer.fan_out; ++o) out[o] += x * static_cast<double>(row[o]);
    }
  }
  return z;
}

// The factor on negative pre-activations.
template <class T>
double negative_slope(Activation activation) {
  switch (activation) {
    case Activation::relu: return 0.0;
    case Activation::leaky_relu: return static_cast<double>(static_cast<T>(0.01));
    default: return 1.0;
  }
}

}  // namespace fastrelu
