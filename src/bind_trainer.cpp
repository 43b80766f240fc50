// SPDX-License-Identifier: BSD-3-Clause
// Trainer: making one, single steps, its state.
#include <pybind11/stl.h>

#include <cstring>

#include "dispatch.h"
#include "py_trainer.h"

namespace fastrelu::python {
namespace {

// What those do with a trainer, and its network, that set what it has.
constexpr const char* kChange = "a change of the trainer";

const char* sampling_name(Sampling s) {
  switch (s) {
    case Sampling::shuffle: return "shuffle";
    case Sampling::subset: return "subset";
    case Sampling::with_replacement: return "with_replacement";
    case Sampling::blocks: break;
  }
  return "blocks";
}
// Numbers that are not given are the catalogue's.
OptimizerSpec optimizer_spec(const py::dict& o) {
  OptimizerSpec spec(parse_optimizer(o["optimizer"].cast<std::string>()));
  for (const Parameter& each : info(spec.kind).numbers) {
    if (each.name != nullptr && o.contains(each.name)) {
      spec.number(each.name) = o[each.name].cast<double>();
    }
  }
  if (o.contains("nesterov")) spec.nesterov = o["nesterov"].cast<bool>();
  return spec;
}

std::unique_ptr<PyTrainer> make_trainer(const py::object& network, const py::dict& o) {
  const FpEnvironment environment;
  auto self = std::make_unique<PyTrainer>();
  self->network = network;
  self->net = network.cast<PyNetwork*>();
  TrainerOptions options;
  const std::size_t outputs = self->net->visit([](auto& net) { return net.outputs(); });
  options.loss.kind = parse_loss(o["loss"].cast<std::string>(), outputs);
  options.loss.pos_weight = o["pos_weight"].cast<std::vector<double>>();
  options.optimizer = optimizer_spec(o);
  options.batch_size = o["batch_size"].cast<std::size_t>();
  options.n_shards = o["n_shards"].cast<std::size_t>();
  options.seed = o["seed"].cast<std::uint64_t>();
  options.clip_norm = o["clip_norm"].cast<double>();
  if (o.contains("input_scale_rate")) {
    options.input_scale_rate = o["input_scale_rate"].cast<double>();
  }
  if (o.contains("levels")) {
    options.loss.levels = o["levels"].cast<std::vector<double>>();
    if (options.loss.levels.size() != outputs) {
      throw py::value_error("levels: expected one for each output");
    }
  }
  if (o.contains("loss_parameter")) options.loss.parameter = o["loss_parameter"].cast<double>();
  if (o.contains("summed")) options.loss.summed = o["summed"].cast<bool>();
  if (o.contains("clipped")) options.loss.clipped = o["clipped"].cast<bool>();
  if (o.contains("comm")) {
    self->communicator = std::make_unique<PyCommunicator>(o["comm"]);
    options.communicator = self->communicator->view();
    if (options.communicator.size > options.n_shards) {
      throw py::value_error("n_shards: expected at least the communicator's size");
    }
  }
  if (o.contains("dropout")) options.dropout = o["dropout"].cast<std::vector<double>>();
  std::visit(
      [&](auto& net) {
        using T = Scalar<decltype(*net)>;
        self->impl = std::make_unique<Trainer<T>>(net, options);
      },
      self->net->impl());
  return self;
}

// What step and the losses share: arguments checked, the GIL released where that pays; then f(views
// of the data).
template <class T, class F>
double on_minibatch(const Trainer<T>& trainer, const py::handle& X, const py::handle& y,
                    const py::handle& sample_weight, bool check_finite, F f) {
  const Network<T>& net = *trainer.network();
  if (trainer.is_shared()) throw std::logic_error("comm: these rows are not all processes'");
  const FpEnvironment environment;
  const Data<T> data =
      as_data<T>(net, X, y, sample_weight, trainer.options().loss.kind, check_finite);
  return without_gil(3 * forward_work(net, data.view.x.rows), [&] { return f(data.view); });
}

py::dict get_state(PyTrainer& self) {
  const auto [s, optimizer] = self.look(
      [](auto& trainer) { return std::make_pair(trainer.state, trainer.optimizer().progress); });
  py::dict d;
  d["step"] = optimizer.step;
  d["epoch"] = s.epoch;
  d["in_epoch"] = s.in_epoch;
  d["place"] = s.totals.steps;
  d["epoch_rows"] = s.epoch_rows;
  d["sampling"] = sampling_name(s.sampling);
  d["loss_sum"] = s.totals.loss;
  d["weight_sum"] = s.totals.weight;
  d["power_1"] = optimizer.power_1;
  d["power_2"] = optimizer.power_2;
  return d;
}

void set_state(PyTrainer& self, const py::dict& d) {
  const Working working(self.guard, kChange);
  self.visit([&](auto& trainer) {
    TrainerState s;
    s.epoch = d["epoch"].cast<std::uint64_t>();
    s.in_epoch = d["in_epoch"].cast<bool>();
    s.totals.steps = d["place"].cast<std::uint64_t>();
    s.epoch_rows = d["epoch_rows"].cast<std::uint64_t>();
    s.sampling = parse_sampling(d["sampling"].cast<std::string>());
    s.totals.loss = d["loss_sum"].cast<double>();
    s.totals.weight = d["weight_sum"].cast<double>();
    OptimizerProgress optimizer;
    optimizer.step = d["step"].cast<std::uint64_t>();
    optimizer.power_1 = d["power_1"].cast<double>();
    optimizer.power_2 = d["power_2"].cast<double>();
    trainer.state = s;
    trainer.optimizer().progress = optimizer;
  });
}

// Copies of the optimizer's arrays, (state_count, n_parameters).
py::list get_optimizer_arrays(PyTrainer& self) {
  const Reading reading(self.net->guard);
  return self.visit([](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    py::list arrays;
    Optimizer<T>& optimizer = trainer.optimizer();
    const std::size_t n = trainer.network()->parameter_count();
    for (std::size_t k = 0; k < optimizer.spec().state_count(); ++k) {
      arrays.append(copied<T>(optimizer.state().array(k), n));
    }
    return arrays;
  });
}

void set_optimizer_arrays(PyTrainer& self, const py::list& arrays) {
  const Working working(self.guard, kChange);
  const Writing writing(self.net->guard, kChange);
  self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    const std::size_t n = trainer.network()->parameter_count();
    Optimizer<T>& optimizer = trainer.optimizer();
    for (std::size_t k = 0; k < optimizer.spec().state_count(); ++k) {
      const py::object item = arrays[k];
      const Contiguous<T> from = as_contiguous<T>(item, "optimizer state", Shape(n), false);
      std::memcpy(optimizer.state().array(k), from.data, n * sizeof(T));
    }
  });
}

// A copy of what the factors of the inputs are, one array; empty where there are none.
py::object get_input_scales(PyTrainer& self) {
  const Reading reading(self.net->guard);
  return self.visit([](auto& trainer) -> py::object {
    using T = ScalarT<decltype(trainer)>;
    auto& scales = trainer.input_scales();
    return copied<T>(scales.values(), scales.size());
  });
}

void set_input_scales(PyTrainer& self, const py::object& values) {
  const Working working(self.guard, kChange);
  const Writing writing(self.net->guard, kChange);
  self.visit([&](auto& trainer) {
    using T = ScalarT<decltype(trainer)>;
    auto& scales = trainer.input_scales();
    const Contiguous<T> from =
        as_contiguous<T>(values, "input scales", Shape(scales.size()), false);
    std::memcpy(scales.values(), from.data, scales.size() * sizeof(T));
  });
}

// (step, loss) of the last run, or None.
py::object divergence(PyTrainer& self) {
  const Divergence d = self.look([](auto& trainer) { return trainer.divergence(); });
  if (!d.happened) return py::none();
  return py::make_tuple(d.step, d.loss);
}

bool keep_finite(PyTrainer& self) {
  const Working working(self.guard, kChange);
  const Writing writing(self.net->guard, kChange);
  return self.visit([](auto& trainer) { return trainer.keep_finite(); });
}

double data_loss(PyTrainer& self, const py::object& X, const py::object& y,
                 const py::object& sample_weight, bool check_finite) {
  const Reading reading(self.net->guard);
  return self.visit([&](auto& trainer) {
    return on_minibatch(trainer, X, y, sample_weight, check_finite,
                        [&](const auto& data) { return trainer.data_loss(data, nullptr); });
  });
}

py::tuple loss_and_gradient(PyTrainer& self, const py::object& X, const py::object& y,
                            const py::object& sample_weight, bool check_finite) {
  const Working working(self.guard, "a gradient");
  const Reading reading(self.net->guard);
  return self.visit([&](auto& trainer) -> py::tuple {
    using T = ScalarT<decltype(trainer)>;
    const Output<T> flat = new_output<T>(Shape(trainer.network()->parameter_count()));
    const double loss =
        on_minibatch(trainer, X, y, sample_weight, check_finite,
                     [&](const auto& data) { return trainer.loss_and_gradient(data, flat.data); });
    return py::make_tuple(loss, flat.array);
  });
}

}  // namespace

bool is_shared(const PyTrainer& self) { return self.communicator != nullptr; }

double step(PyTrainer& self, const py::handle& X, const py::handle& y,
            const py::handle& sample_weight, double learning_rate, bool check_finite) {
  const Working working(self.guard, "a step");
  const Writing writing(self.net->guard, "a step");
  return self.visit([&](auto& trainer) {
    return on_minibatch(trainer, X, y, sample_weight, check_finite,
                        [&](const auto& data) { return trainer.step(data, learning_rate); });
  });
}

void bind_trainer(py::module_& m) {
  bind_data_set(m);
  py::class_<PyTrainer> trainer(m, "Trainer");
  bind_epochs(trainer);
  trainer.def(py::init(&make_trainer), py::arg("network"), py::arg("options"))
      .def("step", &step, py::arg("X"), py::arg("y"), py::arg("sample_weight"),
           py::arg("learning_rate"), py::arg("check_finite"))
      .def_property_readonly(
          "step_count",
          [](PyTrainer& self) {
            return self.look([](auto& trainer) { return trainer.optimizer().progress.step; });
          })
      .def_property("state", &get_state, &set_state)
      .def_property_readonly("divergence", &divergence)
      .def("keep_finite", &keep_finite)
      .def("forget_kept",
           [](PyTrainer& self) {
             const Working working(self.guard, kChange);
             self.visit([](auto& trainer) { trainer.forget_kept(); });
           })
      .def_property("input_scales", &get_input_scales, &set_input_scales)
      .def_property("optimizer_arrays", &get_optimizer_arrays, &set_optimizer_arrays)
      .def("data_loss", &data_loss, py::arg("X"), py::arg("y"), py::arg("sample_weight"),
           py::arg("check_finite"))
      .def("loss_and_gradient", &loss_and_gradient, py::arg("X"), py::arg("y"),
           py::arg("sample_weight"), py::arg("check_finite"));
  construct_once(trainer);
}

}  // namespace fastrelu::python
