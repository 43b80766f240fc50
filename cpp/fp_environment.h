// SPDX-License-Identifier: BSD-3-Clause
// Sets the default floating-point state (round to nearest, subnormals on, exceptions masked) for a
// scope and gives the caller's back: another library may have left flush-to-zero or a rounding mode
// set. Every native entry and every pool thread holds one while it computes.
#pragma once

#if defined(__SSE__) || defined(__x86_64__)
#include <xmmintrin.h>
#else
#include <cfenv>
#endif

namespace fastrelu {

class FpEnvironment {
 public:
#if defined(__SSE__) || defined(__x86_64__)
  FpEnvironment() : saved_(_mm_getcsr()) {
    if (saved_ != kDefault) _mm_setcsr(kDefault);
  }
  ~FpEnvironment() { _mm_setcsr(saved_); }

 private:
  static constexpr unsigned kDefault = 0x1F80;
  unsigned saved_;
#else
  FpEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~FpEnvironment() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif
 public:
  FpEnvironment(const FpEnvironment&) = delete;
  FpEnvironment& operator=(const FpEnvironment&) = delete;
};

}  // namespace fastrelu
