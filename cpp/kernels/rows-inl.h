// SPDX-License-Identifier: BSD-3-Clause
// Rows in and out of panels, and the elementwise kernels of the public API.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels.h"
#include "transpose-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// The first `count` lanes from memory that may be far away, the others 0: what lies behind them
// is not touched, since its line may be in no cache, where a masked load waits for it all the same.
template <class T>
FASTRELU_INLINE typename Simd<T>::V load_short(const T* x, std::size_t count) {
#if defined(FASTRELU_X86_V4)
  if (count > Simd<T>::kLanes / 2) return Simd<T>::load_partial(x, count);
  const auto mask = static_cast<__mmask8>((1u << count) - 1u);
  if constexpr (sizeof(T) == 4) {
    using V = typename Simd<T>::V;
    if (count > 4) return V(_mm512_maskz_broadcast_f32x8(0xFF, _mm256_maskz_loadu_ps(mask, x)));
    return V(_mm512_maskz_broadcast_f32x4(0xF, _mm_maskz_loadu_ps(mask, x)));
  } else {
    return typename Simd<T>::V(_mm512_maskz_broadcast_f64x4(0xF, _mm256_maskz_loadu_pd(mask, x)));
  }
#else
  return Simd<T>::load_partial(x, count);
#endif
}

// Lanes values from `x` (the first `count` of them; the others 0), as T.
template <class T>
FASTRELU_INLINE typename Simd<T>::V load_values(const T* x, std::size_t count) {
  using S = Simd<T>;
  return count >= S::kLanes ? S::load(x) : load_short<T>(x, count);
}
// Lanes bytes from `x`, as T. GCC 12 converts vectors of bytes one by one, so the instructions are
// named here.
template <class T>
FASTRELU_INLINE typename Simd<T>::V load_bytes(const std::uint8_t* x) {
  using V = typename Simd<T>::V;
#if defined(FASTRELU_X86_V4)
  if constexpr (sizeof(T) == 4) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    const __m512i whole = _mm512_maskz_cvtepu8_epi32(0xFFFF, bytes);
    return V(_mm512_maskz_cvtepi32_ps(0xFFFF, whole));
  } else {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
    return V(_mm512_maskz_cvtepi32_pd(0xFF, _mm256_cvtepu8_epi32(bytes)));
  }
#elif defined(FASTRELU_X86_V3)
  if constexpr (sizeof(T) == 4) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
    return V(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)));
  } else {
    std::int32_t bytes;
    std::memcpy(&bytes, x, sizeof bytes);
    return V(_mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes))));
  }
#else
  typedef std::uint8_t Bytes __attribute__((vector_size(Simd<T>::kLanes)));
  Bytes bytes;
  std::memcpy(&bytes, x, sizeof bytes);
  return __builtin_convertvector(bytes, V);
#endif
}
template <class T>
FASTRELU_INLINE typename Simd<T>::V load_values(const std::uint8_t* x, std::size_t count) {
  constexpr std::size_t L = Simd<T>::kLanes;
  if (count >= L) return load_bytes<T>(x);
  std::uint8_t bytes[L] = {};
  std::memcpy(bytes, x, count);
  return load_bytes<T>(bytes);
}

// The rows of one vector of lanes: columns [column, column + kLanes) transposed into `to`, rows
// kPanel apart.
template <class T, class E>
FASTRELU_INLINE void load_block(const E* const* rows, std::size_t row_count, std::size_t column,
                                std::size_t cols, bool scaled, typename Simd<T>::V scale, T* to) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  typename S::V block[L];
  if (row_count == L && column + L <= cols) {
    static_for<L>([&](auto l) __attribute__((always_inline)) {
      block[l] = load_values<T>(rows[l] + column, L);
    });
  } else {
    for (std::size_t l = 0; l < L; ++l) {
      block[l] = l < row_count ? load_values<T>(rows[l] + column, cols - column) : S::zero();
    }
  }
  if (scaled) {
    static_for<L>([&](auto l) __attribute__((always_inline)) { block[l] = block[l] * scale; });
  }
  transpose<T>(block);
  const std::size_t count = std::min(L, cols - column);
  if (count == L) {
    static_for<L>([&](auto l)
                      __attribute__((always_inline)) { S::store(to + l * kPanel<T>, block[l]); });
  } else {
    for (std::size_t l = 0; l < count; ++l) S::store(to + l * kPanel<T>, block[l]);
  }
}

// Rows wider than this are fetched while those before them are transposed: prefetched a step ago,
// they may have left the L2 cache again, and more streams than a processor follows are read at
// once.
constexpr std::size_t kWideRowBytes = 512;
// So far ahead.
constexpr std::size_t kBytesAhead = 128;

// A line of each of up to kLanes rows, from `column` on.
template <class T, class E>
FASTRELU_INLINE void prefetch_block(const E* const* rows, std::size_t row_count,
                                    std::size_t column) {
  for (std::size_t l = 0; l < row_count; ++l) __builtin_prefetch(rows[l] + column, 0, 3);
}

template <class T, class E>
void load_rows_of(const RowSource& x, RowPicker pick, T scale, const Panels<T>& out,
                  std::size_t row_begin, std::size_t row_end) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes, kAhead = kBytesAhead / sizeof(E);
  const char* const base = static_cast<const char*>(x.data);
  const typename S::V factor = S::set1(scale);
  const bool wide = x.cols * sizeof(E) > kWideRowBytes;
  const E* rows[L];
  for (std::size_t n = row_begin; n < row_end; n += L) {
    const std::size_t count = std::min(L, row_end - n);
    for (std::size_t l = 0; l < count; ++l) {
      rows[l] = reinterpret_cast<const E*>(base + pick(n + l) * x.stride);
    }
    T* const to = out.at(0, n / kPanel<T>) + n % kPanel<T>;
    if (wide) {
      for (std::size_t c = 0; c < kAhead; c += 64 / sizeof(E)) prefetch_block<T>(rows, count, c);
    }
    for (std::size_t c = 0; c < x.cols; c += L) {
      const bool next_line = c * sizeof(E) % 64 == 0;
      if (wide && next_line && c + kAhead < x.cols) prefetch_block<T>(rows, count, c + kAhead);
      load_block<T, E>(rows, count, c, x.cols, scale != T(1), factor, to + c * kPanel<T>);
    }
  }
}

// A few lines of the rows that will be loaded next, and of their targets.
FASTRELU_INLINE void prefetch_ahead(RowsAhead* a) {
  if (a == nullptr) return;
  for (unsigned line = 0; line < a->lines_each && a->row != a->end; ++line) {
    __builtin_prefetch(a->base + a->pick(a->row) * a->stride + a->byte, 0, 3);
    a->byte += 64;
    if (a->byte < a->row_bytes) continue;
    for (std::size_t byte = 0; byte < a->target_bytes; byte += 64) {
      __builtin_prefetch(
          a->targets + static_cast<std::size_t>(a->pick(a->row)) * a->target_bytes + byte, 0, 3);
    }
    a->byte = 0;
    ++a->row;
  }
}

template <class T>
void load_rows(const RowSource& x, RowPicker rows, T scale, Panels<T> out, std::size_t row_begin,
               std::size_t row_end) {
  if (x.is_uint8) {
    load_rows_of<T, std::uint8_t>(x, rows, scale, out, row_begin, row_end);
  } else {
    load_rows_of<T, T>(x, rows, scale, out, row_begin, row_end);
  }
}

// One block of panels transposed in registers; features beyond `count` read as 0.
template <class T>
FASTRELU_INLINE void transposed_block(const T* from, std::size_t count,
                                      typename Simd<T>::V (&block)[Simd<T>::kLanes]) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  if (count >= L) {
    static_for<L>([&](auto j)
                      __attribute__((always_inline)) { block[j] = S::load(from + j * kPanel<T>); });
  } else {
    for (std::size_t j = 0; j < L; ++j) {
      block[j] = j < count ? S::load(from + j * kPanel<T>) : S::zero();
    }
  }
  transpose<T>(block);
}

template <class T>
void store_rows(Panels<const T> a, std::size_t features, T* out, std::ptrdiff_t stride,
                std::size_t row_begin, std::size_t row_end) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  for (std::size_t n = row_begin; n < row_end; n += L) {
    const std::size_t rows = std::min(L, row_end - n);
    const T* const from = a.at(0, n / kPanel<T>) + n % kPanel<T>;
    T* const to = out + static_cast<std::ptrdiff_t>(n) * stride;
    if (features == 1 && stride == 1) {
      S::store_partial(to, S::load(from), rows);
      continue;
    }
    for (std::size_t f = 0; f < features; f += L) {
      typename S::V block[L];
      const std::size_t count = std::min(L, features - f);
      transposed_block<T>(from + f * kPanel<T>, count, block);
      for (std::size_t l = 0; l < rows; ++l) {
        T* const row = to + static_cast<std::ptrdiff_t>(l) * stride + f;
        if (count == L) {
          S::store(row, block[l]);
        } else {
          S::store_partial(row, block[l], count);
        }
      }
    }
  }
}

template <class T>
void transpose_panels(Panels<const T> a, std::size_t features, Panels<T> out, std::size_t row_begin,
                      std::size_t row_end) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  for (std::size_t n = row_begin; n < row_end; n += L) {
    const T* const from = a.at(0, n / kPanel<T>) + n % kPanel<T>;
    for (std::size_t f = 0; f < features; f += L) {
      typename S::V block[L];
      transposed_block<T>(from + f * kPanel<T>, features - f, block);
      T* const to = out.at(n, f / kPanel<T>) + f % kPanel<T>;
      static_for<L>([&](auto l)
                        __attribute__((always_inline)) { S::store(to + l * kPanel<T>, block[l]); });
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
  return !any<T>(bad);
}

// The bits of magnitudes are in their order, and NaN is behind infinity.
template <class T>
double largest_magnitude(const T* x, std::size_t n) {
  using S = Simd<T>;
  using I = typename S::I;
  const I magnitude = S::set1i(std::numeric_limits<typename S::Int>::max());
  I largest{};
  for (std::size_t i = 0; i < n; i += S::kLanes) {
    const I bits = I(S::load_partial(x + i, std::min(S::kLanes, n - i))) & magnitude;
    largest = bits > largest ? bits : largest;
  }
  typename S::Int most = 0;
  for (std::size_t l = 0; l < S::kLanes; ++l) most = std::max(most, largest[l]);
  T value;
  std::memcpy(&value, &most, sizeof value);
  const double inf = std::numeric_limits<double>::infinity();
  return std::isnan(value) ? inf : static_cast<double>(value);
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
