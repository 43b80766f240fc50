// SPDX-License-Identifier: BSD-3-Clause
// Losses, their output gradients and their links (docs/arithmetic.md, "Losses"). A lane is a row,
// as in the panels of Z' (outputs, rows) that they read: a chain over the outputs runs down a
// panel.
#pragma once

#include <algorithm>

#include "activation-inl.h"
#include "kernels.h"
#include "math-inl.h"
#include "rows-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// One vector of rows. z and g: outputs kPanel apart, g may be z; e, y: (outputs, kLanes) in
// scratch.
template <class T>
struct LossBlock {
  using S = Simd<T>;
  using V = typename S::V;
  static constexpr std::size_t L = S::kLanes;
  std::size_t outputs;
  const T* z;  // pre-activations
  T* g;        // gradients
  T* e;
  const T* y;
  typename S::I label;
  LossSpec<T> spec;

  FASTRELU_INLINE V output(std::size_t k) const { return S::load(z + k * kPanel<T>); }
  FASTRELU_INLINE V gradient(std::size_t k) const { return S::load(g + k * kPanel<T>); }
  FASTRELU_INLINE V target(std::size_t k) const { return S::load(y + k * L); }
  FASTRELU_INLINE void put(std::size_t k, V v) const { S::store(g + k * kPanel<T>, v); }

  // Each leaves the gradient (before the row's factor) in g and returns the row losses.
  FASTRELU_INLINE V squared_error() {
    V acc = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V r = output(k) - target(k);
      acc = S::fma(r, r, acc);
      put(k, r);
    }
    return averaged(acc * S::set1(T(0.5)));
  }
  // squared_error with residuals times 2 (1 - tau) where z is above y, and 2 tau elsewhere.
  FASTRELU_INLINE V expectile() {
    const V above = S::set1(T(2) * spec.complement), below = S::set1(T(2) * spec.parameter);
    V acc = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V r = output(k) - target(k), weighted = (r > S::zero() ? above : below) * r;
      acc = S::fma(weighted, r, acc);
      put(k, weighted);
    }
    return averaged(acc * S::set1(T(0.5)));
  }
  FASTRELU_INLINE V averaged(V sum) const {
    return spec.summed ? sum : sum / S::set1(static_cast<T>(outputs));
  }

  // Row losses of the residual r = z - y by `loss`, gradients by `slope`.
  template <class Loss, class Slope>
  FASTRELU_INLINE V residual_loss(Loss loss, Slope slope) {
    V acc = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V r = output(k) - target(k);
      acc = acc + loss(r);
      put(k, slope(r));
    }
    return averaged(acc);
  }
  FASTRELU_INLINE V huber() {
    const V delta = S::set1(spec.parameter), half = S::set1(T(0.5));
    return residual_loss(
        [=](V r) {
          const V a = S::zero() > r ? -r : r;
          return a > delta ? delta * (a - half * delta) : (half * r) * r;
        },
        [=](V r) {
          const V low = -delta > r ? -delta : r;
          return low > delta ? delta : low;
        });
  }
  // `above` and `below`: the loss's slopes where z is above and below y.
  FASTRELU_INLINE V pinball(V above, V below) {
    return residual_loss([=](V r) { return r > S::zero() ? above * r : -(below * r); },
                         [=](V r) { return r > S::zero()   ? above
                                           : S::zero() > r ? -below
                                                           : r; });
  }

  // The output that is a quantile itself; each other one says how far its own lies beyond the next.
  FASTRELU_INLINE std::size_t middle() const { return (outputs - 1) / 2; }
  static FASTRELU_INLINE V magnitude(V x) { return S::zero() > x ? -x : x; }
  // g = the quantiles: a rounded sum with a number >= 0 is no less than the other summand.
  FASTRELU_INLINE void ordered() {
    const std::size_t m = middle();
    V q = output(m);
    for (std::size_t k = m + 1; k < outputs; ++k) {
      const V x = output(k);
      put(k, k == m + 1 ? q + magnitude(x) : gradient(k - 1) + magnitude(x));
    }
    for (std::size_t k = m; k-- > 0;) {
      const V x = output(k);
      put(k, k + 1 == m ? q - magnitude(x) : gradient(k + 1) - magnitude(x));
    }
    put(m, q);
  }
  FASTRELU_INLINE V quantiles() {
    const std::size_t m = middle();
    for (std::size_t k = 0; k < outputs; ++k) S::store(e + k * L, output(k));
    ordered();
    V acc = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V above = S::set1(spec.slopes[k]), below = S::set1(spec.slopes[outputs + k]);
      const V r = gradient(k) - target(k);
      acc = acc + (r > S::zero() ? above * r : -(below * r));
      put(k, r > S::zero() ? above : S::zero() > r ? -below : r);
    }
    // What moves a quantile moves all those beyond it.
    for (std::size_t k = outputs; --k > m;) {
      const V g = gradient(k), x = S::load(e + k * L);
      put(k - 1, gradient(k - 1) + g);
      put(k, S::zero() > x ? -g : g);
    }
    for (std::size_t k = 0; k < m; ++k) {
      const V g = gradient(k), x = S::load(e + k * L);
      put(k + 1, gradient(k + 1) + g);
      put(k, S::zero() > x ? g : -g);
    }
    return averaged(acc);
  }

  // e = exp(z - max), g = z - max; returns the sum of e.
  FASTRELU_INLINE V softmax_terms() {
    V m = output(0);
    for (std::size_t k = 1; k < outputs; ++k) {
      const V x = output(k);
      m = x > m ? x : m;
    }
    V sum = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V u = output(k) - m, x = vexp<T>(u);
      put(k, u);
      S::store(e + k * L, x);
      sum = sum + x;
    }
    return sum;
  }
  FASTRELU_INLINE V cross_entropy() {
    const V sum = softmax_terms(), one = S::set1(T(1));
    V chosen = S::zero(), chosen_p = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const typename S::M hit = S::set1i(static_cast<typename S::Int>(k)) == label;
      chosen = hit ? gradient(k) : chosen;
      const V p = S::load(e + k * L) / sum;
      chosen_p = hit ? p : chosen_p;
      put(k, hit ? p - one : p);
    }
    return spec.clipped ? -vlog<T>(off_the_ends(chosen_p)) : vlog<T>(sum) - chosen;
  }
  FASTRELU_INLINE void softmax() {
    const V sum = softmax_terms();
    for (std::size_t k = 0; k < outputs; ++k) put(k, S::load(e + k * L) / sum);
  }

  // A probability kept off 0 and 1.
  static FASTRELU_INLINE V off_the_ends(V p) {
    constexpr T epsilon = std::numeric_limits<T>::epsilon();
    const V low = S::set1(epsilon), high = S::set1(T(1) - epsilon);
    p = low > p ? low : p;
    return p > high ? high : p;
  }
  FASTRELU_INLINE V binary_cross_entropy_clipped() {
    const V one = S::set1(T(1));
    V loss = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V x = output(k), t = target(k), p = logistic<T>(x, exp_minus_abs<T>(x));
      const V q = off_the_ends(p);
      loss = loss - vlog<T>(t > S::zero() ? q : one - q);
      put(k, p - t);
    }
    return loss;
  }
  FASTRELU_INLINE V binary_cross_entropy() {
    V loss = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V x = output(k), t = target(k), a = exp_minus_abs<T>(x);
      loss = loss + (S::fma(-x, t, S::relu(x)) + vlog1p<T>(a));
      put(k, logistic<T>(x, a) - t);
    }
    return loss;
  }
  FASTRELU_INLINE V binary_cross_entropy_weighted() {
    const V one = S::set1(T(1));
    V loss = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V x = output(k), t = target(k), a = exp_minus_abs<T>(x);
      const V h = S::fma(S::set1(spec.pos_weight[k]) - one, t, one);
      loss = loss + S::fma(one - t, x, h * (vlog1p<T>(a) + S::relu(-x)));
      const V p = (S::zero() > x ? one : a) / (one + a);
      put(k, S::fma(-h, p, one - t));
    }
    return loss;
  }

  FASTRELU_INLINE V poisson() {
    V loss = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V x = output(k), t = target(k), mu = vexp<T>(x);
      const V l = S::fma(t, vlog<T>(t) - x, mu - t);
      loss = loss + (t > S::zero() ? l : mu);
      put(k, mu - t);
    }
    return loss;
  }

  // y / mu by two factors: exp(-z) alone may be out of range where y / mu is not.
  FASTRELU_INLINE V gamma() {
    const V half = S::set1(T(0.5)), one = S::set1(T(1));
    V loss = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V x = output(k), t = target(k), h = vexp<T>(-(half * x));
      const V r = S::fma(t * h, h, -one);
      loss = loss + ((x - vlog<T>(t)) + r);
      put(k, -r);
    }
    return loss;
  }

  // a + b is 1, both exact. A target of 0 has no terms in y: exp(-b z) may have overflowed there.
  FASTRELU_INLINE V tweedie() {
    const V half = S::set1(T(0.5)), a = S::set1(T(2) - spec.parameter);
    const V b = S::set1(spec.parameter - T(1));
    V loss = S::zero();
    for (std::size_t k = 0; k < outputs; ++k) {
      const V x = output(k), t = target(k), u = vexp<T>(a * x), h = vexp<T>(-((half * b) * x));
      const V q = t > S::zero() ? (t * h) * h : S::zero();
      const V s = t > S::zero() ? vexp<T>(a * vlog<T>(t)) : S::zero();
      loss = loss + ((u - s) / a + (q - s) / b);
      put(k, u - q);
    }
    return loss;
  }

  FASTRELU_INLINE V run() {
    switch (spec.kind) {
      case LossKind::squared_error: return squared_error();
      case LossKind::cross_entropy: return cross_entropy();
      case LossKind::binary_cross_entropy:
        if (spec.clipped) return binary_cross_entropy_clipped();
        return spec.pos_weight != nullptr ? binary_cross_entropy_weighted()
                                          : binary_cross_entropy();
      case LossKind::poisson: return poisson();
      case LossKind::huber: return huber();
      case LossKind::absolute_error: return pinball(S::set1(T(1)), S::set1(T(1)));
      case LossKind::quantile: return pinball(S::set1(spec.complement), S::set1(spec.parameter));
      case LossKind::gamma: return gamma();
      case LossKind::tweedie: return tweedie();
      case LossKind::quantiles: return quantiles();
      case LossKind::expectile: return expectile();
    }
    return S::zero();
  }

  template <class F>
  FASTRELU_INLINE void each_output(F f) {
    for (std::size_t k = 0; k < outputs; ++k) put(k, f(output(k)));
  }
  // Predictions: the inverse of the link.
  FASTRELU_INLINE void predictions(Link link) {
    switch (link) {
      case Link::identity: return;
      case Link::softmax: return softmax();
      case Link::logistic:
        return each_output([](V x) { return logistic<T>(x, exp_minus_abs<T>(x)); });
      case Link::log: return each_output([](V x) { return vexp<T>(x); });
      case Link::ordered: return ordered();
    }
  }
};

// The targets of up to kLanes rows, transposed: (outputs, kLanes).
template <class T>
FASTRELU_INLINE void load_targets(const LossArgs<T>& f, const Index* from, T* y) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const std::size_t K = f.outputs;
  if (K < 4) {
    for (std::size_t l = 0; l < L; ++l) {
      const T* const target = f.targets.values + static_cast<std::size_t>(from[l]) * K;
      for (std::size_t k = 0; k < K; ++k) y[k * L + l] = target[k];
    }
    return;
  }
  for (std::size_t k = 0; k < K; k += L) {
    const std::size_t count = std::min(L, K - k);
    typename S::V block[L];
    for (std::size_t l = 0; l < L; ++l) {
      const T* const target = f.targets.values + static_cast<std::size_t>(from[l]) * K + k;
      block[l] = load_values<T>(target, count);
    }
    transpose<T>(block);
    for (std::size_t j = 0; j < count; ++j) S::store(y + (k + j) * L, block[j]);
  }
}

template <class T>
void loss(const LossArgs<T>& f) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const std::size_t K = f.outputs;
  const RowPicker pick{f.index, f.first};
  T* const e = f.scratch;
  T* const y = e + K * L;
  // Where nobody wants the gradient, it goes to scratch.
  T* const unwanted = y + K * L;
  for (std::size_t row = f.row_begin; row < f.row_end; row += L) {
    const std::size_t count = std::min(L, f.row_end - row);
    const std::size_t p = row / kPanel<T>, lane = row % kPanel<T>;
    T* const g = f.dz.data != nullptr ? f.dz.at(0, p) + lane : unwanted;
    LossBlock<T> block{K, f.z.at(0, p) + lane, g, e, y, {}, f.spec};
    Index from[L];
    for (std::size_t l = 0; l < L; ++l) from[l] = pick(row + std::min(l, count - 1));
    if (takes_labels(f.spec.kind)) {
      for (std::size_t l = 0; l < L; ++l) {
        block.label[l] = static_cast<typename S::Int>(f.targets.labels[from[l]]);
      }
    } else {
      load_targets(f, from, y);
    }
    const typename S::V losses = block.run();
    if (f.row_loss != nullptr) {
      if (count == L) {  // a masked store is not forwarded to the loads that follow
        S::store(f.row_loss + row, losses);
      } else {
        S::store_partial(f.row_loss + row, losses, count);
      }
    }
    if (f.dz.data != nullptr) {
      const typename S::V factor = S::load_partial(f.factor + row, count);
      for (std::size_t k = 0; k < K; ++k) block.put(k, block.gradient(k) * factor);
    }
  }
}

template <class T>
void predict(const LossArgs<T>& f) {
  constexpr std::size_t L = Simd<T>::kLanes;
  for (std::size_t row = f.row_begin; row < f.row_end; row += L) {
    const std::size_t p = row / kPanel<T>, lane = row % kPanel<T>;
    LossBlock<T> block{f.outputs, f.z.at(0, p) + lane, f.dz.at(0, p) + lane, f.scratch, nullptr, {},
                       f.spec};
    block.predictions(info(f.spec.kind).link);
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
