// SPDX-License-Identifier: BSD-3-Clause
// Trainer, and the losses of whole data sets.
#include <pybind11/stl.h>

#include "arrays.h"
#include "bindings.h"
#include "dispatch.h"
#include "trainer.h"

namespace fastrelu::python {
Sampling parse_sampling(const std::string& name) {
  if (name == "shuffle") return Sampling::shuffle;
  if (name == "subset") return Sampling::subset;
  if (name == "with_replacement") return Sampling::with_replacement;
  throw py::value_error("sampling: expected shuffle, subset or with_replacement, got " + name);
}

namespace {

const char* sampling_name(Sampling s) {
  return s == Sampling::shuffle ? "shuffle" : s == Sampling::subset ? "subset" : "with_replacement";
}
OptimizerKind parse_optimizer(const std::string& name) {
  if (name == "sgd") return OptimizerKind::sgd;
  if (name == "adam") return OptimizerKind::adam;
  if (name == "adamw") return OptimizerKind::adamw;
  throw py::value_error("optimizer: expected sgd, adam or adamw, got " + name);
}

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
  Data<T> data;
  data.x = as_rows<T>(X, "X", net.inputs(), false, check_finite);
  const std::size_t rows = data.x.view.rows;
  if (rows == 0) throw py::value_error("X: expected at least one row, got none");
  data.y = as_targets<T>(y, rows, net.outputs(), loss, check_finite);
  data.weights = as_sample_weight<T>(sample_weight, rows, check_finite);
  data.view = {data.x.view, data.y.view, data.weights.data};
  return data;
}

}  // namespace

struct PyTrainer {
  py::object network;  // keeps the Python network, and its guard, alive
  PyNetwork* net = nullptr;
  std::variant<std::unique_ptr<Trainer<float>>, std::unique_ptr<Trainer<double>>> impl;
  bool working = false;

  template <class F>
  decltype(auto) visit(F&& f) {
    return std::visit([&](auto& trainer) -> decltype(auto) { return f(*trainer); }, impl);
  }
};

namespace {

// One call at a time works with a trainer: another thread's, or one that a signal handler makes
// while a fit runs, gets an error. Made and destroyed with the GIL held.
class Working {
 public:
  explicit Working(PyTrainer& trainer) : trainer_(trainer) {
    if (trainer.working) throw std::runtime_error("trainer: a step or fit is running on it");
    trainer.working = true;
  }
  ~Working() { trainer_.working = false; }
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;

 private:
  PyTrainer& trainer_;
};

template <class Trainer>
struct TrainerScalar;
template <class T>
struct TrainerScalar<Trainer<T>> {
  using type = T;
};
template <class Trainer>
using ScalarT = typename TrainerScalar<std::remove_reference_t<Trainer>>::type;

std::unique_ptr<PyTrainer> make_trainer(const py::object& network, const py::dict& o) {
  const FpEnvironment environment;
  auto self = std::make_unique<PyTrainer>();
  self->network = network;
  self->net = network.cast<PyNetwork*>();
  TrainerOptions options;
  options.loss = parse_loss(o["loss"].cast<std::string>());
  options.pos_weight = o["pos_weight"].cast<std::vector<double>>();
  options.optimizer.kind = parse_optimizer(o["optimizer"].cast<std::string>());
  options.optimizer.momentum = o["momentum"].cast<double>();
  options.optimizer.nesterov = o["nesterov"].cast<bool>();
  options.optimizer.weight_decay = o["weight_decay"].cast<double>();
  options.optimizer.beta_1 = o["beta_1"].cast<double>();
  options.optimizer.beta_2 = o["beta_2"].cast<double>();
  options.optimizer.epsilon = o["epsilon"].cast<double>();
  options.batch_size = o["batch_size"].cast<std::size_t>();
  options.n_shards = o["n_shards"].cast<std::size_t>();
  options.seed = o["seed"].cast<std::uint64_t>();
  options.clip_norm = o["clip_norm"].cast<double>();
  if (o.contains("loss_parameter")) options.loss_parameter = o["loss_parameter"].cast<double>();
  if (o.contains("summed")) options.summed = o["summed"].cast<bool>();
  if (o.contains("clipped")) options.clipped = o["clipped"].cast<bool>();
  if (o.contains("dropout")) options.dropout = o["dropout"].cast<std::vector<double>>();
  std::visit(
      [&](auto& net) {
        using T = Scalar<decltype(*net)>;
        self->impl = std::make_unique<Trainer<T>>(net, options);
      },
      self->net->impl);
  return self;
}

// What step and the losses share: arguments checked, the network guarded by `Use` (Reading or
// Writing), the GIL released where that pays; then f(views of the data).
template <class Use, class T, class F>
double on_minibatch(PyTrainer& self, const Trainer<T>& trainer, const py::handle& X,
                    const py::handle& y, const py::handle& sample_weight, bool check_finite, F f) {
  const Network<T>& net = *trainer.network();
  const FpEnvironment environment;
  const Use use(self.net->guard);
  const Data<T> data = as_data<T>(net, X, y, sample_weight, trainer.options().loss, check_finite);
  const GilReleasedFor release(3 * forward_work(net, data.view.x.rows));
  return f(data.view);
}

// A fit's data set, checked once for all its epochs.
struct PyDataSet {
  std::variant<Data<float>, Data<double>> data;
  std::size_t rows;
};

std::unique_ptr<PyDataSet> make_data(PyTrainer& self, const py::object& X, const py::object& y,
                                     const py::object& sample_weight, bool check_finite) {
  return self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const FpEnvironment environment;
    auto made = std::make_unique<PyDataSet>();
    Data<T> data =
        as_data<T>(*trainer.network(), X, y, sample_weight, trainer.options().loss, check_finite);
    made->rows = data.view.x.rows;
    made->data = std::move(data);
    return made;
  });
}

// Runs the epoch begun, or a new one; true when it is finished. Raises what a signal handler
// raised, with the trainer between two steps.
bool run_epoch(PyTrainer& self, PyDataSet& data, const std::string& sampling,
               const py::array_t<double, py::array::c_style>& learning_rates,
               const py::object& on_poll) {
  const Sampling kind = parse_sampling(sampling);
  const Working working(self);
  return self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const Writing writing(self.net->guard);
    const DataSet<T>& view = std::get<Data<T>>(data.data).view;
    const std::size_t steps = trainer.steps_in_epoch(data.rows, kind);
    const std::size_t place = trainer.state.in_epoch ? trainer.state.place : 0;
    if (place > steps || static_cast<std::size_t>(learning_rates.size()) < steps - place) {
      throw py::value_error("learning_rates: expected one for each step left");
    }
    const double* rates = learning_rates.data();
    Signals signals{on_poll, nullptr};
    bool finished = false;
    {
      const py::gil_scoped_release release;
      finished = trainer.run_epoch(view, kind, rates, Poll{&Signals::poll, &signals});
    }
    if (signals.error) throw std::move(*signals.error);
    return finished;
  });
}

// One epoch over `order` (int64 rows, checked here), or over rows 0 .. count-1 where it is None
// -> (finished, sum of rows * loss, sum of rows * penalty).
py::tuple run_ordered(PyTrainer& self, PyDataSet& data, const py::object& order,
                      std::size_t batch_size,
                      const py::array_t<double, py::array::c_style>& learning_rates, double alpha) {
  using Order = py::array_t<Index, py::array::c_style>;
  const Working working(self);
  return self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const Writing writing(self.net->guard);
    const DataSet<T>& view = std::get<Data<T>>(data.data).view;
    OrderedEpoch epoch;
    epoch.count = data.rows;
    Order rows;
    if (!order.is_none()) {
      rows = order.cast<Order>();
      epoch.order = rows.data();
      epoch.count = static_cast<std::size_t>(rows.size());
      for (std::size_t i = 0; i < epoch.count; ++i) {
        if (epoch.order[i] < 0 || epoch.order[i] >= static_cast<Index>(data.rows)) {
          throw py::value_error("order: expected rows 0.." + std::to_string(data.rows - 1) +
                                ", got " + std::to_string(epoch.order[i]));
        }
      }
    }
    epoch.batch_size = batch_size;
    epoch.learning_rates = learning_rates.data();
    epoch.alpha = alpha;
    if (batch_size == 0 || static_cast<std::size_t>(learning_rates.size()) <
                               (epoch.count + batch_size - 1) / batch_size) {
      throw py::value_error("learning_rates: expected one for each step");
    }
    Signals signals{py::none(), nullptr};
    OrderedLoss loss;
    bool finished = false;
    {
      const py::gil_scoped_release release;
      finished = trainer.run_ordered(view, epoch, Poll{&Signals::poll, &signals}, &loss);
    }
    if (signals.error) throw std::move(*signals.error);
    return py::make_tuple(finished, loss.loss, loss.penalty);
  });
}

// The loss and gradient of a data set made before, as loss_and_gradient; the gradient goes into
// `gradient`, a flat array of the network's dtype.
template <class T>
double gradient_of(Trainer<T>& trainer, const Data<T>& data, const py::array& gradient) {
  auto flat = py::array_t<T, py::array::c_style>::ensure(gradient);
  if (!flat || !flat.is(gradient) ||
      static_cast<std::size_t>(flat.size()) != trainer.network()->parameter_count()) {
    throw py::value_error("gradient: expected a contiguous array, one number a parameter");
  }
  T* const to = flat.mutable_data();
  const py::gil_scoped_release release;
  return trainer.loss_and_gradient(data.view, to);
}

double data_gradient(PyTrainer& self, PyDataSet& data, const py::array& gradient) {
  const Working working(self);
  return self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const FpEnvironment environment;
    const Reading reading(self.net->guard);
    return gradient_of<T>(trainer, std::get<Data<T>>(data.data), gradient);
  });
}

py::dict get_state(PyTrainer& self) {
  return self.visit([](auto& trainer) {
    const TrainerState& s = trainer.state;
    py::dict d;
    d["step"] = s.step;
    d["epoch"] = s.epoch;
    d["in_epoch"] = s.in_epoch;
    d["place"] = s.place;
    d["epoch_rows"] = s.epoch_rows;
    d["sampling"] = sampling_name(s.sampling);
    d["loss_sum"] = s.loss_sum;
    d["weight_sum"] = s.weight_sum;
    d["power_1"] = s.power_1;
    d["power_2"] = s.power_2;
    return d;
  });
}

void set_state(PyTrainer& self, const py::dict& d) {
  const Working working(self);
  self.visit([&](auto& trainer) {
    TrainerState s;
    s.step = d["step"].cast<std::uint64_t>();
    s.epoch = d["epoch"].cast<std::uint64_t>();
    s.in_epoch = d["in_epoch"].cast<bool>();
    s.place = d["place"].cast<std::uint64_t>();
    s.epoch_rows = d["epoch_rows"].cast<std::uint64_t>();
    s.sampling = parse_sampling(d["sampling"].cast<std::string>());
    s.loss_sum = d["loss_sum"].cast<double>();
    s.weight_sum = d["weight_sum"].cast<double>();
    s.power_1 = d["power_1"].cast<double>();
    s.power_2 = d["power_2"].cast<double>();
    trainer.state = s;
  });
}

// Copies of the optimizer's arrays, (state_count, n_parameters).
py::list get_optimizer_arrays(PyTrainer& self) {
  const Reading reading(self.net->guard);
  return self.visit([](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    py::list arrays;
    for (int i = 0; i < trainer.options().optimizer.state_count(); ++i) {
      arrays.append(py::array_t<T>(static_cast<py::ssize_t>(trainer.network()->parameter_count()),
                                   trainer.optimizer_state(i)));
    }
    return arrays;
  });
}

void set_optimizer_arrays(PyTrainer& self, const py::list& arrays) {
  const Working working(self);
  const Writing writing(self.net->guard);
  self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const std::size_t n = trainer.network()->parameter_count();
    for (int i = 0; i < trainer.options().optimizer.state_count(); ++i) {
      const py::object item = arrays[static_cast<std::size_t>(i)];
      const Contiguous<T> from = as_contiguous<T>(item, "optimizer state", Shape(n), false);
      std::memcpy(trainer.optimizer_state(i), from.data, n * sizeof(T));
    }
  });
}

double data_loss(PyTrainer& self, const py::object& X, const py::object& y,
                 const py::object& sample_weight, bool check_finite) {
  return self.visit([&](auto& trainer) {
    return on_minibatch<Reading>(
        self, trainer, X, y, sample_weight, check_finite,
        [&](const auto& data) { return trainer.data_loss(data, nullptr); });
  });
}

py::tuple loss_and_gradient(PyTrainer& self, const py::object& X, const py::object& y,
                            const py::object& sample_weight, bool check_finite) {
  const Working working(self);
  return self.visit([&](auto& trainer) -> py::tuple {
    using T = ScalarT<decltype(trainer)>;
    const Output<T> flat = new_output<T>(Shape(trainer.network()->parameter_count()));
    const double loss = on_minibatch<Reading>(
        self, trainer, X, y, sample_weight, check_finite,
        [&](const auto& data) { return trainer.loss_and_gradient(data, flat.data); });
    return py::make_tuple(loss, flat.array);
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
    double loss = 0;
    {
      const GilReleasedFor release(forward_work(net, view.x.rows));
      loss = trainer.data_loss(view, out.data);
    }
    return py::make_tuple(loss, out.array);
  });
}

}  // namespace

double step(PyTrainer& self, const py::handle& X, const py::handle& y,
            const py::handle& sample_weight, double learning_rate, bool check_finite) {
  const Working working(self);
  return self.visit([&](auto& trainer) {
    return on_minibatch<Writing>(
        self, trainer, X, y, sample_weight, check_finite,
        [&](const auto& data) { return trainer.step(data, learning_rate); });
  });
}

void bind_trainer(py::module_& m) {
  py::class_<PyDataSet>(m, "DataSet").def_readonly("rows", &PyDataSet::rows);
  py::class_<PyTrainer>(m, "Trainer")
      .def(py::init(&make_trainer), py::arg("network"), py::arg("options"))
      .def("step", &step, py::arg("X"), py::arg("y"), py::arg("sample_weight"),
           py::arg("learning_rate"), py::arg("check_finite"))
      .def("data", &make_data, py::arg("X"), py::arg("y"), py::arg("sample_weight"),
           py::arg("check_finite"))
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
           py::arg("learning_rates"), py::arg("alpha"))
      .def("data_gradient", &data_gradient, py::arg("data"), py::arg("gradient"))
      .def("epoch_loss",
           [](PyTrainer& self) {
             return self.visit([](auto& trainer) { return trainer.epoch_loss(); });
           })
      .def_property_readonly("step_count",
                             [](PyTrainer& self) {
                               return self.visit([](auto& trainer) { return trainer.state.step; });
                             })
      .def_property("state", &get_state, &set_state)
      .def_property("optimizer_arrays", &get_optimizer_arrays, &set_optimizer_arrays)
      .def("data_loss", &data_loss, py::arg("X"), py::arg("y"), py::arg("sample_weight"),
           py::arg("check_finite"))
      .def("evaluate", &evaluate, py::arg("data"))
      .def("loss_and_gradient", &loss_and_gradient, py::arg("X"), py::arg("y"),
           py::arg("sample_weight"), py::arg("check_finite"));
}

}  // namespace fastrelu::python
