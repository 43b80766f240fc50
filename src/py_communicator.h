// SPDX-License-Identifier: BSD-3-Clause
// The core's communicator, whose two functions call those of a Python object
// (fastrelu.distributed). The core calls them on the thread that has called it, which may have
// given up the GIL; what they raise is kept, and thrown once the core has returned.
#pragma once

#include <memory>

#include "communicator.h"
#include "without_gil.h"

namespace fastrelu::python {

class PyCommunicator {
 public:
  // Reads its rank and size.
  explicit PyCommunicator(const py::object& object);
  PyCommunicator(const PyCommunicator&) = delete;
  PyCommunicator& operator=(const PyCommunicator&) = delete;

  Communicator view();  // it must not outlive this
  // What the last calls have raised, if anything.
  void raise() {
    if (const auto error = std::move(error_)) throw py::error_already_set(*error);
  }

 private:
  static bool sum(void* context, const SumInOrder& what);
  static bool begin(void* context, const SumInOrder& what);
  static bool gather(void* context, double* values, const std::size_t* counts);
  template <class F>
  bool call(F f);
  void abandon();

  py::object sum_in_order_, gather_numbers_, begin_sum_, abandon_;
  std::size_t rank_, size_, segment_bytes_ = 0;
  std::unique_ptr<py::error_already_set> error_;
};

}  // namespace fastrelu::python
