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

// What a sum is given.
struct Arrays {
  Arrays(const SumInOrder& what, std::size_t rank, std::size_t size)
      : counts(as_tuple(what.counts, size)) {
    const py::dtype dtype = what.is_double ? py::dtype::of<double>() : py::dtype::of<float>();
    const auto length = static_cast<py::ssize_t>(what.length);
    const auto own = static_cast<py::ssize_t>(what.counts[rank]);
    const auto stride = static_cast<py::ssize_t>(what.stride);
    parts = py::array(dtype, {own, length}, {stride * dtype.itemsize(), dtype.itemsize()},
                      what.parts, py::none());
    total = over(dtype, {length}, what.total);
  }
  py::tuple counts;
  py::array parts, total;
};

}  // namespace

PyCommunicator::PyCommunicator(const py::object& object)
    : sum_in_order_(object.attr("sum_in_order")),
      gather_numbers_(object.attr("gather_numbers")),
      rank_(object.attr("rank").cast<std::size_t>()),
      size_(object.attr("size").cast<std::size_t>()) {
  if (!py::hasattr(object, "segment_bytes")) return;
  segment_bytes_ = object.attr("segment_bytes").cast<std::size_t>();
  if (segment_bytes_ == 0) return;
  begin_sum_ = object.attr("begin_sum");
  abandon_ = object.attr("abandon");
}

Communicator PyCommunicator::view() {
  Communicator view;
  view.rank = rank_;
  view.size = size_;
  view.context = this;
  view.sum = &PyCommunicator::sum;
  view.begin = &PyCommunicator::begin;
  view.segment_bytes = segment_bytes_;
  view.gather = &PyCommunicator::gather;
  return view;
}

template <class F>
bool PyCommunicator::call(F f) {
  const GilTaken gil;
  try {
    f();
    return true;
  } catch (py::error_already_set& error) {
    error_ = std::make_unique<py::error_already_set>(std::move(error));
    abandon();
    return false;
  }
}

// What has begun must be over before the buffers are used again. What that raises says no more than
// what has been raised already.
void PyCommunicator::abandon() {
  if (segment_bytes_ == 0) return;
  try {
    abandon_();
  } catch (py::error_already_set&) {
  }
}

bool PyCommunicator::sum(void* context, const SumInOrder& what) {
  auto* const self = static_cast<PyCommunicator*>(context);
  return self->call([&] {
    const Arrays arrays(what, self->rank_, self->size_);
    self->sum_in_order_(
        arrays.parts, arrays.counts, arrays.total,
        over(py::dtype::of<double>(),
             {static_cast<py::ssize_t>(self->size_), static_cast<py::ssize_t>(what.note_count)},
             what.notes));
  });
}

bool PyCommunicator::begin(void* context, const SumInOrder& what) {
  auto* const self = static_cast<PyCommunicator*>(context);
  return self->call([&] {
    const Arrays arrays(what, self->rank_, self->size_);
    self->begin_sum_(arrays.parts, arrays.counts, arrays.total);
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
