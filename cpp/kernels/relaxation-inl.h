// SPDX-License-Identifier: BSD-3-Clause
// The costly loop of certified bounds: many linear functions carried back through a layer's
// weights. Products and sums are rounded each, in float64 and in the order of the outputs, so that
// every instruction set gives the same bits.
#pragma once

#include "kernels.h"
#include "simd-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// kRows inputs from i on.
template <class T, std::size_t kRows>
FASTRELU_INLINE void carry_back_rows(const CarryBack<T>& a, std::size_t i) {
  using D = Simd<double>;
  constexpr std::size_t kVectors = kCarriedLanes / D::kLanes;
  typename D::V sum[kRows][kVectors];
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t v = 0; v < kVectors; ++v) sum[r][v] = D::zero();
  }
  const T* w = a.w + i * a.fan_out;
  for (std::size_t p = 0; p < a.count; ++p) {
    const std::size_t o = a.present[p];
    const double* c = a.c + o * kCarriedLanes;
    for (std::size_t r = 0; r < kRows; ++r) {
      const auto weight = D::set1(static_cast<double>(w[r * a.fan_out + o]));
      for (std::size_t v = 0; v < kVectors; ++v) {
        sum[r][v] = sum[r][v] + weight * D::load(c + v * D::kLanes);
      }
    }
  }
  for (std::size_t r = 0; r < kRows; ++r) {
    double* out = a.out + (i + r) * kCarriedLanes;
    for (std::size_t v = 0; v < kVectors; ++v) D::store(out + v * D::kLanes, sum[r][v]);
  }
}

template <class T>
void carry_back(const CarryBack<T>& a) {
  // As many sums as there are registers for.
  constexpr std::size_t kRows = kVectorBytes == 64 ? 4 : kVectorBytes == 32 ? 2 : 1;
  std::size_t i = 0;
  for (; i + kRows <= a.fan_in; i += kRows) carry_back_rows<T, kRows>(a, i);
  for (; i < a.fan_in; ++i) carry_back_rows<T, 1>(a, i);
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
