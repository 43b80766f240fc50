// SPDX-License-Identifier: BSD-3-Clause
// The vector types of one instruction set. Compiled once per instruction set, inside
// namespace fastrelu::FASTRELU_ISA; nothing here may be seen by two of them.
//
// Simd<T> (T float or double) gives
//   V, M, I, U  vector of T; comparison result (lanes 0 or -1, same width); signed integers;
//   unsigned
//               ones, for sums and shifts of bits that may leave the signed range
//   kLanes      elements of V
//   load, store unaligned; load_partial / store_partial touch only the first `count` lanes
//               (the others read as 0)
//   set1, zero, fma, sqrt, relu
// The maskz_ forms with every lane on are the plain instructions; GCC 12's headers warn on those.
// Everything else is written with the compilers' vector operators (+ - * / < > & | ?:), each
// of which is one IEEE operation a lane. fma(a, b, c) is one rounding on every instruction
// set; where the processor has none, exact_fma.h emulates it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(FASTRELU_X86_V3) || defined(FASTRELU_X86_V4)
#include <immintrin.h>
#define FASTRELU_HAS_FMA 1
#elif defined(__aarch64__)
#include <arm_neon.h>
#define FASTRELU_HAS_FMA 1
#else
#define FASTRELU_HAS_FMA 0
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#include "exact_fma.h"
#endif

#define FASTRELU_INLINE inline __attribute__((always_inline))

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

#if defined(FASTRELU_X86_V4)
constexpr std::size_t kVectorBytes = 64;
#elif defined(FASTRELU_X86_V3)
constexpr std::size_t kVectorBytes = 32;
#else
constexpr std::size_t kVectorBytes = 16;
#endif

template <class T>
struct IntegerOf;
template <>
struct IntegerOf<float> {
  using type = std::int32_t;
};
template <>
struct IntegerOf<double> {
  using type = std::int64_t;
};

// GCC drops vector_size in a dependent typedef, so the types are spelled out.
template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float V __attribute__((vector_size(kVectorBytes)));
  typedef std::int32_t I __attribute__((vector_size(kVectorBytes)));
  typedef std::uint32_t U __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VectorOf<double> {
  typedef double V __attribute__((vector_size(kVectorBytes)));
  typedef std::int64_t I __attribute__((vector_size(kVectorBytes)));
  typedef std::uint64_t U __attribute__((vector_size(kVectorBytes)));
};

#if defined(FASTRELU_X86_V3)
// Masks of the first lanes: `count` of them from place kLanes - count on.
template <class Int>
constexpr Int kFirstLanes[2 * kVectorBytes / sizeof(Int)] = {};
template <>
inline constexpr std::int32_t kFirstLanes<std::int32_t>[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
template <>
inline constexpr std::int64_t kFirstLanes<std::int64_t>[8] = {-1, -1, -1, -1};
#endif

// What vectors of any width have alike. `Of`: VectorOf, or that of half the width.
template <class T, template <class> class Of>
struct AnyWidth {
  using V = typename Of<T>::V;
  static constexpr std::size_t kLanes = sizeof(V) / sizeof(T);

  static FASTRELU_INLINE V zero() { return V{}; }
  static FASTRELU_INLINE V set1(T x) { return x - V{}; }  // x - 0 is x, also for -0 and NaN
  static FASTRELU_INLINE V load(const T* p) {
    V v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static FASTRELU_INLINE void store(T* p, V v) { std::memcpy(p, &v, sizeof v); }
};

template <class T>
struct Simd : AnyWidth<T, VectorOf> {
  using Base = AnyWidth<T, VectorOf>;
  using Base::kLanes, Base::store, Base::zero;
  using typename Base::V;
  using I = typename VectorOf<T>::I;
  using U = typename VectorOf<T>::U;
  using M = I;
  using Scalar = T;
  using Int = typename IntegerOf<T>::type;

  static FASTRELU_INLINE I set1i(Int x) { return x - I{}; }

  static FASTRELU_INLINE V load_partial(const T* p, std::size_t count) {
#if defined(FASTRELU_X86_V4)
    if constexpr (sizeof(T) == 4) {
      return V(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), p));
    } else {
      return V(_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1u), p));
    }
#elif defined(FASTRELU_X86_V3)
    I mask;
    std::memcpy(&mask, kFirstLanes<Int> + kLanes - count, sizeof mask);
    if constexpr (sizeof(T) == 4) {
      return V(_mm256_maskload_ps(p, __m256i(mask)));
    } else {
      return V(_mm256_maskload_pd(p, __m256i(mask)));
    }
#else
    V v{};
    for (std::size_t i = 0; i < count; ++i) v[i] = p[i];
    return v;
#endif
  }
  static FASTRELU_INLINE void store_partial(T* p, V v, std::size_t count) {
#if defined(FASTRELU_X86_V4)
    if constexpr (sizeof(T) == 4) {
      _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1u), __m512(v));
    } else {
      _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1u), __m512d(v));
    }
#elif defined(FASTRELU_X86_V3)
    // Masked stores take tens of cycles on some processors: a half, a quarter, an eighth instead.
    if (count == kLanes) return store(p, v);
    if constexpr (sizeof(T) == 4) {
      __m128 part = _mm256_castps256_ps128(__m256(v));
      if (count & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(__m256(v), 1);
        p += 4;
      }
      if (count & 2) {
        _mm_storel_pi(reinterpret_cast<__m64*>(p), part);
        part = _mm_movehl_ps(part, part);
        p += 2;
      }
      if (count & 1) _mm_store_ss(p, part);
    } else {
      __m128d part = _mm256_castpd256_pd128(__m256d(v));
      if (count & 2) {
        _mm_storeu_pd(p, part);
        part = _mm256_extractf128_pd(__m256d(v), 1);
        p += 2;
      }
      if (count & 1) _mm_store_sd(p, part);
    }
#else
    for (std::size_t i = 0; i < count; ++i) p[i] = v[i];
#endif
  }

#if !FASTRELU_HAS_FMA
  // Not inlined: it is some hundred instructions, and tiles have many.
  static __attribute__((noinline)) V emulated_fma(V a, V b, V c) {
    V r;
    for (std::size_t i = 0; i < kLanes; ++i) r[i] = exact_fma(a[i], b[i], c[i]);
    return r;
  }
#endif
  static FASTRELU_INLINE V fma(V a, V b, V c) {
#if defined(FASTRELU_X86_V4)
    if constexpr (sizeof(T) == 4) {
      return V(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
    } else {
      return V(_mm512_fmadd_pd(__m512d(a), __m512d(b), __m512d(c)));
    }
#elif defined(FASTRELU_X86_V3)
    if constexpr (sizeof(T) == 4) {
      return V(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
    } else {
      return V(_mm256_fmadd_pd(__m256d(a), __m256d(b), __m256d(c)));
    }
#elif defined(__aarch64__)
    if constexpr (sizeof(T) == 4) {
      return V(vfmaq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b)));
    } else {
      return V(vfmaq_f64(float64x2_t(c), float64x2_t(a), float64x2_t(b)));
    }
#else
    return emulated_fma(a, b, c);
#endif
  }

  static FASTRELU_INLINE V sqrt(V a) {
#if defined(FASTRELU_X86_V4)
    if constexpr (sizeof(T) == 4) {
      return V(_mm512_maskz_sqrt_ps(0xFFFF, __m512(a)));
    } else {
      return V(_mm512_maskz_sqrt_pd(0xFF, __m512d(a)));
    }
#elif defined(FASTRELU_X86_V3)
    if constexpr (sizeof(T) == 4) {
      return V(_mm256_sqrt_ps(__m256(a)));
    } else {
      return V(_mm256_sqrt_pd(__m256d(a)));
    }
#else
    V r;
    for (std::size_t i = 0; i < kLanes; ++i) {
      if constexpr (sizeof(T) == 4) {
        r[i] = __builtin_sqrtf(a[i]);
      } else {
        r[i] = __builtin_sqrt(a[i]);
      }
    }
    return r;
#endif
  }

  // 0 > z ? 0 : z, so that NaN and -0 pass through.
  static FASTRELU_INLINE V relu(V z) {
#if defined(FASTRELU_X86_V4)
    if constexpr (sizeof(T) == 4) {
      return V(_mm512_maskz_max_ps(0xFFFF, _mm512_setzero_ps(), __m512(z)));
    } else {
      return V(_mm512_maskz_max_pd(0xFF, _mm512_setzero_pd(), __m512d(z)));
    }
#else
    return zero() > z ? zero() : z;
#endif
  }

  // `v` where the matching lane of `gate` is > 0, else +0.
  static FASTRELU_INLINE V where_positive(V gate, V v) { return gate > zero() ? v : zero(); }
};

// The same of half the width, as far as a tile needs it: processors that split a vector of 64 bytes
// start two of these in its place.
#if defined(FASTRELU_X86_V4)
template <class T>
struct HalfVectorOf;
template <>
struct HalfVectorOf<float> {
  typedef float V __attribute__((vector_size(kVectorBytes / 2)));
};
template <>
struct HalfVectorOf<double> {
  typedef double V __attribute__((vector_size(kVectorBytes / 2)));
};
template <class T>
struct HalfSimd : AnyWidth<T, HalfVectorOf> {
  using typename AnyWidth<T, HalfVectorOf>::V;

  static FASTRELU_INLINE V load_partial(const T* p, std::size_t count) {
    const auto mask = static_cast<__mmask8>((1u << count) - 1u);
    if constexpr (sizeof(T) == 4) {
      return V(_mm256_maskz_loadu_ps(mask, p));
    } else {
      return V(_mm256_maskz_loadu_pd(mask, p));
    }
  }
  static FASTRELU_INLINE void store_partial(T* p, V v, std::size_t count) {
    const auto mask = static_cast<__mmask8>((1u << count) - 1u);
    if constexpr (sizeof(T) == 4) {
      _mm256_mask_storeu_ps(p, mask, __m256(v));
    } else {
      _mm256_mask_storeu_pd(p, mask, __m256d(v));
    }
  }
  static FASTRELU_INLINE V fma(V a, V b, V c) {
    if constexpr (sizeof(T) == 4) {
      return V(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
    } else {
      return V(_mm256_fmadd_pd(__m256d(a), __m256d(b), __m256d(c)));
    }
  }
};
#endif

// Whether any lane of a comparison's result is set.
template <class T>
FASTRELU_INLINE bool any(typename Simd<T>::M m) {
#if defined(FASTRELU_X86_V4)
  return _mm512_test_epi32_mask(__m512i(m), __m512i(m)) != 0;
#elif defined(FASTRELU_X86_V3)
  return !_mm256_testz_si256(__m256i(m), __m256i(m));
#else
  typename Simd<T>::Int found = 0;
  for (std::size_t l = 0; l < Simd<T>::kLanes; ++l) found |= m[l];
  return found != 0;
#endif
}

// The halves of a vector of float32 as float64, and a vector of float32 from such halves, rounded.
// Through memory, a load of what two stores have written would wait for them.
#if defined(FASTRELU_X86_V4)
FASTRELU_INLINE Simd<double>::V lower_half(Simd<float>::V x) {
  return Simd<double>::V(
      _mm512_maskz_cvtps_pd(0xFF, _mm512_maskz_extractf32x8_ps(0xFF, __m512(x), 0)));
}
FASTRELU_INLINE Simd<double>::V upper_half(Simd<float>::V x) {
  return Simd<double>::V(
      _mm512_maskz_cvtps_pd(0xFF, _mm512_maskz_extractf32x8_ps(0xFF, __m512(x), 1)));
}
FASTRELU_INLINE Simd<float>::V rounded(Simd<double>::V lower, Simd<double>::V upper) {
  const __m256 low = _mm512_maskz_cvtpd_ps(0xFF, __m512d(lower));
  const __m256 high = _mm512_maskz_cvtpd_ps(0xFF, __m512d(upper));
  return Simd<float>::V(_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1));
}
#elif defined(FASTRELU_X86_V3)
FASTRELU_INLINE Simd<double>::V lower_half(Simd<float>::V x) {
  return Simd<double>::V(_mm256_cvtps_pd(_mm256_castps256_ps128(__m256(x))));
}
FASTRELU_INLINE Simd<double>::V upper_half(Simd<float>::V x) {
  return Simd<double>::V(_mm256_cvtps_pd(_mm256_extractf128_ps(__m256(x), 1)));
}
FASTRELU_INLINE Simd<float>::V rounded(Simd<double>::V lower, Simd<double>::V upper) {
  return Simd<float>::V(
      _mm256_set_m128(_mm256_cvtpd_ps(__m256d(upper)), _mm256_cvtpd_ps(__m256d(lower))));
}
#elif defined(__SSE2__)
// Not element by element, as below: of two roundings side by side GCC 12 leaves out both
// (docs/kernels.md, What a compiler may not do).
FASTRELU_INLINE Simd<double>::V lower_half(Simd<float>::V x) {
  return Simd<double>::V(_mm_cvtps_pd(__m128(x)));
}
FASTRELU_INLINE Simd<double>::V upper_half(Simd<float>::V x) {
  return Simd<double>::V(_mm_cvtps_pd(_mm_movehl_ps(__m128(x), __m128(x))));
}
FASTRELU_INLINE Simd<float>::V rounded(Simd<double>::V lower, Simd<double>::V upper) {
  return Simd<float>::V(_mm_movelh_ps(_mm_cvtpd_ps(__m128d(lower)), _mm_cvtpd_ps(__m128d(upper))));
}
#elif defined(__aarch64__)
FASTRELU_INLINE Simd<double>::V lower_half(Simd<float>::V x) {
  return Simd<double>::V(vcvt_f64_f32(vget_low_f32(float32x4_t(x))));
}
FASTRELU_INLINE Simd<double>::V upper_half(Simd<float>::V x) {
  return Simd<double>::V(vcvt_high_f64_f32(float32x4_t(x)));
}
FASTRELU_INLINE Simd<float>::V rounded(Simd<double>::V lower, Simd<double>::V upper) {
  return Simd<float>::V(vcvt_high_f32_f64(vcvt_f32_f64(float64x2_t(lower)), float64x2_t(upper)));
}
#else
FASTRELU_INLINE Simd<double>::V lower_half(Simd<float>::V x) { return Simd<double>::V{x[0], x[1]}; }
FASTRELU_INLINE Simd<double>::V upper_half(Simd<float>::V x) { return Simd<double>::V{x[2], x[3]}; }
FASTRELU_INLINE Simd<float>::V rounded(Simd<double>::V lower, Simd<double>::V upper) {
  return Simd<float>::V{static_cast<float>(lower[0]), static_cast<float>(lower[1]),
                        static_cast<float>(upper[0]), static_cast<float>(upper[1])};
}
#endif

// One element, the same operation as a lane.
FASTRELU_INLINE float scalar_fma(float a, float b, float c) {
#if FASTRELU_HAS_FMA
  return __builtin_fmaf(a, b, c);
#else
  return exact_fma(a, b, c);
#endif
}
FASTRELU_INLINE double scalar_fma(double a, double b, double c) {
#if FASTRELU_HAS_FMA
  return __builtin_fma(a, b, c);
#else
  return exact_fma(a, b, c);
#endif
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
