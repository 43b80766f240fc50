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

#if defined(FASTRELU_X86_V4)
FASTRELU_INLINE unsigned lanes_not_zero(Simd<float>::V x) {
  return _mm512_cmp_ps_mask(__m512(x), _mm512_setzero_ps(), _CMP_NEQ_UQ);
}

// `first` plus the places of the mask's bits, and what comes, a whole vector, behind them.
FASTRELU_INLINE void store_places(unsigned mask, std::size_t first, std::int32_t* out) {
  const __m512i each = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i all = _mm512_add_epi32(each, _mm512_set1_epi32(static_cast<int>(first)));
  // Into a register first: straight to memory it takes some hundred cycles on Zen 4.
  const __m512i places = _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask), all);
  std::memcpy(out, &places, sizeof places);
}
#elif defined(FASTRELU_X86_V3)
FASTRELU_INLINE unsigned lanes_not_zero(Simd<float>::V x) {
  return static_cast<unsigned>(
      _mm256_movemask_ps(_mm256_cmp_ps(__m256(x), _mm256_setzero_ps(), _CMP_NEQ_UQ)));
}

// The places of a mask's bits, a byte each.
struct PlacesOfBits {
  std::uint64_t of[256] = {};
  constexpr PlacesOfBits() {
    for (unsigned mask = 0; mask < 256; ++mask) {
      unsigned n = 0;
      for (unsigned bit = 0; bit < 8; ++bit) {
        if ((mask >> bit & 1) != 0) of[mask] |= std::uint64_t{bit} << (8 * n++);
      }
    }
  }
};
constexpr PlacesOfBits kPlacesOfBits;

FASTRELU_INLINE void store_places(unsigned mask, std::size_t first, std::int32_t* out) {
  const __m128i bytes = _mm_cvtsi64_si128(static_cast<long long>(kPlacesOfBits.of[mask]));
  const __m256i places =
      _mm256_add_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(static_cast<int>(first)));
  std::memcpy(out, &places, sizeof places);
}
#endif

// The places among [first, first + count) where R rows, `step` apart, are not all 0, in order.
// Returns how many; `out` has kPlaces.
template <class T, int R>
FASTRELU_INLINE std::size_t places_of_nonzeros(const T* rows, std::size_t step, std::size_t first,
                                               std::size_t count, std::int32_t* out) {
  std::size_t n = 0;
  const std::size_t end = first + count;
#if defined(FASTRELU_X86_V4) || defined(FASTRELU_X86_V3)
  if constexpr (sizeof(T) == 4) {
    using S = Simd<T>;
    for (std::size_t i = first; i < end; i += S::kLanes) {
      const std::size_t lanes = std::min(S::kLanes, end - i);
      unsigned some = 0;
      for (std::size_t r = 0; r < R; ++r) {
        some |= lanes_not_zero(S::load_partial(rows + r * step + i, lanes));
      }
      store_places(some, i, out + n);
      n += static_cast<std::size_t>(__builtin_popcount(some));
    }
    return n;
  }
#endif
  for (std::size_t i = first; i < end; ++i) {
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
