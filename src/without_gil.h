// SPDX-License-Identifier: BSD-3-Clause
// Computing without the GIL: how a thread gives it up and takes it again, and how Python's signals
// are seen meanwhile, by the poll of passes, runs and bounds (signal_check.h has that of searches).
//
// When the interpreter ends, a thread that asks for the GIL is ended by CPython (before 3.14) in
// the middle of C++ frames, which aborts the process. Here such a thread, a daemon in a fit, sleeps
// for the little that is left of the process instead: prepare_for_exit has the interpreter's exit
// announced, and waits for the threads that are taking the GIL just then.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "poll.h"

namespace fastrelu::python {

namespace py = pybind11;

// To be called once, with the GIL, when the module is made.
void prepare_for_exit();

// Gives up the GIL for its lifetime. Made and destroyed by one thread.
class GilReleased {
 public:
  GilReleased() : state_(PyEval_SaveThread()) {}
  ~GilReleased();
  GilReleased(const GilReleased&) = delete;
  GilReleased& operator=(const GilReleased&) = delete;

 private:
  PyThreadState* const state_;
};

// Takes the GIL for its lifetime, inside of a GilReleased.
class GilTaken {
 public:
  GilTaken();
  ~GilTaken();
  GilTaken(const GilTaken&) = delete;
  GilTaken& operator=(const GilTaken&) = delete;

 private:
  PyGILState_STATE state_;
};

// Multiply-adds, or anything as long, from which on it pays to release the GIL: to release and take
// it costs 0.1 us and more where others wait, so a call of a microsecond keeps it.
constexpr double kWorthReleasing = 20000;

// Releases the GIL for a call of so many multiply-adds, if that is worth it.
class GilReleasedFor {
 public:
  explicit GilReleasedFor(double multiply_adds) {
    if (multiply_adds > kWorthReleasing) release_.emplace();
  }

 private:
  std::optional<GilReleased> release_;
};

// What the core's poll needs: it takes the GIL, lets Python handle signals, and reports progress;
// on_poll returning True stops.
struct Signals {
  py::object on_poll;
  std::unique_ptr<py::error_already_set> error;

  static bool poll(void* context);
  Poll as_poll() { return {&Signals::poll, this}; }
  // What a signal handler or on_poll has raised, if anything.
  void raise() {
    if (error) throw std::move(*error);
  }
};

// f() for a call of so many multiply-adds, without the GIL where that pays, as Ctrl-C finds it: f
// is then stopped (poll.h), and what the signal's handler raised is thrown.
template <class F>
auto without_gil(double multiply_adds, F f) -> decltype(f()) {
  if (multiply_adds <= kWorthReleasing) return f();
  Signals signals{py::none(), nullptr};
  try {
    const GilReleased release;
    const ThreadPoll asked(signals.as_poll());
    return f();
  } catch (const Interrupted&) {
  }
  signals.raise();
  throw std::logic_error("a computation has stopped without a signal");
}
// The same for any amount of work.
template <class F>
auto without_gil(F f) -> decltype(f()) {
  return without_gil(2 * kWorthReleasing, std::move(f));
}

}  // namespace fastrelu::python
