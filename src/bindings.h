// SPDX-License-Identifier: BSD-3-Clause
// What the binding files share: one bind_* function each, the network as Python holds it, and the
// rule of who may use a network when.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>

#include "fp_environment.h"
#include "initialized.h"
#include "loss.h"
#include "network.h"
#include "sampler.h"
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

// Many threads may read a network; one may change it, and while it does, others get an error. The
// changing thread itself may read in between (callbacks). Uses begin and end with the GIL held, so
// plain numbers do.
class UseGuard {
 public:
  void begin_read() {
    refuse_other_writers();
    ++readers_;
  }
  void end_read() { --readers_; }
  void begin_write() {
    refuse_other_writers();
    if (readers_ > 0) throw std::runtime_error("network: another thread is reading it");
    writer_ = std::this_thread::get_id();
    ++depth_;
  }
  void end_write() { --depth_; }

 private:
  void refuse_other_writers() const {
    if (depth_ == 0 || writer_ == std::this_thread::get_id()) return;
    throw std::runtime_error("network: a fit or step is running on it in another thread");
  }
  std::thread::id writer_;
  int readers_ = 0, depth_ = 0;
};

class Reading {
 public:
  explicit Reading(UseGuard& guard) : guard_(guard) { guard_.begin_read(); }
  ~Reading() { guard_.end_read(); }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

 private:
  UseGuard& guard_;
};
class Writing {
 public:
  explicit Writing(UseGuard& guard) : guard_(guard) { guard_.begin_write(); }
  ~Writing() { guard_.end_write(); }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;

 private:
  UseGuard& guard_;
};

struct PyNetwork {
  std::variant<std::shared_ptr<Network<float>>, std::shared_ptr<Network<double>>> impl;
  UseGuard guard;
  bool check_finite = true;  // by default

  template <class F>
  decltype(auto) visit(F&& f) {
    return std::visit(
        [&](auto& net) -> decltype(auto) {
          if (net == nullptr) throw std::runtime_error("network: __init__ has not been called");
          return f(*net);
        },
        impl);
  }
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
