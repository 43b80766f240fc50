// SPDX-License-Identifier: BSD-3-Clause
// exp, log, log1p, tanh on vectors. Of float64: range reduction and a polynomial by fma, at most 2
// ulp off for every input, subnormal ones and results included;
// python/fastrelu/reference/elementary.py has the same operations in readable form. Of float32: the
// correctly rounded value, computed in float64 and rounded once; scripts/check_rounding.py has
// tried all inputs. Only IEEE operations lane by lane, no branch on data, no table: the same bits
// on every instruction set. scripts/elementary_coefficients.py makes the coefficients.
#pragma once

#include <limits>

#include "simd-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  static constexpr int kMantissaBits = 23;
  static constexpr std::uint32_t kBias = 127;
  static constexpr float kRoundMagic = 12582912.0f;  // 1.5 * 2^23
  static constexpr float kLog2e = 1.44269504f;
  static constexpr float kLn2High = 0.693145751953125f, kLn2Low = 1.4286068e-06f;
  static constexpr float kExpLowest = -104.0f, kExpHighest = 89.0f;
  static constexpr float kTanhHighest = 10.0f;
  static constexpr float kExp[] = {0.5f, 0.16666576f, 0.041666556f, 0.008363179f, 0.0013926184f};
};

template <>
struct MathConstants<double> {
  static constexpr int kMantissaBits = 52;
  static constexpr std::uint64_t kBias = 1023;
  static constexpr double kRoundMagic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kLog2e = 1.4426950408889634;
  static constexpr double kLn2High = 0.6931471804855391, kLn2Low = 7.440617110012397e-11;
  static constexpr double kExpLowest = -746.0, kExpHighest = 710.0;
  static constexpr double kTanhHighest = 20.0;
  static constexpr double kSubnormalScale = 4503599627370496.0;  // 2^52
  static constexpr std::uint64_t kSqrtHalfBits = 0x3fe6a09e667f3bcd;
  static constexpr double kExp[] = {0.5000000000000001,     0.16666666666666669,
                                    0.04166666666662413,    0.008333333333330062,
                                    0.0013888888917213717,  0.00019841269863053618,
                                    2.4801521295954376e-05, 2.7557268459997064e-06,
                                    2.7620088445409746e-07, 2.510038549551032e-08};
  static constexpr double kLog[] = {0.666666666666667,  0.3999999999989938,  0.28571428626031065,
                                    0.2222221112572281, 0.18182889786191042, 0.15331699633543858,
                                    0.14616721179861816};
  static constexpr double kTanh[] = {
      -0.3333333333333333,     0.13333333333333333,   -0.053968253968253915,  0.02186948853615077,
      -0.008863235529705658,   0.00359212803134432,   -0.0014558342967677643, 0.000590026379802581,
      -0.000239120388892556,   9.686454181556678e-05, -3.906849436383477e-05, 1.5314107102051e-05,
      -5.2730749057391365e-06, 1.1499201065321053e-06};
};

template <class T, std::size_t N>
FASTRELU_INLINE typename Simd<T>::V polynomial(typename Simd<T>::V x, const T (&c)[N]) {
  using S = Simd<T>;
  typename S::V p = S::set1(c[N - 1]);
  for (std::size_t i = N - 1; i-- > 0;) p = S::fma(p, x, S::set1(c[i]));
  return p;
}

// 2^k for a normal result; anything for another k.
template <class T>
FASTRELU_INLINE typename Simd<T>::V power_of_two(typename Simd<T>::I k) {
  using C = MathConstants<T>;
  return (typename Simd<T>::V)(((typename Simd<T>::U)k + C::kBias) << C::kMantissaBits);
}

// x = k ln2 + r, |r| <= ln2 / 2 (and a little); returns exp(r) - 1.
template <class T>
FASTRELU_INLINE typename Simd<T>::V reduce_expm1(typename Simd<T>::V x, typename Simd<T>::I* k) {
  using S = Simd<T>;
  using C = MathConstants<T>;
  const typename S::V magic = S::set1(C::kRoundMagic);
  const typename S::V shifted = S::fma(x, S::set1(C::kLog2e), magic);
  *k = (typename S::I)((typename S::U)shifted - (typename S::U)magic);
  const typename S::V n = shifted - magic;
  typename S::V r = S::fma(-n, S::set1(C::kLn2High), x);
  r = S::fma(-n, S::set1(C::kLn2Low), r);
  return S::fma(polynomial<T>(r, C::kExp), r * r, r);
}

template <class T>
FASTRELU_INLINE typename Simd<T>::V vexp(typename Simd<T>::V x) {
  using S = Simd<T>;
  using C = MathConstants<T>;
  const typename S::V low = S::set1(C::kExpLowest), high = S::set1(C::kExpHighest);
  typename S::V clamped = low > x ? low : x;
  clamped = clamped > high ? high : clamped;
  typename S::I k;
  const typename S::V p = reduce_expm1<T>(clamped, &k) + S::set1(T(1));
  // Two factors, since 2^k alone may be out of range; the first product is exact.
  const typename S::I half = k >> 1;
  const typename S::V y = (p * power_of_two<T>(half)) * power_of_two<T>(k - half);
  return x == x ? y : x;
}

// log(2^k (1 + f)) + extra, for 1 + f in [sqrt(1/2), sqrt(2)].
template <class T>
FASTRELU_INLINE typename Simd<T>::V log_reduced(typename Simd<T>::V f, typename Simd<T>::V k,
                                                typename Simd<T>::V extra) {
  using S = Simd<T>;
  using C = MathConstants<T>;
  const typename S::V s = f / (S::set1(T(2)) + f), z = s * s;
  const typename S::V half_square = (S::set1(T(0.5)) * f) * f;
  const typename S::V rest = z * polynomial<T>(z, C::kLog);
  const typename S::V low = S::fma(k, S::set1(C::kLn2Low), extra);
  const typename S::V tail = half_square - S::fma(s, half_square + rest, low);
  return S::fma(k, S::set1(C::kLn2High), f - tail);
}

// x = 2^k m with m in [sqrt(1/2), sqrt(2)), x normal and > 0; anything for another x.
template <class T>
FASTRELU_INLINE typename Simd<T>::V split(typename Simd<T>::V x, typename Simd<T>::I* k) {
  using S = Simd<T>;
  using C = MathConstants<T>;
  const typename S::U bits = (typename S::U)x;
  *k = (typename S::I)(bits - C::kSqrtHalfBits) >> C::kMantissaBits;
  return (typename S::V)(bits - ((typename S::U) * k << C::kMantissaBits));
}

template <class T>
FASTRELU_INLINE typename Simd<T>::V log_special(typename Simd<T>::V x, typename Simd<T>::V y) {
  using S = Simd<T>;
  const typename S::V infinity = S::set1(std::numeric_limits<T>::infinity());
  y = x == S::zero() ? -infinity : y;
  y = S::zero() > x ? S::set1(std::numeric_limits<T>::quiet_NaN()) : y;
  y = x == infinity ? x : y;
  return x == x ? y : x;
}

template <class T>
FASTRELU_INLINE typename Simd<T>::V vlog(typename Simd<T>::V x) {
  using S = Simd<T>;
  using C = MathConstants<T>;
  const typename S::M small = x < S::set1(std::numeric_limits<T>::min());
  typename S::I k;
  const typename S::V m = split<T>(small ? x * S::set1(C::kSubnormalScale) : x, &k);
  const typename S::V scaled = small ? S::set1(T(C::kMantissaBits)) : S::zero();
  const typename S::V exponent = __builtin_convertvector(k, typename S::V) - scaled;
  return log_special<T>(x, log_reduced<T>(m - S::set1(T(1)), exponent, S::zero()));
}

template <class T>
FASTRELU_INLINE typename Simd<T>::V vlog1p(typename Simd<T>::V x) {
  using S = Simd<T>;
  const typename S::V one = S::set1(T(1));
  const typename S::V u = x + one;
  // What the sum lost, relative to it.
  const typename S::V lost = (x > one ? one - (u - x) : x - (u - one)) / u;
  typename S::I k;
  const typename S::V m = split<T>(u, &k);
  const typename S::M whole = k == S::set1i(0);
  const typename S::V y = log_reduced<T>(
      whole ? x : m - one, __builtin_convertvector(k, typename S::V), whole ? S::zero() : lost);
  const typename S::V special = log_special<T>(u, y);
  return x == S::zero() ? x : special;
}

template <class T>
FASTRELU_INLINE typename Simd<T>::V vtanh(typename Simd<T>::V x) {
  using S = Simd<T>;
  using C = MathConstants<T>;
  const typename S::V one = S::set1(T(1)), two = S::set1(T(2));
  const typename S::V a = S::zero() > x ? -x : x;
  const typename S::V y = a * a;
  const typename S::V small = S::fma(polynomial<T>(y, C::kTanh) * y, x, x);
  const typename S::V highest = S::set1(C::kTanhHighest);
  typename S::I k;
  const typename S::V e = reduce_expm1<T>(two * (a > highest ? highest : a), &k);
  const typename S::V large = one - two / (S::fma(e, power_of_two<T>(k), power_of_two<T>(k)) + one);
  const typename S::V result = S::zero() > x ? -large : large;
  const typename S::V both = a < S::set1(T(0.55)) ? small : result;
  return ((x == x) & (x != S::zero())) ? both : x;
}

// f in float64 of both halves of a vector of float32, rounded to float32.
template <class F>
FASTRELU_INLINE Simd<float>::V in_float64(Simd<float>::V x, F f) {
  return rounded(f(lower_half(x)), f(upper_half(x)));
}

// What the functions of float32 take in float64. Any operations would do that leave the float32
// nearest to the exact value as it is: these are few, and have been tried on all inputs.
struct WideConstants {
  static constexpr double kRoundMagic = MathConstants<double>::kRoundMagic;
  static constexpr double kLog2e = 1.4426950408889634, kLn2 = 0.6931471805599453;
  // (2^f - 1) / f for |f| <= 1/2.
  static constexpr double kExp2[] = {0.6931471805599462,     0.24022650695910075,
                                     0.05550410866465166,    0.009618129107618665,
                                     0.0013333558200797856,  0.00015403530424778412,
                                     1.5252672922413522e-05, 1.3215451631814141e-06,
                                     1.0205905970852828e-07, 7.070978188179365e-09};
  // 2 atanh(s) / s by s^2, for |s| <= (sqrt(2) - 1) / (sqrt(2) + 1).
  static constexpr double kAtanh[] = {2.0,
                                      0.6666666666655291,
                                      0.40000000061747903,
                                      0.2857141602008139,
                                      0.22223434622290025,
                                      0.18121931945849049,
                                      0.16837690690339002};
};

// x log2(e) = k + f, |f| <= 1/2 (and a little): returns f, and k + bias where a float64 has its
// exponent. kLog2e is a tenth of an ulp off, so that one fma gives f for the x of float32.
FASTRELU_INLINE Simd<double>::V reduce_exp2(Simd<double>::V x, double bias, Simd<double>::U* k) {
  using D = Simd<double>;
  const D::V log2e = D::set1(WideConstants::kLog2e);
  const D::V magic = D::set1(WideConstants::kRoundMagic + bias);
  const D::V shifted = D::fma(x, log2e, magic);
  *k = (D::U)shifted << MathConstants<double>::kMantissaBits;
  return D::fma(x, log2e, magic - shifted);
}

// The logarithm of x > 0, normal; anything for another x.
FASTRELU_INLINE Simd<double>::V log_normal(Simd<double>::V x) {
  using D = Simd<double>;
  using C = MathConstants<double>;
  constexpr std::uint64_t kHalf = (C::kBias - 1) << C::kMantissaBits;  // the bits of 1/2
  // x = 2^k m with m in [sqrt(1/2), sqrt(2)); `above` has k + 1022 where the exponent is.
  const D::U bits = (D::U)x, above = bits - (C::kSqrtHalfBits - kHalf);
  const D::U whole = above >> C::kMantissaBits;
  const D::V m = (D::V)(bits - (whole << C::kMantissaBits) + kHalf);
  const D::V magic = D::set1(WideConstants::kRoundMagic);
  const D::V k = (D::V)((D::U)magic + whole) - (magic + D::set1(C::kBias - 1.0));
  const D::V f = m - D::set1(1.0), s = f / (f + D::set1(2.0));
  const D::V mantissa = s * polynomial<double>(s * s, WideConstants::kAtanh);
  return D::fma(k, D::set1(WideConstants::kLn2), mantissa);
}

// A float32 whose function's value is so near to the middle between two float32 that the error of
// float64 decides, wrongly, and the right value; as bits.
struct HardCase {
  std::uint32_t x, y;
};
constexpr HardCase kHardLog[] = {{0x3c413d3a, 0xc08e158f},
                                 {0x41178feb, 0x400fe5e7},
                                 {0x4c5d65a5, 0x418f034b},
                                 {0x65d890d3, 0x4254d1f9},
                                 {0x6f31a8ec, 0x42845a89}};
constexpr HardCase kHardLog1p[] = {{0x35400003, 0x353fffff}, {0xb53ffffd, 0xb5400001},
                                   {0x3710001b, 0x370ffff3}, {0x3ddbfec3, 0x3dd0f671},
                                   {0x3efd81ad, 0x3ecdeee1}, {0x41078feb, 0x400fe5e7},
                                   {0x65d890d3, 0x4254d1f9}, {0x6f31a8ec, 0x42845a89},
                                   {0xb70fffe5, 0xb710000d}, {0xbb0ec8c4, 0xbb0ef0a5}};

template <std::size_t N>
FASTRELU_INLINE Simd<float>::V mended(Simd<float>::V x, Simd<float>::V y,
                                      const HardCase (&hard)[N]) {
  using U = Simd<float>::U;
  for (std::size_t i = 0; i < N; ++i) {
    y = ((U)x == U{} + hard[i].x) ? (Simd<float>::V)(U{} + hard[i].y) : y;
  }
  return y;
}

// NaN passes through: what its lowest bits add to the exponent is 0, as in all that was float32.
template <>
FASTRELU_INLINE Simd<float>::V vexp<float>(Simd<float>::V x) {
  using S = Simd<float>;
  using C = MathConstants<float>;
  using D = Simd<double>;
  const S::V low = S::set1(C::kExpLowest), high = S::set1(C::kExpHighest);
  S::V clamped = low > x ? low : x;
  clamped = clamped > high ? high : clamped;
  return in_float64(clamped, [](D::V wide) {
    D::U k;
    const D::V f = reduce_exp2(wide, 0.0, &k);
    const D::V y = D::fma(polynomial<double>(f, WideConstants::kExp2), f, D::set1(1.0));
    return (D::V)((D::U)y + k);
  });
}

template <>
FASTRELU_INLINE Simd<float>::V vlog<float>(Simd<float>::V x) {
  const Simd<float>::V y = in_float64(x, [](Simd<double>::V wide) { return log_normal(wide); });
  return log_special<float>(x, mended(x, y, kHardLog));
}

// 1 + x is exact in float64 unless x is so small that log1p(x) is nearest to x, or so large that
// the error does not matter.
template <>
FASTRELU_INLINE Simd<float>::V vlog1p<float>(Simd<float>::V x) {
  using S = Simd<float>;
  S::V y = in_float64(
      x, [](Simd<double>::V wide) { return log_normal(Simd<double>::set1(1.0) + wide); });
  y = log_special<float>(S::set1(1.0f) + x, mended(x, y, kHardLog1p));
  const S::V a = S::zero() > x ? -x : x;
  return a < S::set1(0x1p-29f) ? x : y;
}

// expm1(2 a) / (expm1(2 a) + 2) for a = |x|, which cancels nowhere; then the sign of x.
template <>
FASTRELU_INLINE Simd<float>::V vtanh<float>(Simd<float>::V x) {
  using S = Simd<float>;
  using D = Simd<double>;
  const S::U sign = (S::U)x & (S::U{} + 0x80000000u);
  const S::V a = (S::V)((S::U)x ^ sign), highest = S::set1(MathConstants<float>::kTanhHighest);
  const S::V y = in_float64(a > highest ? highest : a, [](D::V wide) {
    D::U k;
    const D::V f = reduce_exp2(wide + wide, MathConstants<double>::kBias, &k);
    const D::V power = (D::V)k, part = f * polynomial<double>(f, WideConstants::kExp2);
    const D::V expm1 = D::fma(part, power, power - D::set1(1.0));
    return expm1 / (expm1 + D::set1(2.0));
  });
  return (S::V)((S::U)y | sign);
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
