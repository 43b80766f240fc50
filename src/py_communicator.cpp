// SPDX-License-Identifier: BSD-3-Clause
#include "py_communicator.h"

#include <pybind11/numpy.h>

#include <utility>
#include <vector>

namespace fastrelu::python {
namespace {

// An array over memory that is somebody else's, for the time of a call.
py::array over(const py::dtype& dtype, const std::vector<py::ssize_t>& shape, const void* data) {
  return py::array(dtype, shape, data, py::none());
}

py::tuple as_tuple(const std::size_t* counts, std::size_t n) {
  py::tuple result(n);
  for (std::size_t i = 0; i < n; ++i) result[i] = counts[i];
  return result;
}

}  // namespace

PyCommunicator::PyCommunicator(const py::object& object)
    : sum_in_order_(object.attr("sum_in_order")),
      gather_numbers_(object.attr("gather_numbers")),
      rank_(object.attr("rank").cast<std::size_t>()),
      size_(object.attr("size").cast<std::size_t>()) {}

Communicator PyCommunicator::view() {
  return {rank_, size_, this, &PyCommunicator::sum, &PyCommunicator::gather};
}

template <class F>
bool PyCommunicator::call(F f) {
  const GilTaken gil;
  try {
    f();
    return true;
  } catch (py::error_already_set& error) {
    error_ = std::make_unique<py::error_already_set>(std::move(error));
    return false;
  }
}

bool PyCommunicator::sum(void* context, const SumInOrder& what) {
  auto* const self = static_cast<PyCommunicator*>(context);
  return self->call([&] {
    const py::dtype dtype = what.is_double ? py::dtype::of<double>() : py::dtype::of<float>();
    const auto length = static_cast<py::ssize_t>(what.length);
    const auto own = static_cast<py::ssize_t>(what.counts[self->rank_]);
    self->sum_in_order_(
        over(dtype, {own, length}, what.parts), as_tuple(what.counts, self->size_),
        over(dtype, {length}, what.total),
        over(py::dtype::of<double>(),
             {static_cast<py::ssize_t>(self->size_), static_cast<py::ssize_t>(what.note_count)},
             what.notes));
  });
}

bool PyCommunicator::gather(void* context, double* values, const std::size_t* counts) {
  auto* const self = static_cast<PyCommunicator*>(context);
  return self->call([&] {
    py::ssize_t count = 0;
    for (std::size_t r = 0; r < self->size_; ++r) count += static_cast<py::ssize_t>(counts[r]);
    self->gather_numbers_(over(py::dtype::of<double>(), {count}, values),
                          as_tuple(counts, self->size_));
  });
}

}  // namespace fastrelu::python
