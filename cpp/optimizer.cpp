// SPDX-License-Identifier: BSD-3-Clause
#include "optimizer.h"

#include <cmath>
#include <stdexcept>
#include <string>

#include "fp_environment.h"

namespace fastrelu {
namespace {

UpdateRule rule_of(const OptimizerSpec& o) {
  if (o.kind != OptimizerKind::sgd || o.momentum == 0) return info(o.kind).rule;
  return o.nesterov ? UpdateRule::nesterov : UpdateRule::momentum;
}

template <class T>
UpdateArgs<T> constants_of(const OptimizerSpec& o) {
  UpdateArgs<T> u;
  u.rule = rule_of(o);
  u.decoupled = info(o.kind).decay == Decay::decoupled;
  u.weight_decay = static_cast<T>(o.weight_decay);
  u.momentum = static_cast<T>(o.momentum);
  u.beta_1 = static_cast<T>(o.beta_1);
  u.beta_2 = static_cast<T>(o.beta_2);
  u.c1 = static_cast<T>(1.0 - o.beta_1);
  u.c2 = static_cast<T>(1.0 - o.beta_2);
  u.epsilon = static_cast<T>(o.epsilon);
  return u;
}

}  // namespace

OptimizerSpec::OptimizerSpec(OptimizerKind chosen) : kind(chosen) {
  for (const Parameter& each : info(chosen).numbers) {
    if (each.name != nullptr) number(each.name) = each.initial;
  }
}

double& OptimizerSpec::number(std::string_view name) {
  if (name == "momentum") return momentum;
  if (name == "weight_decay") return weight_decay;
  if (name == "beta_1") return beta_1;
  if (name == "beta_2") return beta_2;
  if (name == "epsilon") return epsilon;
  throw std::invalid_argument("optimizer: no number is called " + std::string(name));
}

template <class T>
Optimizer<T>::Optimizer(const OptimizerSpec& spec, std::size_t parameter_count)
    : spec_(spec), stride_(round_up(parameter_count, 64 / sizeof(T))) {
  const FpEnvironment environment;
  constants_ = constants_of<T>(spec);
  plain_ = constants_.rule == UpdateRule::sgd && constants_.weight_decay == 0;
  if (spec.state_count() > 0) arrays_.reset(spec.state_count() * stride_);
}

template <class T>
void Optimizer<T>::next(double learning_rate, UpdateArgs<T>& u) {
  ++progress.step;
  if (info(spec_.kind).corrects_moments) {
    progress.power_1 *= spec_.beta_1;
    progress.power_2 *= spec_.beta_2;
  }
  same(learning_rate, u);
}

template <class T>
void Optimizer<T>::same(double learning_rate, UpdateArgs<T>& u) const {
  u = constants_;
  u.learning_rate = static_cast<T>(learning_rate);
  if (info(spec_.kind).corrects_moments) {
    u.learning_rate = static_cast<T>((learning_rate * std::sqrt(1.0 - progress.power_2)) /
                                     (1.0 - progress.power_1));
  }
  if (u.decoupled) u.weight_decay = static_cast<T>(learning_rate * spec_.weight_decay);
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace fastrelu
