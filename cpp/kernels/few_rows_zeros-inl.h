// SPDX-License-Identifier: BSD-3-Clause
// Units that relu has left at 0 take no part in a step over a row: half of them, say. Their terms
// and their weights' updates are passed over where this changes no bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels.h"
#include "transpose-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// So many units are looked at together, and fewer than this hardly pay.
constexpr std::size_t kListed = 256, kFewestListed = 16;
template <class T>
constexpr std::size_t kPlaces = kListed + Simd<T>::kLanes;  // a list and a vector more

// The places among [first, first + count) where R rows, `step` apart, are not all 0, in order.
// Returns how many; `out` has kPlaces.
template <class T, int R>
FASTRELU_INLINE std::size_t places_of_nonzeros(const T* rows, std::size_t step, std::size_t first,
                                               std::size_t count, std::int32_t* out) {
  std::size_t n = 0;
#if defined(FASTRELU_X86_V4)
  if constexpr (sizeof(T) == 4) {
    using S = Simd<T>;
    const __m512i each = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    for (std::size_t i = first; i < first + count; i += S::kLanes) {
      const std::size_t lanes = std::min(S::kLanes, first + count - i);
      __mmask16 some = 0;
      for (std::size_t r = 0; r < R; ++r) {
        const __m512 x(S::load_partial(rows + r * step + i, lanes));
        some |= _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
      }
      // Into a register first: straight to memory it takes some hundred cycles on Zen 4.
      const __m512i places = _mm512_maskz_compress_epi32(
          some, _mm512_add_epi32(each, _mm512_set1_epi32(static_cast<int>(i))));
      std::memcpy(out + n, &places, sizeof places);
      n += static_cast<std::size_t>(__builtin_popcount(some));
    }
    return n;
  }
#endif
  for (std::size_t i = first; i < first + count; ++i) {
    bool some = false;
    for (std::size_t r = 0; r < R; ++r) some |= rows[r * step + i] != T(0);
    out[n] = static_cast<std::int32_t>(i);
    n += some ? 1 : 0;
  }
  return n;
}

// A term of 0 times a weight changes a chain where the weight is not finite. So a bound on the
// weights' magnitudes is kept: an update by moderate numbers raises it by little, any other one to
// infinity. (A chain that stands at -0 becomes +0 by some such terms. No comparison, product or sum
// tells these apart but by the sign of a zero, and gradients' chains begin at +0.)
template <class T>
constexpr T kModerate = static_cast<T>(std::int64_t{1} << 40);

// Whether R rows of `count` values, `step` apart, are moderate: finite, that is to say.
template <class T, int R>
FASTRELU_INLINE bool are_moderate(const T* rows, std::size_t step, std::size_t count) {
  using S = Simd<T>;
  using I = typename S::I;
  const I magnitude = S::set1i(std::numeric_limits<typename S::Int>::max());
  const I most = I(S::set1(kModerate<T>)) & magnitude;
  typename S::M bad{};
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t i = 0; i < count; i += S::kLanes) {
      const auto v = S::load_partial(rows + r * step + i, std::min(S::kLanes, count - i));
      bad |= (I(v) & magnitude) > most;
    }
  }
  return !any<T>(bad);
}

template <class T>
FASTRELU_INLINE bool is_far_from_infinity(const double* bound) {
  return bound != nullptr && *bound < 0.25 * static_cast<double>(std::numeric_limits<T>::max());
}

// After w = fma(step, the sum over R rows of products of two numbers, moderate or not, w).
template <class T, int R>
FASTRELU_INLINE void raise_bound(double* bound, T step, bool moderate) {
  constexpr double kMost = static_cast<double>(kModerate<T>) * static_cast<double>(kModerate<T>);
  // What is rounded is raised by less than a millionth.
  const double more = std::fabs(static_cast<double>(step)) * (1.01 * R * kMost);
  *bound = moderate ? (*bound + more) * (1 + 1e-6) : std::numeric_limits<double>::infinity();
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
