// SPDX-License-Identifier: BSD-3-Clause
// Losses, their output gradients and their links (docs/arithmetic.md, "Losses"). A lane is a row:
// the chains over the outputs then run down a transposed block of rows, [output][lane].
#pragma once

#include "kernels.h"
#include "math-inl.h"
#include "simd-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// One block of up to kLanes rows. z, e, y: (outputs, kLanes) in the caller's scratch.
template <class T>
struct LossBlock {
  using S = Simd<T>;
  using V = typename S::V;
  std::size_t outputs;
  T* z;
  T* e;
  const T* y;
  typename S::I label;
  const T* pos_weight;

  FASTRELU_INLINE V at(const T* a, std::size_t k) const { return S::load(a + k * S::kLanes); }
  FASTRELU_INLINE void put(T* a, std::size_t k, V v) const { S::store(a + k * S::kLanes, v); }

  // Each leaves the gradient (before the row's factor) in z and returns the row losses.
  FASTRELU_INLINE V squared_error() {
    V acc = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V r = at(z, k) - at(y, k);
      acc = S::fma(r, r, acc);
      put(z, k, r);
    }
    return (acc * S::set1(T(0.5))) / S::set1(static_cast<T>(outputs));
  }

  // e = exp(z - max), z = z - max; returns the sum of e.
  FASTRELU_INLINE V softmax_terms() {
    V m = at(z, 0);
    for (std::size_t k = 1; k < outputs; ++k) {
      const V x = at(z, k);
      m = x > m ? x : m;
    }
    V sum = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V u = at(z, k) - m, x = vexp<T>(u);
      put(z, k, u);
      put(e, k, x);
      sum = sum + x;
    }
    return sum;
  }
  FASTRELU_INLINE V cross_entropy() {
    const V sum = softmax_terms(), one = S::set1(T(1));
    V chosen = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const typename S::M hit = S::set1i(static_cast<typename S::Int>(k)) == label;
      chosen = hit ? at(z, k) : chosen;
      const V p = at(e, k) / sum;
      put(z, k, hit ? p - one : p);
    }
    return vlog<T>(sum) - chosen;
  }
  FASTRELU_INLINE void softmax() {
    const V sum = softmax_terms();
    for (std::size_t k = 0; k < outputs; ++k) put(z, k, at(e, k) / sum);
  }

  static FASTRELU_INLINE V exp_minus_abs(V x) { return vexp<T>(S::zero() > x ? x : -x); }
  static FASTRELU_INLINE V logistic(V x, V e_abs) {
    const V one = S::set1(T(1));
    return (S::zero() > x ? e_abs : one) / (one + e_abs);
  }
  FASTRELU_INLINE V binary_cross_entropy() {
    V loss = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V x = at(z, k), t = at(y, k), a = exp_minus_abs(x);
      loss = loss + (S::fma(-x, t, S::relu(x)) + vlog1p<T>(a));
      put(z, k, logistic(x, a) - t);
    }
    return loss;
  }
  FASTRELU_INLINE V binary_cross_entropy_weighted() {
    const V one = S::set1(T(1));
    V loss = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V x = at(z, k), t = at(y, k), a = exp_minus_abs(x);
      const V h = S::fma(S::set1(pos_weight[k]) - one, t, one);
      loss = loss + S::fma(one - t, x, h * (vlog1p<T>(a) + S::relu(-x)));
      const V p = (S::zero() > x ? one : a) / (one + a);
      put(z, k, S::fma(-h, p, one - t));
    }
    return loss;
  }

  FASTRELU_INLINE V poisson() {
    V loss = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V x = at(z, k), t = at(y, k), mu = vexp<T>(x);
      const V l = S::fma(t, vlog<T>(t) - x, mu - t);
      loss = loss + (t > S::zero() ? l : mu);
      put(z, k, mu - t);
    }
    return loss;
  }

  FASTRELU_INLINE V run(LossKind kind) {
    switch (kind) {
      case LossKind::squared_error: return squared_error();
      case LossKind::cross_entropy: return cross_entropy();
      case LossKind::binary_cross_entropy:
        return pos_weight != nullptr ? binary_cross_entropy_weighted() : binary_cross_entropy();
      case LossKind::poisson: return poisson();
    }
    return S::zero();
  }

  FASTRELU_INLINE void link(LossKind kind) {
    if (kind == LossKind::cross_entropy) return softmax();
    if (kind == LossKind::squared_error) return;
    for (std::size_t k = 0; k < outputs; ++k) {
      const V x = at(z, k);
      put(z, k, kind == LossKind::poisson ? vexp<T>(x) : logistic(x, exp_minus_abs(x)));
    }
  }
};

template <class T>
FASTRELU_INLINE void gather_block(const Panels<const T>& z, std::size_t row, std::size_t count,
                                  T* out) {
  constexpr std::size_t L = Simd<T>::kLanes;
  for (std::size_t k = 0; k < z.cols; ++k) {
    const T* from = z.at(row, k / kPanel<T>) + k % kPanel<T>;
    for (std::size_t l = 0; l < L; ++l) out[k * L + l] = l < count ? from[l * kPanel<T>] : T(0);
  }
}
template <class T>
FASTRELU_INLINE void scatter_block(const T* in, const Panels<T>& z, std::size_t row,
                                   std::size_t count) {
  constexpr std::size_t L = Simd<T>::kLanes;
  for (std::size_t k = 0; k < z.cols; ++k) {
    T* to = z.at(row, k / kPanel<T>) + k % kPanel<T>;
    for (std::size_t l = 0; l < count; ++l) to[l * kPanel<T>] = in[k * L + l];
  }
}

template <class T>
void loss(const LossArgs<T>& f) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const std::size_t K = f.z.cols;
  T* y = f.scratch + 2 * K * L;
  LossBlock<T> block{K, f.scratch, f.scratch + K * L, y, {}, f.spec.pos_weight};
  for (std::size_t row = f.row_begin; row < f.row_end; row += L) {
    const std::size_t count = std::min(L, f.row_end - row);
    gather_block(f.z, row, count, block.z);
    for (std::size_t l = 0; l < L; ++l) {
      const std::size_t n = row + std::min(l, count - 1);
      const Index from = f.index != nullptr ? f.index[n] : f.first + static_cast<Index>(n);
      if (f.spec.kind == LossKind::cross_entropy) {
        block.label[l] = static_cast<typename S::Int>(f.targets.labels[from]);
      } else {
        const T* target = f.targets.values + static_cast<std::size_t>(from) * K;
        for (std::size_t k = 0; k < K; ++k) y[k * L + l] = target[k];
      }
    }
    const typename S::V losses = block.run(f.spec.kind);
    if (f.row_loss != nullptr) S::store_partial(f.row_loss + row, losses, count);
    if (f.dz.data != nullptr) {
      const typename S::V factor = S::load_partial(f.factor + row, count);
      for (std::size_t k = 0; k < K; ++k) block.put(block.z, k, block.at(block.z, k) * factor);
      scatter_block(block.z, f.dz, row, count);
    }
  }
}

template <class T>
void predict(const LossArgs<T>& f) {
  constexpr std::size_t L = Simd<T>::kLanes;
  const std::size_t K = f.z.cols;
  LossBlock<T> block{K, f.scratch, f.scratch + K * L, nullptr, {}, nullptr};
  for (std::size_t row = f.row_begin; row < f.row_end; row += L) {
    const std::size_t count = std::min(L, f.row_end - row);
    gather_block(f.z, row, count, block.z);
    block.link(f.spec.kind);
    scatter_block(block.z, f.dz, row, count);
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
