// SPDX-License-Identifier: BSD-3-Clause
// The rows that a minibatch has beyond whole vectors of them, where these are few: a tile would
// compute a whole vector for each. Their lanes are features, by the kernels of a few rows.
#pragma once

#include <algorithm>

#include "few_rows_layer-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// Rows that leave three quarters of a vector empty, or more.
template <class T>
constexpr std::size_t kRestRows = Simd<T>::kLanes < 4 ? 1 : Simd<T>::kLanes / 4;

// How many of `cols` columns of a panel are left over; 0 where they are for a tile.
template <class T>
FASTRELU_INLINE std::size_t rest_columns(std::size_t cols) {
  const std::size_t rest = cols % Simd<T>::kLanes;
  return rest <= kRestRows<T> ? rest : 0;
}

// Calls f(constant<rows>) for rows = 1 .. kRestRows.
template <class T, class F>
FASTRELU_INLINE void with_rest(std::size_t rows, F f) {
  with_rows<kRestRows<T>>(rows, f);
}

// Features at a time: their results wait in scratch memory, row by row, for their places in the
// panel.
constexpr std::size_t kRestFeatures = 256;

// The forward pass of `Rows` rows from column c of panel p on.
template <class T, int Rows>
void rest_forward(const DenseForward<T>& f, std::size_t p, std::size_t c) {
  for (std::size_t o = f.out_begin; o < f.out_end; o += kRestFeatures) {
    const std::size_t count = std::min(kRestFeatures, f.out_end - o);
    const T* const b = f.b == nullptr ? nullptr : f.b + o;
    few_product<T, Rows>({f.x.at(0, p) + c, 1, kPanel<T>, f.fan_in, f.w + o, f.fan_out, b, f.relu,
                          f.scratch, kRestFeatures, false},
                         count);
    for (std::size_t j = 0; j < count; ++j) {
      T* const z = f.z.at(o + j, p) + c;
      for (std::size_t r = 0; r < Rows; ++r) z[r] = f.scratch[r * kRestFeatures + j];
    }
  }
}

// Whether scratch memory holds a few rows of dZ beside those of the results.
template <class T>
constexpr bool rest_fits(std::size_t fan_out) {
  return kRestRows<T> * (padded(fan_out) + kRestFeatures) <= dense_scratch<T>();
}

// The backward pass to the inputs, of the same rows.
template <class T, int Rows>
void rest_backward_data(const DenseBackwardData<T>& f, std::size_t p, std::size_t c) {
  const std::size_t step = padded(f.fan_out);
  T* const dz = f.scratch;
  T* const dx = dz + Rows * step;
  for (std::size_t o = 0; o < f.fan_out; ++o) {
    for (std::size_t r = 0; r < Rows; ++r) dz[r * step + o] = f.dz.at(o, p)[c + r];
  }
  for (std::size_t i = f.in_begin; i < f.in_end; i += kRestFeatures) {
    Layer part{};
    part.fan_in = std::min(kRestFeatures, f.in_end - i);
    part.fan_out = f.fan_out;
    few_backward_data<T, Rows>(dz, f.w + i * f.fan_out, part, nullptr, false, dx);
    for (std::size_t j = 0; j < part.fan_in; ++j) {
      T* const to = f.dx.at(i + j, p) + c;
      const T* const gate = f.gate.data == nullptr ? nullptr : f.gate.at(i + j, p) + c;
      for (std::size_t r = 0; r < Rows; ++r) {
        const T d = dx[r * padded(part.fan_in) + j];
        to[r] = gate == nullptr || gate[r] > T(0) ? d : T(0);
      }
    }
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
