// SPDX-License-Identifier: BSD-3-Clause
// Rows in and out of panels, and the elementwise kernels of the public API.
#pragma once

#include "kernels.h"
#include "simd-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

template <class T>
FASTRELU_INLINE void load_row(const T* x, std::size_t cols, T scale, const Panels<T>& out,
                              std::size_t row) {
  using S = Simd<T>;
  const typename S::V s = S::set1(scale);
  const bool scaled = scale != T(1);
  for (std::size_t c = 0, p = 0; c < cols; c += kPanel<T>, ++p) {
    T* to = out.at(row, p);
    const std::size_t n = std::min(kPanel<T>, cols - c);
    std::size_t k = 0;
    for (; k + S::kLanes <= n; k += S::kLanes) {
      const typename S::V v = S::load(x + c + k);
      S::store(to + k, scaled ? v * s : v);
    }
    if (k < n) {
      const typename S::V v = S::load_partial(x + c + k, n - k);
      S::store(to + k, scaled ? v * s : v);
    }
  }
}

template <class T>
FASTRELU_INLINE void load_row_uint8(const std::uint8_t* x, std::size_t cols, T scale,
                                    const Panels<T>& out, std::size_t row) {
  for (std::size_t c = 0, p = 0; c < cols; c += kPanel<T>, ++p) {
    T* to = out.at(row, p);
    const std::size_t n = std::min(kPanel<T>, cols - c);
    if (scale != T(1)) {
      for (std::size_t k = 0; k < n; ++k) to[k] = static_cast<T>(x[c + k]) * scale;
    } else {
      for (std::size_t k = 0; k < n; ++k) to[k] = static_cast<T>(x[c + k]);
    }
  }
}

template <class T>
void load_rows(const RowSource& x, const Index* index, Index first, T scale, Panels<T> out,
               std::size_t row_begin, std::size_t row_end) {
  const char* base = static_cast<const char*>(x.data);
  for (std::size_t r = row_begin; r < row_end; ++r) {
    const Index from = index != nullptr ? index[r] : first + static_cast<Index>(r);
    const void* row = base + from * x.stride;
    if (x.is_uint8) {
      load_row_uint8(static_cast<const std::uint8_t*>(row), x.cols, scale, out, r);
    } else {
      load_row(static_cast<const T*>(row), x.cols, scale, out, r);
    }
  }
}

template <class T>
void store_rows(Panels<const T> a, T* out, std::ptrdiff_t stride, std::size_t row_begin,
                std::size_t row_end) {
  using S = Simd<T>;
  for (std::size_t r = row_begin; r < row_end; ++r) {
    T* to = out + static_cast<std::ptrdiff_t>(r) * stride;
    for (std::size_t c = 0, p = 0; c < a.cols; c += kPanel<T>, ++p) {
      const T* from = a.at(r, p);
      const std::size_t n = std::min(kPanel<T>, a.cols - c);
      std::size_t k = 0;
      for (; k + S::kLanes <= n; k += S::kLanes) S::store(to + c + k, S::load(from + k));
      if (k < n) S::store_partial(to + c + k, S::load(from + k), n - k);
    }
  }
}

template <class T>
void relu(const T* z, T* out, std::size_t n) {
  map(z, out, n, [](typename Simd<T>::V v) { return Simd<T>::relu(v); });
}

template <class T>
void relu_backward(const T* dh, const T* h, T* out, std::size_t n) {
  using V = typename Simd<T>::V;
  map(dh, h, out, n, [](V d, V a) { return Simd<T>::where_positive(a, d); });
}

// x - x is 0 for every finite x and NaN otherwise.
template <class T>
bool all_finite(const T* x, std::size_t n) {
  using S = Simd<T>;
  typename S::M bad{};
  std::size_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) {
    const typename S::V v = S::load(x + i);
    bad |= (v - v) != S::zero();
  }
  if (i < n) {
    const typename S::V v = S::load_partial(x + i, n - i);
    bad |= (v - v) != S::zero();
  }
  typename S::Int any = 0;
  for (std::size_t l = 0; l < S::kLanes; ++l) any |= bad[l];
  return any == 0;
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
