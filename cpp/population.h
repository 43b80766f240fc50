// SPDX-License-Identifier: BSD-3-Clause
// Many networks trained in one call, each with a Trainer of its own: every one of them ends in the
// bits that Trainer::run_epoch, called for it alone, gives.
//
//   population -> member_lanes -> lanes kernels   small networks alike, one in each vector lane
//              -> trainer                         every other member, alone on one thread
//
// Work is shared out over the threads, the longest first; which member runs where, and beside
// which, changes no bit. Members, trainers, networks and data are the caller's, who must leave them
// alone until the call returns; a member is one thread's at a time. Throws std::bad_alloc.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "poll.h"
#include "sampler.h"
#include "trainer.h"

namespace fastrelu {

template <class T>
struct PopulationMember {
  std::size_t number = 0;  // the caller's, for its hooks
  Trainer<T>* trainer = nullptr;
  const DataSet<T>* data = nullptr;
  Subset subset;                          // of the data set's rows
  Sampling sampling = Sampling::shuffle;  // not blocks
  std::size_t epochs = 0;                 // to finish; an open one is one of them
  bool constant_rate = true;
  double learning_rate = 0;  // if so; else the hooks know
  bool asks = false;         // hooks.epoch_end
};

struct EpochNumbers {
  double loss = 0, learning_rate = 0, seconds = 0;  // the rate of its last step
};

// Called by any thread of the team, several at once, each for a member of its own. They throw
// nothing; a hook that has failed makes the poll say stop.
struct PopulationHooks {
  void* context = nullptr;
  // The learning rates of the member's next `steps` steps, which stay until it is asked again.
  // Null: it has failed.
  const double* (*rates)(void* context, std::size_t member, std::size_t steps) = nullptr;
  // The member has finished an epoch.
  void (*record)(void* context, std::size_t member, const EpochNumbers& numbers) = nullptr;
  // After that, for members that ask: network and trainer may be used and changed meanwhile. True:
  // the member ends here.
  bool (*epoch_end)(void* context, std::size_t member) = nullptr;
  // The member has ended: all its epochs are made, or it was told to, or it has diverged, which
  // its trainer knows.
  void (*ended)(void* context, std::size_t member) = nullptr;
};

// What the threads of a population share: whether to stop, and the error that one has met.
class PopulationRun {
 public:
  PopulationRun(const PopulationHooks& called, Poll poll) : hooks(called), watch_(poll) {}

  // Between two steps, after so much work: whether to stop. The calling thread asks the poll.
  bool stopped(bool is_caller, double work) {
    if (is_caller && watch_.due(work) && watch_.stop()) stop();
    return is_stopped();
  }
  bool is_stopped() const { return stop_.load(std::memory_order_relaxed); }
  void stop() { stop_.store(true, std::memory_order_relaxed); }

  const PopulationHooks& hooks;

 private:
  Stopwatch watch_;
  std::atomic<bool> stop_{false};
};

// A part of a population's work, which any number of threads may run at once.
class PopulationWork {
 public:
  virtual ~PopulationWork() = default;
  // Whether members wait here that nobody has begun, and the multiply-adds of the longest.
  virtual bool waits() const = 0;
  virtual double longest() const = 0;
  // Begins some of the members that wait, and runs them to their ends or until the run stops.
  virtual void run(PopulationRun& run, bool is_caller) = 0;
};

// Adds the work of these members to `work`. They stay the caller's.
template <class T>
void add_population_work(std::vector<PopulationMember<T>>& members,
                         std::vector<std::unique_ptr<PopulationWork>>& work);

// Runs all of it, of so many members. False: stopped by `poll`, every member between two steps.
bool run_population(std::vector<std::unique_ptr<PopulationWork>>& work, std::size_t members,
                    const PopulationHooks& hooks, Poll poll);

}  // namespace fastrelu
