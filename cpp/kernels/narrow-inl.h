// SPDX-License-Identifier: BSD-3-Clause
// The weight gradient of a few outputs (kernels.h, DenseBackwardWeights), all of a layer or those
// that it has beyond whole vectors: lanes of outputs would be empty, so lanes are inputs. A block
// of activations is transposed in registers, and its rows are the next terms of the chains at once.
#pragma once

#include <algorithm>

#include "rows-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// dZ of K outputs: of row n + r, which lie in one panel, and output o.
template <class T>
struct TransposedGradients {
  const Panels<const T>& dz;
  FASTRELU_INLINE const T* at(std::size_t n) const {
    return dz.at(0, n / kPanel<T>) + n % kPanel<T>;
  }
  static constexpr std::size_t kRow = 1, kOutput = kPanel<T>;
};
template <class T>
struct GradientsByRows {
  const Panels<const T>& dz;
  std::size_t first;  // output
  FASTRELU_INLINE const T* at(std::size_t n) const {
    return dz.at(n, first / kPanel<T>) + first % kPanel<T>;
  }
  static constexpr std::size_t kRow = kPanel<T>, kOutput = 1;
};

// The gradients of up to kLanes inputs from input i on, (inputs, K), after what g holds.
template <class T, int K, class Gradients>
FASTRELU_INLINE void narrow_chains(const DenseBackwardWeights<T>& f, const Gradients& gradients,
                                   std::size_t i, std::size_t inputs, T* g) {
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
    const std::size_t rows = std::min(L, f.rows - n);
    const T* const x = f.x.at(i, n / kPanel<T>) + n % kPanel<T>;
    const T* const dz = gradients.at(n);
    typename S::V block[L];
    static_for<L>([&](auto j) __attribute__((always_inline)) {
      block[j] = S::load(x + std::min<std::size_t>(j, inputs - 1) * kPanel<T>);
    });
    transpose<T>(block);
    static_for<L>([&](auto r) __attribute__((always_inline)) {
      if (r < rows) {
        static_for<K>([&](auto o) __attribute__((always_inline)) {
          const T d = dz[o * Gradients::kOutput + r * Gradients::kRow];
          acc[o] = S::fma(block[r], S::set1(d), acc[o]);
        });
      }
    });
  }
  static_for<K>([&](auto o) __attribute__((always_inline)) { S::store(chains + o * L, acc[o]); });
  for (std::size_t j = 0; j < inputs; ++j) {
    for (std::size_t o = 0; o < K; ++o) g[j * K + o] = chains[o * L + j];
  }
}

// All outputs of a layer that has K: its weights lie side by side.
template <class T, int K>
__attribute__((noinline)) void backward_weights_narrow(const DenseBackwardWeights<T>& f,
                                                       std::size_t begin, std::size_t end) {
  constexpr std::size_t L = Simd<T>::kLanes;
  const TransposedGradients<T> dz{f.dz};
  for (std::size_t i = begin; i < end; i += L) {
    prefetch_ahead(f.ahead);
    const std::size_t inputs = std::min(L, end - i), at = i * K;
    if (f.update == nullptr) {
      narrow_chains<T, K>(f, dz, i, inputs, f.dw + at);
      continue;
    }
    alignas(64) T g[K * L] = {};
    if (f.accumulate) std::copy_n(f.dw + at, inputs * K, g);
    narrow_chains<T, K>(f, dz, i, inputs, g);
    const UpdateArgs<T>& u = *f.update;
    // The biases, which no decay touches, lie behind the last input's weights.
    const std::size_t weights = std::min(inputs, f.fan_in - std::min(i, f.fan_in)) * K;
    update_row(u, u.weight_decay != 0, f.w + at, g, f.state.from(at), weights);
    const std::size_t bias = at + weights;
    update_row(u, false, f.w + bias, g + weights, f.state.from(bias), inputs * K - weights);
  }
}

// K outputs from output o on.
template <class T, int K>
__attribute__((noinline)) void backward_weights_rest(const DenseBackwardWeights<T>& f,
                                                     std::size_t begin, std::size_t end,
                                                     std::size_t first) {
  constexpr std::size_t L = Simd<T>::kLanes;
  const GradientsByRows<T> dz{f.dz, first};
  for (std::size_t i = begin; i < end; i += L) {
    prefetch_ahead(f.ahead);
    const std::size_t inputs = std::min(L, end - i);
    alignas(64) T g[K * L] = {};
    for (std::size_t j = 0; f.accumulate && j < inputs; ++j) {
      std::copy_n(f.dw + (i + j) * f.fan_out + first, K, g + j * K);
    }
    narrow_chains<T, K>(f, dz, i, inputs, g);
    for (std::size_t j = 0; j < inputs; ++j) {
      const std::size_t at = (i + j) * f.fan_out + first;
      if (f.update == nullptr) {
        std::copy_n(g + j * K, K, f.dw + at);
      } else if (is_plain_sgd(*f.update)) {
        for (std::size_t o = 0; o < K; ++o) {
          f.w[at + o] = scalar_fma(-f.update->learning_rate, g[j * K + o], f.w[at + o]);
        }
      } else {
        const bool decay = i + j < f.fan_in && f.update->weight_decay != 0;
        update_row(*f.update, decay, f.w + at, g + j * K, f.state.from(at), K);
      }
    }
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
