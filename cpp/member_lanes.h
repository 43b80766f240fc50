// SPDX-License-Identifier: BSD-3-Clause
// Small networks that are trained side by side, one in each lane of a vector (kernels/lanes.h).
// They are alike: layers, activations, loss, optimizer's rule, batch size and rows of data are
// the same; widths of hidden layers, rates and other numbers, seeds, rows and epochs are each
// member's own. A lane goes through its epochs as Trainer::run_epoch does and is free when its
// member ends.
//
// Parameters and the optimizer's state of a member in a lane live there; network and trainer hold
// them again when it has left, at the end of an epoch for those who ask, and where run returns.
// Memory is taken when it is made (std::bad_alloc). One thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include "array.h"
#include "kernels/kernels.h"
#include "population_member.h"

namespace fastrelu {

// Whether a member can be in a lane at all, and whether two can be side by side.
template <class T>
bool fits_lanes(const PopulationMember<T>& member);
template <class T>
bool are_alike(const PopulationMember<T>& a, const PopulationMember<T>& b);

template <class T>
class MemberLanes {
 public:
  // For members up to these widths, alike to the first; its lanes are those of `kernels`, which
  // outlive it.
  MemberLanes(const std::vector<PopulationMember<T>*>& members, const KernelTable<T>& kernels);

  // Whether the widths of the member are those of the memory, or less.
  bool has_room(const PopulationMember<T>& member) const;
  std::size_t free_lanes() const;
  void enter(PopulationMember<T>& member, PopulationRun& run);
  // Takes steps until a lane becomes free or the run stops.
  void steps(PopulationRun& run, bool is_caller);
  // All members leave their lanes.
  void leave();

 private:
  using Clock = std::chrono::steady_clock;
  struct Lane {
    PopulationMember<T>* member = nullptr;
    Minibatch minibatch;
    UpdateArgs<T> update;
    const double* rates = nullptr;
    const double* weights = nullptr;  // the data set's
    std::size_t steps_left = 0;       // of its epoch
    std::size_t factor_rows = 0;      // so many of its factors are those of equal weights
    double weight = 0;                // of the minibatch's rows
    Clock::time_point began;
    Totals totals;  // of given epochs
  };

  void lay_out(const std::vector<PopulationMember<T>*>& members);
  template <class Move>
  void for_each_parameter(std::size_t lane, Move move);
  void load(std::size_t lane);
  void store(std::size_t lane);
  void set_widths();
  void begin_epoch(std::size_t lane, PopulationRun& run);
  bool begin_sampling(std::size_t lane);
  void end_epoch(std::size_t lane, PopulationRun& run);
  void begin_step();
  void set_rows(std::size_t lane);
  void set_factors(std::size_t lane);
  void set_update(std::size_t lane);
  void add_losses(double* sums) const;
  bool count_step(std::size_t lane, double loss);
  void end_step(PopulationRun& run);

  const KernelTable<T>& kernels_;
  const std::size_t lanes_;
  std::vector<Lane> members_;
  std::vector<LanesLayer> layers_;
  std::size_t parameters_count_ = 0;
  LanesStep<T> step_{};
  double work_ = 0;                  // of a step
  bool weighted_ = false;            // a member has weights
  bool penalised_ = false;           // a minibatch has a penalty
  double squares_[kMostLanes] = {};  // of the weights of each lane, if so
  AlignedBuffer<T> widths_, counts_, parameters_, gradient_, state_, factors_, row_losses_;
  AlignedBuffer<T> workspace_;
  AlignedBuffer<Index> rows_;
};

}  // namespace fastrelu
