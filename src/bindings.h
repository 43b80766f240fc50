// SPDX-License-Identifier: BSD-3-Clause
// What the binding files share: one bind_* function each, the network as Python holds it, and the
// rule of who may use a network when.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>

#include "fp_environment.h"
#include "network.h"

namespace fastrelu::python {

namespace py = pybind11;

void bind_kernels(py::module_& m);
void bind_network(py::module_& m);
void bind_trainer(py::module_& m);

// Many threads may read a network; one may change it, and while it does, others get an error. The
// changing thread itself may read in between (callbacks).
class UseGuard {
 public:
  void begin_read() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (depth_ > 0 && writer_ != std::this_thread::get_id()) busy();
    ++readers_;
  }
  void end_read() {
    const std::lock_guard<std::mutex> lock(mutex_);
    --readers_;
  }
  void begin_write() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (depth_ > 0 && writer_ != std::this_thread::get_id()) busy();
    if (readers_ > 0) throw std::runtime_error("network: another thread is reading it");
    writer_ = std::this_thread::get_id();
    ++depth_;
  }
  void end_write() {
    const std::lock_guard<std::mutex> lock(mutex_);
    --depth_;
  }

 private:
  [[noreturn]] static void busy() {
    throw std::runtime_error("network: a fit or step is running on it in another thread");
  }
  std::mutex mutex_;
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

  template <class F>
  decltype(auto) visit(F&& f) {
    return std::visit([&](auto& net) -> decltype(auto) { return f(*net); }, impl);
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

LossKind parse_loss(const std::string& name);

}  // namespace fastrelu::python
