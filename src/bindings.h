// SPDX-License-Identifier: BSD-3-Clause
// What the binding files share: one bind_* function each, and the network as Python holds it.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>

#include "fp_environment.h"
#include "initialized.h"
#include "loss.h"
#include "network.h"
#include "sampler.h"
#include "use_guard.h"
#include "without_gil.h"

namespace fastrelu::python {

namespace py = pybind11;

void bind_bounds(py::module_& m);
void bind_catalogue(py::module_& m);
void bind_compiled_api(py::module_& m);
void bind_encoded(py::module_& m);
void bind_kernels(py::module_& m);
void bind_network(py::module_& m);
void bind_given_epochs(py::module_& m);
void bind_optimum(py::module_& m);
void bind_population(py::module_& m);
void bind_segment(py::module_& m);
void bind_hinge_fit(py::module_& m);
void bind_random(py::module_& m);
void bind_standardize(py::module_& m);
void bind_regions(py::module_& m);
void bind_row_derivatives(py::module_& m);
void bind_study(py::module_& m);
void bind_threads(py::module_& m);
void bind_trainer(py::module_& m);

class PyNetwork {
 public:
  using Impl = std::variant<std::shared_ptr<Network<float>>, std::shared_ptr<Network<double>>>;

  // Makes the network once for the life of the object: trainers and other threads may have it.
  template <class F>
  void make(F f) {
    Stage none = Stage::none;
    if (!stage_.compare_exchange_strong(none, Stage::begun, std::memory_order_acq_rel)) {
      throw std::runtime_error("network: __init__ has been called already");
    }
    try {
      impl_ = f();
    } catch (...) {
      stage_.store(Stage::none, std::memory_order_release);
      throw;
    }
    stage_.store(Stage::made, std::memory_order_release);
  }

  // Throws where there is none yet.
  const Impl& impl() const {
    if (stage_.load(std::memory_order_acquire) != Stage::made) {
      throw std::runtime_error("network: __init__ has not been called");
    }
    return impl_;
  }
  template <class F>
  decltype(auto) visit(F&& f) {
    return std::visit([&](auto& net) -> decltype(auto) { return f(*net); }, impl());
  }

  UseGuard guard{"network"};
  std::atomic<bool> check_finite{true};  // by default

 private:
  enum class Stage { none, begun, made };

  Impl impl_;
  std::atomic<Stage> stage_{Stage::none};
};

}  // namespace fastrelu::python

FASTRELU_RAISES_UNLESS_INITIALIZED(fastrelu::python::PyNetwork);

namespace fastrelu::python {

template <class Net>
struct ScalarOf;
template <class T>
struct ScalarOf<Network<T>> {
  using type = T;
};
template <class Net>
using Scalar = typename ScalarOf<std::remove_const_t<std::remove_reference_t<Net>>>::type;

// The kind of this name, or an error that says what names there are; of a loss also where it needs
// more outputs.
Activation parse_activation(const std::string& name);
OptimizerKind parse_optimizer(const std::string& name);
LossKind parse_loss(const std::string& name, std::size_t outputs);
Sampling parse_sampling(const std::string& name);

// Multiply-adds of a forward pass over so many rows.
template <class T>
double forward_work(const Network<T>& net, std::size_t rows) {
  return static_cast<double>(rows) * static_cast<double>(net.parameter_count());
}

// The calls that fast_calls.cpp makes without pybind11's own dispatch.
struct PyTrainer;
py::object forward(PyNetwork& self, const py::handle& X, const py::handle& out, bool check_finite);
double step(PyTrainer& self, const py::handle& X, const py::handle& y,
            const py::handle& sample_weight, double learning_rate, bool check_finite);
bool is_shared(const PyTrainer& self);  // other processes have some of the rows
void bind_fast_calls(py::module_& m);

}  // namespace fastrelu::python
