// SPDX-License-Identifier: BSD-3-Clause
// Many runs of SGD from one start, for the study of its convergence: how far from a given point
// each is after its steps. A run is a Trainer's own, epoch after epoch, on a linear network without
// biases (a column of ones in X makes one); only its seed is new: the first word of the Philox
// block of counter (0, replicate, 0, 0) under key (seed, Purpose::replicate).
//
//   distances[r, i]  = |w - target|^2 in run r after step distance_at[i], a float64 chain
//                      acc = acc + e * e from +0 over the parameters, e = w - target
//   weights[r, i, :] = w after step weights_at[i]
//
// Runs are shared out over the threads, one to a thread at a time; no result depends on how many
// there are. Throws std::bad_alloc. Data are views that must outlive the call.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trainer.h"

namespace fastrelu {

struct StudyPlan {
  LossKind loss = LossKind::squared_error;
  std::size_t outputs = 1;
  double weight_decay = 0;
  std::size_t batch_size = 1;
  Sampling sampling = Sampling::subset;
  std::uint64_t seed = 0;
  std::size_t replicates = 1, steps = 1;
  const double* learning_rates = nullptr;            // (steps,)
  const double *start = nullptr, *target = nullptr;  // (inputs, outputs)
  const std::int64_t* distance_at = nullptr;         // ascending, in 1 .. steps
  const std::int64_t* weights_at = nullptr;          // the same
  std::size_t distance_count = 0, weights_count = 0;
};

// False: stopped by `poll`, which the calling thread asks some 20 times a second.
bool run_study(const DataSet<double>& data, const StudyPlan& plan, Poll poll, double* distances,
               double* weights);

std::uint64_t replicate_seed(std::uint64_t seed, std::uint64_t replicate);

}  // namespace fastrelu
