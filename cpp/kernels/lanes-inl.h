// SPDX-License-Identifier: BSD-3-Clause
// Steps of several networks at once (lanes.h states them). All three passes of a layer are one
// product of vectors, each lane a chain of its own.
#pragma once

#include <algorithm>

#include "activation-inl.h"
#include "lanes.h"
#include "loss-inl.h"
#include "rows-inl.h"
#include "transpose-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// Chains over k of fma(left(m, k), right(k, n)), in parts that follow each other. left(m, k) lies
// at left + m * left_m + k * left_k over all parts; right(k, n) at right + k * right_k + n *
// right_n of its part, k counted from its beginning. A lane's chain ends at its own `lengths`, of
// which `common` is the least; `first` is the number of the term k = 0.
template <class T>
struct LanesPart {
  const T* right;
  std::size_t right_k, right_n, count;
};
template <class T, class Parts>
struct LanesProduct {
  const T* left;
  std::size_t left_m, left_k;
  std::size_t part_count;
  Parts part;  // part(p) -> LanesPart
  std::size_t common;
  const T* lengths;
  std::size_t first = 0;
};

// The chains of M x N results go on through a part. kSpread: `left` has one value for all lanes.
template <class T, int M, int N, bool kSpread>
FASTRELU_INLINE void lanes_chains(typename Simd<T>::V (&acc)[M][N], const T* left,
                                  std::size_t left_m, std::size_t left_k, const LanesPart<T>& part,
                                  std::size_t n, std::size_t common, std::size_t first,
                                  const T* lengths) {
  using S = Simd<T>;
  using V = typename S::V;
  const std::size_t right_k = part.right_k, right_n = part.right_n;
  const T* right = part.right + n * right_n;
  const auto operand = [](const T* at) __attribute__((always_inline)) {
    return kSpread ? S::set1(*at) : S::load(at);
  };
  std::size_t k = 0;
  for (; k < common; ++k, left += left_k, right += right_k) {
    V b[N];
    static_for<N>([&](auto j)
                      __attribute__((always_inline)) { b[j] = S::load(right + j * right_n); });
    static_for<M>([&](auto i) __attribute__((always_inline)) {
      const V a = operand(left + i * left_m);
      static_for<N>([&](auto j)
                        __attribute__((always_inline)) { acc[i][j] = S::fma(a, b[j], acc[i][j]); });
    });
  }
  for (; k < part.count; ++k, left += left_k, right += right_k) {
    const typename S::M open = S::set1(static_cast<T>(first + k)) < S::load(lengths);
    static_for<M>([&](auto i) __attribute__((always_inline)) {
      const V a = operand(left + i * left_m);
      static_for<N>([&](auto j) __attribute__((always_inline)) {
        const V next = S::fma(a, S::load(right + j * right_n), acc[i][j]);
        acc[i][j] = open ? next : acc[i][j];
      });
    });
  }
}

template <class T, int M, int N, bool kSpread, class Parts, class Start, class Done>
FASTRELU_INLINE void lanes_tile(const LanesProduct<T, Parts>& p, std::size_t m, std::size_t n,
                                const Start& start, const Done& done) {
  typename Simd<T>::V acc[M][N];
  static_for<M>([&](auto i) __attribute__((always_inline)) {
    static_for<N>([&](auto j) __attribute__((always_inline)) { acc[i][j] = start(m + i, n + j); });
  });
  const T* left = p.left + m * p.left_m;
  std::size_t k = 0;
  for (std::size_t s = 0; s < p.part_count; ++s) {
    const LanesPart<T> part = p.part(s);
    const std::size_t common = p.common <= k ? 0 : std::min(part.count, p.common - k);
    lanes_chains<T, M, N, kSpread>(acc, left, p.left_m, p.left_k, part, n, common, p.first + k,
                                   p.lengths);
    k += part.count;
    left += part.count * p.left_k;
  }
  static_for<M>([&](auto i) __attribute__((always_inline)) {
    static_for<N>([&](auto j) __attribute__((always_inline)) { done(m + i, n + j, acc[i][j]); });
  });
}

// Columns [n, n_end), rows m .. m + M - 1.
template <class T, int M, int N, bool kSpread, class Parts, class Start, class Done>
FASTRELU_INLINE void lanes_columns(const LanesProduct<T, Parts>& p, std::size_t m, std::size_t n,
                                   std::size_t n_end, const Start& start, const Done& done) {
  for (; n + N <= n_end; n += N) lanes_tile<T, M, N, kSpread>(p, m, n, start, done);
  if constexpr (N > 1) lanes_columns<T, M, N / 2, kSpread>(p, m, n, n_end, start, done);
}

// Tiles: enough chains to hide the latency of fma, few enough for the registers.
#if defined(FASTRELU_X86_V4) || defined(__aarch64__)
constexpr int kLanesRows = 4, kLanesColumns = 4;
#else
constexpr int kLanesRows = 2, kLanesColumns = 4;
#endif
constexpr int kLanesAlone = 8;  // columns beside one row
// Inputs of the backward pass of one row.
#if defined(FASTRELU_X86_V4) || defined(__aarch64__)
constexpr int kLanesTogether = 8;
#else
constexpr int kLanesTogether = 4;
#endif

template <class T, bool kSpread, class Parts, class Start, class Done>
FASTRELU_INLINE void lanes_product(const LanesProduct<T, Parts>& p, std::size_t m_begin,
                                   std::size_t m_end, std::size_t n_begin, std::size_t n_end,
                                   const Start& start, const Done& done) {
  std::size_t m = m_begin;
  for (; m + kLanesRows <= m_end; m += kLanesRows) {
    lanes_columns<T, kLanesRows, kLanesColumns, kSpread>(p, m, n_begin, n_end, start, done);
  }
  for (; m < m_end; ++m) {
    lanes_columns<T, 1, kLanesAlone, kSpread>(p, m, n_begin, n_end, start, done);
  }
}

// A block of rows [begin, begin + count) of a step, and where its arrays lie in the workspace.
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

// What lies where in the workspace.
template <class T>
struct LanesPlaces {
  T* activations;         // A_0 .. A_L; of A_0 with same_rows the rows once
  std::size_t kept;       // from an activation to what it keeps
  T *gradients, *others;  // dZ of two layers in turn
  T *panel, *scratch;     // the loss's

  explicit LanesPlaces(const LanesStep<T>& f) {
    const LanesSizes sizes(f.layers, f.layer_count);
    const std::size_t columns = f.block_rows * Simd<T>::kLanes;
    activations = f.workspace;
    kept = sizes.activations * columns;
    gradients = activations + (sizes.keeps_derivatives ? 2 : 1) * kept;
    others = gradients + sizes.widest * columns;
    panel = others + sizes.widest * columns;
    scratch = panel + sizes.outputs * round_up(columns, kPanel<T>);
  }
};

// Rows of x, each lane's own, as (row, column, lane).
template <class T, class E>
__attribute__((noinline)) void lanes_gather(const LanesBlock<T>& b, T* out) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const RowSource& x = *b.f.x;
  const char* const base = static_cast<const char*>(x.data);
  const typename S::V scale = S::set1(b.f.scale);
  const bool scaled = b.f.scale != T(1);
  const Index* index = b.rows();
  for (std::size_t r = 0; r < b.count; ++r, index += L, out += x.cols * L) {
    const E* from[L];
    for (std::size_t l = 0; l < L; ++l) {
      from[l] = reinterpret_cast<const E*>(base + index[l] * x.stride);
    }
    for (std::size_t c = 0; c < x.cols; c += L) {
      typename S::V block[L];
      const std::size_t columns = std::min(L, x.cols - c);
      if (columns == L) {
        static_for<L>([&](auto l) __attribute__((always_inline)) {
          block[l] = load_values<T>(from[l] + c, L);
        });
      } else {
        static_for<L>([&](auto l) __attribute__((always_inline)) {
          block[l] = load_values<T>(from[l] + c, columns);
        });
      }
      if (scaled) {
        static_for<L>([&](auto l) __attribute__((always_inline)) { block[l] = block[l] * scale; });
      }
      transpose<T>(block);
      T* const to = out + c * L;
      if (columns == L) {
        static_for<L>([&](auto l)
                          __attribute__((always_inline)) { S::store(to + l * L, block[l]); });
      } else {
        for (std::size_t l = 0; l < columns; ++l) S::store(to + l * L, block[l]);
      }
    }
  }
}

// The rows that all lanes share, once.
template <class T, class E>
FASTRELU_INLINE void lanes_shared_rows(const LanesBlock<T>& b, T* out) {
  const RowSource& x = *b.f.x;
  const Index* index = b.rows();
  for (std::size_t r = 0; r < b.count; ++r, index += LanesBlock<T>::L) {
    const E* const row =
        reinterpret_cast<const E*>(static_cast<const char*>(x.data) + *index * x.stride);
    for (std::size_t c = 0; c < x.cols; ++c, ++out) {
      const T value = static_cast<T>(row[c]);
      *out = b.f.scale != T(1) ? value * b.f.scale : value;
    }
  }
}

template <class T>
FASTRELU_INLINE void lanes_inputs(const LanesBlock<T>& b, T* out) {
  if (b.f.same_rows) {
    if (b.f.x->is_uint8) {
      lanes_shared_rows<T, std::uint8_t>(b, out);
    } else {
      lanes_shared_rows<T, T>(b, out);
    }
  } else if (b.f.x->is_uint8) {
    lanes_gather<T, std::uint8_t>(b, out);
  } else {
    lanes_gather<T, T>(b, out);
  }
}

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

  FASTRELU_INLINE void operator()(std::size_t at, V g) const {
    if (!update) return S::store(f.gradient + at, g);
    V w = S::load(f.parameters + at);
    if (plain) return S::store(f.parameters + at, S::fma(-rate, g, w));
    if (is_weight && f.update.decays) {
      const V factor = S::load(f.update.weight_decay);
      const typename S::M decays = factor != S::zero();
      if (f.update.decoupled) {
        w = decays ? S::fma(-factor, w, w) : w;
      } else {
        g = decays ? S::fma(factor, w, g) : g;
      }
    }
    const StateVectors<T, true> state{{f.state, f.state_stride, at}, S::kLanes};
    S::store(f.parameters + at, stepped<T>(LanesNumbers<T>{f.update}, g, w, state));
  }
};

// dW from inputs [in_begin, in_end), and what it is for.
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
        [&](std::size_t i, std::size_t o, V g)
            __attribute__((always_inline)) { take(place(i, o), g); });
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

// db: chains over the rows of acc + dz.
template <class T>
__attribute__((noinline)) void lanes_backward_bias(const LanesBlock<T>& b, std::size_t k,
                                                   const T* dz) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr std::size_t L = S::kLanes;
  const LanesLayer& layer = b.f.layers[k];
  const LanesTake<T> take(b, false);
  for (std::size_t o = 0; o < layer.fan_out; ++o) {
    const std::size_t at = (layer.bias_offset + o) * L;
    V acc = b.first ? S::zero() : S::load(b.f.gradient + at);
    const T* from = dz + o * L;
    std::size_t r = 0;
    for (; r < b.common(); ++r, from += layer.fan_out * L) acc = acc + S::load(from);
    for (; r < b.count; ++r, from += layer.fan_out * L) {
      const typename S::M open = S::set1(static_cast<T>(b.begin + r)) < S::load(b.f.counts);
      acc = open ? acc + S::load(from) : acc;
    }
    take(at, acc);
  }
}

// dZ of the last layer takes the place of z(row, output); the row losses go to where they belong.
template <class T>
FASTRELU_INLINE void lanes_loss(const LanesBlock<T>& b, const LanesPlaces<T>& places, T* z) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const std::size_t K = b.f.layers[b.f.layer_count - 1].fan_out, columns = b.count * L;
  const Panels<T> panel{places.panel, K * kPanel<T>, columns};
  const auto at = [&](std::size_t r, std::size_t k) {
    return panel.at(k, r * L / kPanel<T>) + r * L % kPanel<T>;
  };
  for (std::size_t r = 0; r < b.count; ++r) {
    for (std::size_t k = 0; k < K; ++k) S::store(at(r, k), S::load(z + (r * K + k) * L));
  }
  LossArgs<T> f{};
  f.spec = b.f.loss;
  f.targets = b.f.targets;
  f.outputs = K;
  f.z = read_only(panel);
  f.dz = panel;
  f.factor = b.f.factors + b.begin * L;
  f.row_loss = b.f.row_losses + b.begin * L;
  f.index = b.rows();
  f.row_end = columns;
  f.scratch = places.scratch;
  loss(f);
  for (std::size_t r = 0; r < b.count; ++r) {
    for (std::size_t k = 0; k < K; ++k) S::store(z + (r * K + k) * L, S::load(at(r, k)));
  }
}

// Inputs whose weights are read for dx and updated while they are in the L1 cache.
constexpr std::size_t kLanesInputs = 8;

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

template <class T>
FASTRELU_INLINE void lanes_block(const LanesBlock<T>& b, const LanesPlaces<T>& places) {
  constexpr std::size_t L = Simd<T>::kLanes;
  const LanesStep<T>& f = b.f;
  const std::size_t columns = f.block_rows * L;
  const auto derivative = [&](std::size_t k, T* a) {
    return keeps_derivative(f.layers[k].activation) ? a + places.kept : nullptr;
  };
  T* a = places.activations;
  lanes_inputs(b, a);
  for (std::size_t k = 0; k < f.layer_count; ++k) {
    const LanesLayer& layer = f.layers[k];
    T* const z = a + layer.fan_in * columns;
    if (k == 0 && f.same_rows) {
      lanes_forward<T, true>(b, k, a, z);
    } else {
      lanes_forward<T, false>(b, k, a, z);
    }
    if (is_elementwise(layer.activation)) {
      activate(layer.activation, z, derivative(k, z), b.count * layer.fan_out * L);
    }
    a = z;
  }
  lanes_loss(b, places, a);
  T *dz = a, *dx = places.gradients, *other = places.others;
  for (std::size_t k = f.layer_count; k-- > 0;) {
    const LanesLayer& layer = f.layers[k];
    a -= layer.fan_in * columns;
    if (k == 0 && f.same_rows) {
      lanes_backward_layer<T, true>(b, k, a, dz, dx);
    } else {
      lanes_backward_layer<T, false>(b, k, a, dz, dx);
    }
    if (k > 0 && is_elementwise(f.layers[k - 1].activation)) {
      activation_backward(f.layers[k - 1].activation, a, derivative(k - 1, a), T(1), dx,
                          b.count * layer.fan_in * L);
    }
    dz = dx;
    std::swap(dx, other);
  }
}

template <class T>
void lanes_step(const LanesStep<T>& f) {
  const LanesPlaces<T> places(f);
  for (std::size_t begin = 0; begin < f.count; begin += f.block_rows) {
    const std::size_t count = std::min(f.block_rows, f.count - begin);
    lanes_block<T>({f, begin, count, begin == 0, begin + count == f.count}, places);
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
