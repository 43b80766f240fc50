// SPDX-License-Identifier: BSD-3-Clause
// The weight gradient of a layer with a few outputs (kernels.h, DenseBackwardWeights): lanes of
// outputs would be empty, so lanes are inputs. A block of activations is transposed in registers,
// and its rows are the next terms of the chains at once.
#pragma once

#include <algorithm>

#include "rows-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// The gradients of up to kLanes inputs from input i on, (inputs, K) as in dw, after what g holds.
template <class T, int K>
FASTRELU_INLINE void narrow_chains(const DenseBackwardWeights<T>& f, std::size_t i,
                                   std::size_t inputs, T* g) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  alignas(64) T chains[K * L];
  for (std::size_t j = 0; j < L; ++j) {
    for (std::size_t o = 0; o < K; ++o) {
      chains[o * L + j] = f.accumulate && j < inputs ? g[j * K + o] : T(0);
    }
  }
  typename S::V acc[K];
  static_for<K>([&](auto o) __attribute__((always_inline)) { acc[o] = S::load(chains + o * L); });
  for (std::size_t n = 0; n < f.rows; n += L) {
    const std::size_t panel = n / kPanel<T>, lane = n % kPanel<T>, rows = std::min(L, f.rows - n);
    const T* const x = f.x.at(i, panel) + lane;
    const T* const dz = f.dz.at(0, panel) + lane;
    typename S::V block[L];
    static_for<L>([&](auto j) __attribute__((always_inline)) {
      block[j] = S::load(x + std::min<std::size_t>(j, inputs - 1) * kPanel<T>);
    });
    transpose<T>(block);
    static_for<L>([&](auto r) __attribute__((always_inline)) {
      if (r < rows) {
        static_for<K>([&](auto o) __attribute__((always_inline)) {
          acc[o] = S::fma(block[r], S::set1(dz[o * kPanel<T> + r]), acc[o]);
        });
      }
    });
  }
  static_for<K>([&](auto o) __attribute__((always_inline)) { S::store(chains + o * L, acc[o]); });
  for (std::size_t j = 0; j < inputs; ++j) {
    for (std::size_t o = 0; o < K; ++o) g[j * K + o] = chains[o * L + j];
  }
}

template <class T, int K>
__attribute__((noinline)) void backward_weights_narrow(const DenseBackwardWeights<T>& f,
                                                       std::size_t begin, std::size_t end) {
  constexpr std::size_t L = Simd<T>::kLanes;
  for (std::size_t i = begin; i < end; i += L) {
    prefetch_ahead(f.ahead);
    const std::size_t inputs = std::min(L, end - i), at = i * K;
    if (f.update == nullptr) {
      narrow_chains<T, K>(f, i, inputs, f.dw + at);
      continue;
    }
    alignas(64) T g[K * L];
    if (f.accumulate) std::copy_n(f.dw + at, inputs * K, g);
    narrow_chains<T, K>(f, i, inputs, g);
    const UpdateArgs<T>& u = *f.update;
    // The biases, which no decay touches, lie behind the last input's weights.
    const std::size_t weights = std::min(inputs, f.fan_in - std::min(i, f.fan_in)) * K;
    update_row(u, u.weight_decay != 0, f.w + at, g, f.state.from(at), weights);
    const std::size_t bias = at + weights;
    update_row(u, false, f.w + bias, g + weights, f.state.from(bias), inputs * K - weights);
  }
}

template <class T>
void narrow_backward_weights(const DenseBackwardWeights<T>& f) {
  static_assert(kNarrowOutputs == 4, "the cases below");
  const std::size_t begin = f.unit_begin * f.unit;
  const std::size_t end = std::min(f.unit_end * f.unit, f.inputs);
  switch (f.fan_out) {
    case 1: return backward_weights_narrow<T, 1>(f, begin, end);
    case 2: return backward_weights_narrow<T, 2>(f, begin, end);
    case 3: return backward_weights_narrow<T, 3>(f, begin, end);
    case 4: return backward_weights_narrow<T, 4>(f, begin, end);
    default: return;
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
