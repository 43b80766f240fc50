// SPDX-License-Identifier: BSD-3-Clause
// The passes of one layer of several networks at once (lanes.h).
#pragma once

#include <algorithm>

#include "lanes.h"
#include "lanes_product-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// A block of rows [begin, begin + count) of a step.
template <class T>
struct LanesBlock {
  static constexpr std::size_t L = Simd<T>::kLanes;
  const LanesStep<T>& f;
  std::size_t begin, count;
  bool first, last;  // of the minibatch

  const Index* rows() const { return f.rows + begin * L; }
  // Rows that every lane has.
  std::size_t common() const {
    return f.common_count <= begin ? 0 : std::min(count, f.common_count - begin);
  }
};

// The weights of a block of outputs: (input, output of the block, lane).
template <class T>
struct LanesWeights {
  static constexpr std::size_t L = Simd<T>::kLanes;
  const LanesLayer& layer;
  std::size_t offset, first_output, width;  // offset: of its parameters

  LanesWeights(const LanesLayer& l, std::size_t block)
      : layer(l),
        offset(l.weight_offset + block * kLanesOutputs * l.fan_in),
        first_output(block * kLanesOutputs),
        width(std::min(kLanesOutputs, l.fan_out - first_output)) {}
  static std::size_t count(const LanesLayer& l) {
    return (l.fan_out + kLanesOutputs - 1) / kLanesOutputs;
  }
};

// z(row, output) of a layer from a(row, input).
template <class T, bool kSpread>
__attribute__((noinline)) void lanes_forward(const LanesBlock<T>& b, std::size_t k, const T* a,
                                             T* z) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr std::size_t L = S::kLanes, step = kSpread ? 1 : L;
  const LanesLayer& layer = b.f.layers[k];
  const bool relu = layer.activation == Activation::relu;
  const std::size_t fan_out = layer.fan_out;
  for (std::size_t block = 0; block < LanesWeights<T>::count(layer); ++block) {
    const LanesWeights<T> w(layer, block);
    const std::size_t first = w.first_output;
    const T* const bias = b.f.bias ? b.f.parameters + (layer.bias_offset + first) * L : nullptr;
    const LanesPart<T> part{b.f.parameters + w.offset * L, w.width * L, L, layer.fan_in};
    const auto parts = [&](std::size_t) __attribute__((always_inline)) { return part; };
    const LanesProduct<T, decltype(parts)> p{
        a, layer.fan_in * step, step, 1, parts, layer.common_fan_in, b.f.widths + k * L};
    lanes_product<T, kSpread>(
        p, 0, b.count, 0, w.width,
        [=](std::size_t, std::size_t o) __attribute__((always_inline)) {
          return bias != nullptr ? S::load(bias + o * L) : S::zero();
        },
        [=](std::size_t r, std::size_t o, V v) __attribute__((always_inline)) {
          S::store(z + (r * fan_out + first + o) * L, relu ? S::relu(v) : v);
        });
  }
}

// dx(row, input) of inputs [in_begin, in_end), kept where the activation is > 0 if `gated`.
template <class T>
__attribute__((noinline)) void lanes_backward_data(const LanesBlock<T>& b, std::size_t k,
                                                   const T* dz, const T* a, T* dx,
                                                   std::size_t in_begin, std::size_t in_end) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr std::size_t L = S::kLanes;
  const LanesLayer& layer = b.f.layers[k];
  const T* const parameters = b.f.parameters;
  const auto parts = [&](std::size_t block) __attribute__((always_inline)) {
    const LanesWeights<T> w(layer, block);
    return LanesPart<T>{parameters + w.offset * L, L, w.width * L, w.width};
  };
  const LanesProduct<T, decltype(parts)> p{dz,
                                           layer.fan_out * L,
                                           L,
                                           LanesWeights<T>::count(layer),
                                           parts,
                                           layer.common_fan_out,
                                           b.f.widths + (k + 1) * L};
  const bool gated = b.f.layers[k - 1].activation == Activation::relu;
  const std::size_t fan_in = layer.fan_in;
  lanes_product<T, false>(
      p, 0, b.count, in_begin, in_end,
      [](std::size_t, std::size_t) __attribute__((always_inline)) { return S::zero(); },
      [=](std::size_t r, std::size_t i, V v) __attribute__((always_inline)) {
        const std::size_t at = (r * fan_in + i) * L;
        S::store(dx + at, gated ? S::where_positive(S::load(a + at), v) : v);
      });
}

// The numbers of an update as vectors of lanes.
template <class T>
struct LanesNumbers {
  using S = Simd<T>;
  using V = typename S::V;
  const LanesUpdate<T>& u;

  FASTRELU_INLINE UpdateRule rule() const { return u.rule; }
  FASTRELU_INLINE V learning_rate() const { return S::load(u.learning_rate); }
  FASTRELU_INLINE V momentum() const { return S::load(u.momentum); }
  FASTRELU_INLINE V beta_1() const { return S::load(u.beta_1); }
  FASTRELU_INLINE V beta_2() const { return S::load(u.beta_2); }
  FASTRELU_INLINE V c1() const { return S::load(u.c1); }
  FASTRELU_INLINE V c2() const { return S::load(u.c2); }
  FASTRELU_INLINE V epsilon() const { return S::load(u.epsilon); }
};

// The parameters at `at` take the update by g, or the gradient waits for the blocks to come.
template <class T>
struct LanesTake {
  using S = Simd<T>;
  using V = typename S::V;
  const LanesStep<T>& f;
  bool update, is_weight, plain;
  V rate;

  LanesTake(const LanesBlock<T>& b, bool weight)
      : f(b.f),
        update(b.last),
        is_weight(weight),
        plain(f.update.rule == UpdateRule::sgd && !(weight && f.update.decays)),
        rate(S::load(f.update.learning_rate)) {}

  // Where it is little work; returns whether it was.
  FASTRELU_INLINE bool at_once(std::size_t at, V g) const {
    if (!update) {
      S::store(f.gradient + at, g);
    } else if (plain) {
      S::store(f.parameters + at, S::fma(-rate, g, S::load(f.parameters + at)));
    }
    return !update || plain;
  }
  FASTRELU_INLINE void operator()(std::size_t at, V g) const {
    if (at_once(at, g)) return;
    V w = S::load(f.parameters + at);
    if (is_weight && f.update.decays) {
      const V factor = S::load(f.update.weight_decay);
      const typename S::M decays = factor != S::zero();
      V decayed_g = g, decayed_w = w;
      decay_vector<T>(f.update.decoupled, factor, decayed_g, decayed_w);
      g = decays ? decayed_g : g;
      w = decays ? decayed_w : w;
    }
    const StateVectors<T, true> state{{f.state, f.state_stride, at}, S::kLanes};
    S::store(f.parameters + at, stepped<T>(LanesNumbers<T>{f.update}, g, w, state));
  }
};

// Inputs whose weights are read for dx and updated while they are in the L1 cache.
constexpr std::size_t kLanesInputs = 8;

// dW from inputs [in_begin, in_end), kLanesInputs at most, and what it is for. What a rule takes
// more work for waits beside the tiles, each of which would have the rule's code of its own.
template <class T, bool kSpread>
__attribute__((noinline)) void lanes_backward_weights(const LanesBlock<T>& b, std::size_t k,
                                                      const T* a, const T* dz, std::size_t in_begin,
                                                      std::size_t in_end) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr std::size_t L = S::kLanes, step = kSpread ? 1 : L;
  const LanesLayer& layer = b.f.layers[k];
  const T* const so_far = b.first ? nullptr : b.f.gradient;
  const LanesTake<T> take(b, true);
  alignas(64) T waiting[kLanesInputs * kLanesOutputs * L];
  for (std::size_t block = 0; block < LanesWeights<T>::count(layer); ++block) {
    const LanesWeights<T> w(layer, block);
    const LanesPart<T> part{dz + w.first_output * L, layer.fan_out * L, L, b.count};
    const auto parts = [&](std::size_t) __attribute__((always_inline)) { return part; };
    const LanesProduct<T, decltype(parts)> p{a,     step,       layer.fan_in * step, 1,
                                             parts, b.common(), b.f.counts,          b.begin};
    const auto place = [&](std::size_t i, std::size_t o) __attribute__((always_inline)) {
      return (w.offset + i * w.width + o) * L;
    };
    lanes_product<T, kSpread>(
        p, in_begin, in_end, 0, w.width,
        [&](std::size_t i, std::size_t o) __attribute__((always_inline)) {
          return so_far != nullptr ? S::load(so_far + place(i, o)) : S::zero();
        },
        [&](std::size_t i, std::size_t o, V g) __attribute__((always_inline)) {
          if (take.at_once(place(i, o), g)) return;
          S::store(waiting + ((i - in_begin) * w.width + o) * L, g);
        });
    if (!take.update || take.plain) continue;
    for (std::size_t j = 0; j < (in_end - in_begin) * w.width; ++j) {
      take(place(in_begin, 0) + j * L, S::load(waiting + j * L));
    }
  }
}

// The backward pass of one row with plain SGD, N inputs: dx unless `dx` is null, and the weights'
// update by the outer product, while a weight is in a register.
template <class T, int N, bool kSpread>
FASTRELU_INLINE void lanes_outer_inputs(const LanesBlock<T>& b, std::size_t k, const T* a,
                                        const T* dz, T* dx, std::size_t i) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr std::size_t L = S::kLanes, step = kSpread ? 1 : L;
  const LanesLayer& layer = b.f.layers[k];
  const V rate = -S::load(b.f.update.learning_rate);
  V acc[N], x[N];
  static_for<N>([&](auto j) __attribute__((always_inline)) {
    acc[j] = S::zero();
    x[j] = kSpread ? S::set1(a[(i + j) * step]) : S::load(a + (i + j) * step);
  });
  const auto update = [&](T* w, std::size_t j, V d, V old) __attribute__((always_inline)) {
    S::store(w, S::fma(rate, S::fma(x[j], d, S::zero()), old));
  };
  for (std::size_t block = 0; block < LanesWeights<T>::count(layer); ++block) {
    const LanesWeights<T> weights(layer, block);
    const std::size_t next = weights.width * L;
    T* w = b.f.parameters + (weights.offset + i * weights.width) * L;
    std::size_t o = weights.first_output;
    const std::size_t end = o + weights.width;
    for (; o < std::min(end, layer.common_fan_out); ++o, w += L) {
      const V d = S::load(dz + o * L);
      static_for<N>([&](auto j) __attribute__((always_inline)) {
        const V old = S::load(w + j * next);
        if constexpr (!kSpread) acc[j] = S::fma(d, old, acc[j]);
        update(w + j * next, j, d, old);
      });
    }
    for (; o < end; ++o, w += L) {
      const V d = S::load(dz + o * L);
      const typename S::M open = S::set1(static_cast<T>(o)) < S::load(b.f.widths + (k + 1) * L);
      static_for<N>([&](auto j) __attribute__((always_inline)) {
        const V old = S::load(w + j * next);
        acc[j] = open ? S::fma(d, old, acc[j]) : acc[j];
        update(w + j * next, j, d, old);
      });
    }
  }
  if (k == 0) return;
  const bool gated = b.f.layers[k - 1].activation == Activation::relu;
  static_for<N>([&](auto j) __attribute__((always_inline)) {
    S::store(dx + (i + j) * L, gated ? S::where_positive(x[j], acc[j]) : acc[j]);
  });
}
template <class T, int N, bool kSpread>
FASTRELU_INLINE void lanes_outer_from(const LanesBlock<T>& b, std::size_t k, const T* a,
                                      const T* dz, T* dx, std::size_t i) {
  const std::size_t fan_in = b.f.layers[k].fan_in;
  for (; i + N <= fan_in; i += N) lanes_outer_inputs<T, N, kSpread>(b, k, a, dz, dx, i);
  if constexpr (N > 1) lanes_outer_from<T, N / 2, kSpread>(b, k, a, dz, dx, i);
}
template <class T, bool kSpread>
__attribute__((noinline)) void lanes_outer(const LanesBlock<T>& b, std::size_t k, const T* a,
                                           const T* dz, T* dx) {
  lanes_outer_from<T, kLanesTogether, kSpread>(b, k, a, dz, dx, 0);
}

// db: chains over the rows of acc + dz, for N outputs.
template <class T, int N, class Take>
FASTRELU_INLINE void lanes_bias_columns(const LanesBlock<T>& b, const T* dz, std::size_t fan_out,
                                        std::size_t at, const Take& take) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr std::size_t L = S::kLanes;
  V acc[N];
  static_for<N>([&](auto j) __attribute__((always_inline)) {
    acc[j] = b.first ? S::zero() : S::load(b.f.gradient + at + j * L);
  });
  const std::size_t common = b.common();
  std::size_t r = 0;
  for (; r < common; ++r, dz += fan_out * L) {
    static_for<N>([&](auto j)
                      __attribute__((always_inline)) { acc[j] = acc[j] + S::load(dz + j * L); });
  }
  for (; r < b.count; ++r, dz += fan_out * L) {
    const typename S::M open = S::set1(static_cast<T>(b.begin + r)) < S::load(b.f.counts);
    static_for<N>([&](auto j) __attribute__((always_inline)) {
      acc[j] = open ? acc[j] + S::load(dz + j * L) : acc[j];
    });
  }
  static_for<N>([&](auto j) __attribute__((always_inline)) { take(at + j * L, acc[j]); });
}
template <class T>
__attribute__((noinline)) void lanes_backward_bias(const LanesBlock<T>& b, std::size_t k,
                                                   const T* dz) {
  constexpr std::size_t L = Simd<T>::kLanes, kTogether = 4;
  const LanesLayer& layer = b.f.layers[k];
  const LanesTake<T> take(b, false);
  const std::size_t fan_out = layer.fan_out;
  const auto at = [&](std::size_t o) { return (layer.bias_offset + o) * L; };
  std::size_t o = 0;
  for (; o + kTogether <= fan_out; o += kTogether) {
    lanes_bias_columns<T, kTogether>(b, dz + o * L, fan_out, at(o), take);
  }
  for (; o < fan_out; ++o) lanes_bias_columns<T, 1>(b, dz + o * L, fan_out, at(o), take);
}

template <class T, bool kSpread>
FASTRELU_INLINE void lanes_backward_layer(const LanesBlock<T>& b, std::size_t k, const T* a,
                                          const T* dz, T* dx) {
  const std::size_t fan_in = b.f.layers[k].fan_in;
  if (b.f.common_count == 1 && b.f.count == 1 && LanesTake<T>(b, true).plain) {
    lanes_outer<T, kSpread>(b, k, a, dz, dx);
  } else {
    for (std::size_t i = 0; i < fan_in; i += kLanesInputs) {
      const std::size_t end = std::min(i + kLanesInputs, fan_in);
      if (k > 0) lanes_backward_data(b, k, dz, a, dx, i, end);
      lanes_backward_weights<T, kSpread>(b, k, a, dz, i, end);
    }
  }
  if (b.f.bias) lanes_backward_bias(b, k, dz);
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
