// SPDX-License-Identifier: BSD-3-Clause
// Optimizer updates, element by element (docs/arithmetic.md, "Optimizers").
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels.h"
#include "simd-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// State below the smallest normal number becomes +0: a decaying velocity would otherwise stay
// subnormal for ever and slow every step down about tenfold.
template <class T>
FASTRELU_INLINE typename Simd<T>::V flush(typename Simd<T>::V x) {
  using S = Simd<T>;
  const typename S::V tiny = S::set1(std::numeric_limits<T>::min());
  const typename S::M small = (x < tiny) & (x > -tiny);
  return small ? S::zero() : x;
}

// A vector of each of a rule's state arrays, or only its first `lanes` values.
template <class T, bool kWhole>
struct StateVectors {
  using S = Simd<T>;
  StateArrays<T> arrays;
  std::size_t lanes;

  FASTRELU_INLINE typename S::V load(std::size_t k) const {
    return kWhole ? S::load(arrays.array(k)) : S::load_partial(arrays.array(k), lanes);
  }
  FASTRELU_INLINE void store(std::size_t k, typename S::V v) const {
    if constexpr (kWhole) {
      S::store(arrays.array(k), v);
    } else {
      S::store_partial(arrays.array(k), v, lanes);
    }
  }
};

// The numbers of an update, the same in every lane.
template <class T>
struct SameNumbers {
  using S = Simd<T>;
  using V = typename S::V;
  const UpdateArgs<T>& u;

  FASTRELU_INLINE UpdateRule rule() const { return u.rule; }
  FASTRELU_INLINE V learning_rate() const { return S::set1(u.learning_rate); }
  FASTRELU_INLINE V momentum() const { return S::set1(u.momentum); }
  FASTRELU_INLINE V beta_1() const { return S::set1(u.beta_1); }
  FASTRELU_INLINE V beta_2() const { return S::set1(u.beta_2); }
  FASTRELU_INLINE V c1() const { return S::set1(u.c1); }
  FASTRELU_INLINE V c2() const { return S::set1(u.c2); }
  FASTRELU_INLINE V epsilon() const { return S::set1(u.epsilon); }
};

// The parameters w after a rule's step along g, which is clipped and decayed already; their state
// is brought up to date.
template <class T, class Numbers, bool kWhole>
FASTRELU_INLINE typename Simd<T>::V stepped(const Numbers& u, typename Simd<T>::V g,
                                            typename Simd<T>::V w,
                                            const StateVectors<T, kWhole>& state) {
  using S = Simd<T>;
  using V = typename S::V;
  using Rule = UpdateRule;
  const Rule rule = u.rule();
  const V lr = u.learning_rate();
  if (rule == Rule::sgd) return S::fma(-lr, g, w);
  if (rule == Rule::momentum || rule == Rule::nesterov) {
    const V mu = u.momentum(), push = -(lr * g);
    const V velocity = flush<T>(S::fma(mu, state.load(0), push));
    state.store(0, velocity);
    return w + (rule == Rule::nesterov ? S::fma(mu, velocity, push) : velocity);
  }
  if (rule == Rule::lion) {
    const V m = state.load(0);
    const V c = S::fma(u.beta_1(), m, u.c1() * g);
    state.store(0, flush<T>(S::fma(u.beta_2(), m, u.c2() * g)));
    return w - (c > S::zero() ? lr : S::zero() > c ? -lr : c);
  }
  const V m = flush<T>(S::fma(u.beta_1(), state.load(0), u.c1() * g));
  const V v = flush<T>(S::fma(u.beta_2(), state.load(1), (u.c2() * g) * g));
  state.store(0, m);
  state.store(1, v);
  const V step = (lr * m) / (S::sqrt(v) + u.epsilon());
  return w - step;
}

// Weight decay: of the gradient, or, decoupled, of the weights.
template <class T>
FASTRELU_INLINE void decay_vector(bool decoupled, typename Simd<T>::V factor,
                                  typename Simd<T>::V& g, typename Simd<T>::V& w) {
  using S = Simd<T>;
  if (decoupled) {
    w = S::fma(-factor, w, w);
  } else {
    g = S::fma(factor, w, g);
  }
}

// The parameters w after the update by g; their state is brought up to date.
template <class T, bool kWhole>
FASTRELU_INLINE typename Simd<T>::V update_vector(const UpdateArgs<T>& u, bool decay,
                                                  typename Simd<T>::V g, typename Simd<T>::V w,
                                                  const StateVectors<T, kWhole>& state) {
  using S = Simd<T>;
  if (u.clipped) g = g * S::set1(u.clip);
  if (decay) decay_vector<T>(u.decoupled, S::set1(u.weight_decay), g, w);
  return stepped<T>(SameNumbers<T>{u}, g, w, state);
}

template <class T>
FASTRELU_INLINE bool is_plain_sgd(const UpdateArgs<T>& u) {
  return u.rule == UpdateRule::sgd && u.weight_decay == 0 && !u.clipped;
}

// Up to a vector of parameters with their state, `lanes` of it.
template <class T>
FASTRELU_INLINE void update_lanes(const UpdateArgs<T>& u, bool decay, typename Simd<T>::V g, T* w,
                                  const StateArrays<T>& state, std::size_t lanes) {
  using S = Simd<T>;
  if (lanes == S::kLanes) {
    S::store(w, update_vector(u, decay, g, S::load(w), StateVectors<T, true>{state, lanes}));
  } else {
    const typename S::V old = S::load_partial(w, lanes);
    const StateVectors<T, false> part{state, lanes};
    S::store_partial(w, update_vector(u, decay, g, old, part), lanes);
  }
}

// Parameters side by side, with their state, by gradients in memory. A function of its own, which
// the passes call: every rule inlined into each width of each pass was a quarter of the module.
template <class T>
__attribute__((noinline)) void update_row(const UpdateArgs<T>& u, bool decay, T* w, const T* g,
                                          const StateArrays<T>& state, std::size_t n) {
  using S = Simd<T>;
  for (std::size_t i = 0; i < n; i += S::kLanes) {
    const std::size_t lanes = std::min(S::kLanes, n - i);
    const typename S::V gv = lanes == S::kLanes ? S::load(g + i) : S::load_partial(g + i, lanes);
    update_lanes(u, decay, gv, w + i, state.from(i), lanes);
  }
}

template <class T>
void update(const UpdateArgs<T>& u, bool is_weight, T* w, const T* g, StateArrays<T> state,
            std::size_t n) {
  update_row(u, is_weight && u.weight_decay != 0, w, g, state, n);
}

// out = f(x) over n elements; out may be x.
template <class T, class F>
FASTRELU_INLINE void map(const T* x, T* out, std::size_t n, F f) {
  using S = Simd<T>;
  std::size_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) S::store(out + i, f(S::load(x + i)));
  if (i < n) S::store_partial(out + i, f(S::load_partial(x + i, n - i)), n - i);
}

// out = f(x, y); out may be x or y.
template <class T, class F>
FASTRELU_INLINE void map(const T* x, const T* y, T* out, std::size_t n, F f) {
  using S = Simd<T>;
  std::size_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) S::store(out + i, f(S::load(x + i), S::load(y + i)));
  if (i < n) {
    const std::size_t rest = n - i;
    S::store_partial(out + i, f(S::load_partial(x + i, rest), S::load_partial(y + i, rest)), rest);
  }
}

template <class T>
void add(T* sum, const T* x, std::size_t n) {
  using V = typename Simd<T>::V;
  map(static_cast<const T*>(sum), x, sum, n, [](V a, V b) { return a + b; });
}

template <class T>
void multiply(T* x, T factor, std::size_t n) {
  using V = typename Simd<T>::V;
  const V f = Simd<T>::set1(factor);
  map(static_cast<const T*>(x), x, n, [f](V a) { return a * f; });
}

// A vector of float64 from as many values; it may read beyond them.
template <class T>
FASTRELU_INLINE typename Simd<double>::V widen(const T* g) {
  using D = Simd<double>;
  if constexpr (sizeof(T) == 4) {
    typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
    Half h;
    std::memcpy(&h, g, sizeof h);
    return __builtin_convertvector(h, D::V);
  } else {
    return D::load(g);
  }
}

// N vectors of columns at once: each chain waits for its own last fma.
template <class T, std::size_t N>
FASTRELU_INLINE void column_squares(const T* g, std::size_t rows, std::size_t cols,
                                    std::size_t last_lanes, double* sums) {
  using D = Simd<double>;
  typename D::V acc[N];
  for (std::size_t v = 0; v < N; ++v) {
    acc[v] = v + 1 < N ? D::load(sums + v * D::kLanes)
                       : D::load_partial(sums + v * D::kLanes, last_lanes);
  }
  for (std::size_t r = 0; r < rows; ++r, g += cols) {
    for (std::size_t v = 0; v < N; ++v) {
      const typename D::V x = widen(g + v * D::kLanes);
      acc[v] = D::fma(x, x, acc[v]);
    }
  }
  for (std::size_t v = 0; v + 1 < N; ++v) D::store(sums + v * D::kLanes, acc[v]);
  D::store_partial(sums + (N - 1) * D::kLanes, acc[N - 1], last_lanes);
}

template <class T>
void add_column_squares(const T* g, std::size_t rows, std::size_t cols, double* sums) {
  constexpr std::size_t L = Simd<double>::kLanes;
  std::size_t c = 0;
  for (; c + 4 * L <= cols; c += 4 * L) column_squares<T, 4>(g + c, rows, cols, L, sums + c);
  for (; c < cols; c += L) {
    column_squares<T, 1>(g + c, rows, cols, std::min(L, cols - c), sums + c);
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
