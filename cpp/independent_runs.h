// SPDX-License-Identifier: BSD-3-Clause
// Runs that do not depend on each other, shared out over the threads, each on one thread at a time:
// how they are stopped, and how the calling thread stays heard meanwhile.
#pragma once

#include <atomic>
#include <exception>
#include <mutex>

#include "fp_environment.h"
#include "poll.h"
#include "thread_pool.h"

namespace fastrelu {

// Whether to stop. Any thread may ask; `stopped` asks the poll, for the calling thread alone.
class SharedStop {
 public:
  explicit SharedStop(Poll poll) : watch_(poll) {}

  // After so much more work; without a number, more than a look at the clock is worth.
  bool stopped(bool is_caller, double work = Stopwatch::kWorkBetween) {
    if (is_caller && watch_.due(work) && watch_.stop()) stop();
    return is_stopped();
  }
  bool is_stopped() const { return stop_.load(std::memory_order_relaxed); }
  void stop() { stop_.store(true, std::memory_order_relaxed); }

 private:
  Stopwatch watch_;
  std::atomic<bool> stop_{false};
};

// Waits until nobody is at work, and asks meanwhile: the others may have long runs to finish, and
// nobody else hears a signal.
void wait_and_ask(const std::atomic<unsigned>& at_work, SharedStop& stop);

// Calls work(is_caller) on `threads` threads at once, each limited to one thread of its own, and
// returns when all have returned. The first exception stops the others and is thrown here.
template <class F>
void run_independently(unsigned threads, SharedStop& stop, F work) {
  std::mutex mutex;
  std::exception_ptr error;
  std::atomic<unsigned> at_work{0};
  run_parallel(threads, [&](Team& team, unsigned t) {
    const FpEnvironment environment;
    const unsigned before = set_thread_limit(1);
    if (t != 0) at_work.fetch_add(1);
    team.wait(t);
    try {
      work(t == 0);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!error) error = std::current_exception();
      stop.stop();
    }
    if (t != 0) {
      at_work.fetch_sub(1);
    } else {
      wait_and_ask(at_work, stop);
    }
    set_thread_limit(before);
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace fastrelu
