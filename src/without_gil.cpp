// SPDX-License-Identifier: BSD-3-Clause
#include "without_gil.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include <atomic>
#include <chrono>
#include <thread>

namespace fastrelu::python {
namespace {

// Threads that take the GIL or hold it in a poll; of them this thread.
std::atomic<int> takers{0};
thread_local int taken_here = 0;
// Set with the GIL by the thread that ends the interpreter, which itself goes on.
std::atomic<bool> ending{false};
std::thread::id ending_thread;

// How long the interpreter's exit waits for a callback that a poll has called.
constexpr auto kLongestWait = std::chrono::seconds(1);

void begin_taking() {
  takers.fetch_add(1);
  ++taken_here;
  if (!ending.load() || std::this_thread::get_id() == ending_thread) return;
  takers.fetch_sub(taken_here);
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

void end_taking() {
  --taken_here;
  takers.fetch_sub(1);
}

// A forked child has none of its parent's other threads.
void forget_others() { takers.store(taken_here); }

void announce_exit() {
  ending_thread = std::this_thread::get_id();
  ending.store(true);
  const auto until = std::chrono::steady_clock::now() + kLongestWait;
  const py::gil_scoped_release release;
  while (takers.load() > taken_here && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace

void prepare_for_exit() {
#if defined(__unix__) || defined(__APPLE__)
  pthread_atfork(nullptr, nullptr, forget_others);
#endif
  py::module_::import("atexit").attr("register")(py::cpp_function(&announce_exit));
}

GilReleased::~GilReleased() {
  begin_taking();
  PyEval_RestoreThread(state_);
  end_taking();
}

GilTaken::GilTaken() {
  begin_taking();
  state_ = PyGILState_Ensure();
}

GilTaken::~GilTaken() {
  PyGILState_Release(state_);
  end_taking();
}

bool Signals::poll(void* context) {
  auto* self = static_cast<Signals*>(context);
  const GilTaken gil;
  try {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (!self->on_poll.is_none()) return self->on_poll().is(py::bool_(true));
  } catch (py::error_already_set& error) {
    self->error = std::make_unique<py::error_already_set>(std::move(error));
    return true;
  }
  return false;
}

}  // namespace fastrelu::python
