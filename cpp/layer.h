// SPDX-License-Identifier: BSD-3-Clause
// What core and kernels both know of a layer.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastrelu {

// relu is fused into the dense passes; leaky_relu, logistic and tanh are elementwise kernels behind
// them (kernels/activation-inl.h).
enum class Activation : std::uint8_t { identity, relu, leaky_relu, logistic, tanh };

constexpr bool is_elementwise(Activation a) {
  return a != Activation::identity && a != Activation::relu;
}

struct Layer {
  std::size_t fan_in, fan_out;
  std::size_t weight_offset, bias_offset;  // into the parameters; the bias follows the weights
  Activation activation;                   // of the layer's output
};

}  // namespace fastrelu
