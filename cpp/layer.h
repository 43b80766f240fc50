// SPDX-License-Identifier: BSD-3-Clause
// What core and kernels both know of a layer.
#pragma once

#include <cstddef>

#include "catalogue.h"

namespace fastrelu {

struct Layer {
  std::size_t fan_in, fan_out;
  std::size_t weight_offset, bias_offset;  // into the parameters; the bias follows the weights
  Activation activation;                   // of the layer's output
};

}  // namespace fastrelu
