// SPDX-License-Identifier: BSD-3-Clause
#define FASTRELU_ISA emulation
#include "elementary_check.h"

#include "kernels/exact_fma.h"

namespace fastrelu {

void emulated_fma(const float* a, const float* b, const float* c, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = emulation::exact_fma(a[i], b[i], c[i]);
}
void emulated_fma(const double* a, const double* b, const double* c, double* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = emulation::exact_fma(a[i], b[i], c[i]);
}

}  // namespace fastrelu
