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
#include "loss.h"
#include "network.h"
#include "sampler.h"

namespace fastrelu::python {

namespace py = pybind11;

void bind_bounds(py::module_& m);
void bind_catalogue(py::module_& m);
void bind_kernels(py::module_& m);
void bind_network(py::module_& m);
void bind_segment(py::module_& m);
void bind_hinge_fit(py::module_& m);
void bind_random(py::module_& m);
void bind_standardize(py::module_& m);
void bind_regions(py::module_& m);
void bind_study(py::module_& m);
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

// Releases the GIL for a call of so many multiply-adds, if that is worth it: to release and take it
// costs 0.1 us and more where others wait, so a call of a microsecond keeps it.
class GilReleasedFor {
 public:
  explicit GilReleasedFor(double multiply_adds) {
    if (multiply_adds > 20000) release_.emplace();
  }

 private:
  std::optional<py::gil_scoped_release> release_;
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

// What the core's poll needs: it takes the GIL, lets Python handle signals, and reports progress;
// on_poll returning True stops.
struct Signals {
  py::object on_poll;
  std::unique_ptr<py::error_already_set> error;

  static bool poll(void* context) {
    auto* self = static_cast<Signals*>(context);
    const py::gil_scoped_acquire gil;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (!self->on_poll.is_none()) return self->on_poll().is(py::bool_(true));
    } catch (py::error_already_set& error) {
      self->error = std::make_unique<py::error_already_set>(std::move(error));
      return true;
    }
    return false;
  }
};

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
void bind_fast_calls(py::module_& m);

}  // namespace fastrelu::python
