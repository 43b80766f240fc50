// SPDX-License-Identifier: BSD-3-Clause
// Between gradient and update: the one place where the gradients of a minibatch's shards become the
// gradient that the update takes, and where it is clipped (docs/arithmetic.md, "Shards",
// "Optimizers", "Sums over matrices").
//
//   sum = g_first, then sum = sum + g_s over the shards that have rows, in ascending order
//   norm = sqrt(sum of squares of `sum`, float64); clipped: g = g * T(clip_norm / norm)
//
// A step asks `begin_shard` where the next shard's gradient goes, lets the passes put it there, and
// calls `end_shard`; after the last one, `finish`. All threads of its team make the same calls.
// Where nothing comes between gradient and update, `is_needed` is false, and a step may let the
// update follow each block of the weights at once and store no gradient.
//
// Where several processes share the shards, the sum over them comes from shared_shards.h, and a
// step calls `finish` alone: norm and clipping are as they are.
//
// A reducer owns its buffers, taken by `reserve` (std::bad_alloc). One step at a time uses it.
#pragma once

#include <cstddef>

#include "array.h"
#include "network.h"
#include "sparse.h"
#include "thread_pool.h"
#include "update.h"

namespace fastrelu {

template <class T>
class Reducer {
 public:
  Reducer(const Network<T>& net, double clip_norm, std::size_t n_shards)
      : net_(net), clip_norm_(clip_norm), n_shards_(n_shards) {}

  bool is_needed() const { return clip_norm_ > 0 || n_shards_ > 1; }

  // The memory of a run of steps: `stored`, they store a gradient; `squares`, sum_of_squares is
  // asked for. With `sparse` (or null) it has the first layer's weights, whose gradient is +0
  // between two steps; `left` says that these steps do not take it out again.
  void reserve(bool stored, bool squares, const SparseGradient<T>* sparse, bool left);

  // The gradient that the update takes; while is_needed() is false, that of the one shard.
  T* gradient() { return sum_.data(); }

  // Where the gradient of the step's next shard with rows goes; `first` of them.
  T* begin_shard(bool first) { return first ? sum_.data() : shard_.data(); }
  // It is there, every thread has waited for the others: takes it in, and waits again.
  void end_shard(bool first, Team& team, unsigned t) {
    if (!first) add_shard(team, t);
  }
  // All shards are there: completes this thread's copy of the update's arguments.
  void finish(UpdateArgs<T>& update, Team& team, unsigned t) {
    if (clip_norm_ > 0) clip(update, team, t);
  }

  // The float64 sum of squares of `values`, laid out as the parameters; of the weights, or with
  // `biases` of all. For one thread.
  double sum_of_squares(const T* values, bool biases);

 private:
  void add_shard(Team& team, unsigned t);
  void clip(UpdateArgs<T>& update, Team& team, unsigned t);

  const Network<T>& net_;
  double clip_norm_;
  std::size_t n_shards_;
  const SparseGradient<T>* sparse_ = nullptr;
  bool filled_ = false;  // the first layer's gradient is not +0
  AlignedBuffer<T> sum_, shard_;
  AlignedBuffer<double> column_sums_;
  T clip_ = 0;
  bool clipped_ = false;
};

}  // namespace fastrelu
