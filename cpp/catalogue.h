// SPDX-License-Identifier: BSD-3-Clause
// What a loss and an activation is, said once: constexpr tables with a row for each. The core and
// its kernels look properties up here, and the bindings hand the tables to Python, where links,
// checks of the targets, metrics, accepted names and the tests' parameters come from them.
// docs/arithmetic.md has the formulas, kernels/loss-inl.h and activation-inl.h compute them.
//
// Constant data that any thread may read. The look-ups are always inlined: the kernels include this
// file once for each instruction set, and no copy of a function may be shared between those.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace fastrelu {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A number that a user may choose, in the open interval (low, high); without a name there is none.
struct Parameter {
  const char* name = nullptr;
  double initial = 0, low = 0, high = 0;
};

// Losses ------------------------------------------------------------------------------------------

enum class LossKind : std::uint8_t {
  squared_error,
  cross_entropy,
  binary_cross_entropy,
  poisson,
  huber,
  absolute_error,
  quantile,
  gamma,
  tweedie,
};

// The link of the generalized linear model that the outputs belong to: predictions are its inverse
// applied to the outputs (softmax and logistic are named by that inverse).
enum class Link : std::uint8_t { identity, softmax, logistic, log };

// What the targets may be: labels 0 .. K-1, one for each row, or K numbers in [low, high] for each
// row ((low, high] if `open_low`).
struct Domain {
  const char* name;
  const char* text;  // for messages
  bool labels;
  double low, high;
  bool open_low;
};
constexpr Domain kReal{"real", "targets", false, -kInfinity, kInfinity, false};
constexpr Domain kLabels{"labels", "labels", true, 0, kInfinity, false};
constexpr Domain kUnitInterval{"unit_interval", "targets in [0, 1]", false, 0, 1, false};
constexpr Domain kNonNegative{"non_negative", "targets >= 0", false, 0, kInfinity, false};
constexpr Domain kPositive{"positive", "targets > 0", false, 0, kInfinity, true};

// What a network with this loss does: predict numbers, one of several classes, or any of several.
enum class Task : std::uint8_t { regression, classification, multilabel };

// What predictions are judged by: the coefficient of determination, the share of right ones, or the
// share of the deviance explained.
enum class Metric : std::uint8_t { r2, accuracy, d2 };

// What a row's loss is over its K outputs.
enum class OverOutputs : std::uint8_t { mean, sum };

struct LossInfo {
  LossKind kind;
  const char* name;
  Task task;  // the first loss of a task is its usual one
  Link link;
  Domain domain;
  Metric metric;
  OverOutputs over_outputs;
  std::size_t least_outputs;
  bool has_pos_weight;  // a factor on the positive part of each output's loss
  Parameter parameter;
};

// clang-format off
constexpr LossInfo kLosses[] = {
    {LossKind::squared_error, "squared_error",
     Task::regression, Link::identity, kReal, Metric::r2, OverOutputs::mean, 1, false, {}},
    {LossKind::cross_entropy, "cross_entropy",
     Task::classification, Link::softmax, kLabels, Metric::accuracy, OverOutputs::sum, 2, false,
     {}},
    {LossKind::binary_cross_entropy, "binary_cross_entropy",
     Task::multilabel, Link::logistic, kUnitInterval, Metric::accuracy, OverOutputs::sum, 1, true,
     {}},
    {LossKind::poisson, "poisson",
     Task::regression, Link::log, kNonNegative, Metric::d2, OverOutputs::sum, 1, false, {}},
    {LossKind::huber, "huber",
     Task::regression, Link::identity, kReal, Metric::r2, OverOutputs::mean, 1, false,
     {"delta", 1.0, 0.0, kInfinity}},
    {LossKind::absolute_error, "absolute_error",
     Task::regression, Link::identity, kReal, Metric::r2, OverOutputs::mean, 1, false, {}},
    {LossKind::quantile, "quantile",
     Task::regression, Link::identity, kReal, Metric::r2, OverOutputs::mean, 1, false,
     {"quantile", 0.5, 0.0, 1.0}},
    {LossKind::gamma, "gamma",
     Task::regression, Link::log, kPositive, Metric::d2, OverOutputs::sum, 1, false, {}},
    {LossKind::tweedie, "tweedie",
     Task::regression, Link::log, kNonNegative, Metric::d2, OverOutputs::sum, 1, false,
     {"power", 1.5, 1.0, 2.0}},
};
// clang-format on

[[gnu::always_inline]] constexpr const LossInfo& info(LossKind kind) {
  return kLosses[static_cast<std::size_t>(kind)];
}

[[gnu::always_inline]] constexpr bool takes_labels(LossKind kind) {
  return info(kind).domain.labels;
}

// Activations -------------------------------------------------------------------------------------

enum class Activation : std::uint8_t { relu, identity, leaky_relu, logistic, tanh, elu, silu };

// How the passes apply an activation: inside the dense passes, or by kernels of its own behind them
// (kernels/activation-inl.h).
enum class Applied : std::uint8_t { fused, elementwise };

struct ActivationInfo {
  Activation kind;
  const char* name;
  Applied applied;
  bool piecewise_linear;  // z from 0 on, slope * z below
  double slope;
  // The derivative does not follow from the activation: the forward pass keeps it, where a backward
  // pass will come.
  bool keeps_derivative = false;
};

constexpr ActivationInfo kActivations[] = {
    {Activation::relu, "relu", Applied::fused, true, 0.0},
    {Activation::identity, "identity", Applied::fused, true, 1.0},
    {Activation::leaky_relu, "leaky_relu", Applied::elementwise, true, 0.01},
    {Activation::logistic, "logistic", Applied::elementwise, false, 0.0},
    {Activation::tanh, "tanh", Applied::elementwise, false, 0.0},
    {Activation::elu, "elu", Applied::elementwise, false, 0.0},
    {Activation::silu, "silu", Applied::elementwise, false, 0.0, true},
};

[[gnu::always_inline]] constexpr const ActivationInfo& info(Activation kind) {
  return kActivations[static_cast<std::size_t>(kind)];
}

[[gnu::always_inline]] constexpr bool is_elementwise(Activation kind) {
  return info(kind).applied == Applied::elementwise;
}

[[gnu::always_inline]] constexpr bool keeps_derivative(Activation kind) {
  return info(kind).keeps_derivative;
}

// A row's place is its kind's number.
template <class Row, std::size_t N>
constexpr bool in_order(const Row (&rows)[N]) {
  for (std::size_t i = 0; i < N; ++i) {
    if (static_cast<std::size_t>(rows[i].kind) != i) return false;
  }
  return true;
}
static_assert(in_order(kLosses) && in_order(kActivations));

}  // namespace fastrelu
