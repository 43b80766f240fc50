// SPDX-License-Identifier: BSD-3-Clause
// Learned factors of a network's inputs (docs/arithmetic.md, "Input scales"): the first layer's
// weights are W[j][o] = s[j] * V[j][o], and what the optimizer changes is s and V. A network keeps
// W alone, so that whatever reads it need not know of the factors; here are s, V, and what the
// optimizer keeps of each s. What it keeps of each W is then of V.
//
// It owns its arrays, taken by the constructor (std::bad_alloc). `begin` is for one thread; then
// threads may call `update` at once, each for inputs of its own.
#pragma once

#include <cstddef>

#include "array.h"
#include "network.h"
#include "optimizer.h"
#include "range.h"
#include "update.h"

namespace fastrelu {

template <class T>
class InputScales {
 public:
  // `rate`: how many times the learning rate that of the factors is; 0: there are none.
  InputScales(const Network<T>& net, const OptimizerSpec& spec, double rate);

  bool any() const { return rate_ != 0; }
  double rate() const { return rate_; }
  // Before a run: where W is not s V, somebody has written it, and all factors are 1 again.
  void begin(const Network<T>& net);
  // After a step's whole gradient, laid out as the parameters, for some inputs: V, s and W change,
  // and the gradient with them. `of_weights` and `state` are the optimizer's of the parameters;
  // `of_factors` is the same update at the factors' rate.
  void update(Network<T>& net, UpdateArgs<T> of_weights, const UpdateArgs<T>& of_factors,
              T* gradient, StateArrays<T> state, Range inputs);

  // All that a checkpoint has to hold: s, then what the optimizer keeps of each, then V.
  T* values() { return values_.data(); }
  std::size_t size() const { return inputs_ * (1 + states_) + weights(); }

 private:
  std::size_t weights() const { return inputs_ * units_; }
  T* factors() { return values_.data(); }
  StateArrays<T> factor_state() { return {values_.data() + inputs_, inputs_, 0}; }
  T* first_layer() { return values_.data() + inputs_ * (1 + states_); }

  double rate_;
  std::size_t inputs_ = 0, units_ = 0, states_ = 0;
  AlignedBuffer<T> values_, gradients_;  // the latter of the factors
};

}  // namespace fastrelu
