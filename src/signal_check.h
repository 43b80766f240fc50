// SPDX-License-Identifier: BSD-3-Clause
// The poll of long computations: lets Python handle signals meanwhile.
#pragma once

#include <chrono>

#include "without_gil.h"

namespace fastrelu::python {

// Lets Python handle signals, some 20 times a second, and throws what that raises, as on Ctrl-C.
// Called without the GIL, by one thread.
class SignalCheck {
 public:
  void operator()() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds(50);
    const GilTaken gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }

 private:
  std::chrono::steady_clock::time_point next_ =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
};

}  // namespace fastrelu::python
