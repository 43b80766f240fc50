// SPDX-License-Identifier: BSD-3-Clause
#include "thread_pool.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "cores.h"
#include "environment.h"
#include "fp_environment.h"

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastrelu {
namespace {

// Passes a few ten nanoseconds without touching what other threads write.
void pause_cpu() {
#if defined(__x86_64__)
  _mm_pause();
#else
  // Other processors' hints have no name that every compiler knows; reading the clock takes as
  // long.
  static_cast<void>(std::chrono::steady_clock::now());
#endif
}

// Spins, then yields, then sleeps until ready() holds. Spinning covers the few hundred
// nanoseconds between two threads of one step; yielding lets a thread that shares this core run
// (ten times the spins took 18 to 87 % more a step beside a busy neighbour, in one run of three
// nets).
template <class Ready>
void wait_until(Ready ready) {
  for (int i = 0; i < 200; ++i) {
    if (ready()) return;
    pause_cpu();
  }
  for (int i = 0; i < 1000; ++i) {
    if (ready()) return;
    std::this_thread::yield();
  }
  while (!ready()) std::this_thread::sleep_for(std::chrono::microseconds(50));
}

// Until the other thread has counted so far, or already further.
void wait_for_count(const std::atomic<unsigned>& counted, unsigned times) {
  wait_until([&counted, times] {
    return static_cast<int>(counted.load(std::memory_order_acquire) - times) >= 0;
  });
}

// The processor that this thread runs on, or -1.
int this_cpu() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// A woken thread may be put on the core of the thread that woke it, and two threads that yield to
// each other there stay for long. Moves this thread to another of the cores it may use.
void leave_cpu(int cpu) {
#if defined(__linux__)
  cpu_set_t allowed, others;
  if (cpu < 0 || this_cpu() != cpu || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  others = allowed;
  CPU_CLR(static_cast<std::size_t>(cpu), &others);
  if (CPU_COUNT(&others) == 0) return;
  if (sched_setaffinity(0, sizeof others, &others) == 0) {
    sched_setaffinity(0, sizeof allowed, &allowed);
  }
#else
  static_cast<void>(cpu);
#endif
}

class Pool {
 public:
  ~Pool() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  // False if another caller is using the pool.
  bool try_run(unsigned n, JobFunction job, void* context) {
    std::unique_lock<std::mutex> busy(busy_, std::try_to_lock);
    if (!busy.owns_lock()) return false;
    const CoreSet& cores = own_cores();
    n = std::min(n, start_threads(n));
    Team team(n);
    remaining_.store(n - 1, std::memory_order_relaxed);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (cores != cores_) {
        cores_ = cores;
        ++cores_version_;
      }
      team_ = &team;
      active_ = n;
      job_ = job;
      context_ = context;
      caller_cpu_ = this_cpu();
      generation_.fetch_add(1, std::memory_order_release);
    }
    if (parked_.load(std::memory_order_seq_cst) > 0) wake_.notify_all();
    job(context, team, 0);
    wait_until([this] { return remaining_.load(std::memory_order_acquire) == 0; });
    return true;
  }

 private:
  // Starts threads until a team has n; returns how many it has, which are fewer where the system
  // refuses one.
  unsigned start_threads(unsigned n) {
    try {
      while (threads_.size() + 1 < n) {
        const auto index = static_cast<unsigned>(threads_.size() + 1);
        const unsigned seen = generation_.load(std::memory_order_relaxed);
        threads_.emplace_back([this, index, seen] { work(index, seen); });
      }
    } catch (const std::system_error&) {  // no thread
    } catch (const std::bad_alloc&) {     // no memory for its stack, or to list it
    }
    return static_cast<unsigned>(threads_.size() + 1);
  }

  void work(unsigned index, unsigned seen) {
    const FpEnvironment environment;
    unsigned cores_seen = 0;
    for (;;) {
      const auto changed = [this, seen] {
        return generation_.load(std::memory_order_acquire) != seen;
      };
      for (int i = 0; i < 2000 && !changed(); ++i) pause_cpu();
      std::unique_lock<std::mutex> lock(mutex_);
      parked_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, changed);
      parked_.fetch_sub(1, std::memory_order_relaxed);
      if (stopping_) return;
      seen = generation_.load(std::memory_order_relaxed);
      Team* const team = team_;
      const JobFunction job = job_;
      void* const context = context_;
      const unsigned active = active_;
      const int caller_cpu = caller_cpu_;
      if (cores_seen != cores_version_) {  // the caller's, whatever this thread began with
        cores_seen = cores_version_;
        cores_.take();
      }
      lock.unlock();
      if (index >= active) continue;  // not of this team, which may be gone already
      leave_cpu(caller_cpu);
      job(context, *team, index);
      remaining_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex busy_, mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> threads_;
  std::atomic<unsigned> generation_{0}, remaining_{0}, parked_{0};
  Team* team_ = nullptr;
  unsigned active_ = 0;
  JobFunction job_ = nullptr;
  void* context_ = nullptr;
  int caller_cpu_ = -1;
  CoreSet cores_ = CoreSet::of_this_thread();
  unsigned cores_version_ = 1;
  bool stopping_ = false;
};

std::atomic<Pool*> pool{nullptr};
std::once_flag pool_once;

// A forked child has none of its parent's threads, and perhaps a locked mutex: it starts anew and
// leaves the old pool's memory alone.
void forget_pool() { pool.store(new Pool, std::memory_order_release); }

Pool& instance() {
  std::call_once(pool_once, [] {
    pool.store(new Pool, std::memory_order_release);
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, forget_pool);
#endif
  });
  return *pool.load(std::memory_order_acquire);
}

// The number that somebody has said, or 0. While another program limits it, what was said before
// and what it was told the number was, with which it takes its limit back.
struct alignas(8) Choice {  // as a whole, by one instruction
  std::uint16_t chosen = 0, before = 0, reported = 0, limited = 0;
};
static_assert(kMaxThreads <= UINT16_MAX, "Choice holds it");
static_assert(std::atomic<Choice>::is_always_lock_free, "also in a child of a fork");
std::atomic<Choice> choice{Choice{}};
std::atomic<unsigned> usual_threads{0};  // 0: nobody has said so
thread_local unsigned thread_limit = 0;

// The number that an environment variable says, or 0: OMP_NUM_THREADS may be a list, for regions
// inside of regions, and what is not as it should be is OpenMP's affair.
unsigned openmp_threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  if (text == nullptr) return 0;
  const long n = std::strtol(text, nullptr, 10);
  return n < 1 ? 0 : static_cast<unsigned>(std::min<long>(n, kMaxThreads));
}

unsigned untold_threads(bool now) {
  const unsigned usual = usual_threads.load(std::memory_order_relaxed);
  return usual > 0 ? usual : std::min(usable_cores(now), kMaxThreads);
}

}  // namespace

unsigned told_threads() {
  const std::string text = environment_text("FASTRELU_NUM_THREADS");
  if (text.empty()) return openmp_threads();
  char* end = nullptr;
  const long n = std::strtol(text.c_str(), &end, 10);
  if (*end != '\0' || n < 1 || n > kMaxThreads) {
    throw std::invalid_argument("FASTRELU_NUM_THREADS: expected a whole number from 1 to " +
                                std::to_string(kMaxThreads) + ", got '" + text + "'");
  }
  return static_cast<unsigned>(n);
}

void Team::meet(unsigned t) {
  std::atomic<unsigned>&mine = lines_[t].value, &other = lines_[1 - t].value;
  const unsigned times = mine.load(std::memory_order_relaxed) + 1;
  mine.store(times, std::memory_order_release);
  wait_for_count(other, times);
}

void Team::signal(unsigned t) {
  std::atomic<unsigned>& mine = signals_[t].value;
  mine.store(mine.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void Team::take(unsigned t) {
  const std::atomic<unsigned>& other = signals_[1 - t].value;
  std::atomic<unsigned>& taken = taken_[t].value;
  const unsigned times = taken.load(std::memory_order_relaxed) + 1;
  taken.store(times, std::memory_order_relaxed);
  wait_for_count(other, times);
}

void Team::wait_for_others() {
  std::atomic<unsigned>&arrived = lines_[0].value, &phases = lines_[1].value;
  const unsigned phase = phases.load(std::memory_order_relaxed);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    arrived.store(0, std::memory_order_relaxed);
    phases.store(phase + 1, std::memory_order_release);
    return;
  }
  wait_until([&phases, phase] { return phases.load(std::memory_order_acquire) != phase; });
}

void run_job(unsigned n, JobFunction job, void* context) {
  if (n > 1 && instance().try_run(n, job, context)) return;
  Team alone(1);
  job(context, alone, 0);
}

void set_usual_threads(unsigned n) { usual_threads.store(n, std::memory_order_relaxed); }

unsigned set_thread_limit(unsigned n) {
  const unsigned before = thread_limit;
  thread_limit = n < kMaxThreads ? n : kMaxThreads;
  return before;
}

unsigned process_threads(bool now) {
  const unsigned chosen = choice.load(std::memory_order_relaxed).chosen;
  if (chosen > 0) return chosen;
  // Read once: getenv beside another thread's setenv is undefined.
  static const unsigned told = told_threads();
  return told > 0 ? told : untold_threads(now);
}

unsigned num_threads(bool now) { return thread_limit > 0 ? thread_limit : process_threads(now); }

unsigned reported_threads() noexcept {
  try {
    try {
      return process_threads(true);
    } catch (const std::invalid_argument&) {  // the environment's; the next call for Python says it
      return untold_threads(true);
    }
  } catch (const std::bad_alloc&) {
    return 1;
  }
}

void limit_threads(unsigned n) noexcept {
  const auto number = static_cast<std::uint16_t>(std::max(1u, std::min(n, kMaxThreads)));
  Choice now = choice.load();
  for (;;) {
    Choice next = now;
    if (now.limited == 0) {
      next = {number, now.chosen, static_cast<std::uint16_t>(reported_threads()), 1};
    } else if (number == now.reported) {
      next = {now.before, 0, 0, 0};
    } else {
      next.chosen = number;
    }
    if (choice.compare_exchange_weak(now, next)) return;
  }
}

void set_num_threads(unsigned n) {
  if (n < 1 || n > kMaxThreads) {
    throw std::invalid_argument("n: expected a number of threads from 1 to " +
                                std::to_string(kMaxThreads) + ", got " + std::to_string(n));
  }
  choice.store({static_cast<std::uint16_t>(n), 0, 0, 0}, std::memory_order_relaxed);
}

}  // namespace fastrelu
