// SPDX-License-Identifier: BSD-3-Clause
// A layer's linear part in float64 by plain loops, the same bits everywhere: what a network's exact
// pieces are made of.
#pragma once

#include <cstddef>
#include <vector>

#include "network.h"

namespace fastrelu {

// (rows, fan_out): z = h W + bias_factor b for each row of h, (rows, fan_in). bias_factor has one
// number for each row; null stands for ones.
template <class T>
std::vector<double> pre_activations(const Network<T>& net, const Layer& layer,
                                    const std::vector<double>& h, const double* bias_factor) {
  const std::size_t rows = h.size() / layer.fan_in;
  std::vector<double> z(rows * layer.fan_out, 0.0);
  const T* weights = net.parameters() + layer.weight_offset;
  const T* bias = net.parameters() + layer.bias_offset;
  std::vector<std::size_t> present;
  for (std::size_t n = 0; n < rows; ++n) {
    double* out = z.data() + n * layer.fan_out;
    if (net.has_bias()) {
      const double factor = bias_factor == nullptr ? 1.0 : bias_factor[n];
      for (std::size_t o = 0; o < layer.fan_out; ++o)
        out[o] = factor * static_cast<double>(bias[o]);
    }
    // Of ReLUs about half are 0. Four of the others at a time, in order: a quarter of the traffic.
    const double* x = h.data() + n * layer.fan_in;
    present.clear();
    for (std::size_t i = 0; i < layer.fan_in; ++i) {
      if (x[i] != 0.0) present.push_back(i);
    }
    std::size_t at = 0;
    for (; at + 4 <= present.size(); at += 4) {
      const std::size_t* i = present.data() + at;
      const double x0 = x[i[0]], x1 = x[i[1]], x2 = x[i[2]], x3 = x[i[3]];
      const T *w0 = weights + i[0] * layer.fan_out, *w1 = weights + i[1] * layer.fan_out,
              *w2 = weights + i[2] * layer.fan_out, *w3 = weights + i[3] * layer.fan_out;
      for (std::size_t o = 0; o < layer.fan_out; ++o) {
        out[o] = (((out[o] + x0 * static_cast<double>(w0[o])) + x1 * static_cast<double>(w1[o])) +
                  x2 * static_cast<double>(w2[o])) +
                 x3 * static_cast<double>(w3[o]);
      }
    }
    for (; at < present.size(); ++at) {
      const T* w = weights + present[at] * layer.fan_out;
      const double value = x[present[at]];
      for (std::size_t o = 0; o < layer.fan_out; ++o) out[o] += value * static_cast<double>(w[o]);
    }
  }
  return z;
}

// The factor on negative pre-activations of a piecewise-linear activation.
template <class T>
double negative_slope(Activation activation) {
  return static_cast<double>(static_cast<T>(info(activation).slope));
}

}  // namespace fastrelu
