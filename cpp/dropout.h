// SPDX-License-Identifier: BSD-3-Clause
// Dropout of hidden units while training: a unit is dropped (+0) with probability `rate`, else
// multiplied with 1 / (1 - rate). Whether it is dropped is a pure function of (seed, step, layer,
// row of the minibatch, unit), docs/arithmetic.md, so the backward pass draws the same mask anew
// instead of keeping it. Any thread may call it for rows of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "array.h"

namespace fastrelu {

// The masks of one minibatch's rows from `first_row` on; `rates` holds one for each hidden layer.
struct Dropout {
  const std::vector<double>* rates = nullptr;
  std::uint64_t seed = 0, step = 0;
  std::size_t first_row = 0;

  double rate(std::size_t layer) const {
    return rates == nullptr || layer >= rates->size() ? 0.0 : (*rates)[layer];
  }
};

// Masks units [begin, end) of hidden layer `layer` in row `row` (counted from the first row), which
// lie `stride` apart from `values` on. begin is a multiple of 4.
template <class T>
void drop_units(const Dropout& dropout, std::size_t layer, std::size_t row, std::size_t begin,
                std::size_t end, std::size_t stride, T* values);

}  // namespace fastrelu
