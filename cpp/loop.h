// SPDX-License-Identifier: BSD-3-Clause
// Steps one after another, over the minibatches of a sampler: the one loop behind a single step,
// epochs, blocks, orders and studies. Between two steps, on the calling thread,
//
//   close the open step (its result into Totals); stop here?; draw the next minibatch; begin its
//   step
//
// and then all threads of the team take it. Steps run in stretches of some milliseconds: between
// two of them the number of threads may change (thread_choice.h), and the caller's poll is asked,
// while no thread is at work. Which rows a minibatch holds is the sampler's affair, what a step
// computes the Step's; a loop reads the clock for both.
//
// A Loop keeps what it learned about threads and room for two steps, since others may still read
// the last one's rows and update while thread 0 begins the next. It allocates and throws nothing.
// One thread at a time may use it, and its sampler and step.
#pragma once

#include <cstddef>
#include <cstdint>

#include "poll.h"
#include "sampler.h"
#include "step.h"
#include "thread_choice.h"

namespace fastrelu {

// float64 chains over the steps taken, in their order, to go on from.
struct Totals {
  std::uint64_t steps = 0;
  double loss = 0, weight = 0, penalty = 0;
};

inline void add_step(Totals& totals, const StepResult& r) {
  totals.loss += r.loss;
  totals.weight += r.weight;
  ++totals.steps;
}
// The same for sums by rows, as the estimators report: rows * mean loss and rows * penalty.
inline void add_step_by_rows(Totals& totals, const StepResult& r) {
  totals.loss += r.weight == 0 ? 0.0 : r.rows * (r.loss / r.weight);
  totals.penalty += r.rows * r.penalty;
  ++totals.steps;
}
inline double mean_loss(const StepResult& r) { return r.weight == 0 ? r.loss : r.loss / r.weight; }

// A step whose loss is not finite, or after which the parameters are not.
struct Divergence {
  bool happened = false;
  std::uint64_t step = 0;  // of the optimizer, from 1
  double loss = 0;         // the mean over the step's rows, before its update
};

struct LoopOptions {
  const double* learning_rates = nullptr;  // that of each step, from the first on
  Poll poll;                               // asked some 20 times a second
  Poll after_step;                         // asked after every step, which are then one thread's
  bool by_rows = false;                    // add_step_by_rows, else add_step
  Divergence* divergence = nullptr;        // stop at the first one, and say so here
};

template <class T>
class Loop {
 public:
  explicit Loop(std::size_t n_shards) {
    for (ReadyStep<T>& ready : ready_) ready.minibatch.shards.resize(n_shards);
  }

  // Takes the steps that the sampler has left, in a run that `step` has begun. True: all are taken;
  // false: stopped between two of them.
  bool run(Sampler& sampler, Step<T>& step, const LoopOptions& options, Totals& totals);

 private:
  ThreadChoice thread_choice_;
  ReadyStep<T> ready_[2];  // in turn
};

}  // namespace fastrelu
