// SPDX-License-Identifier: BSD-3-Clause
// Steps of several networks at once (lanes.h states them).
#pragma once

#include <algorithm>

#include "activation-inl.h"
#include "lanes.h"
#include "lanes_layer-inl.h"
#include "loss-inl.h"
#include "rows-inl.h"
#include "transpose-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

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

// N outputs' chains of squares over the inputs, of the lanes at `w`; each output is then added to
// the layer's sum, where it is one of the lane's.
template <class T, std::size_t N>
FASTRELU_INLINE void lanes_output_squares(const T* w, std::size_t stride, const LanesLayer& layer,
                                          Simd<double>::V fan_in, Simd<double>::V outputs,
                                          Simd<double>::V* of_layer) {
  using D = Simd<double>;
  D::V acc[N] = {};
  for (std::size_t i = 0; i < layer.fan_in; ++i, w += stride) {
    const D::M open = D::set1(static_cast<double>(i)) < fan_in;
    static_for<N>([&](auto o) __attribute__((always_inline)) {
      const D::V x = widen(w + o * Simd<T>::kLanes);
      const D::V next = D::fma(x, x, acc[o]);
      acc[o] = open ? next : acc[o];
    });
  }
  static_for<N>([&](auto o) __attribute__((always_inline)) {
    const D::V sum = *of_layer + acc[o];
    *of_layer = D::set1(static_cast<double>(o)) < outputs ? sum : *of_layer;
  });
}

// The float64 sums of squares of each lane's weights: column by column, then the columns, then the
// layers.
template <class T>
void lanes_squares(const LanesStep<T>& f, double* sums) {
  using D = Simd<double>;
  constexpr std::size_t L = Simd<T>::kLanes;
  for (std::size_t l = 0; l < L; l += D::kLanes) {
    D::V total = D::zero();
    for (std::size_t k = 0; k < f.layer_count; ++k) {
      const LanesLayer& layer = f.layers[k];
      const D::V fan_in = widen(f.widths + k * L + l);
      const D::V fan_out = widen(f.widths + (k + 1) * L + l);
      D::V of_layer = D::zero();
      for (std::size_t block = 0; block < LanesWeights<T>::count(layer); ++block) {
        const LanesWeights<T> w(layer, block);
        const T* const at = f.parameters + w.offset * L + l;
        const auto left = [&](std::size_t o) {
          return fan_out - D::set1(static_cast<double>(w.first_output + o));
        };
        if (w.width == kLanesOutputs) {
          lanes_output_squares<T, kLanesOutputs>(at, w.width * L, layer, fan_in, left(0),
                                                 &of_layer);
          continue;
        }
        for (std::size_t o = 0; o < w.width; ++o) {
          lanes_output_squares<T, 1>(at + o * L, w.width * L, layer, fan_in, left(o), &of_layer);
        }
      }
      total = total + of_layer;
    }
    D::store(sums + l, total);
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
