// SPDX-License-Identifier: BSD-3-Clause
// Minibatch SGD: one step = forward, loss, backward, update (docs/arithmetic.md). An epoch is one
// call: all threads of a team walk through its steps together (passes.cpp),
//
//   forward, loss, backward   each thread takes rows or features
//   weights                   each thread takes blocks of the weights: dW, db and, where nothing
//                             else needs the whole gradient first, the update
//
// Minibatches of a few rows take one kernel call a step, on one thread.
//
// With sparse rows a SparseGradient has the first layer's weights (sparse.h). Their stored gradient
// is then +0 between two steps, so that nothing need be cleared where a step stores no entry.
//
// A trainer owns its optimizer state and the memory of a step, both taken before the first step;
// nothing is allocated inside an epoch. Data are views that must outlive the call. One thread
// at a time may use a trainer, and nobody else its network meanwhile (the bindings see to it).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "array.h"
#include "loss.h"
#include "network.h"
#include "optimizer.h"
#include "sparse.h"
#include "thread_choice.h"
#include "thread_pool.h"

namespace fastrelu {

// blocks: the rows come in parts, each in an order that the caller gives (Block).
enum class Sampling : std::uint8_t { shuffle, subset, with_replacement, blocks };

struct TrainerOptions {
  LossKind loss = LossKind::squared_error;
  std::vector<double> pos_weight;  // empty, or one for each output
  OptimizerSpec optimizer;
  std::size_t batch_size = 1;
  std::size_t n_shards = 1;
  std::uint64_t seed = 0;
  double clip_norm = 0;  // 0: none
  // For the losses that have one (huber's threshold, the quantile), and LossSpec's two switches.
  double loss_parameter = 0;
  bool summed = false, clipped = false;
  std::vector<double> dropout;  // a rate for each hidden layer, or empty
};

// Where a training run stands in its epochs: with the parameters and the optimizer's arrays and
// progress, all that a checkpoint holds.
struct TrainerState {
  std::uint64_t epoch = 0;       // epochs begun
  bool in_epoch = false;         // the last one is not finished
  std::uint64_t place = 0;       // steps taken in it
  std::uint64_t epoch_rows = 0;  // rows of its data set
  Sampling sampling = Sampling::shuffle;
  double loss_sum = 0, weight_sum = 0;  // over its steps so far
};

template <class T>
struct DataSet {
  RowSource x;
  Targets<T> targets;
  const double* weights = nullptr;  // (rows,), or null
};

// An epoch whose rows the caller has put in order: minibatches of batch_size rows, the last one
// shorter. It belongs to no TrainerState epoch. The penalty is scikit-learn's: alpha / 2 times the
// squared norm of the weights, over the minibatch's rows or the sum of their weights.
struct OrderedEpoch {
  const Index* order = nullptr;  // `count` rows of the data set, or null: rows 0 .. count-1
  std::size_t count = 0, batch_size = 1;
  const double* learning_rates = nullptr;  // one a step
  double alpha = 0;
};
// The float64 chains over the steps taken of rows * loss and rows * penalty of each minibatch, both
// before its update.
struct OrderedLoss {
  std::size_t steps = 0;
  double loss = 0, penalty = 0;
};

// A part of an epoch over more rows than memory holds: `count` rows of the data set at hand, cut
// into minibatches of batch_size, only the epoch's last one shorter. (A block that is not the last
// has a multiple of batch_size.)
struct Block {
  const Index* order = nullptr;
  std::size_t count = 0;
  std::size_t epoch_rows = 0;  // of all blocks
};

// Sums in float64 over rows, in their order, to go on from.
struct LossSums {
  double loss = 0, weight = 0;
};

// Called now and then (some 20 times a second) between two steps; true: stop here.
struct Poll {
  bool (*call)(void* context);
  void* context;
};

template <class T>
class Trainer {
 public:
  Trainer(std::shared_ptr<Network<T>> net, TrainerOptions options);

  // One step on exactly these rows; returns their loss.
  double step(const DataSet<T>& data, double learning_rate);

  // Loss and gradient (laid out as the parameters) of these rows; nothing is updated.
  double loss_and_gradient(const DataSet<T>& data, T* gradient);

  // The loss of these rows, and the outputs (rows, outputs) unless that is null.
  double data_loss(const DataSet<T>& data, T* outputs) const;
  // Adds these rows' weighted losses to `sums`, row after row: over the parts of a data set the
  // sums become those of the whole. The outputs as above. Needs n_shards == 1.
  void add_losses(const DataSet<T>& data, T* outputs, LossSums* sums) const;

  std::size_t steps_in_epoch(std::size_t rows, Sampling sampling) const;
  // Begins an epoch unless one is open, and runs it from its place on. learning_rates[i] is that of
  // the i-th step from here. True: the epoch is finished; false: stopped by `poll` between two
  // steps. With `after_step`, which is called after every step and may stop there too, the steps
  // are one thread's.
  bool run_epoch(const DataSet<T>& data, Sampling sampling, const double* learning_rates, Poll poll,
                 Poll after_step = {nullptr, nullptr});
  double epoch_loss() const;
  // Begins an epoch unless one is open, and takes the block's steps. True: all are taken; false:
  // stopped by `poll` between two steps, state.place tells where. The epoch ends with its last
  // row. Needs n_shards == 1.
  bool run_block(const DataSet<T>& data, const Block& block, const double* learning_rates,
                 Poll poll);

  // Needs n_shards == 1. True: all steps are taken; false: stopped by `poll` between two.
  bool run_ordered(const DataSet<T>& data, const OrderedEpoch& epoch, Poll poll, OrderedLoss* loss);

  TrainerState state;
  const TrainerOptions& options() const { return options_; }
  const std::shared_ptr<Network<T>>& network() const { return net_; }
  Optimizer<T>& optimizer() { return optimizer_; }

 private:
  struct Segment {
    std::size_t begin, end;
  };
  // One minibatch, ready to run: its rows, shard after shard, and its update.
  struct Plan {
    const Index* index = nullptr;  // or null: rows 0 .. rows-1
    std::size_t rows = 0;
    std::vector<Segment> segments;  // one a shard, some may be empty
    double weight_sum = 0;
    std::uint64_t number = 0;  // among all this trainer's, from 1
    double alpha = 0;          // of the penalty; OrderedEpoch
    UpdateArgs<T> update;
    const Index* ahead = nullptr;  // the rows of the minibatch after it, where known
    std::size_t ahead_rows = 0;
  };

  void reserve(const DataSet<T>& data, std::size_t rows, bool repeats);
  void reserve_sparse(const DataSet<T>& data, std::size_t rows, bool repeats);
  void begin_plan(Plan& plan, const DataSet<T>& data, double learning_rate);
  void draw_minibatch(Plan& plan, std::size_t rows);
  void begin_epoch(std::size_t rows, Sampling sampling);
  // Steps of the open epoch up to place `end`; draw(plan) sets the rows of the next one.
  template <class Draw>
  bool run_to(std::size_t end, const DataSet<T>& data, std::size_t batch, Draw draw,
              const double* learning_rates, Poll poll, Poll after_step);
  enum class Turn : std::uint8_t { step, pause, end };
  // next(plan) makes a plan, or asks for a pause or the end. In a pause no thread is at work:
  // resume() says whether to go on.
  template <class Next, class Resume>
  void run_steps(const DataSet<T>& data, std::size_t rows, bool many, Next next, Resume resume);
  void begin_steps(const DataSet<T>& data, std::size_t rows, bool many);
  void set_ordered_minibatch(Plan& plan, const OrderedEpoch& epoch, std::size_t step);
  void take_step(const DataSet<T>& data, const Plan& plan, Team& team, unsigned t);
  double segment_gradient(const DataSet<T>& data, const Plan& plan, Segment segment,
                          const WeightGradients<T>& out, Team& team, unsigned t);
  void few_rows_gradient(const Plan& plan, Segment segment, const WeightGradients<T>& out);
  RowsAhead rows_ahead(const DataSet<T>& data, const Plan& plan, unsigned n, unsigned t) const;
  LossArgs<T> loss_args(const DataSet<T>& data, const Plan& plan, std::size_t first) const;
  double loss_sum(const DataSet<T>& data, const Plan& plan, Segment rows, double sum) const;
  void add_shard(Team& team, unsigned t);
  void update_phase(const Plan& plan, WeightGradients<T> out, Team& team, unsigned t);
  double gradient_norm() const;
  double squared_weights() const;
  LossSpec<T> loss_spec() const;
  Range shard(std::size_t rows, std::size_t s) const;

  std::shared_ptr<Network<T>> net_;
  TrainerOptions options_;
  std::vector<T> pos_weight_;
  Optimizer<T> optimizer_;
  bool fused_;           // the update follows each block of the gradient at once
  bool updates_ = true;  // false: the gradient alone is wanted
  bool decays_ = false;  // the steps of this run have a penalty
  ThreadChoice thread_choice_;

  // The memory of a step.
  std::size_t capacity_ = 0;
  bool inputs_kept_ = false;  // there is room for A_0
  Activations<T> activations_;
  OutputGradients<T> gradients_;
  Plan plans_[2];  // in turn: thread 0 makes the next while others may still read the last
  FewRowsStep<T> few_{};
  AlignedBuffer<T> few_rows_, transposed_;
  AlignedBuffer<T> gradient_, shard_gradient_, factor_, row_loss_, scratch_;
  SparseGradient<T> sparse_gradient_;
  std::uint64_t minibatches_ = 0;
  bool sparse_ = false;            // the rows at work are
  bool gradient_filled_ = false;   // the first layer's stored gradient is not +0
  std::size_t equal_factors_ = 0;  // so many factors are 1 / (outputs * equal_factors_)
  AlignedBuffer<double> column_sums_;
  AlignedBuffer<Index> order_, minibatch_, grouped_;
  AlignedBuffer<std::uint8_t> taken_;
  unsigned most_threads_ = 1;
  std::size_t scratch_each_ = 0;
  unsigned ahead_lines_ = 0;  // to prefetch at every tile
  double step_loss_ = 0, step_penalty_ = 0;
  T clip_ = 0;
  bool clipped_ = false;
};

}  // namespace fastrelu
