// SPDX-License-Identifier: BSD-3-Clause
// The epochs of an estimator's fit: rows of its own, shuffled by a generator of NumPy's.
#include <algorithm>
#include <limits>

#include "py_given_epochs.h"
#include "py_trainer.h"

namespace fastrelu::python {
namespace {

constexpr const char* kChange = "another call";

// What NumPy's bit generators hand out to C, in a capsule.
struct NumpyBits {
  void* state;
  std::uint64_t (*next_uint64)(void* state);
  std::uint32_t (*next_uint32)(void* state);
  double (*next_double)(void* state);
  std::uint64_t (*next_raw)(void* state);
};

std::unique_ptr<PyGivenEpochs> make_given_epochs(const py::object& rows,
                                                 const py::object& bit_generator,
                                                 std::size_t batch_size, double alpha,
                                                 double divisor) {
  auto made = std::make_unique<PyGivenEpochs>();
  const Order order = as_order(rows, std::numeric_limits<std::uint32_t>::max());
  const auto count = static_cast<std::size_t>(order.size());
  if (count == 0) throw py::value_error("rows: expected at least one, got none");
  if (batch_size == 0) throw py::value_error("batch_size: expected at least 1, got 0");
  RandomWords words;
  if (!bit_generator.is_none()) {
    const auto capsule = bit_generator.attr("capsule").cast<py::capsule>();
    const auto* const bits = capsule.get_pointer<NumpyBits>();
    words = {bits->state, bits->next_uint32};
    made->bit_generator = bit_generator;
  }
  made->most_row = static_cast<std::size_t>(*std::max_element(order.data(), order.data() + count));
  made->core =
      std::make_unique<GivenEpochs>(order.data(), count, batch_size, alpha, divisor, words);
  return made;
}

// What ends the next run: the loss's watch, and its first epoch that is over after `seconds`.
void watch_given_epochs(PyGivenEpochs& self, double tolerance, std::uint64_t patience, double best,
                        std::uint64_t waited, double seconds) {
  const Working working(self.guard, kChange);
  self.core->watch = {tolerance, best, patience, waited};
  self.core->until =
      GivenEpochs::Clock::now() + std::chrono::duration_cast<GivenEpochs::Clock::duration>(
                                      std::chrono::duration<double>(std::min(seconds, 1e6)));
}

// The rows in the order of the next epoch, which are then those before it.
Order shuffled_rows(PyGivenEpochs& self) {
  const Working working(self.guard, kChange);
  const GivenOrder order = self.core->next();
  return Order(static_cast<py::ssize_t>(order.count), order.rows);
}

// The rows are those so many places further on in another data set.
void move_given_epochs(PyGivenEpochs& self, py::ssize_t rows) {
  const Working working(self.guard, kChange);
  self.core->move(rows);
  self.most_row = static_cast<std::size_t>(static_cast<py::ssize_t>(self.most_row) + rows);
}

}  // namespace

void bind_given_epochs(py::module_& m) {
  py::class_<PyGivenEpochs> epochs(m, "GivenEpochs");
  epochs
      .def(py::init(&make_given_epochs), py::arg("rows"), py::arg("bit_generator"),
           py::arg("batch_size"), py::arg("alpha"), py::arg("divisor"))
      .def("watch", &watch_given_epochs, py::arg("tolerance"), py::arg("patience"), py::arg("best"),
           py::arg("waited"), py::arg("seconds"))
      .def_property_readonly("watched",
                             [](PyGivenEpochs& self) {
                               const auto watch = self.guard.look([&] { return self.core->watch; });
                               return py::make_tuple(watch.best, watch.waited);
                             })
      .def("shuffled", &shuffled_rows)
      .def("move", &move_given_epochs, py::arg("rows"));
  construct_once(epochs);
}

}  // namespace fastrelu::python
