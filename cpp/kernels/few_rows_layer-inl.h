// SPDX-License-Identifier: BSD-3-Clause
// The passes of one layer over a few rows: lanes are features, W is read as it lies, rows of
// activations are padded to whole vectors. What a vector holds beyond its row's width is never
// used.
#pragma once

#include <algorithm>
#include <cmath>

#include "few_rows_update-inl.h"
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
  bool skips;  // terms of x that are 0: all of w is finite, and x_next is 1
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

// The same of one row, whose values are 0 but at these places.
template <class T, int NV>
FASTRELU_INLINE void few_product_listed(const FewProduct<T>& f, std::size_t column,
                                        const std::int32_t* places, std::size_t count) {
  using S = Simd<T>;
  typename S::V acc[NV];
  static_for<NV>([&](auto v) __attribute__((always_inline)) {
    acc[v] = f.b != nullptr ? S::load(f.b + column + v * S::kLanes) : S::zero();
  });
  const T* const w = f.w + column;
  const T* const x = f.x;
  const std::size_t ldw = f.ldw;
  for (std::size_t k = 0; k < count; ++k) {
    const auto i = static_cast<std::size_t>(places[k]);
    const typename S::V a = S::set1(x[i]);
    const T* const row = w + i * ldw;
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      acc[v] = S::fma(a, S::load(row + v * S::kLanes), acc[v]);
    });
  }
  static_for<NV>([&](auto v) __attribute__((always_inline)) {
    S::store(f.z + column + v * S::kLanes, f.relu ? S::relu(acc[v]) : acc[v]);
  });
}

// f(constant<NV>) for NV = vectors, which is 1 .. NV
template <int NV, class F>
FASTRELU_INLINE void with_vectors(std::size_t vectors, F f) {
  if constexpr (NV > 0) {
    if (vectors == NV) {
      f(std::integral_constant<int, NV>{});
    } else {
      with_vectors<NV - 1>(vectors, f);
    }
  }
}

template <class T, int R>
__attribute__((noinline)) void few_product(const FewProduct<T>& f, std::size_t columns) {
  constexpr std::size_t L = Simd<T>::kLanes;
  constexpr int kMost = kForwardVectors<R>;
  const std::size_t vectors = (columns + L - 1) / L;
  const auto blocks = [&](auto block) __attribute__((always_inline)) {
    for (std::size_t v = 0; v < vectors; v += kMost) {
      with_vectors<kMost>(std::min<std::size_t>(kMost, vectors - v),
                          [&](auto nv) __attribute__((always_inline)) { block(nv, v * L); });
    }
  };
  if constexpr (R == 1) {
    if (f.skips && f.count >= kFewestListed && f.count <= kListed) {
      std::int32_t places[kPlaces<T>];
      const std::size_t n = places_of_nonzeros<T, 1>(f.x, 0, 0, f.count, places);
      return blocks([&](auto nv, std::size_t column) __attribute__((always_inline)) {
        few_product_listed<T, decltype(nv)::value>(f, column, places, n);
      });
    }
  }
  blocks([&](auto nv, std::size_t column) __attribute__((always_inline)) {
    few_product_block<T, R, decltype(nv)::value>(f, column);
  });
}

template <class T, int R>
FASTRELU_INLINE void few_forward(const T* x, const T* parameters, bool bias, const Layer& layer,
                                 T* z, bool skips) {
  few_product<T, R>({x, padded(layer.fan_in), 1, layer.fan_in, parameters + layer.weight_offset,
                     layer.fan_out, bias ? parameters + layer.bias_offset : nullptr,
                     layer.activation == Activation::relu, z, padded(layer.fan_out), skips},
                    layer.fan_out);
}

// The same as few_backward_data from W', rows padded.
template <class T, int R>
FASTRELU_INLINE void few_backward_data_transposed(const T* dz, const T* wt, const Layer& layer,
                                                  const T* gate, bool gated, T* dx, bool skips) {
  using S = Simd<T>;
  const std::size_t step = padded(layer.fan_in);
  few_product<T, R>(
      {dz, padded(layer.fan_out), 1, layer.fan_out, wt, step, nullptr, false, dx, step, skips},
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
  const bool moderate =
      are_moderate<T, R>(x, x_step, layer.fan_in) && are_moderate<T, R>(dz, dz_step, layer.fan_out);
  const bool skips = moderate && std::isfinite(step) && std::signbit(step);
  if (f.largest != nullptr) raise_bound<T, R>(f.largest, step, moderate);
  // W' first, which the pass before has read; the next step begins with W.
  if (wt != nullptr) {
    few_outer_update<T, R>(
        {dz, dz_step, layer.fan_out, x, x_step, step, wt, x_step, x_step, skips});
  }
  few_outer_update<T, R>(
      {x, x_step, layer.fan_in, dz, dz_step, step, w, layer.fan_out, layer.fan_out, skips});
  if (f.forward.bias) {
    T ones[R];
    std::fill_n(ones, R, T(1));
    few_outer_update<T, R>({ones, 1, 1, dz, dz_step, step, f.parameters + layer.bias_offset,
                            layer.fan_out, layer.fan_out, false});
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
