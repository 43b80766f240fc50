// SPDX-License-Identifier: BSD-3-Clause
// What core and kernels both know of an update of the parameters: its rule, its numbers and the
// arrays of state that the rule keeps (a velocity, moments). docs/arithmetic.md gives the formulas,
// kernels/update-inl.h computes them, optimizer.h makes the numbers and owns the arrays. Values and
// views; they own nothing.
#pragma once

#include <cstddef>

#include "catalogue.h"

namespace fastrelu {

// One update, everything rounded to T already.
template <class T>
struct UpdateArgs {
  UpdateRule rule = UpdateRule::sgd;
  T learning_rate = 0;  // Adam: `a`, with the bias corrections
  T clip = 0;           // the gradient's factor when `clipped`
  bool clipped = false;
  T weight_decay = 0;  // decoupled: times the learning rate
  bool decoupled = false;
  T momentum = 0;
  T beta_1 = 0, beta_2 = 0, c1 = 0, c2 = 0, epsilon = 0;
};

// An optimizer's state, seen from parameter `offset` on: value i of array k belongs to parameter
// offset + i. Any number of arrays, each laid out as the parameters, `stride` values apart; the
// rule knows how many it reads and writes, so `data` may be null for a rule without state.
template <class T>
struct StateArrays {
  T* data = nullptr;
  std::size_t stride = 0, offset = 0;

  T* array(std::size_t k) const { return data + k * stride + offset; }
  StateArrays from(std::size_t parameter) const { return {data, stride, offset + parameter}; }
};

}  // namespace fastrelu
