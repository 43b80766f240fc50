// SPDX-License-Identifier: BSD-3-Clause
// Whole passes over a few rows (kernels.h states them): one call does everything, since a small
// network's step is shorter than the calls of its passes.
#pragma once

#include <algorithm>

#include "activation-inl.h"
#include "few_rows_layer-inl.h"
#include "loss-inl.h"
#include "rows-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

template <class T, class E>
__attribute__((noinline)) void few_load_rows_of(const FewRowsForward<T>& f, T* out) {
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

// Where the derivative at an activation in the workspace is kept, or null.
template <class T>
FASTRELU_INLINE T* few_derivative(const FewRowsForward<T>& f, const T* a) {
  return f.derivatives == nullptr ? nullptr : f.derivatives + (a - f.workspace);
}

// A_0 .. A_L in the workspace; returns A_L. `skips`: as in FewProduct.
template <class T, int R>
FASTRELU_INLINE T* few_activations(const FewRowsForward<T>& f, bool skips) {
  T* a = f.workspace;
  if (f.x->is_uint8) {
    few_load_rows_of<T, std::uint8_t>(f, a);
  } else {
    few_load_rows_of<T, T>(f, a);
  }
  for (std::size_t k = 0; k < f.layer_count; ++k) {
    T* const z = a + padded(f.layers[k].fan_in) * kFewRows;
    few_forward<T, R>(a, f.parameters, f.bias, f.layers[k], z, skips);
    if (is_elementwise(f.layers[k].activation)) {
      activate(f.layers[k].activation, z, few_derivative(f, z), R * padded(f.layers[k].fan_out));
    }
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
  using S = Simd<T>;
  const std::size_t step = padded(outputs);
  for (std::size_t k = 0; k < outputs; ++k) {
    if constexpr (R == 1) {
      S::store(panel + k * kPanel<T>, S::set1(z[k]));  // whole vectors, to be read as such at once
    } else {
      for (std::size_t r = 0; r < R; ++r) panel[k * kPanel<T> + r] = z[r * step + k];
    }
  }
}
template <class T, int R>
FASTRELU_INLINE void few_from_panel(const T* panel, std::size_t outputs, T* z) {
  const std::size_t step = padded(outputs);
  for (std::size_t k = 0; k < outputs; ++k) {
    for (std::size_t r = 0; r < R; ++r) z[r * step + k] = panel[k * kPanel<T> + r];
  }
}

// Up to so many outputs, the squared error of a few rows runs along the rows.
constexpr std::size_t kFewOutputs = 64;

// z becomes dz; the row losses' chains run one multiply-add at a time.
template <class T, int R>
FASTRELU_INLINE void few_squared_error(const LossArgs<T>& f, T* z) {
  using S = Simd<T>;
  constexpr std::size_t kVectors = (kFewOutputs + S::kLanes - 1) / S::kLanes;
  const std::size_t K = f.outputs, step = padded(K);
  const RowPicker pick{f.index, f.first};
  T difference[kFewOutputs];
  for (std::size_t r = 0; r < R; ++r, z += step) {
    const T* const y = f.targets.values + static_cast<std::size_t>(pick(r)) * K;
    const typename S::V factor = S::set1(f.factor[r]);
    for (std::size_t v = 0; v < kVectors && v * S::kLanes < K; ++v) {
      const std::size_t at = v * S::kLanes;
      const typename S::V d = S::load(z + at) - load_values<T>(y + at, K - at);
      S::store(difference + at, d);
      S::store(z + at, d * factor);
    }
    T acc = 0;
    for (std::size_t k = 0; k < K; ++k) acc = scalar_fma(difference[k], difference[k], acc);
    const T sum = acc * T(0.5);
    f.row_loss[r] = f.spec.summed ? sum : sum / static_cast<T>(K);
  }
}

// z becomes dz.
template <class T, int R>
FASTRELU_INLINE void few_loss(LossArgs<T> f, T* z, T* memory) {
  if (f.spec.kind == LossKind::squared_error && f.outputs <= kFewOutputs) {
    return few_squared_error<T, R>(f, z);
  }
  T* const panel = memory;
  few_to_panel<T, R>(z, f.outputs, panel);
  f.dz = {panel, f.outputs * kPanel<T>, R};
  f.z = read_only(f.dz);
  f.row_begin = 0;
  f.row_end = R;
  f.scratch = panel + f.outputs * kPanel<T>;
  loss(f);
  few_from_panel<T, R>(panel, f.outputs, z);
}

template <class T>
void few_rows_forward(const FewRowsForward<T>& f) {
  with_rows(f.count, [&](auto rows) {
    constexpr int R = decltype(rows)::value;
    T* const z = few_activations<T, R>(f, false);
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
    for (std::size_t r = 0; r < R; ++r) {
      const T* const from = z + r * step;
      T* const to = f.out + static_cast<std::ptrdiff_t>(r) * f.stride;
      std::size_t o = 0;
      for (; o + S::kLanes <= outputs; o += S::kLanes) S::store(to + o, S::load(from + o));
      if (o < outputs) S::store_partial(to + o, S::load(from + o), outputs - o);
    }
  });
}

template <class T>
FASTRELU_INLINE std::size_t transposed_size(const FewRowsForward<T>& f) {
  return few_rows_transposed_size(f.layers, f.layer_count);
}

// A step on one row of a network of a few weights, one multiply-add at a time: nothing is stored as
// a vector and read back as a value, or the other way round, which would wait for the store.
template <class T>
void scalar_step(const FewRowsStep<T>& f) {
  const FewRowsForward<T>& forward = f.forward;
  const Layer* const layers = forward.layers;
  const std::size_t last = forward.layer_count;
  T* const parameters = f.parameters;
  T* a = forward.workspace;
  const char* const row =
      static_cast<const char*>(forward.x->data) + forward.rows(0) * forward.x->stride;
  for (std::size_t c = 0; c < layers[0].fan_in; ++c) {
    const T x = forward.x->is_uint8 ? static_cast<T>(reinterpret_cast<const std::uint8_t*>(row)[c])
                                    : reinterpret_cast<const T*>(row)[c];
    a[c] = forward.scale != T(1) ? x * forward.scale : x;
  }
  for (std::size_t k = 0; k < last; ++k) {
    const Layer& layer = layers[k];
    const T* const w = parameters + layer.weight_offset;
    T* const z = a + layer.fan_in;
    for (std::size_t o = 0; o < layer.fan_out; ++o) {
      T acc = forward.bias ? parameters[layer.bias_offset + o] : T(0);
      for (std::size_t i = 0; i < layer.fan_in; ++i) {
        acc = scalar_fma(a[i], w[i * layer.fan_out + o], acc);
      }
      z[o] = layer.activation == Activation::relu && T(0) > acc ? T(0) : acc;
    }
    a = z;
  }
  const std::size_t K = layers[last - 1].fan_out;
  const T* const y = f.loss.targets.values +
                     static_cast<std::size_t>(RowPicker{f.loss.index, f.loss.first}(0)) * K;
  T* dz = a + K;
  T acc = 0;
  for (std::size_t k = 0; k < K; ++k) {
    const T r = a[k] - y[k];
    acc = scalar_fma(r, r, acc);
    dz[k] = r * f.loss.factor[0];
  }
  const T sum = acc * T(0.5);
  f.loss.row_loss[0] = f.loss.spec.summed ? sum : sum / static_cast<T>(K);
  const T step = -f.update->learning_rate;
  for (std::size_t k = last; k-- > 0;) {
    const Layer& layer = layers[k];
    T* const w = parameters + layer.weight_offset;
    T* const dx = dz + layer.fan_out;
    a -= layer.fan_in;
    const bool gated = k > 0 && layers[k - 1].activation == Activation::relu;
    for (std::size_t i = 0; i < layer.fan_in; ++i) {
      T d = 0;
      for (std::size_t o = 0; o < layer.fan_out; ++o) {
        T& weight = w[i * layer.fan_out + o];
        d = scalar_fma(dz[o], weight, d);
        weight = scalar_fma(step, scalar_fma(a[i], dz[o], T(0)), weight);
      }
      dx[i] = !gated || a[i] > T(0) ? d : T(0);
    }
    for (std::size_t o = 0; forward.bias && o < layer.fan_out; ++o) {
      T& b = parameters[layer.bias_offset + o];
      b = scalar_fma(step, scalar_fma(T(1), dz[o], T(0)), b);
    }
    dz = dx;
  }
}

template <class T>
void few_rows_step(const FewRowsStep<T>& f) {
  if (f.scalar && f.forward.count == 1) return scalar_step(f);
  with_rows(f.forward.count, [&](auto rows) {
    constexpr int R = decltype(rows)::value;
    const FewRowsForward<T>& a = f.forward;
    const bool skips = is_far_from_infinity<T>(f.largest);
    T* const z = few_activations<T, R>(a, skips);
    const std::size_t outputs = a.layers[a.layer_count - 1].fan_out;
    T* const memory = behind_activations(a, z);
    // dZ of the last layer takes the place of Z; the others lie behind the loss's memory.
    few_loss<T, R>(f.loss, z, memory);
    T* dz = z;
    T* other = memory + outputs * kPanel<T> + loss_scratch<T>(outputs);
    const T* x = z;
    T* wt = f.transposed == nullptr ? nullptr : f.transposed + transposed_size<T>(a);
    const bool plain = f.update != nullptr && !f.accumulate && is_plain_sgd(*f.update);
    for (std::size_t k = a.layer_count; k-- > 0;) {
      const Layer& layer = a.layers[k];
      x -= padded(layer.fan_in) * kFewRows;
      T* const dx = other;
      other += padded(layer.fan_in) * kFewRows;
      if (wt != nullptr) wt -= k > 0 ? padded(layer.fan_in) * layer.fan_out : 0;
      if (k > 0) {
        const bool gated = a.layers[k - 1].activation == Activation::relu;
        if (wt != nullptr) {
          few_backward_data_transposed<T, R>(dz, wt, layer, x, gated, dx, skips);
        } else {
          few_backward_data<T, R>(dz, a.parameters + layer.weight_offset, layer, x, gated, dx);
        }
        const Layer& before = a.layers[k - 1];
        if (is_elementwise(before.activation)) {
          activation_backward(before.activation, x, few_derivative(a, x), T(1), dx,
                              R * padded(before.fan_out));
        }
      }
      if (plain) {
        few_update_weights<T, R>(f, layer, x, dz, k > 0 ? wt : nullptr);
      } else {
        few_backward_weights<T, R>(f, layer, x, dz);
      }
      dz = dx;
    }
  });
}

// W' of every layer but the first, rows padded, one after the other.
template <class T>
void few_rows_transpose(const FewRowsForward<T>& f, T* out) {
  for (std::size_t k = 1; k < f.layer_count; ++k) {
    const Layer& layer = f.layers[k];
    const std::size_t step = padded(layer.fan_in);
    const T* w = f.parameters + layer.weight_offset;
    for (std::size_t i = 0; i < layer.fan_in; ++i, w += layer.fan_out) {
      for (std::size_t o = 0; o < layer.fan_out; ++o) out[o * step + i] = w[o];
    }
    out += step * layer.fan_out;
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
