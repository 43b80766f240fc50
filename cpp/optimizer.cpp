// SPDX-License-Identifier: BSD-3-Clause
#include "optimizer.h"

#include <cmath>

#include "fp_environment.h"

namespace fastrelu {
namespace {

template <class T>
UpdateArgs<T> constants_of(const OptimizerSpec& o) {
  using Rule = typename UpdateArgs<T>::Rule;
  UpdateArgs<T> u;
  u.weight_decay = static_cast<T>(o.weight_decay);
  if (o.kind == OptimizerKind::sgd) {
    u.rule = o.momentum == 0 ? Rule::sgd : o.nesterov ? Rule::nesterov : Rule::momentum;
    u.momentum = static_cast<T>(o.momentum);
    return u;
  }
  u.rule = o.kind == OptimizerKind::adam ? Rule::adam : Rule::adamw;
  u.beta_1 = static_cast<T>(o.beta_1);
  u.beta_2 = static_cast<T>(o.beta_2);
  u.c1 = static_cast<T>(1.0 - o.beta_1);
  u.c2 = static_cast<T>(1.0 - o.beta_2);
  u.epsilon = static_cast<T>(o.epsilon);
  return u;
}

}  // namespace

template <class T>
Optimizer<T>::Optimizer(const OptimizerSpec& spec, std::size_t parameter_count)
    : spec_(spec), stride_(round_up(parameter_count, 64 / sizeof(T))) {
  const FpEnvironment environment;
  constants_ = constants_of<T>(spec);
  plain_ = constants_.rule == UpdateArgs<T>::Rule::sgd && constants_.weight_decay == 0;
  if (spec.state_count() > 0) arrays_.reset(spec.state_count() * stride_);
}

template <class T>
UpdateArgs<T> Optimizer<T>::next(double learning_rate) {
  ++progress.step;
  UpdateArgs<T> u = constants_;
  if (spec_.kind == OptimizerKind::sgd) {
    u.learning_rate = static_cast<T>(learning_rate);
    return u;
  }
  progress.power_1 *= spec_.beta_1;
  progress.power_2 *= spec_.beta_2;
  u.learning_rate = static_cast<T>((learning_rate * std::sqrt(1.0 - progress.power_2)) /
                                   (1.0 - progress.power_1));
  if (spec_.kind == OptimizerKind::adamw) {
    u.weight_decay = static_cast<T>(learning_rate * spec_.weight_decay);
  }
  return u;
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace fastrelu
