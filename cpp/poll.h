// SPDX-License-Identifier: BSD-3-Clause
// How a long computation asks whether to go on: a function of the caller's, called some 20 times a
// second, since it may be slow (it takes Python's lock and lets signals be handled). Values; each
// belongs to one thread, the one that started the computation.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>

namespace fastrelu {

// true: stop here. `call` may be null: nobody is asked.
struct Poll {
  bool (*call)(void* context) = nullptr;
  void* context = nullptr;
};

// The poll that whole passes of this thread ask, if they take long: forward, losses, gradients,
// bounds. Nobody, unless a ThreadPoll says otherwise.
inline thread_local Poll thread_poll;

class ThreadPoll {
 public:
  explicit ThreadPoll(Poll poll) : before_(thread_poll) { thread_poll = poll; }
  ~ThreadPoll() { thread_poll = before_; }
  ThreadPoll(const ThreadPoll&) = delete;
  ThreadPoll& operator=(const ThreadPoll&) = delete;

 private:
  const Poll before_;
};

// What such a pass throws, on the thread that called it, when it was told to stop.
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "stopped by its poll"; }
};

class Stopwatch {
 public:
  // Multiply-adds, or anything as long, between two looks at the clock: some milliseconds.
  static constexpr double kWorkBetween = 2e7;

  explicit Stopwatch(Poll poll) : poll_(poll) {
    if (poll_.call != nullptr) last_ = Clock::now();
  }
  // Whether to ask, after so much more work: about 50 ms have passed.
  bool due(double work = kWorkBetween) {
    if (poll_.call == nullptr) return false;
    work_ += work;
    if (work_ < kWorkBetween) return false;
    work_ = 0;
    const auto now = Clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return false;
    last_ = now;
    return true;
  }
  bool stop() const { return poll_.call(poll_.context); }

 private:
  using Clock = std::chrono::steady_clock;

  Poll poll_;
  double work_ = 0;
  Clock::time_point last_;
};

// The poll of a pass by a team of threads: thread 0, the caller, asks, and all see the answer.
class PassWatch {
 public:
  PassWatch() : watch_(thread_poll) {}
  // After so much more work of thread t: whether to stop. What is computed then is of no use.
  bool stop(unsigned t, double work) {
    if (t == 0 && watch_.due(work) && watch_.stop()) stopped_.store(true);
    return stopped();
  }
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  // For the caller, when the team has returned.
  void throw_if_stopped() const {
    if (stopped()) throw Interrupted();
  }

 private:
  Stopwatch watch_;
  std::atomic<bool> stopped_{false};
};

}  // namespace fastrelu
