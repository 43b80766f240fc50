// SPDX-License-Identifier: BSD-3-Clause
#include "trainer.h"

#include <algorithm>
#include <cmath>

#include "dispatch.h"
#include "fp_environment.h"
#include "predict.h"

namespace fastrelu {
namespace {

double mean(const Totals& totals) { return totals.weight == 0 ? 0.0 : totals.loss / totals.weight; }

template <class T>
void add_row_losses(const T* losses, const double* weights, Range rows, LossSums* sums) {
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const double loss = static_cast<double>(losses[r]);
    sums->loss += weights != nullptr ? loss * weights[r] : loss;
    sums->weight += weights != nullptr ? weights[r] : 1.0;
  }
}

// Rows between two looks at all parameters, for each of their arrays: a row takes some 3
// multiply-adds a parameter, so that looking and copying is below a hundredth of that.
constexpr std::uint64_t kRowsBetween = 1024;

}  // namespace

template <class T>
Trainer<T>::Trainer(std::shared_ptr<Network<T>> net, TrainerOptions options)
    : options_(std::move(options)),
      net_(std::move(net)),
      optimizer_(options_.optimizer, net_->parameter_count()),
      scales_(*net_, options_.optimizer, options_.input_scale_rate),
      step_(*net_, optimizer_, scales_, options_),
      sampler_(options_.batch_size, options_.n_shards, options_.seed),
      loop_(options_.n_shards) {}

// The run that the sampler has begun.
template <class T>
void Trainer<T>::begin_run(const DataSet<T>& data, bool updates) {
  step_.begin_run(data, {sampler_.most_rows(), sampler_.left(), sampler_.repeats(),
                         sampler_.penalty() > 0, updates});
}

template <class T>
bool Trainer<T>::run(const LoopOptions& options, Totals& totals) {
  const bool finished = loop_.run(sampler_, step_, options, totals);
  ++net_->version;
  return finished;
}

template <class T>
bool Trainer<T>::keep_finite() {
  const std::size_t n = net_->parameter_count(), arrays = optimizer_.spec().state_count();
  if (!kernels<T>().all_finite(net_->parameters(), n)) {
    divergence_ = {true, optimizer_.progress.step, epoch_loss()};
    go_back();
    return false;
  }
  kept_.any = false;  // should memory run out here
  kept_.values.reserve(n * (1 + arrays) + scales_.size());
  std::copy_n(net_->parameters(), n, kept_.values.data());
  for (std::size_t k = 0; k < arrays; ++k) {
    std::copy_n(optimizer_.state().array(k), n, kept_.values.data() + (1 + k) * n);
  }
  std::copy_n(scales_.values(), scales_.size(), kept_.values.data() + (1 + arrays) * n);
  kept_.progress = optimizer_.progress;
  kept_.state = state;
  kept_.any = true;
  return true;
}

template <class T>
void Trainer<T>::go_back() {
  if (!kept_.any) return;
  const std::size_t n = net_->parameter_count(), arrays = optimizer_.spec().state_count();
  std::copy_n(kept_.values.data(), n, net_->parameters());
  for (std::size_t k = 0; k < arrays; ++k) {
    std::copy_n(kept_.values.data() + (1 + k) * n, n, optimizer_.state().array(k));
  }
  std::copy_n(kept_.values.data() + (1 + arrays) * n, scales_.size(), scales_.values());
  optimizer_.progress = kept_.progress;
  state = kept_.state;
  ++net_->version;
}

// Before an epoch is opened. False: it must not be.
template <class T>
bool Trainer<T>::keep_before_run() {
  divergence_ = {};
  if (!kept_.any) {
    // Parameters that are not finite from the start are for the first step to report.
    if (kernels<T>().all_finite(net_->parameters(), net_->parameter_count())) keep_finite();
    return true;
  }
  return !is_time_to_keep() || keep_finite();
}

template <class T>
bool Trainer<T>::is_time_to_keep() const {
  const std::uint64_t rows = (optimizer_.progress.step - kept_.progress.step) * options_.batch_size;
  return rows >= kRowsBetween * (1 + optimizer_.spec().state_count());
}

template <class T>
bool Trainer<T>::run_guarded(LoopOptions options, Totals& totals) {
  options.divergence = &divergence_;
  const bool finished = run(options, totals);
  if (divergence_.happened) go_back();
  return finished && !divergence_.happened;
}

template <class T>
double Trainer<T>::step(const DataSet<T>& data, double learning_rate) {
  const FpEnvironment environment;
  sampler_.begin_whole(data.x.rows);
  begin_run(data, true);
  LoopOptions options;
  options.learning_rates = &learning_rate;
  Totals totals;
  run(options, totals);
  return mean(totals);
}

template <class T>
double Trainer<T>::loss_and_gradient(const DataSet<T>& data, T* gradient) {
  const FpEnvironment environment;
  sampler_.begin_whole(data.x.rows);
  begin_run(data, false);
  const double unused_rate = 0;
  LoopOptions options;
  options.learning_rates = &unused_rate;
  Totals totals;
  PassWatch watch;
  step_.watch(&watch);
  loop_.run(sampler_, step_, options, totals);
  step_.watch(nullptr);
  watch.throw_if_stopped();
  std::copy_n(step_.gradient(), net_->parameter_count(), gradient);
  return mean(totals);
}

template <class T>
double Trainer<T>::data_loss(const DataSet<T>& data, T* outputs) const {
  const FpEnvironment environment;
  const std::size_t rows = data.x.rows;
  AlignedBuffer<T> losses(rows);
  row_losses(static_cast<const Network<T>&>(*net_), data.x, data.targets, step_.loss_spec(),
             losses.data(), outputs);
  double total = 0;
  LossSums sums;
  for (std::size_t s = 0; s < options_.n_shards; ++s) {
    sums.loss = 0;
    add_row_losses(losses.data(), data.weights, shard_of(rows, options_.n_shards, s), &sums);
    total += sums.loss;
  }
  return sums.weight == 0 ? 0.0 : total / sums.weight;
}

template <class T>
void Trainer<T>::add_losses(const DataSet<T>& data, T* outputs, LossSums* sums) const {
  const FpEnvironment environment;
  AlignedBuffer<T> losses(data.x.rows);
  row_losses(static_cast<const Network<T>&>(*net_), data.x, data.targets, step_.loss_spec(),
             losses.data(), outputs);
  add_row_losses(losses.data(), data.weights, Range{0, data.x.rows}, sums);
}

template <class T>
void Trainer<T>::open_epoch(std::size_t rows, Sampling sampling) {
  if (state.in_epoch) return;
  state = {state.epoch + 1, true, rows, sampling, {}};
}

// The minibatches of the open epoch from its place on, or else of the next one.
template <class T>
void Trainer<T>::begin_sampling(const DataSet<T>& data, Sampling sampling, Subset subset,
                                const Sampler* like) {
  const std::uint64_t epoch = state.in_epoch ? state.epoch : state.epoch + 1;
  const std::size_t place = state.in_epoch ? state.totals.steps : 0;
  sampler_.begin_epoch(sampling, subset.of(data.x.rows), epoch, place, subset, like);
}

template <class T>
bool Trainer<T>::run_epoch(const DataSet<T>& data, Sampling sampling, const double* learning_rates,
                           Poll poll, Poll after_step, Subset subset) {
  const FpEnvironment environment;
  const bool guarded = after_step.call == nullptr;
  if (guarded && !keep_before_run()) return false;
  begin_sampling(data, sampling, subset, nullptr);
  begin_run(data, true);
  open_epoch(subset.of(data.x.rows), sampling);
  const LoopOptions options{learning_rates, poll, after_step, false, nullptr};
  const bool finished = guarded ? run_guarded(options, state.totals) : run(options, state.totals);
  if (!divergence_.happened) state.in_epoch = !finished;
  return finished;
}

template <class T>
bool Trainer<T>::begin_epoch(const DataSet<T>& data, Sampling sampling, Subset subset,
                             const Sampler* like) {
  if (!keep_before_run()) return false;
  begin_sampling(data, sampling, subset, like);
  open_epoch(subset.of(data.x.rows), sampling);
  return true;
}

template <class T>
bool Trainer<T>::count_step(const StepResult& r) {
  add_step(state.totals, r);
  return is_finite_step(r);
}

template <class T>
bool Trainer<T>::begin_ordered(const GivenOrder& order) {
  if (!keep_before_run()) return false;
  sampler_.begin_order(order);
  return true;
}

template <class T>
bool Trainer<T>::count_ordered_step(const StepResult& r, Totals& totals) {
  add_step_by_rows(totals, r);
  return is_finite_step(r);
}

template <class T>
bool Trainer<T>::is_finite_step(const StepResult& r) {
  if (std::isfinite(r.loss)) return true;
  divergence_ = {true, optimizer_.progress.step, mean_loss(r)};
  return false;
}

template <class T>
bool Trainer<T>::run_block(const DataSet<T>& data, const Block& block, const double* learning_rates,
                           Poll poll) {
  const FpEnvironment environment;
  if (!keep_before_run()) return false;
  sampler_.begin_order({block.order, block.count, options_.batch_size, 0});
  begin_run(data, true);
  open_epoch(block.epoch_rows, Sampling::blocks);
  const bool taken = run_guarded({learning_rates, poll, {}, false, nullptr}, state.totals);
  if (divergence_.happened) return false;
  state.in_epoch = state.totals.steps < steps_in_epoch(block.epoch_rows, Sampling::blocks);
  return taken;
}

template <class T>
bool Trainer<T>::run_ordered(const DataSet<T>& data, const GivenOrder& order,
                             const double* learning_rates, Poll poll, Totals* totals,
                             bool guarded) {
  const FpEnvironment environment;
  *totals = {};
  if (guarded && !keep_before_run()) return false;
  sampler_.begin_order(order);
  begin_run(data, true);
  const LoopOptions options{learning_rates, poll, {}, true, nullptr};
  return guarded ? run_guarded(options, *totals) : run(options, *totals);
}

template <class T>
double Trainer<T>::epoch_loss() const {
  return mean(state.totals);
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace fastrelu
