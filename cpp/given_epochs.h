// SPDX-License-Identifier: BSD-3-Clause
// Epochs over rows of the caller's choice, as scikit-learn's estimators make them
// (docs/arithmetic.md, "Epochs in a given order"): before each the rows are shuffled anew by a
// generator of the caller's, and a fit ends when its loss has stopped falling.
//
// Owns its rows; the generator is the caller's and must outlive it. One thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "array.h"
#include "sampler.h"

namespace fastrelu {

// A generator of 32 random bits a call. Without one, nothing is shuffled.
struct RandomWords {
  void* state = nullptr;
  std::uint32_t (*next)(void* state) = nullptr;
};

// Shuffles as NumPy's RandomState.shuffle does: from the last place on, each takes the value of a
// random place up to its own, drawn by masked bits that are rejected until they fit.
void shuffle_as_numpy(RandomWords words, Index* values, std::size_t count);

// Whether a loss has stopped falling: in more than `patience` epochs in a row it has not been
// `tolerance` or more below the best one.
struct LossWatch {
  double tolerance = 0, best = 0;
  std::uint64_t patience = 0, waited = 0;

  bool ends_with(double loss) {
    waited = loss > best - tolerance ? waited + 1 : 0;
    if (loss < best) best = loss;
    return waited > patience;
  }
};

class GivenEpochs {
 public:
  using Clock = std::chrono::steady_clock;

  // Of `count` rows of a data set, in minibatches of so many, with scikit-learn's penalty.
  // `divisor`: of the sum of the losses in what is watched.
  GivenEpochs(const Index* rows, std::size_t count, std::size_t batch_size, double penalty,
              double divisor, RandomWords words);

  std::size_t count() const { return rows_.size(); }
  std::size_t batch_size() const { return batch_size_; }
  std::size_t steps() const { return (count() + batch_size_ - 1) / batch_size_; }

  // The rows are those so many places further on.
  void move(Index rows) {
    for (Index& row : rows_) row += rows;
  }

  // What ends a run of epochs: the watch, and the first epoch that is over at this time or later.
  LossWatch watch;
  Clock::time_point until = Clock::time_point::max();

  // Shuffles the rows for the next epoch; the order is a view of them.
  GivenOrder next();
  // Whether the run ends with an epoch of these sums over its rows.
  bool ends_with(double loss, double penalty, Clock::time_point now);

 private:
  std::vector<Index> rows_, places_, before_;
  const std::size_t batch_size_;
  const double penalty_, divisor_;
  const RandomWords words_;
};

}  // namespace fastrelu
