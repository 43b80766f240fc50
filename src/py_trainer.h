// SPDX-License-Identifier: BSD-3-Clause
// What the binding files of the trainer share: the trainer and its data as Python holds them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "arrays.h"
#include "bindings.h"
#include "encoded.h"
#include "py_communicator.h"
#include "trainer.h"

namespace fastrelu::python {

void bind_data_set(py::module_& m);
// Epochs, and what else is computed over a data set made once.
void bind_epochs(py::class_<PyTrainer>& trainer);

// A data set checked and viewed; owns whatever had to be copied.
template <class T>
struct Data {
  Rows x;
  TargetArray<T> y;
  WeightArray weights;
  DataSet<T> view;
};

template <class T>
Data<T> as_data(const Network<T>& net, const py::handle& X, const py::handle& y,
                const py::handle& sample_weight, LossKind loss, bool check_finite) {
  Data<T> data{as_rows_of_any_kind<T>(X, "X", net.inputs(), false, check_finite), {}, {}, {}};
  require_unscaled(data.x, net);
  const std::size_t rows = data.x.view.rows;
  if (rows == 0) throw py::value_error("X: expected at least one row, got none");
  data.y = as_targets<T>(y, rows, net.outputs(), loss, check_finite);
  data.weights = as_sample_weight<T>(sample_weight, rows, check_finite);
  data.view = {data.x.view, data.y.view, data.weights.data};
  return data;
}

// A fit's data set, checked once for all its epochs.
struct PyDataSet {
  std::variant<Data<float>, Data<double>> data;
  std::size_t rows;  // of all processes that share it
};

// Rows of a data set, checked.
using Order = py::array_t<Index, kInOrder>;
Order as_order(const py::object& object, std::size_t data_rows);

struct PyTrainer {
  py::object network;  // keeps the Python network, and its guard, alive
  PyNetwork* net = nullptr;
  std::variant<std::unique_ptr<Trainer<float>>, std::unique_ptr<Trainer<double>>> impl;
  std::unique_ptr<PyCommunicator> communicator;  // null: this process has all rows
  WorkGuard guard{"trainer"};

  // Throws what an exchange with other processes has raised in the last run.
  void raise_failed() {
    if (communicator != nullptr) communicator->raise();
  }

  template <class F>
  decltype(auto) visit(F&& f) {
    return std::visit([&](auto& trainer) -> decltype(auto) { return f(*trainer); }, impl);
  }
  // The same for an f that only reads where the training stands (WorkGuard::look).
  template <class F>
  auto look(F f) {
    return guard.look([&] { return visit(f); });
  }
};

}  // namespace fastrelu::python

FASTRELU_RAISES_UNLESS_INITIALIZED(fastrelu::python::PyTrainer);
FASTRELU_RAISES_UNLESS_INITIALIZED(fastrelu::python::PyDataSet);

namespace fastrelu::python {

template <class Trainer>
struct TrainerScalar;
template <class T>
struct TrainerScalar<Trainer<T>> {
  using type = T;
};
template <class Trainer>
using ScalarT = typename TrainerScalar<std::remove_reference_t<Trainer>>::type;

}  // namespace fastrelu::python
