// SPDX-License-Identifier: BSD-3-Clause
// Network: parameters as live views, forward, cached forward, backward.
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "arrays.h"
#include "bindings.h"
#include "encoded.h"
#include "predict.h"
#include "sparse.h"

namespace fastrelu::python {
namespace {

Init parse_init(const std::string& name) {
  if (name == "he_uniform") return Init::he_uniform;
  if (name == "glorot_uniform") return Init::glorot_uniform;
  throw py::value_error("init: expected he_uniform or glorot_uniform, got " + name);
}

// The activations of a forward_cached, with what is needed to refuse a stale one.
struct Cache {
  std::variant<Activations<float>, Activations<double>> activations;
  std::shared_ptr<void> parameters;  // of the network that made it
  std::uint64_t version = 0;
  Rows x;  // of sparse rows a copy; of others their number alone
};

}  // namespace
}  // namespace fastrelu::python

FASTRELU_RAISES_UNLESS_INITIALIZED(fastrelu::python::Cache);

namespace fastrelu::python {
namespace {

void make_network(PyNetwork& self, const std::vector<std::size_t>& sizes, bool bias,
                  const std::string& dtype, const std::vector<std::string>& activations,
                  double scale) {
  const FpEnvironment environment;
  std::vector<Activation> hidden;
  for (const std::string& name : activations) hidden.push_back(parse_activation(name));
  self.make([&]() -> PyNetwork::Impl {
    if (dtype == "float32") {
      return std::make_shared<Network<float>>(sizes, hidden, bias, static_cast<float>(scale));
    }
    return std::make_shared<Network<double>>(sizes, hidden, bias, scale);
  });
}

// A writable array over part of the parameters; its base keeps their buffer alive.
template <class T>
py::array view(Network<T>& net, std::size_t offset, std::vector<py::ssize_t> shape) {
  using Owner = std::shared_ptr<AlignedBuffer<T>>;
  const py::capsule base(new Owner(net.buffer()),
                         [](void* owner) { delete static_cast<Owner*>(owner); });
  return py::array_t<T>(std::move(shape), net.parameters() + offset, base);
}

py::array parameters(PyNetwork& self) {
  return self.visit(
      [](auto& net) { return view(net, 0, {static_cast<py::ssize_t>(net.parameter_count())}); });
}
py::tuple weights(PyNetwork& self) {
  return self.visit([](auto& net) {
    py::tuple views(net.layers().size());
    for (std::size_t k = 0; k < net.layers().size(); ++k) {
      const Layer& l = net.layers()[k];
      views[k] = view(net, l.weight_offset,
                      {static_cast<py::ssize_t>(l.fan_in), static_cast<py::ssize_t>(l.fan_out)});
    }
    return views;
  });
}
py::tuple biases(PyNetwork& self) {
  return self.visit([](auto& net) {
    py::tuple views(net.has_bias() ? net.layers().size() : 0);
    for (std::size_t k = 0; k < views.size(); ++k) {
      const Layer& l = net.layers()[k];
      views[k] = view(net, l.bias_offset, {static_cast<py::ssize_t>(l.fan_out)});
    }
    return views;
  });
}

Shape output_shape(const Rows& x, std::size_t outputs) {
  return x.one_row ? Shape(outputs) : Shape(x.view.rows, outputs);
}

// forward, or with `link` the prediction through that loss's link.
template <class T>
py::object forward_with(PyNetwork& self, Network<T>& net, const py::handle& X,
                        const py::handle& out, bool check_finite, const LossKind* link) {
  const FpEnvironment environment;
  const Reading reading(self.guard);
  // Of many rows each thread checks those that it is about to read, into an array of no use else.
  const bool in_passing = check_finite && out.is_none() && has_many_values(X.ptr());
  const Rows x = as_rows_of_any_kind<T>(X, "X", net.inputs(), true, check_finite && !in_passing);
  require_unscaled(x, net);
  const Shape shape = output_shape(x, net.outputs());
  Output<T> result = out.is_none() ? new_output<T>(shape) : as_output<T>(out, shape, x.keep);
  if (!out.is_none()) refuse_parameters(result, shape, net.parameters(), net.parameter_count());
  bool finite = true;
  without_gil(forward_work(net, x.view.rows), [&] {
    predict(static_cast<const Network<T>&>(net), x.view, result.data, result.stride, link,
            in_passing ? &finite : nullptr);
  });
  if (!finite) require_finite_rows<T>(x.view, "X");
  return std::move(result.array);
}

py::object predict_proba(PyNetwork& self, const py::object& X, const std::string& loss,
                         bool check_finite) {
  return self.visit([&](auto& net) {
    const LossKind kind = parse_loss(loss, net.outputs());
    return forward_with(self, net, X, py::none(), check_finite, &kind);
  });
}

// Out of the generic lambda below, in which Clang 14 forgets what this makes of the standard
// library's templates: the module could not be loaded.
py::object as_object(std::unique_ptr<Cache> cache) { return py::cast(std::move(cache)); }

py::tuple forward_with_cache(PyNetwork& self, const py::object& X, bool check_finite) {
  return self.visit([&](auto& net) -> py::tuple {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    const Rows x = as_rows<T>(X, "X", net.inputs(), true, check_finite);
    const Output<T> out = new_output<T>(output_shape(x, net.outputs()));
    auto cache = std::make_unique<Cache>();
    cache->parameters = net.buffer();
    cache->version = net.version;
    if (x.csr != nullptr) {
      cache->x = copy_of(x);
    } else {
      cache->x.view.rows = x.view.rows;
      cache->x.one_row = x.one_row;
    }
    without_gil(forward_work(net, x.view.rows), [&] {
      Activations<T> a = forward_cached(static_cast<const Network<T>&>(net), x.view);
      store_outputs(net, a, x.view.rows, out.data);
      cache->activations = std::move(a);
    });
    return py::make_tuple(out.array, as_object(std::move(cache)));
  });
}

void require_current(const Cache& cache, const std::shared_ptr<void>& parameters,
                     std::uint64_t version) {
  if (cache.parameters != parameters) {
    throw py::value_error("cache: expected one made by this network's forward_cached");
  }
  if (cache.version != version) {
    throw py::value_error(
        "cache: a step, fit or load has changed the parameters since forward_cached");
  }
}

// -> (flat gradient or None, gradient to X or None)
py::tuple backward_from(PyNetwork& self, const Cache& cache, const py::object& d_out,
                        bool parameters_wanted, bool inputs_wanted) {
  return self.visit([&](auto& net) -> py::tuple {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    require_current(cache, net.buffer(), net.version);
    const std::size_t rows = cache.x.view.rows;
    const auto shape = [&](std::size_t cols) {
      return cache.x.one_row ? Shape(cols) : Shape(rows, cols);
    };
    const Contiguous<T> d = as_contiguous<T>(d_out, "d_out", shape(net.outputs()), false);
    Output<T> flat{py::none()}, dx{py::none()};
    if (parameters_wanted) flat = new_output<T>(Shape(net.parameter_count()));
    if (inputs_wanted) dx = new_output<T>(shape(net.inputs()));
    without_gil(2 * forward_work(net, rows), [&] {
      backward(static_cast<const Network<T>&>(net), cache.x.view,
               std::get<Activations<T>>(cache.activations), d.data, flat.data, dx.data);
    });
    return py::make_tuple(flat.array, dx.array);
  });
}

// The same two for the memory of tensors, which python/fastrelu/torch.py has checked: addresses of
// contiguous numbers of the network's dtype, x (rows, inputs), d_out and out (rows, outputs), flat
// as the parameters, dx as x; null for a gradient that is not wanted. A NumPy array made for each
// would take as long as a pass of a small network.
py::object forward_at(PyNetwork& self, std::uintptr_t x, std::size_t rows, std::uintptr_t out) {
  return self.visit([&](auto& net) {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    auto cache = std::make_unique<Cache>();
    cache->parameters = net.buffer();
    cache->version = net.version;
    cache->x.view.rows = rows;
    const auto stride = static_cast<std::ptrdiff_t>(net.inputs() * sizeof(T));
    const RowSource source{reinterpret_cast<const T*>(x), rows, net.inputs(), stride, false};
    without_gil(forward_work(net, rows), [&] {
      Activations<T> a = forward_cached(static_cast<const Network<T>&>(net), source);
      store_outputs(net, a, rows, reinterpret_cast<T*>(out));
      cache->activations = std::move(a);
    });
    return as_object(std::move(cache));
  });
}

void backward_at(PyNetwork& self, const Cache& cache, std::uintptr_t d_out, std::uintptr_t flat,
                 std::uintptr_t dx) {
  self.visit([&](auto& net) {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    require_current(cache, net.buffer(), net.version);
    without_gil(2 * forward_work(net, cache.x.view.rows), [&] {
      backward(static_cast<const Network<T>&>(net), cache.x.view,
               std::get<Activations<T>>(cache.activations), reinterpret_cast<const T*>(d_out),
               reinterpret_cast<T*>(flat), reinterpret_cast<T*>(dx));
    });
  });
}

// The user-settable rest: everything else about a network is fixed.
void initialize(PyNetwork& self, const std::string& init, std::uint64_t seed) {
  const Init kind = parse_init(init);
  const Writing writing(self.guard, "an initialization");
  self.visit([&](auto& net) {
    without_gil(50.0 * static_cast<double>(net.parameter_count()),
                [&] { net.initialize(kind, seed); });
    ++net.version;
  });
}

void load_parameters(PyNetwork& self, const py::object& values) {
  const Writing writing(self.guard, "a load of parameters");
  self.visit([&](auto& net) {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Contiguous<T> from =
        as_contiguous<T>(values, "parameters", Shape(net.parameter_count()), false);
    std::memmove(net.parameters(), from.data, net.parameter_count() * sizeof(T));
    ++net.version;
  });
}

// For what is more than one call: a fit keeps the network from its first step to its last.
void begin_use(PyNetwork& self, const std::string& what) {
  static constexpr const char* kKinds[] = {"a fit", "an epoch", "a change of the trainer"};
  for (const char* kind : kKinds) {
    if (what == kind) return self.guard.begin_write(kind);
  }
  throw py::value_error("what: expected a use of a network, got " + what);
}

void bind_properties(py::class_<PyNetwork>& network) {
  network
      .def_property_readonly("parameters", &parameters,
                             "Every parameter, W0, b0, W1, b1, ...: a live, writable 1-D view.")
      .def_property_readonly("weights", &weights,
                             "A live, writable (fan_in, fan_out) view for each layer.")
      .def_property_readonly("biases", &biases,
                             "A live, writable (fan_out,) view for each layer; () without biases.")
      .def_property_readonly(
          "n_parameters",
          [](PyNetwork& self) {
            return self.visit([](auto& net) { return net.parameter_count(); });
          },
          "The number of parameters.")
      .def_property_readonly(
          "layer_sizes",
          [](PyNetwork& self) {
            return self.visit([](auto& net) {
              std::vector<std::size_t> sizes{net.inputs()};
              for (const Layer& layer : net.layers()) sizes.push_back(layer.fan_out);
              return sizes;
            });
          },
          "The widths of the inputs, the hidden layers and the outputs.")
      .def_property_readonly(
          "activations",
          [](PyNetwork& self) {
            return self.visit([](auto& net) {
              std::vector<std::string> names;
              for (std::size_t k = 0; k + 1 < net.layers().size(); ++k) {
                names.push_back(info(net.layers()[k].activation).name);
              }
              return names;
            });
          },
          "The activation of each hidden layer.")
      .def_property_readonly(
          "bias",
          [](PyNetwork& self) { return self.visit([](auto& net) { return net.has_bias(); }); },
          "Whether the layers have biases.")
      .def_property_readonly(
          "scale",
          [](PyNetwork& self) {
            return self.visit([](auto& net) { return static_cast<double>(net.scale()); });
          },
          "The factor on every input, rounded to the dtype.")
      .def_property_readonly(
          "dtype",
          [](PyNetwork& self) {
            return self.visit([](auto& net) {
              return static_cast<py::object>(py::dtype::of<Scalar<decltype(net)>>());
            });
          },
          "The NumPy dtype of parameters and outputs.")
      .def_property(
          "check_finite", [](PyNetwork& self) { return self.check_finite.load(); },
          [](PyNetwork& self, bool value) { self.check_finite.store(value); },
          "Whether X, y and sample_weight with infinities or NaN are refused by default.");
}

}  // namespace

py::object forward(PyNetwork& self, const py::handle& X, const py::handle& out, bool check_finite) {
  return self.visit(
      [&](auto& net) { return forward_with(self, net, X, out, check_finite, nullptr); });
}

void bind_network(py::module_& m) {
  py::class_<Cache>(m, "Cache", R"(The activations that a call of Network.forward_cached keeps.

Network.backward takes it; it has nothing to look at.

Examples
--------
>>> import fastrelu
>>> net = fastrelu.Network([2, 1])
>>> net.parameters[:] = [1, 2, 0]
>>> out, cache = net.forward_cached([[1, 1]])
>>> net.backward(cache, [[1]]).flat
array([1., 1., 1.], dtype=float32)
)");
  py::class_<PyNetwork> network(m, "Network");
  bind_properties(network);
  network.def(py::init<>())
      .def("_make", &make_network, py::arg("layer_sizes"), py::arg("bias"), py::arg("dtype"),
           py::arg("activations"), py::arg("scale"))
      .def("_initialize", &initialize, py::arg("init"), py::arg("seed"))
      .def("_load_parameters", &load_parameters, py::arg("values"))
      .def("_begin_read", [](PyNetwork& self) { self.guard.begin_read(); })
      .def("_end_read", [](PyNetwork& self) { self.guard.end_read(); })
      .def("_begin_use", &begin_use, py::arg("what"))
      .def("_end_use", [](PyNetwork& self) { self.guard.end_write(); })
      .def("_forward", &forward, py::arg("X"), py::arg("out"), py::arg("check_finite"))
      .def("_predict_proba", &predict_proba, py::arg("X"), py::arg("loss"), py::arg("check_finite"))
      .def("_forward_cached", &forward_with_cache, py::arg("X"), py::arg("check_finite"))
      .def("_backward", &backward_from, py::arg("cache"), py::arg("d_out"), py::arg("parameters"),
           py::arg("inputs"))
      .def("_forward_at", &forward_at, py::arg("x"), py::arg("rows"), py::arg("out"))
      .def("_backward_at", &backward_at, py::arg("cache"), py::arg("d_out"), py::arg("flat"),
           py::arg("dx"));
  construct_once(network, true);  // _make says how often
}

}  // namespace fastrelu::python
