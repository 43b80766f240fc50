// SPDX-License-Identifier: BSD-3-Clause
// The passes of one layer over a few rows: lanes are features, W is read as it lies, rows of
// activations are padded to whole vectors. What a vector holds beyond its row's width is never
// used.
#pragma once

#include <algorithm>

#include "kernels.h"
#include "transpose-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

constexpr std::size_t padded(std::size_t width) { return round_up(width, 16); }

// Layers of so many weights run their backward pass one multiply-add at a time: turning blocks of
// W round would cost more.
constexpr std::size_t kScalarWeights = 64;

// f(constant<rows>) for rows = 1 .. kFewRows
template <std::size_t N = kFewRows, class F>
FASTRELU_INLINE void with_rows(std::size_t rows, F f) {
  if constexpr (N == 1) {
    f(std::integral_constant<int, 1>{});
  } else {
    if (rows == N) {
      f(std::integral_constant<int, static_cast<int>(N)>{});
    } else {
      with_rows<N - 1>(rows, f);
    }
  }
}

// Vectors of outputs that run at once: enough accumulators to hide the latency of fma.
template <int R>
constexpr int kForwardVectors = R == 1   ? 8
                                : R == 2 ? 6
                                : R <= 4 ? 4
                                : R <= 6 ? 3
                                         : 2;

// z[r] = b + the chain over k of x[r][k] w[k], NV vectors of each row. Rows of x are x_step apart,
// their values x_next.
template <class T>
struct FewProduct {
  const T* x;
  std::size_t x_step, x_next, count;
  const T* w;
  std::size_t ldw;
  const T* b;  // or null
  bool relu;
  T* z;
  std::size_t z_step;
};

template <class T, int R, int NV>
FASTRELU_INLINE void few_product_block(const FewProduct<T>& f, std::size_t column) {
  using S = Simd<T>;
  typename S::V acc[R][NV];
  static_for<NV>([&](auto v) __attribute__((always_inline)) {
    const typename S::V first = f.b != nullptr ? S::load(f.b + column + v * S::kLanes) : S::zero();
    static_for<R>([&](auto r) __attribute__((always_inline)) { acc[r][v] = first; });
  });
  const T* w = f.w + column;
  const T* x = f.x;
  const std::size_t ldw = f.ldw, x_step = f.x_step, x_next = f.x_next;
  for (const T* const end = x + f.count * x_next; x != end; w += ldw, x += x_next) {
    typename S::V row[NV];
    static_for<NV>([&](auto v)
                       __attribute__((always_inline)) { row[v] = S::load(w + v * S::kLanes); });
    static_for<R>([&](auto r) __attribute__((always_inline)) {
      const typename S::V a = S::set1(x[r * x_step]);
      static_for<NV>(
          [&](auto v) __attribute__((always_inline)) { acc[r][v] = S::fma(a, row[v], acc[r][v]); });
    });
  }
  T* const z = f.z + column;
  static_for<R>([&](auto r) __attribute__((always_inline)) {
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      S::store(z + r * f.z_step + v * S::kLanes, f.relu ? S::relu(acc[r][v]) : acc[r][v]);
    });
  });
}

template <class T, int R, int NV>
FASTRELU_INLINE void few_product_rest(const FewProduct<T>& f, std::size_t column,
                                      std::size_t vectors) {
  if constexpr (NV > 0) {
    if (vectors == NV) {
      few_product_block<T, R, NV>(f, column);
    } else {
      few_product_rest<T, R, NV - 1>(f, column, vectors);
    }
  }
}

template <class T, int R>
__attribute__((noinline)) void few_product(const FewProduct<T>& f, std::size_t columns) {
  constexpr std::size_t L = Simd<T>::kLanes;
  constexpr std::size_t kMost = kForwardVectors<R>;
  const std::size_t vectors = (columns + L - 1) / L;
  for (std::size_t v = 0; v < vectors; v += kMost) {
    few_product_rest<T, R, kForwardVectors<R>>(f, v * L, std::min(kMost, vectors - v));
  }
}

template <class T, int R>
FASTRELU_INLINE void few_forward(const T* x, const T* parameters, bool bias, const Layer& layer,
                                 T* z) {
  few_product<T, R>({x, padded(layer.fan_in), 1, layer.fan_in, parameters + layer.weight_offset,
                     layer.fan_out, bias ? parameters + layer.bias_offset : nullptr,
                     layer.activation == Activation::relu, z, padded(layer.fan_out)},
                    layer.fan_out);
}

// The same as few_backward_data from W', rows padded.
template <class T, int R>
FASTRELU_INLINE void few_backward_data_transposed(const T* dz, const T* wt, const Layer& layer,
                                                  const T* gate, bool gated, T* dx) {
  using S = Simd<T>;
  const std::size_t step = padded(layer.fan_in);
  few_product<T, R>(
      {dz, padded(layer.fan_out), 1, layer.fan_out, wt, step, nullptr, false, dx, step},
      layer.fan_in);
  if (!gated) return;
  for (std::size_t r = 0; r < R; ++r, dx += step, gate += step) {
    for (std::size_t i = 0; i < layer.fan_in; i += S::kLanes) {
      S::store(dx + i, S::where_positive(S::load(gate + i), S::load(dx + i)));
    }
  }
}

// dx of the layer's inputs, kept where `gate` (the inputs themselves) is > 0 if `gated`.
template <class T, int R>
__attribute__((noinline)) void few_backward_data(const T* dz, const T* w, const Layer& layer,
                                                 const T* gate, bool gated, T* dx) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const std::size_t fan_in = layer.fan_in, fan_out = layer.fan_out;
  const std::size_t dz_step = padded(fan_out), dx_step = padded(fan_in);
  if (fan_in * fan_out <= kScalarWeights) {
    for (std::size_t r = 0; r < R; ++r, dz += dz_step, dx += dx_step, gate += dx_step) {
      for (std::size_t i = 0; i < fan_in; ++i) {
        T acc = 0;
        for (std::size_t o = 0; o < fan_out; ++o) acc = scalar_fma(dz[o], w[i * fan_out + o], acc);
        dx[i] = !gated || gate[i] > T(0) ? acc : T(0);
      }
    }
    return;
  }
  for (std::size_t i = 0; i < fan_in; i += L) {
    typename S::V acc[R] = {};
    for (std::size_t o = 0; o < fan_out; o += L) {
      typename S::V block[L];
      const T* const from = w + i * fan_out + o;
      if (i + L <= fan_in) {
        static_for<L>(
            [&](auto j) __attribute__((always_inline)) { block[j] = S::load(from + j * fan_out); });
      } else {
        for (std::size_t j = 0; j < L; ++j) {
          block[j] = i + j < fan_in ? S::load(from + j * fan_out) : S::zero();
        }
      }
      transpose<T>(block);
      if (o + L <= fan_out) {
        static_for<L>([&](auto k) __attribute__((always_inline)) {
          static_for<R>([&](auto r) __attribute__((always_inline)) {
            acc[r] = S::fma(S::set1(dz[r * dz_step + o + k]), block[k], acc[r]);
          });
        });
      } else {
        for (std::size_t k = 0; o + k < fan_out; ++k) {
          static_for<R>([&](auto r) __attribute__((always_inline)) {
            acc[r] = S::fma(S::set1(dz[r * dz_step + o + k]), block[k], acc[r]);
          });
        }
      }
    }
    static_for<R>([&](auto r) __attribute__((always_inline)) {
      const typename S::V kept =
          gated ? S::where_positive(S::load(gate + r * dx_step + i), acc[r]) : acc[r];
      S::store(dx + r * dx_step + i, kept);
    });
  }
}

// Plain SGD on rows of w, (count, columns), ldw apart: w[i] = fma(step, the chain over r of
// left[r][i] right[r], w[i]).
template <class T>
struct OuterUpdate {
  const T* left;
  std::size_t left_step, count;
  const T* right;
  std::size_t right_step;
  T step;
  T* w;
  std::size_t ldw, columns;
};

// From the last row up: what the pass before has read last is in the L1 cache still, where all of
// it is not.
template <class T, int R, int NV>
FASTRELU_INLINE void few_outer_columns(const OuterUpdate<T>& f, std::size_t column) {
  using S = Simd<T>;
  const typename S::V scale = S::set1(f.step);
  typename S::V d[R][NV];
  static_for<R>([&](auto r) __attribute__((always_inline)) {
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      d[r][v] = S::load(f.right + r * f.right_step + column + v * S::kLanes);
    });
  });
  const std::size_t ldw = f.ldw, left_step = f.left_step;
  T* to = f.w + column + f.count * ldw;
  const T* left = f.left + f.count;
  for (std::size_t i = f.count; i > 0; --i) {
    to -= ldw;
    --left;
    typename S::V x[R];
    static_for<R>([&](auto r)
                      __attribute__((always_inline)) { x[r] = S::set1(left[r * left_step]); });
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      typename S::V g = S::zero();
      static_for<R>([&](auto r) __attribute__((always_inline)) { g = S::fma(x[r], d[r][v], g); });
      T* const p = to + v * S::kLanes;
      S::store(p, S::fma(scale, g, S::load(p)));
    });
  }
}

// Columns [column, columns), less than a vector. A vector that is loaded just behind a partial
// store of its neighbour waits for it, so several rows are loaded before any is stored, and the
// last few go one value at a time.
template <class T, int R>
FASTRELU_INLINE void few_outer_rest(const OuterUpdate<T>& f, std::size_t column) {
  using S = Simd<T>;
  constexpr std::size_t kTogether = 8;
  const std::size_t lanes = f.columns - column;
  const typename S::V scale = S::set1(f.step);
  typename S::V d[R];
  static_for<R>([&](auto r) __attribute__((always_inline)) {
    d[r] = S::load(f.right + r * f.right_step + column);
  });
  std::size_t i = 0;
  for (; i + kTogether <= f.count; i += kTogether) {
    T* const to = f.w + i * f.ldw + column;
    typename S::V row[kTogether];
    static_for<kTogether>([&](auto j) __attribute__((always_inline)) {
      typename S::V g = S::zero();
      static_for<R>([&](auto r) __attribute__((always_inline)) {
        g = S::fma(S::set1(f.left[r * f.left_step + i + j]), d[r], g);
      });
      row[j] = S::fma(scale, g, S::load(to + j * f.ldw));
    });
    static_for<kTogether>([&](auto j) __attribute__((always_inline)) {
      S::store_partial(to + j * f.ldw, row[j], lanes);
    });
  }
  for (; i < f.count; ++i) {
    for (std::size_t c = column; c < f.columns; ++c) {
      T g = 0;
      for (std::size_t r = 0; r < R; ++r) {
        g = scalar_fma(f.left[r * f.left_step + i], f.right[r * f.right_step + c], g);
      }
      T& w = f.w[i * f.ldw + c];
      w = scalar_fma(f.step, g, w);
    }
  }
}

// Row by row, so that a matrix beyond the caches streams in order.
template <class T, int R>
FASTRELU_INLINE std::size_t few_outer_rows(const OuterUpdate<T>& f) {
  using S = Simd<T>;
  const std::size_t columns = f.columns / S::kLanes * S::kLanes;
  const typename S::V scale = S::set1(f.step);
  for (std::size_t i = 0; i < f.count; ++i) {
    T* const to = f.w + i * f.ldw;
    typename S::V x[R];
    static_for<R>([&](auto r) __attribute__((always_inline)) {
      x[r] = S::set1(f.left[r * f.left_step + i]);
    });
    for (std::size_t c = 0; c < columns; c += S::kLanes) {
      typename S::V g = S::zero();
      static_for<R>([&](auto r) __attribute__((always_inline)) {
        g = S::fma(x[r], S::load(f.right + r * f.right_step + c), g);
      });
      S::store(to + c, S::fma(scale, g, S::load(to + c)));
    }
  }
  return columns;
}

// Lane l of a vector of a matrix of C columns, row after row, is row l / C of those in the vector,
// column l % C.
template <std::size_t C>
struct RowOfLane {
  static constexpr std::size_t of(std::size_t lane) { return lane / C; }
};
template <std::size_t C>
struct ColumnOfLane {
  static constexpr std::size_t of(std::size_t lane) { return lane % C; }
};

// A matrix of C columns without gaps, C a divisor of kLanes, in whole vectors.
template <class T, int R, std::size_t C>
FASTRELU_INLINE void few_outer_flat(const OuterUpdate<T>& f) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  constexpr auto kLaneNumbers = std::make_index_sequence<L>{};
  const typename S::V scale = S::set1(f.step);
  typename S::V d[R];
  static_for<R>([&](auto r) __attribute__((always_inline)) {
    const typename S::V right = S::load_partial(f.right + r * f.right_step, C);
    d[r] = shuffle<T, ColumnOfLane<C>>(right, right, kLaneNumbers);
  });
  for (std::size_t i = 0; i < f.count; i += L / C) {
    const std::size_t rows = std::min(L / C, f.count - i);
    typename S::V g = S::zero();
    static_for<R>([&](auto r) __attribute__((always_inline)) {
      const typename S::V x = S::load_partial(f.left + r * f.left_step + i, rows);
      g = S::fma(shuffle<T, RowOfLane<C>>(x, x, kLaneNumbers), d[r], g);
    });
    T* const to = f.w + i * C;
    if (rows * C == L) {
      S::store(to, S::fma(scale, g, S::load(to)));
    } else {
      S::store_partial(to, S::fma(scale, g, S::load_partial(to, rows * C)), rows * C);
    }
  }
}

// Whether it was such a matrix, of less columns than a vector has lanes.
template <class T, int R, std::size_t C = Simd<T>::kLanes / 2>
FASTRELU_INLINE bool few_outer_narrow(const OuterUpdate<T>& f) {
  if constexpr (C == 0) {
    return false;
  } else {
    if (f.columns != C || f.ldw != C) return few_outer_narrow<T, R, C / 2>(f);
    few_outer_flat<T, R, C>(f);
    return true;
  }
}

template <class T, int R>
__attribute__((noinline)) void few_outer_update(const OuterUpdate<T>& f) {
  constexpr std::size_t L = Simd<T>::kLanes;
  if (few_outer_narrow<T, R>(f)) return;
  constexpr int kTogether = R <= 2 ? 4 : 2;
  constexpr std::size_t kCachedValues = std::size_t{1} << 16;
  std::size_t c = f.count * f.columns > kCachedValues ? few_outer_rows<T, R>(f) : 0;
  for (; c + kTogether * L <= f.columns; c += kTogether * L) {
    few_outer_columns<T, R, kTogether>(f, c);
  }
  for (; c + L <= f.columns; c += L) few_outer_columns<T, R, 1>(f, c);
  if (c < f.columns) few_outer_rest<T, R>(f, c);
}

// dW and db of one layer: to the gradient, or straight into the parameters.
template <class T, int R>
__attribute__((noinline)) void few_backward_weights(const FewRowsStep<T>& f, const Layer& layer,
                                                    const T* x, const T* dz) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const std::size_t fan_in = layer.fan_in, fan_out = layer.fan_out;
  const std::size_t x_step = padded(fan_in), dz_step = padded(fan_out);
  const std::size_t rows = fan_in + (f.forward.bias ? 1 : 0);
  std::size_t row = layer.weight_offset;
  for (std::size_t i = 0; i < rows; ++i, row += fan_out) {
    const bool decay = i < fan_in && f.update != nullptr && f.update->weight_decay != 0;
    typename S::V left[R];
    static_for<R>([&](auto r) __attribute__((always_inline)) {
      left[r] = S::set1(i < fan_in ? x[r * x_step + i] : T(1));
    });
    for (std::size_t o = 0; o < fan_out; o += L) {
      const std::size_t lanes = std::min(L, fan_out - o), at = row + o;
      typename S::V g = S::zero();
      if (f.accumulate) g = S::load_partial(f.gradient + at, lanes);
      static_for<R>([&](auto r) __attribute__((always_inline)) {
        g = S::fma(left[r], S::load(dz + r * dz_step + o), g);
      });
      if (f.update != nullptr) {
        update_lanes(*f.update, decay, g, f.parameters + at, f.state.from(at), lanes);
      } else {
        S::store_partial(f.gradient + at, g, lanes);
      }
    }
  }
}

// The same for plain SGD, also of W' where it is kept.
template <class T, int R>
FASTRELU_INLINE void few_update_weights(const FewRowsStep<T>& f, const Layer& layer, const T* x,
                                        const T* dz, T* wt) {
  const std::size_t x_step = padded(layer.fan_in), dz_step = padded(layer.fan_out);
  const T step = -f.update->learning_rate;
  T* const w = f.parameters + layer.weight_offset;
  // W' first, which the pass before has read; the next step begins with W.
  if (wt != nullptr) {
    few_outer_update<T, R>({dz, dz_step, layer.fan_out, x, x_step, step, wt, x_step, x_step});
  }
  few_outer_update<T, R>(
      {x, x_step, layer.fan_in, dz, dz_step, step, w, layer.fan_out, layer.fan_out});
  if (f.forward.bias) {
    T ones[R];
    std::fill_n(ones, R, T(1));
    few_outer_update<T, R>({ones, 1, 1, dz, dz_step, step, f.parameters + layer.bias_offset,
                            layer.fan_out, layer.fan_out});
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
