// SPDX-License-Identifier: BSD-3-Clause
#include "input_scales.h"

#include <algorithm>

#include "dispatch.h"

namespace fastrelu {
namespace {

constexpr std::size_t kLanes = 16;

// The sum of the products, each rounded, in 16 lanes that are then added in halves.
template <class T>
T dot(const T* a, const T* b, std::size_t count) {
  T sums[kLanes] = {};
  std::size_t k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      const T product = a[k + l] * b[k + l];
      sums[l] = sums[l] + product;
    }
  }
  for (std::size_t l = 0; k < count; ++k, ++l) {
    const T product = a[k] * b[k];
    sums[l] = sums[l] + product;
  }
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) sums[l] = sums[l] + sums[l + half];
  }
  return sums[0];
}

template <class T>
void multiply(const T* from, T factor, T* to, std::size_t count) {
  for (std::size_t k = 0; k < count; ++k) to[k] = from[k] * factor;
}

}  // namespace

template <class T>
InputScales<T>::InputScales(const Network<T>& net, const OptimizerSpec& spec, double rate)
    : rate_(rate) {
  if (!any()) return;
  inputs_ = net.inputs();
  units_ = net.layers().front().fan_out;
  states_ = spec.state_count();
  values_.reset(size());  // a factor of 0 is none that `begin` would keep
  gradients_.reset(inputs_);
}

template <class T>
void InputScales<T>::begin(const Network<T>& net) {
  const T* const written = net.parameters() + net.layers().front().weight_offset;
  for (std::size_t j = 0; j < inputs_; ++j) {
    const T s = factors()[j];
    const T *const own = first_layer() + j * units_, *const w = written + j * units_;
    for (std::size_t k = 0; k < units_; ++k) {
      const T scaled = s * own[k];
      if (s != 0 && scaled == w[k]) continue;
      std::fill_n(factors(), inputs_, T(1));
      std::copy_n(written, weights(), first_layer());
      return;
    }
  }
}

template <class T>
void InputScales<T>::update(Network<T>& net, UpdateArgs<T> of_weights,
                            const UpdateArgs<T>& of_factors, T* gradient, StateArrays<T> state,
                            Range inputs) {
  const std::size_t offset = net.layers().front().weight_offset;
  const T clip = of_weights.clip;
  const bool clipped = of_weights.clipped;
  of_weights.clipped = false;
  for (std::size_t j = inputs.begin; j < inputs.end; ++j) {
    const std::size_t at = offset + j * units_;
    T* const g = gradient + at;
    T* const own = first_layer() + j * units_;
    if (clipped) multiply(g, clip, g, units_);
    gradients_[j] = dot(g, own, units_);
    multiply(g, factors()[j], g, units_);
    kernels<T>().update(of_weights, true, own, g, state.from(at), units_);
  }
  const std::size_t first = inputs.begin;
  kernels<T>().update(of_factors, false, factors() + first, gradients_.data() + first,
                      factor_state().from(first), inputs.size());
  for (std::size_t j = inputs.begin; j < inputs.end; ++j) {
    multiply(first_layer() + j * units_, factors()[j], net.parameters() + offset + j * units_,
             units_);
  }
}

template class InputScales<float>;
template class InputScales<double>;

}  // namespace fastrelu
