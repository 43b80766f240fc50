// SPDX-License-Identifier: BSD-3-Clause
// What a loss, an activation and an optimizer is, said once: constexpr tables, a row for each. The
// core and its kernels look properties up here, and the bindings hand the tables to Python, where
// links, checks of the targets, metrics, accepted names and the tests' parameters come from them.
// docs/arithmetic.md has the formulas, kernels/loss-inl.h, activation-inl.h and update-inl.h
// compute them.
//
// Constant data that any thread may read. The look-ups are always inlined: the kernels include this
// file once for each instruction set, and no copy of a function may be shared between those.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace fastrelu {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A number that a user may choose, between low and high, which are possible themselves where
// `with_low` and `with_high`; without a name there is none.
struct Parameter {
  const char* name = nullptr;
  double initial = 0, low = 0, high = 0;
  bool with_low = false, with_high = false;
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
  quantiles,
  expectile,
};

// The link of the generalized linear model that the outputs belong to: predictions are its inverse
// applied to the outputs (softmax, logistic and ordered are named by that inverse; ordered makes
// numbers that do not descend).
enum class Link : std::uint8_t { identity, softmax, logistic, log, ordered };

// What the targets may be: labels 0 .. K-1, one for each row, or K numbers in [low, high] for each
// row ((low, high] if `open_low`).
struct Domain {
  const char* name;
  const char* text;  // for messages
  bool labels;
  double low, high;
  bool open_low;

  // NaN, where it is let through, is left alone.
  template <class T>
  constexpr bool holds(T y) const {
    const T least = static_cast<T>(low), most = static_cast<T>(high);
    return !(y < least || y > most || (open_low && y == least));
  }
};
constexpr Domain kReal{"real", "targets", false, -kInfinity, kInfinity, false};
constexpr Domain kLabels{"labels", "labels", true, 0, kInfinity, false};
constexpr Domain kUnitInterval{"unit_interval", "targets in [0, 1]", false, 0, 1, false};
constexpr Domain kNonNegative{"non_negative", "targets >= 0", false, 0, kInfinity, false};
constexpr Domain kPositive{"positive", "targets > 0", false, 0, kInfinity, true};

// What a network with this loss does: predict numbers, one of several classes, any of several, or
// several quantiles of one number.
enum class Task : std::uint8_t { regression, classification, multilabel, quantiles };

// How predictions are evaluated: the coefficient of determination, the share of right ones, or the
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
  bool has_levels = false;  // a level for each output
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
    {LossKind::quantiles, "quantiles",
     Task::quantiles, Link::ordered, kReal, Metric::d2, OverOutputs::mean, 1, false, {}, true},
    {LossKind::expectile, "expectile",
     Task::regression, Link::identity, kReal, Metric::r2, OverOutputs::mean, 1, false,
     {"tau", 0.5, 0.0, 1.0}},
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

// Optimizers --------------------------------------------------------------------------------------

enum class OptimizerKind : std::uint8_t { sgd, adam, adamw, lion };

// How an update is computed (kernels/update-inl.h), the decay of weights apart; SGD's is one of
// three, by its momentum.
enum class UpdateRule : std::uint8_t { sgd, momentum, nesterov, adam, lion };

// Where weight decay acts: on the gradient, to which weight_decay * w is added, or on the weights,
// which shrink by learning rate * weight_decay.
enum class Decay : std::uint8_t { coupled, decoupled };

// The numbers that optimizers take beside the learning rate; a row has those that it takes.
constexpr Parameter momentum_of(double initial) {
  return {"momentum", initial, 0.0, 1.0, true, true};
}
constexpr Parameter beta_1_of(double initial) { return {"beta_1", initial, 0.0, 1.0, true}; }
constexpr Parameter beta_2_of(double initial) { return {"beta_2", initial, 0.0, 1.0, true}; }
constexpr Parameter epsilon_of(double initial) { return {"epsilon", initial, 0.0, kInfinity}; }
constexpr Parameter weight_decay_of(double initial) {
  return {"weight_decay", initial, 0.0, kInfinity, true};
}

constexpr std::size_t kMostNumbers = 4;

struct OptimizerInfo {
  OptimizerKind kind;
  const char* name;
  UpdateRule rule;  // SGD's without momentum
  Decay decay;
  bool corrects_moments;    // Adam's factor on the rate, for moments that begin at 0
  std::size_t state_count;  // arrays of state; SGD's velocity only with momentum
  double learning_rate;     // the usual one
  Parameter numbers[kMostNumbers];
};

// clang-format off
constexpr OptimizerInfo kOptimizers[] = {
    {OptimizerKind::sgd, "sgd", UpdateRule::sgd, Decay::coupled, false, 0, 0.1,
     {momentum_of(0.0), weight_decay_of(0.0)}},
    {OptimizerKind::adam, "adam", UpdateRule::adam, Decay::coupled, true, 2, 1e-3,
     {beta_1_of(0.9), beta_2_of(0.999), epsilon_of(1e-8), weight_decay_of(0.0)}},
    {OptimizerKind::adamw, "adamw", UpdateRule::adam, Decay::decoupled, true, 2, 1e-3,
     {beta_1_of(0.9), beta_2_of(0.999), epsilon_of(1e-8), weight_decay_of(1e-2)}},
    {OptimizerKind::lion, "lion", UpdateRule::lion, Decay::decoupled, false, 1, 1e-4,
     {beta_1_of(0.9), beta_2_of(0.99), weight_decay_of(0.0)}},
};
// clang-format on

[[gnu::always_inline]] constexpr const OptimizerInfo& info(OptimizerKind kind) {
  return kOptimizers[static_cast<std::size_t>(kind)];
}

// A row's place is its kind's number.
template <class Row, std::size_t N>
constexpr bool in_order(const Row (&rows)[N]) {
  for (std::size_t i = 0; i < N; ++i) {
    if (static_cast<std::size_t>(rows[i].kind) != i) return false;
  }
  return true;
}
static_assert(in_order(kLosses) && in_order(kActivations) && in_order(kOptimizers));

}  // namespace fastrelu
