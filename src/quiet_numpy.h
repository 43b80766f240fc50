// SPDX-License-Identifier: BSD-3-Clause
// numpy.errstate(all="ignore") for a scope of C++; its end restores the state, an exception's too.
#pragma once

#include <pybind11/pybind11.h>

namespace fastrelu::python {

class QuietNumpy {
 public:
  QuietNumpy()
      : state_(
            pybind11::module_::import("numpy").attr("errstate")(pybind11::arg("all") = "ignore")) {
    state_.attr("__enter__")();
  }
  ~QuietNumpy() {
    try {
      state_.attr("__exit__")(pybind11::none(), pybind11::none(), pybind11::none());
    } catch (pybind11::error_already_set& error) {
      error.discard_as_unraisable("numpy.errstate.__exit__");
    }
  }
  QuietNumpy(const QuietNumpy&) = delete;
  QuietNumpy& operator=(const QuietNumpy&) = delete;

 private:
  pybind11::object state_;
};

}  // namespace fastrelu::python
