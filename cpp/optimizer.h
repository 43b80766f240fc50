// SPDX-License-Identifier: BSD-3-Clause
// The optimizers: docs/arithmetic.md gives each update's formula, kernels/update-inl.h computes
// them. An Optimizer makes the numbers of each update and owns the state that its rule keeps: any
// number of arrays (velocity; first and second moments), each with a value for each parameter in
// the order of the parameters, zero at first, aligned to 64 bytes.
//
// `next` counts; whoever calls it must be alone. The arrays are written by the kernels through
// `state`, by several threads at once, each at parameters of its own. They alias nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "array.h"
#include "update.h"

namespace fastrelu {

// What the user chose; float64, rounded where docs/arithmetic.md says so. An optimizer reads those
// of its numbers that its row of the catalogue has.
struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::sgd;
  bool nesterov = false;
  double momentum = 0, weight_decay = 0, beta_1 = 0, beta_2 = 0, epsilon = 0;

  OptimizerSpec() = default;
  // With the catalogue's usual numbers.
  explicit OptimizerSpec(OptimizerKind chosen);
  // Where the number of this name is; throws std::invalid_argument for another name.
  double& number(std::string_view name);
  std::size_t state_count() const {
    return kind == OptimizerKind::sgd && momentum != 0 ? 1 : info(kind).state_count;
  }
};

// The updates made so far, as far as they are not in the arrays; a checkpoint holds it.
struct OptimizerProgress {
  std::uint64_t step = 0;
  double power_1 = 1, power_2 = 1;  // Adam's beta_1^step, beta_2^step
};

template <class T>
class Optimizer {
 public:
  // Takes the memory of the arrays; throws std::bad_alloc.
  Optimizer(const OptimizerSpec& spec, std::size_t parameter_count);

  // Begins the next update, at this learning rate; it is written to u.
  void next(double learning_rate, UpdateArgs<T>& u);
  // The update that has begun, at another learning rate.
  void same(double learning_rate, UpdateArgs<T>& u) const;
  // What is the same in every update.
  const UpdateArgs<T>& constants() const { return constants_; }
  // Every update is w = fma(-lr, g, w) and nothing else.
  bool is_plain_sgd() const { return plain_; }

  const OptimizerSpec& spec() const { return spec_; }
  StateArrays<T> state() { return {arrays_.data(), stride_, 0}; }

  OptimizerProgress progress;

 private:
  OptimizerSpec spec_;
  UpdateArgs<T> constants_;
  bool plain_;
  std::size_t stride_;
  AlignedBuffer<T> arrays_;
};

}  // namespace fastrelu
