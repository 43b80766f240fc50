// SPDX-License-Identifier: BSD-3-Clause
// One step of minibatch SGD (docs/arithmetic.md), and the memory it needs:
//
//   forward, loss, backward   each thread takes rows or features (passes.h)
//   weights                   each thread takes blocks of the weights: dW, db and, where nothing
//                             else needs the whole gradient first, the update
//   reduce, update            else: shards summed (reducer.h; those of several processes:
//                             shared_shards.h) and the gradient clipped, then every thread updates
//                             a share of the parameters, and of the inputs where these have
//                             learned factors (input_scales.h)
//
// Minibatches of a few rows take one kernel call a step, on one thread. With sparse rows a
// SparseGradient has the first layer's weights (sparse.h), with encoded rows an EncodedLayer
// (encoded.h).
//
// A Step knows nothing of epochs, orders or clocks: it is told the rows of a minibatch. It owns the
// memory of a step, taken by begin_run (std::bad_alloc); nothing is allocated after that. Network
// and optimizer are its owner's, must outlive it, and change by its steps alone while a run goes
// on (the factors of the inputs too); data are views that must outlive the run. begin_run, begin
// and result are for one thread at a time, take for all threads of a team at once, with the same
// arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "array.h"
#include "encoded.h"
#include "input_scales.h"
#include "kernels/kernels.h"
#include "loss.h"
#include "minibatch.h"
#include "network.h"
#include "optimizer.h"
#include "passes.h"
#include "poll.h"
#include "reducer.h"
#include "shared_shards.h"
#include "sparse.h"
#include "thread_pool.h"

namespace fastrelu {

struct LossOptions {
  LossKind kind = LossKind::squared_error;
  std::vector<double> pos_weight;  // empty, or one for each output
  std::vector<double> levels;      // one for each output; empty: evenly spaced
  double parameter = 0;            // of the losses that have one: huber's threshold, the quantile
  bool summed = false, clipped = false;  // LossSpec's
};

struct StepOptions {
  LossOptions loss;
  double clip_norm = 0;         // 0: none
  double input_scale_rate = 0;  // of learned factors of the inputs, 0: there are none
  std::size_t n_shards = 1;
  std::vector<double> dropout;  // a rate for each hidden layer, or empty
  std::uint64_t seed = 0;       // of the dropout masks
  Communicator communicator;    // with n_shards >= its size
};

// What all steps of a run share.
struct StepRun {
  std::size_t most_rows = 0;  // of a minibatch
  std::size_t steps = 1;
  bool repeats = false;      // a minibatch may hold a row more than once
  bool penalised = false;    // minibatches have a penalty
  bool updates = true;       // false: the gradient alone is wanted, without dropout
  std::size_t own_rows = 0;  // the most of a minibatch that are this process's; 0: all

  friend bool operator==(const StepRun& a, const StepRun& b) {
    return a.most_rows == b.most_rows && a.steps == b.steps && a.repeats == b.repeats &&
           a.penalised == b.penalised && a.updates == b.updates && a.own_rows == b.own_rows;
  }
};

// A step that may be taken: its rows, set by the caller, and its update.
template <class T>
struct ReadyStep {
  Minibatch minibatch;
  double weight_sum = 0;     // of the rows
  std::uint64_t number = 0;  // among all that this Step ever took, from 1
  std::uint64_t time = 0;    // the optimizer's step, from 1
  UpdateArgs<T> update;
  UpdateArgs<T> of_scales;  // of the factors of the inputs, where there are any
};

// A step's rows, the sum of their weights and of their weighted losses, and the penalty before the
// update.
struct StepResult {
  double rows = 0, weight = 0, loss = 0, penalty = 0;
};

template <class T>
class Step {
 public:
  Step(Network<T>& net, Optimizer<T>& optimizer, InputScales<T>& scales,
       const StepOptions& options);

  // Takes the memory for steps over minibatches of `data`. With factors of the inputs it throws
  // std::invalid_argument for sparse rows and penalties, before anything has changed.
  void begin_run(const DataSet<T>& data, const StepRun& run);
  // Gives all of it up; the next run takes it again.
  void release_memory();
  // Asked between the blocks of a large minibatch, from now on: of runs without updates alone.
  // Once it has stopped, the gradient is of no use. Null: nobody.
  void watch(PassWatch* watch) { watch_ = watch; }
  // As many threads as could be of use in a step of this run, and its multiply-adds at most.
  unsigned threads() const { return threads_; }
  double work() const { return work_; }
  // Between two steps of a run: the parameters may have been written.
  void parameters_changed();

  // The next step of the optimizer, from 1.
  std::uint64_t next_time() const { return optimizer_.progress.step + 1; }
  // For one thread, while others may still be at the last step: the factors of the rows in
  // step.minibatch and the update that follows.
  void begin(ReadyStep<T>& step, double learning_rate);
  // This thread's part of it, after all threads have waited for `begin`.
  void take(const ReadyStep<T>& step, Team& team, unsigned t);
  // For the thread that was t = 0 in take: of the last step.
  const StepResult& result() const { return result_; }
  // Of a run that several processes share: to stop after the step that all have taken then, whether
  // to stop now, and whether because an exchange has failed; the last step is not taken then.
  bool is_shared() const { return shared_.is_shared(); }
  void ask_to_stop() { shared_.ask_to_stop(); }
  bool must_stop() const { return shared_.must_stop(); }
  bool failed() const { return shared_.failed(); }
  // The gradient of the last step of a run without updates.
  const T* gradient() { return reducer_.gradient(); }
  // Before another step of such a run, by a team of one: what sparse rows have left in the first
  // layer's gradient is +0 again.
  void clear_gradient();

  const LossSpec<T>& loss_spec() const { return loss_spec_; }

 private:
  // Minibatches in one kernel call.
  struct FewRows {
    FewRowsStep<T> call{};
    AlignedBuffer<T> workspace, derivatives, transposed;
    double largest = 0;  // weight, in magnitude, or more
  };
  // Activations and gradients of a block of rows, `capacity` at most; A_0 among them where
  // `inputs`.
  struct ManyRows {
    std::size_t capacity = 0;
    bool inputs = false;
    Activations<T> activations;
    OutputGradients<T> gradients;
    unsigned lines_ahead = 0;  // to prefetch at every tile
  };

  bool is_prepared(const DataSet<T>& data, const StepRun& run) const;
  void reserve_blocks(std::size_t rows);
  const char* target_data() const;
  std::size_t target_bytes() const;
  void fetch_ahead(const Minibatch& m) const;
  void prepare_prefetch(bool many);
  void prepare_few_rows(const StepRun& run);
  void set_loss(LossArgs<T>& loss, const RowPicker& rows, std::size_t first);
  RowsAhead rows_ahead(const Minibatch& m, unsigned n, unsigned t) const;
  void take_shared(const ReadyStep<T>& step, Team& team, unsigned t);
  double shard_gradient(const ReadyStep<T>& step, Range shard, WeightGradients<T>& out, Team& team,
                        unsigned t);
  void few_rows_gradient(const RowPicker& rows, Range block, const WeightGradients<T>& out);
  void many_rows_gradient(const ReadyStep<T>& step, Range block, bool last_block,
                          const WeightGradients<T>& out, Team& team, unsigned t);
  void first_layer_gradient(const RowPicker& pick, std::size_t rows, bool last_block,
                            const WeightGradients<T>& out, Team& team, unsigned t);
  double add_losses(const RowPicker& rows, Range block, double sum) const;
  void update(const WeightGradients<T>& out, const UpdateArgs<T>& of_scales, Team& team,
              unsigned t);

  Network<T>& net_;
  Optimizer<T>& optimizer_;
  InputScales<T>& scales_;
  const StepOptions options_;
  std::vector<T> pos_weight_;
  std::vector<T> slopes_;
  LossSpec<T> loss_spec_;
  Reducer<T> reducer_;
  SharedShards<T> shared_;

  DataSet<T> data_;  // of the run, and what else holds for all its steps:
  StepRun run_;      // without rows until all is prepared for it
  bool sparse_ = false, encoded_ = false, updates_ = true;
  bool fused_ = true;  // the update follows each block of the gradient at once
  unsigned threads_ = 1;
  double work_ = 0, block_work_ = 0;
  PassWatch* watch_ = nullptr;

  RowFactors<T> factors_;
  AlignedBuffer<T> row_losses_;
  FewRows few_;
  ManyRows many_;
  SparseGradient<T> sparse_gradient_;
  EncodedLayer<T> encoded_layer_;
  std::uint64_t steps_begun_ = 0;
  const std::size_t scratch_each_;  // of scratch_, for every thread
  AlignedBuffer<T> scratch_;
  AlignedBuffer<T> handed_on_;  // between two threads (WeightGradients)
  StepResult result_;
};

}  // namespace fastrelu
