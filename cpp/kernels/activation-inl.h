// SPDX-License-Identifier: BSD-3-Clause
// The activations on contiguous memory, after a dense pass (docs/arithmetic.md,
// "Layers"). Derivatives are taken from the activation where they follow from it, so that nothing
// else need be kept.
#pragma once

#include "kernels.h"
#include "math-inl.h"
#include "simd-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// exp(-|x|), by which no exp overflows.
template <class T>
FASTRELU_INLINE typename Simd<T>::V exp_minus_abs(typename Simd<T>::V x) {
  return vexp<T>(Simd<T>::zero() > x ? x : -x);
}
// The logistic function of x from exp_minus_abs(x).
template <class T>
FASTRELU_INLINE typename Simd<T>::V logistic(typename Simd<T>::V x, typename Simd<T>::V e) {
  using S = Simd<T>;
  const typename S::V one = S::set1(T(1));
  return (S::zero() > x ? e : one) / (one + e);
}

// exp(x) - 1 for x <= 0, without cancellation.
template <class T>
FASTRELU_INLINE typename Simd<T>::V expm1_of_negative(typename Simd<T>::V x) {
  using S = Simd<T>;
  const typename S::V one = S::set1(T(1)), low = S::set1(-2 * MathConstants<T>::kTanhHighest);
  typename S::I k;
  const typename S::V e = reduce_expm1<T>(low > x ? low : x, &k), power = power_of_two<T>(k);
  return S::fma(e, power, power - one);
}

// z p, and the derivative p + z p q where p is the logistic function of z and q that of -z.
template <class T>
FASTRELU_INLINE typename Simd<T>::V silu(typename Simd<T>::V z, typename Simd<T>::V* derivative) {
  using S = Simd<T>;
  using V = typename S::V;
  const V e = exp_minus_abs<T>(z), larger = S::set1(T(1)) / (S::set1(T(1)) + e);
  const V smaller = e * larger;
  const V p = S::zero() > z ? smaller : larger, q = S::zero() > z ? larger : smaller;
  const V a = z * p;
  *derivative = S::fma(a, q, p);
  return a;
}
template <class T>
FASTRELU_INLINE void silu(T* a, T* derivative, std::size_t n) {
  using S = Simd<T>;
  typename S::V slope;
  std::size_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) {
    S::store(a + i, silu<T>(S::load(a + i), &slope));
    if (derivative != nullptr) S::store(derivative + i, slope);
  }
  if (i == n) return;
  S::store_partial(a + i, silu<T>(S::load_partial(a + i, n - i), &slope), n - i);
  if (derivative != nullptr) S::store_partial(derivative + i, slope, n - i);
}

template <class T>
void activate(Activation kind, T* a, T* derivative, std::size_t n) {
  using S = Simd<T>;
  using V = typename S::V;
  const T* const z = a;
  switch (kind) {
    case Activation::identity: return;
    case Activation::relu: return map(z, a, n, [](V v) { return S::relu(v); });
    case Activation::leaky_relu: {
      const V slope = S::set1(kLeakySlope<T>);
      return map(z, a, n, [slope](V v) { return S::zero() > v ? slope * v : v; });
    }
    case Activation::logistic:
      return map(z, a, n, [](V v) { return logistic<T>(v, exp_minus_abs<T>(v)); });
    case Activation::tanh: return map(z, a, n, [](V v) { return vtanh<T>(v); });
    case Activation::elu:
      return map(z, a, n, [](V v) { return S::zero() > v ? expm1_of_negative<T>(v) : v; });
    case Activation::silu: return silu(a, derivative, n);
  }
}

// `unscale` undoes the factor that dropout put on a; 1 without dropout.
template <class T>
void activation_backward(Activation kind, const T* a, const T* derivative, T unscale, T* dz,
                         std::size_t n) {
  using S = Simd<T>;
  using V = typename S::V;
  const T* const d = dz;
  const V one = S::set1(T(1)), u = S::set1(unscale);
  switch (kind) {
    case Activation::identity: return;
    case Activation::relu:
      return map(d, a, dz, n, [](V x, V h) { return S::where_positive(h, x); });
    case Activation::leaky_relu: {
      const V slope = S::set1(kLeakySlope<T>);
      return map(d, a, dz, n, [slope](V x, V h) { return h > S::zero() ? x : slope * x; });
    }
    case Activation::logistic:
      return map(d, a, dz, n, [one, u](V x, V h) {
        const V p = h * u;
        return (x * p) * (one - p);
      });
    case Activation::tanh:
      return map(d, a, dz, n, [one, u](V x, V h) {
        const V p = h * u;
        return x * S::fma(-p, p, one);
      });
    case Activation::elu:
      return map(d, a, dz, n, [one, u](V x, V h) { return h > S::zero() ? x : x * (h * u + one); });
    case Activation::silu: return map(d, derivative, dz, n, [](V x, V slope) { return x * slope; });
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
