// SPDX-License-Identifier: BSD-3-Clause
// A loss as it is asked for, and the targets that it compares with: catalogue.h says what each loss
// is, docs/arithmetic.md gives its formula, chain by chain, kernels/loss-inl.h computes it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "catalogue.h"

namespace fastrelu {

// Views only. pos_weight: K values for a loss that has them, or null for none. slopes: for a loss
// that has levels, 1 - level for each output, then their levels. `summed` makes sums
// over the outputs of the means. `clipped` computes the cross entropies (of labels, and of targets
// 0 and 1) from probabilities kept off 0 and 1 by the dtype's epsilon, as scikit-learn does; their
// gradients stay the same.
template <class T>
struct LossSpec {
  LossKind kind = LossKind::squared_error;
  const T* pos_weight = nullptr;
  const T* slopes = nullptr;
  T parameter = 0;
  T complement = 0;  // 1 - parameter
  bool summed = false;
  bool clipped = false;
};

// The outputs that a row's loss is the mean over: 1 where it is their sum.
template <class T>
double averaged_outputs(const LossSpec<T>& loss, std::size_t outputs) {
  const bool averaged = info(loss.kind).over_outputs == OverOutputs::mean && !loss.summed;
  return averaged ? static_cast<double>(outputs) : 1.0;
}

// The targets of a data set: `values` (n, K) row-major, or `labels` (n,).
template <class T>
struct Targets {
  const T* values = nullptr;
  const std::int64_t* labels = nullptr;
};

}  // namespace fastrelu
