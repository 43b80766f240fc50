// SPDX-License-Identifier: BSD-3-Clause
// a * b + c with one rounding (to nearest, ties to even) for processors without an fma instruction;
// exact over the whole range: subnormals, overflow, infinities, NaN, signs of zero.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

inline std::uint64_t bits_of(double x) {
  std::uint64_t b;
  std::memcpy(&b, &x, sizeof b);
  return b;
}
inline double double_of(std::uint64_t b) {
  double x;
  std::memcpy(&x, &b, sizeof x);
  return x;
}

// x + y rounded to odd: towards zero, with the last bit set if anything was lost. A second rounding
// to fewer bits then equals a single one (Boldo and Melquiond, 2008). Finite, no overflow.
inline double add_to_odd(double x, double y) {
  const double s = x + y;
  const double back = s - x;
  const double error = (x - (s - back)) + (y - back);
  std::uint64_t b = bits_of(s);
  if (error != 0 && (b & 1) == 0) {
    b = ((error > 0) == (s > 0)) ? b + 1 : b - 1;
  }
  return double_of(b);
}

inline float exact_fma(float a, float b, float c) {
  const double product = static_cast<double>(a) * static_cast<double>(b);  // exact: 48 bits
  const double wide = static_cast<double>(c);
  const double sum = product + wide;
  if (!std::isfinite(sum) || sum == 0) return static_cast<float>(sum);
  return static_cast<float>(add_to_odd(product, wide));
}

// The parts of a finite double: (-1)^negative * mantissa * 2^exponent.
struct Parts {
  bool negative;
  std::uint64_t mantissa;
  int exponent;
};
inline Parts parts_of(double x) {
  const std::uint64_t b = bits_of(x);
  const int e = static_cast<int>((b >> 52) & 0x7ff);
  const std::uint64_t f = b & ((std::uint64_t{1} << 52) - 1);
  return {(b >> 63) != 0, e == 0 ? f : f | (std::uint64_t{1} << 52), (e == 0 ? 1 : e) - 1075};
}

__extension__ typedef unsigned __int128 Wide128;

inline int bit_length(Wide128 x) {
  const auto high = static_cast<std::uint64_t>(x >> 64);
  const auto low = static_cast<std::uint64_t>(x);
  if (high != 0) return 128 - __builtin_clzll(high);
  return low != 0 ? 64 - __builtin_clzll(low) : 0;
}

// x * 2^-n, the bits shifted out folded into the last one.
inline Wide128 shift_right_sticky(Wide128 x, int n) {
  if (n <= 0) return x;
  if (n >= 128) return x != 0 ? 1 : 0;
  const Wide128 kept = x >> n;
  return (kept << n) != x ? kept | 1 : kept;
}

// (-1)^negative * x * 2^exponent to the nearest double; a last bit of x may stand for lost ones
// as long as x has more than 54 bits or none were lost.
inline double round_to_double(bool negative, Wide128 x, int exponent) {
  const std::uint64_t sign = negative ? std::uint64_t{1} << 63 : 0;
  const int length = bit_length(x);
  int lowest = exponent + length - 53;  // exponent of the result's last bit
  if (lowest < -1074) lowest = -1074;
  const int drop = lowest - exponent;
  std::uint64_t m;
  if (drop <= 0) {
    m = static_cast<std::uint64_t>(x << -drop);
  } else {
    const Wide128 kept = shift_right_sticky(x, drop - 2);  // two more bits: half, and sticky
    m = static_cast<std::uint64_t>(kept >> 2);
    const auto rest = static_cast<unsigned>(kept & 3);
    if (rest == 3 || (rest == 2 && (m & 1) != 0)) ++m;
  }
  // A mantissa of 2^52 or more carries into the exponent field by itself.
  const int field = lowest + 1074;
  if (m >= (std::uint64_t{1} << 53)) {
    m >>= 1;
    return field + 1 >= 2046
               ? double_of(sign | (std::uint64_t{0x7ff} << 52))
               : double_of(sign | ((static_cast<std::uint64_t>(field + 1) << 52) + m));
  }
  if (m >= (std::uint64_t{1} << 52)) {
    if (field + 1 >= 2047) return double_of(sign | (std::uint64_t{0x7ff} << 52));
    return double_of(sign | ((static_cast<std::uint64_t>(field) << 52) + m));
  }
  return double_of(sign | m);
}

inline double fma_by_integers(double a, double b, double c) {
  const Parts pa = parts_of(a), pb = parts_of(b), pc = parts_of(c);
  const bool negative = pa.negative != pb.negative;
  Wide128 p = static_cast<Wide128>(pa.mantissa) * pb.mantissa;
  int pe = pa.exponent + pb.exponent;
  if (p == 0) return a * b + c;
  Wide128 q = pc.mantissa;
  int qe = pc.exponent;
  if (q == 0) return round_to_double(negative, p, pe);
  // Both with their leading bit at 2^125, then the smaller moved down beside the larger.
  const int up_p = 126 - bit_length(p), up_q = 126 - bit_length(q);
  p <<= up_p;
  pe -= up_p;
  q <<= up_q;
  qe -= up_q;
  const int e = pe > qe ? pe : qe;
  p = shift_right_sticky(p, e - pe);
  q = shift_right_sticky(q, e - qe);
  if (negative == pc.negative) return round_to_double(negative, p + q, e);
  if (p == q) return 0.0;
  return p > q ? round_to_double(negative, p - q, e) : round_to_double(pc.negative, q - p, e);
}

inline double exact_fma(double a, double b, double c) {
  const double product = a * b;
  const double sum = product + c;
  if (!std::isfinite(a) || !std::isfinite(b)) return sum;
  if (!std::isfinite(c)) return c;  // the product may overflow on the way, not in the result
  // Far from the ends of the range error-free transformations serve.
  const double p = std::fabs(product), s = std::fabs(sum), u = std::fabs(c);
  const bool safe = std::fabs(a) < 0x1p480 && std::fabs(b) < 0x1p480 && p > 0x1p-900 &&
                    u < 0x1p960 && (u > 0x1p-900 || u == 0) && s > 0x1p-900;
  if (!safe) return fma_by_integers(a, b, c);
  constexpr double kSplit = 134217729.0;  // 2^27 + 1
  const double ta = kSplit * a, tb = kSplit * b;
  const double ah = ta - (ta - a), al = a - ah, bh = tb - (tb - b), bl = b - bh;
  const double low = al * bl - (((product - ah * bh) - al * bh) - ah * bl);
  // product + low + c: sum the two small ends to odd, then round once.
  const double th = c + low, tback = th - c, tl = (c - (th - tback)) + (low - tback);
  const double vh = product + th, vback = vh - product;
  const double vl = (product - (vh - vback)) + (th - vback);
  return vh + add_to_odd(tl, vl);
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
