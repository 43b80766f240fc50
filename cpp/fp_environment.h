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
    if (!is_default()) _mm_setcsr(kDefault);
  }
  ~FpEnvironment() {
    if (!is_default()) _mm_setcsr(saved_);
  }

 private:
  static constexpr unsigned kDefault = 0x1F80, kStatusFlags = 0x3F;
  // Flags that say what has happened change no result; setting the register costs more than all
  // else here, and nobody's flags were promised to stay.
  bool is_default() const { return (saved_ & ~kStatusFlags) == kDefault; }
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
