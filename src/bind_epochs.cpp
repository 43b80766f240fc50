// SPDX-License-Identifier: BSD-3-Clause
// Data sets made once, and what runs over them: epochs, blocks, losses.
#include <pybind11/stl.h>

#include "py_trainer.h"
#include "sparse.h"

namespace fastrelu::python {

Sampling parse_sampling(const std::string& name) {
  if (name == "shuffle") return Sampling::shuffle;
  if (name == "subset") return Sampling::subset;
  if (name == "with_replacement") return Sampling::with_replacement;
  if (name == "blocks") return Sampling::blocks;
  throw py::value_error("sampling: expected shuffle, subset or with_replacement, got " + name);
}

Order as_order(const py::object& object, std::size_t data_rows) {
  Order order = object.cast<Order>().attr("copy")();  // nobody else's, once it is checked
  const Index* const rows = order.data();
  for (py::ssize_t i = 0; i < order.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= static_cast<Index>(data_rows)) {
      throw py::value_error("order: expected rows 0.." + std::to_string(data_rows - 1) + ", got " +
                            std::to_string(rows[i]));
    }
  }
  return order;
}

namespace {

// Gives a data set what says where to read and write memory of its own: the columns of sparse rows,
// and labels. Callbacks and other threads may change the caller's between and during epochs.
template <class T>
void own_places(Data<T>& data) {
  if (data.x.csr != nullptr) data.x = with_own_places(data.x);
  if (data.y.view.labels != nullptr) {
    const py::array labels = data.y.keep.attr("copy")();
    data.y.keep = labels;
    data.y.view.labels = static_cast<const std::int64_t*>(labels.data());
  }
  data.view.x = data.x.view;
  data.view.targets = data.y.view;
}

std::unique_ptr<PyDataSet> make_data(PyTrainer& self, const py::object& X, const py::object& y,
                                     const py::object& sample_weight, bool check_finite,
                                     std::size_t all_rows) {
  return self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const FpEnvironment environment;
    auto made = std::make_unique<PyDataSet>();
    Data<T> data = as_data<T>(*trainer.network(), X, y, sample_weight, trainer.options().loss.kind,
                              check_finite);
    own_places(data);
    data.view.all_rows = all_rows;
    made->rows = data.view.rows();
    made->data = std::move(data);
    return made;
  });
}

// Runs the epoch begun, or a new one; true when it is finished, false when on_poll stopped it.
// Raises what a signal handler raised. The trainer is then between two steps.
bool run_epoch(PyTrainer& self, PyDataSet& data, const std::string& sampling,
               const py::array_t<double, kInOrder>& learning_rates, const py::object& on_poll) {
  const Sampling kind = parse_sampling(sampling);
  if (kind == Sampling::blocks) {
    throw py::value_error("sampling: expected shuffle, subset or with_replacement, got blocks");
  }
  const Working working(self.guard, "an epoch");
  return self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const Writing writing(self.net->guard, "an epoch");
    const DataSet<T>& view = std::get<Data<T>>(data.data).view;
    const std::size_t steps = trainer.steps_in_epoch(data.rows, kind);
    const std::size_t place = trainer.state.in_epoch ? trainer.state.totals.steps : 0;
    if (place > steps || static_cast<std::size_t>(learning_rates.size()) < steps - place) {
      throw py::value_error("learning_rates: expected one for each step left");
    }
    const double* rates = learning_rates.data();
    Signals signals{on_poll, nullptr};
    bool finished = false;
    {
      const GilReleased release;
      finished = trainer.run_epoch(view, kind, rates, signals.as_poll());
    }
    self.raise_failed();
    signals.raise();
    return finished;
  });
}

// The steps over `order` (int64 rows, checked here), a part of an epoch of epoch_rows rows; as
// run_epoch, but true when the block's steps are taken.
bool run_block(PyTrainer& self, PyDataSet& data, const py::object& order,
               const py::array_t<double, kInOrder>& learning_rates, std::size_t epoch_rows,
               const py::object& on_poll) {
  const Working working(self.guard, "a block of an epoch");
  return self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const Writing writing(self.net->guard, "a block of an epoch");
    if (trainer.options().n_shards != 1) throw py::value_error("n_shards: expected 1 for blocks");
    const DataSet<T>& view = std::get<Data<T>>(data.data).view;
    const Order rows = as_order(order, data.rows);
    const Block block{rows.data(), static_cast<std::size_t>(rows.size()), epoch_rows};
    const std::size_t steps = trainer.steps_in_epoch(block.count, Sampling::blocks);
    if (block.count == 0 || static_cast<std::size_t>(learning_rates.size()) < steps) {
      throw py::value_error("learning_rates: expected one for each step");
    }
    const TrainerState& state = trainer.state;
    if (state.in_epoch && (state.sampling != Sampling::blocks || state.epoch_rows != epoch_rows)) {
      throw py::value_error(
          "epoch_rows: expected those of the open epoch, got another kind of epoch");
    }
    const std::size_t place = state.in_epoch ? state.totals.steps : 0;
    if (place + steps > trainer.steps_in_epoch(epoch_rows, Sampling::blocks)) {
      throw py::value_error("order: expected at most the rows that the epoch has left, got more");
    }
    const double* rates = learning_rates.data();
    Signals signals{on_poll, nullptr};
    bool taken = false;
    {
      const GilReleased release;
      taken = trainer.run_block(view, block, rates, signals.as_poll());
    }
    signals.raise();
    return taken;
  });
}

// One epoch over `order` (int64 rows, checked here), or over rows 0 .. count-1 where it is None
// -> (finished, sum of rows * loss, sum of rows * penalty).
py::tuple run_ordered(PyTrainer& self, PyDataSet& data, const py::object& order,
                      std::size_t batch_size, const py::array_t<double, kInOrder>& learning_rates,
                      double alpha, bool guarded) {
  const Working working(self.guard, "an epoch");
  return self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const Writing writing(self.net->guard, "an epoch");
    const DataSet<T>& view = std::get<Data<T>>(data.data).view;
    GivenOrder given{nullptr, data.rows, batch_size, alpha};
    Order rows;
    if (!order.is_none()) {
      rows = as_order(order, data.rows);
      given.rows = rows.data();
      given.count = static_cast<std::size_t>(rows.size());
    }
    if (batch_size == 0 || static_cast<std::size_t>(learning_rates.size()) <
                               (given.count + batch_size - 1) / batch_size) {
      throw py::value_error("learning_rates: expected one for each step");
    }
    const double* rates = learning_rates.data();
    Signals signals{py::none(), nullptr};
    Totals totals;
    bool finished = false;
    {
      const GilReleased release;
      finished = trainer.run_ordered(view, given, rates, signals.as_poll(), &totals, guarded);
    }
    signals.raise();
    return py::make_tuple(finished, totals.loss, totals.penalty);
  });
}

// One step on exactly the rows of a data set -> its loss.
double step_on(PyTrainer& self, const PyDataSet& data, double learning_rate) {
  const Working working(self.guard, "a step");
  return self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const FpEnvironment environment;
    const Writing writing(self.net->guard, "a step");
    const DataSet<T>& view = std::get<Data<T>>(data.data).view;
    const double loss = without_gil([&] { return trainer.step(view, learning_rate); });
    self.raise_failed();
    return loss;
  });
}

// The loss and gradient of a data set made before, as loss_and_gradient; the gradient goes into
// `gradient`, a flat array of the network's dtype.
template <class T>
double gradient_of(Trainer<T>& trainer, const Data<T>& data, const py::array& gradient) {
  auto flat = py::array_t<T, kInOrder>::ensure(gradient);
  if (!flat || !flat.is(gradient) ||
      static_cast<std::size_t>(flat.size()) != trainer.network()->parameter_count()) {
    throw py::value_error(
        "gradient: expected a contiguous, aligned array of a number for each parameter");
  }
  T* const to = flat.mutable_data();
  return without_gil([&] { return trainer.loss_and_gradient(data.view, to); });
}

double data_gradient(PyTrainer& self, PyDataSet& data, const py::array& gradient) {
  const Working working(self.guard, "a gradient");
  return self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    if (trainer.is_shared()) throw std::logic_error("comm: these rows are not all processes'");
    const FpEnvironment environment;
    const Reading reading(self.net->guard);
    return gradient_of<T>(trainer, std::get<Data<T>>(data.data), gradient);
  });
}

// The loss of a data set and the outputs it comes from, by one forward pass.
py::tuple evaluate(PyTrainer& self, const PyDataSet& data) {
  return self.visit([&](auto& trainer) -> py::tuple {
    using T = ScalarT<decltype(trainer)>;
    const Network<T>& net = *trainer.network();
    const DataSet<T>& view = std::get<Data<T>>(data.data).view;
    const FpEnvironment environment;
    const Reading reading(self.net->guard);
    const Output<T> out = new_output<T>(Shape(view.x.rows, net.outputs()));
    const double loss = without_gil(forward_work(net, view.x.rows),
                                    [&] { return trainer.data_loss(view, out.data); });
    return py::make_tuple(loss, out.array);
  });
}

// The sums of losses and of weights with these rows' added, and their outputs.
py::tuple evaluate_part(PyTrainer& self, const PyDataSet& data, double loss_sum,
                        double weight_sum) {
  return self.visit([&](auto& trainer) -> py::tuple {
    using T = ScalarT<decltype(trainer)>;
    const Network<T>& net = *trainer.network();
    const DataSet<T>& view = std::get<Data<T>>(data.data).view;
    const Reading reading(self.net->guard);
    const Output<T> out = new_output<T>(Shape(view.x.rows, net.outputs()));
    LossSums sums{loss_sum, weight_sum};
    without_gil([&] { trainer.add_losses(view, out.data, &sums); });
    return py::make_tuple(sums.loss, sums.weight, out.array);
  });
}

}  // namespace

void bind_data_set(py::module_& m) {
  py::class_<PyDataSet>(m, "DataSet")
      .def_readonly("rows", &PyDataSet::rows)
      .def_property_readonly("shared", [](const PyDataSet& self) {
        return std::visit([](const auto& data) { return data.view.all_rows != 0; }, self.data);
      });
}

void bind_epochs(py::class_<PyTrainer>& trainer) {
  trainer
      .def("data", &make_data, py::arg("X"), py::arg("y"), py::arg("sample_weight"),
           py::arg("check_finite"), py::arg("all_rows") = 0)
      .def("step_on", &step_on, py::arg("data"), py::arg("learning_rate"))
      .def("run_epoch", &run_epoch, py::arg("data"), py::arg("sampling"), py::arg("learning_rates"),
           py::arg("on_poll"))
      .def(
          "steps_in_epoch",
          [](PyTrainer& self, std::size_t rows, const std::string& sampling) {
            return self.visit(
                [&](auto& t) { return t.steps_in_epoch(rows, parse_sampling(sampling)); });
          },
          py::arg("rows"), py::arg("sampling"))
      .def("run_ordered", &run_ordered, py::arg("data"), py::arg("order"), py::arg("batch_size"),
           py::arg("learning_rates"), py::arg("alpha"), py::arg("guarded") = true)
      .def("run_block", &run_block, py::arg("data"), py::arg("order"), py::arg("learning_rates"),
           py::arg("epoch_rows"), py::arg("on_poll"))
      .def("data_gradient", &data_gradient, py::arg("data"), py::arg("gradient"))
      .def("epoch_loss",
           [](PyTrainer& self) {
             return self.look([](auto& trainer) { return trainer.epoch_loss(); });
           })
      .def("evaluate", &evaluate, py::arg("data"))
      .def("evaluate_part", &evaluate_part, py::arg("data"), py::arg("loss_sum"),
           py::arg("weight_sum"));
}

}  // namespace fastrelu::python
