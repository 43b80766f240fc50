// SPDX-License-Identifier: BSD-3-Clause
// Dropout of hidden units while training: a unit is dropped (+0) with probability t / 65536, where
// t, the layer's threshold, is the rate in such parts, else multiplied with 65536 / (65536 - t), so
// that its expectation stays. Whether it is dropped is a pure function of (seed, step, layer, row
// of the minibatch, unit), docs/arithmetic.md, so the backward pass draws the same mask anew
// instead of keeping it. Any thread may call it for rows or units of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "array.h"
#include "panels.h"
#include "range.h"

namespace fastrelu {

// The masks of one minibatch's rows from `first_row` on; `rates` holds one for each hidden layer.
struct Dropout {
  const std::vector<double>* rates = nullptr;
  std::uint64_t seed = 0, step = 0;
  std::size_t first_row = 0;

  // 0 to 65535; 0: the layer drops nothing.
  std::uint32_t threshold(std::size_t layer) const;
  // The part of its units that a layer keeps, and 1 / that.
  double kept(std::size_t layer) const { return (65536.0 - threshold(layer)) / 65536.0; }
  double scale(std::size_t layer) const { return 65536.0 / (65536.0 - threshold(layer)); }
};

// Masks `units` of hidden layer `layer`, in `panels` of rows; units.begin is a multiple of 8.
template <class T>
void drop_units(const Dropout& dropout, std::size_t layer, const Panels<T>& a, Range units,
                Range panels);

}  // namespace fastrelu
