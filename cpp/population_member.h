// SPDX-License-Identifier: BSD-3-Clause
// A member of a population, what its run tells the caller, and what the threads of the run share.
// Members, trainers and data are the caller's; a member is one thread's at a time.
#pragma once

#include <cstddef>

#include "given_epochs.h"
#include "independent_runs.h"
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
  GivenEpochs* given = nullptr;           // the caller's: its epochs, instead of subset, sampling
  bool constant_rate = true;
  double learning_rate = 0;  // if so; else the hooks know
  bool asks = false;         // hooks.epoch_end

  std::size_t rows() const { return given != nullptr ? given->count() : subset.of(data->x.rows); }
  std::size_t batch_size() const {
    return given != nullptr ? given->batch_size() : trainer->options().batch_size;
  }
};

struct EpochNumbers {
  double loss = 0, learning_rate = 0, seconds = 0;  // the rate of its last step
  double penalty = 0;  // of given epochs, whose loss and penalty are sums by rows (loop.h)
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

// What the threads of a population share.
class PopulationRun : public SharedStop {
 public:
  PopulationRun(const PopulationHooks& called, Poll poll) : SharedStop(poll), hooks(called) {}

  const PopulationHooks& hooks;
};

// Whether a member's run ends with an epoch of these numbers because its given epochs say so.
template <class T>
bool given_run_ends(const PopulationMember<T>& m, const EpochNumbers& numbers) {
  return m.given != nullptr &&
         m.given->ends_with(numbers.loss, numbers.penalty, GivenEpochs::Clock::now());
}

// A member's run is over, network and trainer up to date. One of given epochs may have another
// run; the caller looks at its parameters when the fit ends.
template <class T>
void end_member(PopulationMember<T>& m, PopulationRun& run) {
  if (m.given == nullptr) m.trainer->keep_finite();
  run.hooks.ended(run.hooks.context, m.number);
}

}  // namespace fastrelu
