// SPDX-License-Identifier: BSD-3-Clause
// Whole passes over a few rows (kernels.h states them): lanes are features, W is read as it lies,
// and one call does everything, since a small network's step is shorter than the calls of its
// passes. Activations are row-major, rows padded to whole vectors; what a vector holds beyond its
// row's width is never used.
#pragma once

#include <algorithm>

#include "loss-inl.h"
#include "rows-inl.h"
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

template <class T, int R, int NV>
FASTRELU_INLINE void few_forward_block(const T* x, std::size_t x_step, const T* w, const T* b,
                                       const Layer& layer, T* z, std::size_t z_step) {
  using S = Simd<T>;
  typename S::V acc[R][NV];
  static_for<NV>([&](auto v) __attribute__((always_inline)) {
    const typename S::V first = b != nullptr ? S::load(b + v * S::kLanes) : S::zero();
    static_for<R>([&](auto r) __attribute__((always_inline)) { acc[r][v] = first; });
  });
  for (std::size_t i = 0; i < layer.fan_in; ++i, w += layer.fan_out) {
    typename S::V row[NV];
    static_for<NV>([&](auto v)
                       __attribute__((always_inline)) { row[v] = S::load(w + v * S::kLanes); });
    static_for<R>([&](auto r) __attribute__((always_inline)) {
      const typename S::V a = S::set1(x[r * x_step + i]);
      static_for<NV>(
          [&](auto v) __attribute__((always_inline)) { acc[r][v] = S::fma(a, row[v], acc[r][v]); });
    });
  }
  const bool relu = layer.activation == Activation::relu;
  static_for<R>([&](auto r) __attribute__((always_inline)) {
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      S::store(z + r * z_step + v * S::kLanes, relu ? S::relu(acc[r][v]) : acc[r][v]);
    });
  });
}

template <class T, int R, int NV>
FASTRELU_INLINE void few_forward_rest(std::size_t vectors, const T* x, std::size_t x_step,
                                      const T* w, const T* b, const Layer& layer, T* z,
                                      std::size_t z_step) {
  if constexpr (NV > 0) {
    if (vectors == NV) {
      few_forward_block<T, R, NV>(x, x_step, w, b, layer, z, z_step);
    } else {
      few_forward_rest<T, R, NV - 1>(vectors, x, x_step, w, b, layer, z, z_step);
    }
  }
}

template <class T, int R>
void few_forward(const T* x, const T* parameters, bool bias, const Layer& layer, T* z) {
  constexpr std::size_t L = Simd<T>::kLanes;
  constexpr std::size_t kMost = kForwardVectors<R>;
  const std::size_t vectors = (layer.fan_out + L - 1) / L;
  const std::size_t x_step = padded(layer.fan_in), z_step = padded(layer.fan_out);
  const T* const w = parameters + layer.weight_offset;
  const T* const b = parameters + layer.bias_offset;
  for (std::size_t v = 0; v < vectors; v += kMost) {
    const std::size_t now = std::min(kMost, vectors - v);
    few_forward_rest<T, R, kForwardVectors<R>>(
        now, x, x_step, w + v * L, bias ? b + v * L : nullptr, layer, z + v * L, z_step);
  }
}

// dx of the layer's inputs, kept where `gate` (the inputs themselves) is > 0 if `gated`.
template <class T, int R>
void few_backward_data(const T* dz, const T* w, const Layer& layer, const T* gate, bool gated,
                       T* dx) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const std::size_t fan_in = layer.fan_in, fan_out = layer.fan_out;
  const std::size_t dz_step = padded(fan_out), dx_step = padded(fan_in);
  if (fan_in * fan_out <= kScalarWeights) {
    for (int r = 0; r < R; ++r, dz += dz_step, dx += dx_step, gate += dx_step) {
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
void few_backward_weights(const FewRowsStep<T>& f, const Layer& layer, const T* x, const T* dz) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const std::size_t fan_in = layer.fan_in, fan_out = layer.fan_out;
  const std::size_t x_step = padded(fan_in), dz_step = padded(fan_out);
  const std::size_t rows = fan_in + (f.forward.bias ? 1 : 0);
  const bool plain = f.update != nullptr && is_plain_sgd(*f.update);
  const typename S::V step = S::set1(plain ? -f.update->learning_rate : T(0));
  for (std::size_t o = 0; o < fan_out; o += L) {
    const std::size_t lanes = std::min(L, fan_out - o);
    typename S::V d[R];
    static_for<R>([&](auto r)
                      __attribute__((always_inline)) { d[r] = S::load(dz + r * dz_step + o); });
    std::size_t at = layer.weight_offset + o;
    for (std::size_t i = 0; i < rows; ++i, at += fan_out) {
      typename S::V g = S::zero();
      if (f.accumulate) g = S::load_partial(f.gradient + at, lanes);
      static_for<R>([&](auto r) __attribute__((always_inline)) {
        g = S::fma(S::set1(i < fan_in ? x[r * x_step + i] : T(1)), d[r], g);
      });
      if (plain) {
        T* const w = f.parameters + at;
        if (lanes == L) {
          S::store(w, S::fma(step, g, S::load(w)));
        } else {
          S::store_partial(w, S::fma(step, g, S::load_partial(w, lanes)), lanes);
        }
      } else if (f.update != nullptr) {
        update_lanes(*f.update, i < fan_in && f.update->weight_decay != 0, g, f.parameters + at,
                     f.s1 != nullptr ? f.s1 + at : nullptr, f.s2 != nullptr ? f.s2 + at : nullptr,
                     lanes);
      } else {
        S::store_partial(f.gradient + at, g, lanes);
      }
    }
  }
}

template <class T, class E>
FASTRELU_INLINE void few_load_rows_of(const FewRowsForward<T>& f, T* out) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const std::size_t cols = f.x->cols, step = padded(cols);
  const char* const base = static_cast<const char*>(f.x->data);
  const typename S::V scale = S::set1(f.scale);
  const bool scaled = f.scale != T(1);
  for (std::size_t r = 0; r < f.count; ++r, out += step) {
    const E* const row = reinterpret_cast<const E*>(base + f.rows(r) * f.x->stride);
    for (std::size_t c = 0; c < cols; c += L) {
      const typename S::V v = load_values<T>(row + c, cols - c);
      S::store(out + c, scaled ? v * scale : v);
    }
  }
}

// A_0 .. A_L in the workspace; returns A_L.
template <class T, int R>
FASTRELU_INLINE T* few_activations(const FewRowsForward<T>& f) {
  T* a = f.workspace;
  if (f.x->is_uint8) {
    few_load_rows_of<T, std::uint8_t>(f, a);
  } else {
    few_load_rows_of<T, T>(f, a);
  }
  for (std::size_t k = 0; k < f.layer_count; ++k) {
    T* const z = a + padded(f.layers[k].fan_in) * kFewRows;
    few_forward<T, R>(a, f.parameters, f.bias, f.layers[k], z);
    a = z;
  }
  return a;
}

// Memory behind the activations: dZ of two layers in turn, then the loss's.
template <class T>
FASTRELU_INLINE T* behind_activations(const FewRowsForward<T>& f, const T* last) {
  return const_cast<T*>(last) + padded(f.layers[f.layer_count - 1].fan_out) * kFewRows;
}

template <class T, int R>
FASTRELU_INLINE void few_to_panel(const T* z, std::size_t outputs, T* panel) {
  const std::size_t step = padded(outputs);
  for (std::size_t k = 0; k < outputs; ++k) {
    for (int r = 0; r < R; ++r) panel[k * kPanel<T> + r] = z[r * step + k];
  }
}
template <class T, int R>
FASTRELU_INLINE void few_from_panel(const T* panel, std::size_t outputs, T* z) {
  const std::size_t step = padded(outputs);
  for (std::size_t k = 0; k < outputs; ++k) {
    for (int r = 0; r < R; ++r) z[r * step + k] = panel[k * kPanel<T> + r];
  }
}

template <class T>
void few_rows_forward(const FewRowsForward<T>& f) {
  with_rows(f.count, [&](auto rows) {
    constexpr int R = decltype(rows)::value;
    T* const z = few_activations<T, R>(f);
    const std::size_t outputs = f.layers[f.layer_count - 1].fan_out, step = padded(outputs);
    if (f.link != nullptr) {
      T* const panel = behind_activations(f, z);
      few_to_panel<T, R>(z, outputs, panel);
      LossArgs<T> loss{};
      loss.spec.kind = *f.link;
      loss.outputs = outputs;
      loss.dz = {panel, outputs * kPanel<T>, R};
      loss.z = read_only(loss.dz);
      loss.row_end = R;
      loss.scratch = panel + outputs * kPanel<T>;
      predict(loss);
      few_from_panel<T, R>(panel, outputs, z);
    }
    using S = Simd<T>;
    for (int r = 0; r < R; ++r) {
      const T* const from = z + static_cast<std::size_t>(r) * step;
      T* const to = f.out + r * f.stride;
      std::size_t o = 0;
      for (; o + S::kLanes <= outputs; o += S::kLanes) S::store(to + o, S::load(from + o));
      if (o < outputs) S::store_partial(to + o, S::load(from + o), outputs - o);
    }
  });
}

template <class T>
void few_rows_step(const FewRowsStep<T>& f) {
  with_rows(f.forward.count, [&](auto rows) {
    constexpr int R = decltype(rows)::value;
    const FewRowsForward<T>& a = f.forward;
    T* const z = few_activations<T, R>(a);
    const std::size_t outputs = a.layers[a.layer_count - 1].fan_out;
    T* const panel = behind_activations(a, z);
    few_to_panel<T, R>(z, outputs, panel);
    LossArgs<T> loss_args = f.loss;
    loss_args.outputs = outputs;
    loss_args.dz = {panel, outputs * kPanel<T>, R};
    loss_args.z = read_only(loss_args.dz);
    loss_args.row_begin = 0;
    loss_args.row_end = R;
    loss_args.scratch = panel + outputs * kPanel<T>;
    loss(loss_args);
    // dZ of the last layer takes the place of Z; the others lie behind the loss's memory.
    few_from_panel<T, R>(panel, outputs, z);
    T* dz = z;
    T* other = loss_args.scratch + loss_scratch<T>(outputs);
    const T* x = z;
    for (std::size_t k = a.layer_count; k-- > 0;) {
      const Layer& layer = a.layers[k];
      x -= padded(layer.fan_in) * kFewRows;
      T* const dx = other;
      other += padded(layer.fan_in) * kFewRows;
      if (k > 0) {
        const bool gated = a.layers[k - 1].activation == Activation::relu;
        few_backward_data<T, R>(dz, a.parameters + layer.weight_offset, layer, x, gated, dx);
      }
      few_backward_weights<T, R>(f, layer, x, dz);
      dz = dx;
    }
  });
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
