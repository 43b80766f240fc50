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

#include <cstddef>
#include <memory>
#include <vector>

#include "poll.h"
#include "population_member.h"

namespace fastrelu {

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
