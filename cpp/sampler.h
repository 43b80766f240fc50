// SPDX-License-Identifier: BSD-3-Clause
// Which rows of a data set the next minibatch takes, and in which shards (docs/arithmetic.md,
// "Shards", "Epochs in a given order", "Random numbers"). A draw is a pure function of the seed,
// the epoch and the step, so nothing of it is saved to resume.
//
// A run of minibatches is begun, which takes its memory (std::bad_alloc), then gone through by
// `next`, which takes none. The sampler owns the rows it draws: a minibatch's stay as they are
// until the one after the next is asked for, since threads may still read the last one's. An order
// given by the caller is a view that must outlive the run. One thread at a time; it knows nothing
// of networks and steps.
#pragma once

#include <cstddef>
#include <cstdint>

#include "array.h"
#include "minibatch.h"

namespace fastrelu {

// The ways of an epoch. blocks: the rows come in parts, each in an order that the caller gives.
enum class Sampling : std::uint8_t { shuffle, subset, with_replacement, blocks };

// Minibatches of batch_size rows in the caller's order, the last one shorter.
struct GivenOrder {
  const Index* rows = nullptr;  // `count` rows of the data set, or null: rows 0 .. count-1
  std::size_t count = 0, batch_size = 1;
  double penalty = 0;  // Minibatch's
};

// What an epoch's minibatches are drawn from: all rows of a data set, or `count` of them, which may
// repeat: a row is then one of 0 .. count - 1 where this header and docs/arithmetic.md speak of
// rows, and stands for rows[it]. A view that must outlive the run.
struct Subset {
  const Index* rows = nullptr;
  std::size_t count = 0;

  std::size_t of(std::size_t all) const { return rows != nullptr ? count : all; }
  void pick(Index* chosen, std::size_t n) const {
    for (std::size_t r = 0; rows != nullptr && r < n; ++r) chosen[r] = rows[chosen[r]];
  }
};

class Sampler {
 public:
  // `own`: the shards whose rows this process has (communicator.h). Only their rows' places in a
  // minibatch are set, to their numbers in the data set at hand, which has those shards alone.
  Sampler(std::size_t batch_size, std::size_t n_shards, std::uint64_t seed, Range own)
      : batch_size_(batch_size), n_shards_(n_shards), own_(own), seed_(seed) {}

  // Minibatches of an epoch over so many rows.
  std::size_t steps_in_epoch(std::size_t rows, Sampling sampling) const;

  // The runs. One minibatch of all rows as they lie:
  void begin_whole(std::size_t rows);
  // those of an epoch, not of blocks, over so many rows, from its minibatch `place` on (`like` is
  // null, or has begun the same epoch: its order is copied, which is quicker than drawing it):
  void begin_epoch(Sampling sampling, std::size_t rows, std::uint64_t epoch, std::size_t place,
                   Subset subset = {}, const Sampler* like = nullptr);
  // those of a given order.
  void begin_order(const GivenOrder& order);

  // Whether it holds the order of this epoch of shuffled rows.
  bool has_order(std::uint64_t seed, std::uint64_t epoch, std::size_t rows, Subset subset) const;
  // Whether both are in the same epoch of shuffled rows, with the same minibatches.
  bool is_like(const Sampler& other) const;
  std::size_t place() const { return place_; }
  std::size_t left() const { return steps_ - place_; }  // minibatches of the run
  std::size_t most_rows() const { return batch_; }      // of a minibatch
  std::size_t most_own_rows() const;                    // of them in the shards of this process
  bool repeats() const { return repeats_; }             // one may hold a row more than once
  double penalty() const { return order_.penalty; }

  // The next of them, for step `step` of the training, counted from 1; m has room for n_shards
  // shards.
  void next(std::uint64_t step, Minibatch& m);

 private:
  enum class Way : std::uint8_t { in_order, shards_in_order, subset, with_replacement };

  void begin(Way way, std::size_t rows, std::size_t batch, std::size_t steps, std::size_t place);
  void shuffle();
  void cut(Minibatch& m) const;
  void cut_shards(Index* rows, Minibatch& m) const;
  void draw(std::uint64_t step, Index* drawn, Index* grouped, Minibatch& m);

  // The rows of a shard, of the data set of all processes.
  Range rows_of(std::size_t shard) const { return shard_of(rows_, n_shards_, shard); }

  std::size_t batch_size_, n_shards_;
  Range own_;
  std::uint64_t seed_;

  Way way_ = Way::in_order;
  GivenOrder order_;      // what `in_order` cuts; its penalty is every way's
  std::size_t rows_ = 0;  // that are drawn from
  Index first_ = 0;       // of them in own_
  Subset subset_;
  std::uint64_t epoch_ = 0;  // of an epoch
  std::size_t batch_ = 0;    // min(batch_size, rows_)
  std::size_t steps_ = 0, place_ = 0;
  bool repeats_ = false;
  unsigned turn_ = 0;  // which half of the buffers is next
  AlignedBuffer<Index> shuffled_, drawn_, grouped_;
  AlignedBuffer<std::uint8_t> taken_;
};

}  // namespace fastrelu
