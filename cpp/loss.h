// SPDX-License-Identifier: BSD-3-Clause
// The losses: docs/arithmetic.md gives each one's formula, chain by chain; kernels/loss-inl.h
// computes them. K outputs a row.
//
//   squared_error         targets (n, K): half the squared error, averaged over the outputs
//   cross_entropy         labels (n,) in 0..K-1: softmax over the outputs
//   binary_cross_entropy  targets (n, K) in [0, 1], outputs are logits; summed over the outputs
//   poisson               targets (n, K) >= 0, log link; half the deviance, summed
//   huber                 targets (n, K): squared up to `parameter`, then linear; averaged
//   absolute_error        targets (n, K), averaged
//   quantile              targets (n, K): the pinball loss of quantile `parameter`, averaged
#pragma once

#include <cstdint>

namespace fastrelu {

enum class LossKind : std::uint8_t {
  squared_error,
  cross_entropy,
  binary_cross_entropy,
  poisson,
  huber,
  absolute_error,
  quantile,
};

// Averaged over the outputs, where the others are summed.
constexpr bool is_averaged(LossKind kind) {
  return kind == LossKind::squared_error || kind >= LossKind::huber;
}

// Views only. pos_weight: K values for binary_cross_entropy, or null for none. `summed` makes sums
// over the outputs of the averages. `clipped` computes the cross entropies (of labels, and of
// targets 0 and 1) from probabilities kept off 0 and 1 by the dtype's epsilon, as scikit-learn
// does; their gradients stay the same.
template <class T>
struct LossSpec {
  LossKind kind = LossKind::squared_error;
  const T* pos_weight = nullptr;
  T parameter = 0;
  T complement = 0;  // quantile: 1 - parameter
  bool summed = false;
  bool clipped = false;
};

// The targets of a data set: `values` (n, K) row-major, or `labels` (n,) for cross_entropy.
template <class T>
struct Targets {
  const T* values = nullptr;
  const std::int64_t* labels = nullptr;
};

}  // namespace fastrelu
