// SPDX-License-Identifier: BSD-3-Clause
// Minibatch SGD: a network, an optimizer and the steps that change them, in epochs.
//
//   trainer -> loop -> sampler             which rows
//                   -> step -> passes      what a step computes
//
// Each way of training begins a run of the sampler and of the step, and hands both to the loop
// (loop.h), which takes the steps; here is only what outlives a run. A trainer owns its optimizer's
// state and the memory of a step; the network is shared. Memory is taken before a run's first step
// (std::bad_alloc, with nothing changed). Data are views that must outlive the call. One thread at
// a time may use a trainer, and nobody else its network meanwhile (the bindings see to it).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "input_scales.h"
#include "loop.h"
#include "minibatch.h"
#include "network.h"
#include "optimizer.h"
#include "poll.h"
#include "sampler.h"
#include "step.h"

namespace fastrelu {

struct TrainerOptions : StepOptions {
  OptimizerSpec optimizer;
  std::size_t batch_size = 1;
};

// Where a training run stands in its epochs: with the parameters and the optimizer's arrays and
// progress, all that a checkpoint holds.
struct TrainerState {
  std::uint64_t epoch = 0;       // epochs begun
  bool in_epoch = false;         // the last one is not finished
  std::uint64_t epoch_rows = 0;  // rows of its data set
  Sampling sampling = Sampling::shuffle;
  Totals totals;  // over its steps so far
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

template <class T>
class Trainer {
 public:
  Trainer(std::shared_ptr<Network<T>> net, TrainerOptions options);

  // One step on exactly these rows; returns their loss. While it takes its memory, before anything
  // has changed, it throws Interrupted where the calling thread's poll says stop.
  double step(const DataSet<T>& data, double learning_rate);

  // Loss and gradient (laid out as the parameters) of these rows; nothing is updated. This and the
  // next two throw Interrupted where the calling thread's poll (poll.h) says stop.
  double loss_and_gradient(const DataSet<T>& data, T* gradient);

  // The loss of these rows, and the outputs (rows, outputs) unless that is null.
  double data_loss(const DataSet<T>& data, T* outputs) const;
  // Adds these rows' weighted losses to `sums`, row after row: over the parts of a data set the
  // sums become those of the whole. The outputs as above. Needs n_shards == 1.
  void add_losses(const DataSet<T>& data, T* outputs, LossSums* sums) const;

  std::size_t steps_in_epoch(std::size_t rows, Sampling sampling) const {
    return sampler_.steps_in_epoch(rows, sampling);
  }
  // Begins an epoch unless one is open, and runs it from its place on. learning_rates[i] is that of
  // the i-th step from here. True: the epoch is finished; false: stopped by `poll` between two
  // steps. With `after_step`, which is called after every step and may stop there too, the steps
  // are one thread's.
  bool run_epoch(const DataSet<T>& data, Sampling sampling, const double* learning_rates, Poll poll,
                 Poll after_step = {}, Subset subset = {});
  double epoch_loss() const;

  // An epoch whose steps somebody else takes, with the minibatches of `sampler` (member_lanes.h).
  // Where looks_before_epoch, the network and the optimizer's state have to be up to date. begin:
  // begins an epoch unless one is open; false: the parameters are not finite, all is as it was
  // when they were. count_step: after each step; false: its loss is not finite.
  bool looks_before_epoch() const { return !kept_.any || is_time_to_keep(); }
  bool begin_epoch(const DataSet<T>& data, Sampling sampling, Subset subset, const Sampler* like);
  Sampler& sampler() { return sampler_; }
  bool count_step(const StepResult& result);
  // The same for an epoch in the caller's order (run_ordered).
  bool begin_ordered(const GivenOrder& order);
  bool count_ordered_step(const StepResult& result, Totals& totals);
  void end_epoch() { state.in_epoch = false; }
  // Goes back after such a step.
  void undo_divergence() { go_back(); }
  const LossSpec<T>& loss_spec() const { return step_.loss_spec(); }

  // Gives up the memory of a step; the next run takes it again.
  void release_memory() { step_.release_memory(); }

  // Where a run of an epoch, a block or an order has ended because of it; then all is as it was
  // when the parameters were last known to be finite: at the beginning of that run, or of one
  // before it where runs are short.
  const Divergence& divergence() const { return divergence_; }
  // Notes that all is finite now. If the parameters are not, goes back as above: false.
  bool keep_finite();
  // Others have changed the parameters: the next run notes them.
  void forget_kept() { kept_.any = false; }
  // Begins an epoch unless one is open, and takes the block's steps. True: all are taken; false:
  // stopped by `poll` between two steps, state.totals.steps tells where. The epoch ends with its
  // last row. Needs n_shards == 1.
  bool run_block(const DataSet<T>& data, const Block& block, const double* learning_rates,
                 Poll poll);

  // An epoch in the caller's order, which belongs to no epoch of the state. `totals` are by rows
  // (loop.h). True: all steps are taken; false: stopped by `poll` between two. Needs n_shards == 1.
  // `guarded` false: numbers that are not finite end nothing, and nothing is undone.
  bool run_ordered(const DataSet<T>& data, const GivenOrder& order, const double* learning_rates,
                   Poll poll, Totals* totals, bool guarded = true);

  TrainerState state;
  const TrainerOptions& options() const { return options_; }
  const std::shared_ptr<Network<T>>& network() const { return net_; }
  Optimizer<T>& optimizer() { return optimizer_; }
  InputScales<T>& input_scales() { return scales_; }

 private:
  void begin_run(const DataSet<T>& data, bool updates);
  bool run(const LoopOptions& options, Totals& totals);
  bool run_guarded(LoopOptions options, Totals& totals);
  bool keep_before_run();
  bool is_finite_step(const StepResult& result);
  bool is_time_to_keep() const;
  void begin_sampling(const DataSet<T>& data, Sampling sampling, Subset subset,
                      const Sampler* like);
  void go_back();
  void open_epoch(std::size_t rows, Sampling sampling);

  const TrainerOptions options_;
  const std::shared_ptr<Network<T>> net_;
  Optimizer<T> optimizer_;
  InputScales<T> scales_;
  Step<T> step_;
  Sampler sampler_;
  Loop<T> loop_;
  Divergence divergence_;
  // Parameters, optimizer state and factors of the inputs when they were last known to be finite.
  struct {
    bool any = false;
    AlignedBuffer<T> values;
    OptimizerProgress progress;
    TrainerState state;
  } kept_;
};

}  // namespace fastrelu
