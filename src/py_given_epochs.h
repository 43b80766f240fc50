// SPDX-License-Identifier: BSD-3-Clause
// The epochs of an estimator's fit, as Python holds them.
#pragma once

#include <memory>

#include "bindings.h"
#include "given_epochs.h"

namespace fastrelu::python {

// A fit's epochs over rows of its data set, shuffled by a generator that is nobody else's.
struct PyGivenEpochs {
  py::object bit_generator;  // kept alive
  std::size_t most_row = 0;
  std::unique_ptr<GivenEpochs> core;
  WorkGuard guard{"epochs"};
};

}  // namespace fastrelu::python

FASTRELU_RAISES_UNLESS_INITIALIZED(fastrelu::python::PyGivenEpochs);
