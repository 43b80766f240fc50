// SPDX-License-Identifier: BSD-3-Clause
// The project's own small thread pool: one per process, started on first use, rebuilt after fork.
//
// run(n, job) calls job(team, t) for t = 0..n-1 at once, t = 0 on the caller, and returns when all
// have returned. Jobs must not throw. If the pool is already at work for another thread, the job
// runs on the caller alone, with n = 1, and where the system refuses threads with those that there
// are: results never depend on n. Inside a job, team.wait(t) is a
// barrier for its n threads. A waiting thread spins for some microseconds (waking a parked thread
// costs 30 us), then yields to whatever the scheduler wants to run, then sleeps. Each pool thread
// holds the default floating-point state while a job runs, and stays on the caller's cores.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fastrelu {

class Team {
 public:
  explicit Team(unsigned size) : size_(size) {}
  unsigned size() const { return size_; }
  // For thread t of the team: until all have come here.
  void wait(unsigned t) {
    if (size_ == 2) {
      meet(t);
    } else if (size_ > 2) {
      wait_for_others();
    }
  }
  // In a team of two: says that something is there for the other thread, which `take` waits for;
  // each `take` takes one.
  void signal(unsigned t);
  void take(unsigned t);

 private:
  // Two threads meet by a line that each of them writes alone: one crossing between the cores. More
  // of them count themselves on one line and wait for another.
  struct alignas(64) Line {
    std::atomic<unsigned> value{0};
  };
  void meet(unsigned t);
  void wait_for_others();
  const unsigned size_;
  Line lines_[2];
  Line signals_[2], taken_[2];
};

constexpr unsigned kMaxThreads = 1024;

using JobFunction = void (*)(void* context, Team& team, unsigned thread);

// Threads that a job of the calling thread may use: its own limit, else what set_num_threads or
// limit_threads said, else FASTRELU_NUM_THREADS or OMP_NUM_THREADS, else the usual number, else the
// cores that it may use (cores.h), not those of a moment ago if `now`.
unsigned num_threads(bool now = false);
// The same but for the calling thread's own limit.
unsigned process_threads(bool now = false);
void set_num_threads(unsigned n);  // n >= 1; throws std::invalid_argument
// For programs that ask for the number, set another one, and set what they were told in the end: it
// is then as it was before, also where that was no choice and the cores have changed meanwhile.
unsigned reported_threads() noexcept;
void limit_threads(unsigned n) noexcept;
// Another number for the jobs that this thread starts; 0 for none. Returns the one before.
unsigned set_thread_limit(unsigned n);
// The number where nobody has said one; 0, as at first: all cores.
void set_usual_threads(unsigned n);
// What the environment says now, or 0; throws std::invalid_argument for a bad FASTRELU_NUM_THREADS.
unsigned told_threads();

void run_job(unsigned n, JobFunction job, void* context);

template <class F>
void run_parallel(unsigned n, F&& job) {
  run_job(
      n, [](void* context, Team& team, unsigned t) { (*static_cast<F*>(context))(team, t); },
      const_cast<void*>(static_cast<const void*>(&job)));
}

}  // namespace fastrelu
