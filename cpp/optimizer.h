// SPDX-License-Identifier: BSD-3-Clause
// The optimizers: docs/arithmetic.md gives each update's formula; kernels/update-inl.h
// computes them. State (velocity, or first and second moments) is one value a parameter, in
// the order of the parameters, owned by the trainer.
#pragma once

#include <cstdint>

namespace fastrelu {

enum class OptimizerKind : std::uint8_t { sgd, adam, adamw };

// What the user chose; float64, rounded where docs/arithmetic.md says so.
struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::sgd;
  double momentum = 0.0;
  bool nesterov = false;
  double weight_decay = 0.0;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-8;

  // State arrays a parameter: none, velocity, or two moments.
  int state_count() const {
    if (kind != OptimizerKind::sgd) return 2;
    return momentum != 0.0 ? 1 : 0;
  }
};

// One update, everything rounded to T already.
template <class T>
struct UpdateArgs {
  enum class Rule : std::uint8_t { sgd, momentum, nesterov, adam, adamw };
  Rule rule = Rule::sgd;
  T learning_rate = 0;  // Adam: `a`, with the bias corrections
  T clip = 0;           // the gradient's factor when `clipped`
  bool clipped = false;
  T weight_decay = 0;  // coupled; AdamW: `d`
  T momentum = 0;
  T beta_1 = 0, beta_2 = 0, c1 = 0, c2 = 0, epsilon = 0;
};

}  // namespace fastrelu
