// SPDX-License-Identifier: BSD-3-Clause
// The core's functions for other extension modules, without the GIL: fastrelu/core.h says what they
// do. Nothing is checked here, and no exception leaves them.
#include <cstddef>
#include <exception>
#include <memory>
#include <string>

#include "bindings.h"
#include "dispatch.h"
#include "predict.h"

#define FASTRELU_CORE_IMPLEMENTATION
#include "fastrelu/core.h"

namespace fastrelu::python {
namespace {

// The header's opaque types of a dtype, and what they are.
template <class T>
struct Opaque;
template <>
struct Opaque<float> {
  using Net = fastrelu_network_f32;
  using Cache = fastrelu_cache_f32;
  static constexpr const char* kName = "float32";
};
template <>
struct Opaque<double> {
  using Net = fastrelu_network_f64;
  using Cache = fastrelu_cache_f64;
  static constexpr const char* kName = "float64";
};
template <class T>
using Net = typename Opaque<T>::Net;
template <class T>
using Kept = typename Opaque<T>::Cache;

template <class T>
Network<T>& network(Net<T>* net) {
  return *reinterpret_cast<Network<T>*>(net);
}
template <class T>
const Network<T>& network(const Net<T>* net) {
  return *reinterpret_cast<const Network<T>*>(net);
}

template <class T>
RowSource rows_of(const Network<T>& net, const T* x, std::ptrdiff_t rows) {
  const auto stride = static_cast<std::ptrdiff_t>(net.inputs() * sizeof(T));
  return {x, static_cast<std::size_t>(rows), net.inputs(), stride, false, nullptr};
}

template <class T>
Net<T>* network_of(PyObject* object) {
  using Held = std::shared_ptr<Network<T>>;
  std::string got = std::string("an object of type ") + Py_TYPE(object)->tp_name;
  try {
    auto& held = py::handle(object).cast<PyNetwork&>();
    if (const Held* const net = std::get_if<Held>(&held.impl()); net != nullptr) {
      return reinterpret_cast<Net<T>*>(net->get());
    }
    got = "one of another dtype";
  } catch (const std::exception&) {  // no network, or one without its __init__
  }
  PyErr_Format(PyExc_TypeError, "expected a fastrelu.Network of %s, got %s", Opaque<T>::kName,
               got.c_str());
  return nullptr;
}

template <class T>
std::ptrdiff_t inputs(const Net<T>* net) {
  return static_cast<std::ptrdiff_t>(network<T>(net).inputs());
}
template <class T>
std::ptrdiff_t outputs(const Net<T>* net) {
  return static_cast<std::ptrdiff_t>(network<T>(net).outputs());
}
template <class T>
std::ptrdiff_t parameter_count(const Net<T>* net) {
  return static_cast<std::ptrdiff_t>(network<T>(net).parameter_count());
}
template <class T>
T* parameters(Net<T>* net) {
  return network<T>(net).parameters();
}

template <class T>
int forward_rows(const Net<T>* handle, const T* x, std::ptrdiff_t rows, T* out) {
  if (rows == 0) return 0;
  try {
    const FpEnvironment environment;
    const Network<T>& net = network<T>(handle);
    predict(net, rows_of(net, x, rows), out, static_cast<std::ptrdiff_t>(net.outputs()), nullptr);
    return 0;
  } catch (const std::exception&) {
    return -1;
  }
}

template <class T>
Kept<T>* forward_rows_cached(const Net<T>* handle, const T* x, std::ptrdiff_t rows, T* out) {
  try {
    const FpEnvironment environment;
    const Network<T>& net = network<T>(handle);
    auto kept = std::make_unique<Activations<T>>(forward_cached(net, rows_of(net, x, rows)));
    store_outputs(net, *kept, static_cast<std::size_t>(rows), out);
    return reinterpret_cast<Kept<T>*>(kept.release());
  } catch (const std::exception&) {
    return nullptr;
  }
}

template <class T>
void free_cache(Kept<T>* cache) {
  delete reinterpret_cast<Activations<T>*>(cache);
}

template <class T>
int backward_rows(const Net<T>* handle, const T* x, std::ptrdiff_t rows, const Kept<T>* cache,
                  const T* d_out, T* gradient, T* dx) {
  try {
    const FpEnvironment environment;
    const Network<T>& net = network<T>(handle);
    const auto& kept = *reinterpret_cast<const Activations<T>*>(cache);
    backward(net, rows_of(net, x, rows), kept, d_out, gradient, dx);
    return 0;
  } catch (const std::exception&) {
    return -1;
  }
}

template <class T>
void sgd_step(Net<T>* handle, const T* gradient, double learning_rate) {
  const FpEnvironment environment;
  Network<T>& net = network<T>(handle);
  UpdateArgs<T> plain;
  plain.learning_rate = static_cast<T>(learning_rate);
  kernels<T>().update(plain, true, net.parameters(), gradient, {}, net.parameter_count());
  ++net.version;
}

const fastrelu_functions kFunctions = {
    FASTRELU_CORE_VERSION,    &network_of<float>,
    &inputs<float>,           &outputs<float>,
    &parameter_count<float>,  &parameters<float>,
    &forward_rows<float>,     &forward_rows_cached<float>,
    &free_cache<float>,       &backward_rows<float>,
    &sgd_step<float>,         &network_of<double>,
    &inputs<double>,          &outputs<double>,
    &parameter_count<double>, &parameters<double>,
    &forward_rows<double>,    &forward_rows_cached<double>,
    &free_cache<double>,      &backward_rows<double>,
    &sgd_step<double>,
};

}  // namespace

void bind_compiled_api(py::module_& m) {
  m.attr("_compiled_api") =
      py::capsule(static_cast<const void*>(&kFunctions), "fastrelu._core._compiled_api");
}

}  // namespace fastrelu::python
