// SPDX-License-Identifier: BSD-3-Clause
#include "running_error.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fastrelu {
namespace {

// What a weight multiplies a term's spread by.
template <ErrorKind kind>
double size(double w) {
  return kind == ErrorKind::certain ? std::fabs(w) : w * w;
}

// Four terms at a time, in order: a quarter of the traffic.
template <ErrorKind kind, class Term>
void add(const std::vector<Term>& terms, std::size_t width, double* __restrict value,
         double* __restrict spread) {
  std::size_t at = 0;
  for (; at + 4 <= terms.size(); at += 4) {
    const Term &a = terms[at], &b = terms[at + 1], &c = terms[at + 2], &d = terms[at + 3];
    for (std::size_t o = 0; o < width; ++o) {
      const double wa = static_cast<double>(a.weights[o]), wb = static_cast<double>(b.weights[o]),
                   wc = static_cast<double>(c.weights[o]), wd = static_cast<double>(d.weights[o]);
      value[o] = (((value[o] + a.value * wa) + b.value * wb) + c.value * wc) + d.value * wd;
      spread[o] += (a.spread * size<kind>(wa) + b.spread * size<kind>(wb)) +
                   (c.spread * size<kind>(wc) + d.spread * size<kind>(wd));
    }
  }
  for (; at < terms.size(); ++at) {
    const Term& a = terms[at];
    for (std::size_t o = 0; o < width; ++o) {
      const double w = static_cast<double>(a.weights[o]);
      value[o] += a.value * w;
      spread[o] += a.spread * size<kind>(w);
    }
  }
}

}  // namespace

template <class T>
void RunningErrors<T>::layer(const Layer& layer, const double* h, const double* h_error,
                             double factor, double factor_error, double* z, double* z_error) {
  const std::size_t width = layer.fan_out;
  const T* weights = net_.parameters() + layer.weight_offset;
  const T* bias = net_.parameters() + layer.bias_offset;
  const bool certain = kind_ == ErrorKind::certain;
  terms_.clear();
  double largest = 0;
  const auto add_term = [&](const T* row, double value, double error) {
    if (value == 0.0 && error == 0.0) return;
    terms_.push_back({row, value, error});
    largest = std::max({largest, std::fabs(value), error});
  };
  if (net_.has_bias()) add_term(bias, factor, factor_error);
  for (std::size_t i = 0; i < layer.fan_in; ++i) {
    add_term(weights + i * width, h[i], h_error[i]);
  }
  // Each product and each sum rounds once; a sum of n terms is at most sqrt(n) times as large as
  // the root of the sum of their squares. (A bit more for the roundings of the bound itself.)
  const double n = static_cast<double>(terms_.size());
  const double roundings = certain ? 1.01 * (n + 3) * kRounding : n * kRounding;
  // Squares are taken relative to the largest, so that none overflows or vanishes.
  const double unit = largest > 0 && !certain ? std::ldexp(1.0, std::ilogb(largest)) : 1.0;
  for (Term& term : terms_) {
    if (certain) {
      term.spread = (term.spread + roundings * std::fabs(term.value)) * (1 + 2 * roundings);
    } else {
      const double own = roundings * (term.value / unit), given = term.spread / unit;
      term.spread = own * own + given * given;
    }
  }
  std::fill(z, z + width, 0.0);
  std::fill(z_error, z_error + width, 0.0);
  // Products that are subnormal lose more.
  const double tiny = n * std::numeric_limits<double>::denorm_min();
  if (certain) {
    add<ErrorKind::certain>(terms_, width, z, z_error);
    for (std::size_t o = 0; o < width; ++o) z_error[o] += tiny;
  } else {
    add<ErrorKind::likely>(terms_, width, z, z_error);
    for (std::size_t o = 0; o < width; ++o) z_error[o] = std::sqrt(z_error[o]) * unit + tiny;
  }
}

template class RunningErrors<float>;
template class RunningErrors<double>;

}  // namespace fastrelu
