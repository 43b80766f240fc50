// SPDX-License-Identifier: BSD-3-Clause
// The fma emulation, callable on every processor so that tests can hold it against the definition.
#pragma once

#include <cstddef>

namespace fastrelu {

void emulated_fma(const float* a, const float* b, const float* c, float* out, std::size_t n);
void emulated_fma(const double* a, const double* b, const double* c, double* out, std::size_t n);

}  // namespace fastrelu
