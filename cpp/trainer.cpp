// SPDX-License-Identifier: BSD-3-Clause
#include "trainer.h"

#include <algorithm>
#include <chrono>

#include "dispatch.h"
#include "fp_environment.h"
#include "random.h"

namespace fastrelu {
namespace {

// Sizes as numpy.array_split: the first count % n runs are one longer.
Range split(std::size_t count, std::size_t n, std::size_t s) {
  const std::size_t each = count / n, longer = count % n;
  const std::size_t begin = s * each + std::min(s, longer);
  return {begin, begin + each + (s < longer ? 1 : 0)};
}

using Clock = std::chrono::steady_clock;

std::size_t length(Range r) { return r.end - r.begin; }

template <class T>
void add_row_losses(const T* losses, const double* weights, Range rows, LossSums* sums) {
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const double loss = static_cast<double>(losses[r]);
    sums->loss += weights != nullptr ? loss * weights[r] : loss;
    sums->weight += weights != nullptr ? weights[r] : 1.0;
  }
}

// Asks `poll` about every 50 ms; reads the clock only after so much work.
class Stopwatch {
 public:
  Stopwatch(Poll poll, double work_each) : poll_(poll), work_each_(work_each) {}
  bool due() {
    if (poll_.call == nullptr) return false;
    work_ += work_each_;
    if (work_ < 2e7) return false;
    work_ = 0;
    const auto now = Clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return false;
    last_ = now;
    return true;
  }
  bool stop() { return poll_.call(poll_.context); }

 private:
  Poll poll_;
  double work_each_, work_ = 0;
  Clock::time_point last_ = Clock::now();
};

}  // namespace

template <class T>
Trainer<T>::Trainer(std::shared_ptr<Network<T>> net, TrainerOptions options)
    : net_(std::move(net)),
      options_(std::move(options)),
      optimizer_(options_.optimizer, net_->parameter_count()) {
  const FpEnvironment environment;
  for (const double c : options_.pos_weight) pos_weight_.push_back(static_cast<T>(c));
  for (Plan& plan : plans_) plan.segments.resize(options_.n_shards);
  fused_ = options_.clip_norm == 0 && options_.n_shards == 1;
}

template <class T>
Range Trainer<T>::shard(std::size_t rows, std::size_t s) const {
  return split(rows, options_.n_shards, s);
}

template <class T>
template <class Next, class Resume>
void Trainer<T>::run_steps(const DataSet<T>& data, std::size_t rows, bool many, Next next,
                           Resume resume) {
  const unsigned most = most_threads_;
  scratch_.reserve(scratch_each_ * most);
  begin_steps(data, rows, many);
  Turn asked = Turn::step;
  while (asked != Turn::end) {
    const unsigned n = thread_choice_.begin_stretch(most);
    const std::uint64_t steps = thread_choice_.stretch_steps();
    std::uint64_t taken = 0;
    bool go = true;
    const auto began = most > 1 ? Clock::now() : Clock::time_point();
    run_parallel(n, [&](Team& team, unsigned t) {
      const FpEnvironment environment;
      for (unsigned turn = 0;; turn ^= 1) {
        Plan& plan = plans_[turn];
        if (t == 0) {
          go = taken < steps && (asked = next(plan)) == Turn::step;
          taken += go ? 1 : 0;
        }
        team.wait();
        if (!go) return;
        take_step(data, plan, team, t);
      }
    });
    if (most > 1) {
      thread_choice_.end_stretch(std::chrono::duration<double>(Clock::now() - began).count(),
                                 taken);
    }
    if (asked == Turn::pause) {
      asked = resume() ? Turn::step : Turn::end;
      // A view of the parameters may have been written.
      if (few_.transposed != nullptr) {
        kernels<T>().few_rows_transpose(few_.forward, few_.transposed);
      }
    }
  }
  if (updates_) ++net_->version;
}

template <class T>
double Trainer<T>::step(const DataSet<T>& data, double learning_rate) {
  const FpEnvironment environment;
  decays_ = false;
  reserve(data, data.x.rows, false);
  double weight_sum = 0;
  bool taken = false;
  const auto next = [&](Plan& plan) {
    if (taken) return Turn::end;
    taken = true;
    plan.index = plan.ahead = nullptr;
    plan.alpha = 0;
    plan.rows = data.x.rows;
    for (std::size_t s = 0; s < options_.n_shards; ++s) {
      const Range r = shard(plan.rows, s);
      plan.segments[s] = {r.begin, r.end};
    }
    begin_plan(plan, data, learning_rate);
    weight_sum = plan.weight_sum;
    return Turn::step;
  };
  run_steps(data, data.x.rows, false, next, [] { return true; });
  return weight_sum == 0 ? 0.0 : step_loss_ / weight_sum;
}

template <class T>
double Trainer<T>::loss_and_gradient(const DataSet<T>& data, T* gradient) {
  // Given back also when memory runs out.
  struct Restore {
    Trainer& trainer;
    OptimizerProgress before;
    ~Restore() {
      trainer.updates_ = true;
      trainer.optimizer_.progress = before;
    }
  } restore{*this, optimizer_.progress};
  updates_ = false;
  const double loss = step(data, 0.0);
  gradient_filled_ = true;
  std::copy_n(gradient_.data(), net_->parameter_count(), gradient);
  return loss;
}

template <class T>
double Trainer<T>::data_loss(const DataSet<T>& data, T* outputs) const {
  const FpEnvironment environment;
  const std::size_t rows = data.x.rows;
  AlignedBuffer<T> losses(rows);
  row_losses(static_cast<const Network<T>&>(*net_), data.x, data.targets, loss_spec(),
             losses.data(), outputs);
  double total = 0;
  LossSums sums;
  for (std::size_t s = 0; s < options_.n_shards; ++s) {
    sums.loss = 0;
    add_row_losses(losses.data(), data.weights, shard(rows, s), &sums);
    total += sums.loss;
  }
  return sums.weight == 0 ? 0.0 : total / sums.weight;
}

template <class T>
void Trainer<T>::add_losses(const DataSet<T>& data, T* outputs, LossSums* sums) const {
  const FpEnvironment environment;
  AlignedBuffer<T> losses(data.x.rows);
  row_losses(static_cast<const Network<T>&>(*net_), data.x, data.targets, loss_spec(),
             losses.data(), outputs);
  add_row_losses(losses.data(), data.weights, Range{0, data.x.rows}, sums);
}

template <class T>
LossSpec<T> Trainer<T>::loss_spec() const {
  return {options_.loss,
          pos_weight_.empty() ? nullptr : pos_weight_.data(),
          static_cast<T>(options_.loss_parameter),
          static_cast<T>(1.0 - options_.loss_parameter),
          options_.summed,
          options_.clipped};
}

template <class T>
std::size_t Trainer<T>::steps_in_epoch(std::size_t rows, Sampling sampling) const {
  if (sampling != Sampling::shuffle) return (rows + options_.batch_size - 1) / options_.batch_size;
  std::size_t steps = 0;
  for (std::size_t s = 0; s < options_.n_shards; ++s) {
    const std::size_t each = length(shard(options_.batch_size, s));
    steps = std::max(steps, (length(shard(rows, s)) + each - 1) / each);
  }
  return steps;
}

// The rows of the next minibatch of the open epoch.
template <class T>
void Trainer<T>::draw_minibatch(Plan& plan, std::size_t rows) {
  plan.alpha = 0;
  plan.ahead = nullptr;
  if (state.sampling == Sampling::shuffle && options_.n_shards == 1) {
    const std::size_t begin = state.place * options_.batch_size;
    plan.rows = std::min(options_.batch_size, rows - begin);
    plan.segments[0] = {0, plan.rows};
    plan.index = order_.data() + begin;
    if (const std::size_t end = begin + plan.rows; end < rows) {
      plan.ahead = order_.data() + end;
      plan.ahead_rows = std::min(options_.batch_size, rows - end);
    }
    return;
  }
  // In turn, like the plans: others may still read the last one's rows.
  const std::uint64_t taken = optimizer_.progress.step;
  const std::size_t turn = (taken % 2) * std::min(options_.batch_size, rows);
  Index* const drawn = minibatch_.data() + turn;
  if (state.sampling == Sampling::shuffle) {
    std::size_t count = 0;
    for (std::size_t s = 0; s < options_.n_shards; ++s) {
      const Range all = shard(rows, s);
      const std::size_t each = length(shard(options_.batch_size, s));
      const std::size_t begin = std::min<std::size_t>(all.begin + state.place * each, all.end);
      const std::size_t end = std::min(begin + each, all.end);
      plan.segments[s] = {count, count + end - begin};
      std::copy(order_.data() + begin, order_.data() + end, drawn + count);
      count += end - begin;
    }
    plan.rows = count;
    plan.index = drawn;
    return;
  }
  plan.rows = std::min(options_.batch_size, rows);
  if (state.sampling == Sampling::subset) {
    draw_subset(options_.seed, taken + 1, rows, plan.rows, drawn, taken_.data());
  } else {
    draw_with_replacement(options_.seed, taken + 1, rows, plan.rows, drawn);
  }
  Index* const grouped = grouped_.data() + turn;
  std::size_t count = 0;
  for (std::size_t s = 0; s < options_.n_shards; ++s) {
    const Range all = shard(rows, s);
    const std::size_t begin = count;
    for (std::size_t r = 0; r < plan.rows; ++r) {
      const auto row = static_cast<std::size_t>(drawn[r]);
      if (row >= all.begin && row < all.end) grouped[count++] = drawn[r];
    }
    plan.segments[s] = {begin, count};
  }
  plan.index = grouped;
}

template <class T>
void Trainer<T>::begin_epoch(std::size_t rows, Sampling sampling) {
  if (state.in_epoch) return;
  ++state.epoch;
  state.in_epoch = true;
  state.place = 0;
  state.epoch_rows = rows;
  state.sampling = sampling;
  state.loss_sum = state.weight_sum = 0;
}

template <class T>
template <class Draw>
bool Trainer<T>::run_to(std::size_t end, const DataSet<T>& data, std::size_t batch, Draw draw,
                        const double* learning_rates, Poll poll, Poll after_step) {
  Stopwatch watch(poll, 3.0 * multiply_adds(*net_, data.x, batch) + 100.0);
  bool open_step = false;
  double open_weight = 0;
  std::size_t taken = 0;
  const auto next = [&](Plan& plan) {
    if (open_step) {
      state.loss_sum += step_loss_;
      state.weight_sum += open_weight;
      ++state.place;
      open_step = false;
      if (after_step.call != nullptr && after_step.call(after_step.context)) return Turn::end;
    }
    if (state.place == end) return Turn::end;
    if (watch.due()) return Turn::pause;
    draw(plan);
    begin_plan(plan, data, learning_rates[taken++]);
    open_weight = plan.weight_sum;
    open_step = true;
    return Turn::step;
  };
  run_steps(data, batch, end - state.place > 3, next, [&] { return !watch.stop(); });
  return state.place == end;
}

template <class T>
bool Trainer<T>::run_epoch(const DataSet<T>& data, Sampling sampling, const double* learning_rates,
                           Poll poll, Poll after_step) {
  const FpEnvironment environment;
  const std::size_t rows = data.x.rows, batch = std::min(options_.batch_size, rows);
  decays_ = false;
  reserve(data, batch, sampling == Sampling::with_replacement);
  if (after_step.call != nullptr) most_threads_ = 1;
  minibatch_.reserve(2 * batch);
  if (sampling == Sampling::shuffle) order_.reserve(rows);
  if (sampling != Sampling::shuffle) grouped_.reserve(2 * batch);
  if (sampling == Sampling::subset) taken_.reserve(rows);
  begin_epoch(rows, sampling);
  if (sampling == Sampling::shuffle) {
    for (std::size_t s = 0; s < options_.n_shards; ++s) {
      const Range r = shard(rows, s);
      draw_order(options_.seed, Purpose::row_order, s, state.epoch, static_cast<Index>(r.begin),
                 length(r), order_.data() + r.begin);
    }
  }
  const auto draw = [&](Plan& plan) { draw_minibatch(plan, rows); };
  const std::size_t steps = steps_in_epoch(rows, sampling);
  state.in_epoch = !run_to(steps, data, batch, draw, learning_rates, poll, after_step);
  return !state.in_epoch;
}

template <class T>
bool Trainer<T>::run_block(const DataSet<T>& data, const Block& block, const double* learning_rates,
                           Poll poll) {
  const FpEnvironment environment;
  OrderedEpoch part;
  part.order = block.order;
  part.count = block.count;
  part.batch_size = options_.batch_size;
  const std::size_t batch = std::min(part.batch_size, part.count);
  decays_ = false;
  reserve(data, batch, true);
  begin_epoch(block.epoch_rows, Sampling::blocks);
  std::size_t step = 0;
  const auto draw = [&](Plan& plan) { set_ordered_minibatch(plan, part, step++); };
  const std::size_t steps = (part.count + part.batch_size - 1) / part.batch_size;
  const bool taken =
      run_to(state.place + steps, data, batch, draw, learning_rates, poll, Poll{nullptr, nullptr});
  state.in_epoch = state.place < steps_in_epoch(block.epoch_rows, Sampling::blocks);
  return taken;
}

template <class T>
void Trainer<T>::set_ordered_minibatch(Plan& plan, const OrderedEpoch& epoch, std::size_t step) {
  const std::size_t begin = step * epoch.batch_size;
  plan.rows = std::min(epoch.batch_size, epoch.count - begin);
  plan.segments[0] = {0, plan.rows};
  plan.alpha = epoch.alpha;
  plan.ahead = nullptr;
  if (epoch.order == nullptr) {
    // In turn, like the plans: others may still read the last one's rows.
    Index* const rows = minibatch_.data() + (step % 2) * std::min(epoch.batch_size, epoch.count);
    for (std::size_t r = 0; r < plan.rows; ++r) rows[r] = static_cast<Index>(begin + r);
    plan.index = rows;
    return;
  }
  plan.index = epoch.order + begin;
  const std::size_t end = begin + plan.rows;
  if (end < epoch.count) {
    plan.ahead = epoch.order + end;
    plan.ahead_rows = std::min(epoch.batch_size, epoch.count - end);
  }
}

template <class T>
bool Trainer<T>::run_ordered(const DataSet<T>& data, const OrderedEpoch& epoch, Poll poll,
                             OrderedLoss* loss) {
  const FpEnvironment environment;
  const std::size_t batch = std::min(epoch.batch_size, epoch.count);
  const std::size_t steps = (epoch.count + epoch.batch_size - 1) / epoch.batch_size;
  decays_ = epoch.alpha > 0;
  reserve(data, batch, epoch.order != nullptr);
  if (epoch.order == nullptr) minibatch_.reserve(2 * batch);
  *loss = {};
  Stopwatch watch(poll, 3.0 * multiply_adds(*net_, data.x, batch) + 100.0);
  double open_weight = 0, open_rows = 0;
  bool open_step = false;
  const auto next = [&](Plan& plan) {
    if (open_step) {
      loss->loss += open_weight == 0 ? 0.0 : open_rows * (step_loss_ / open_weight);
      loss->penalty += open_rows * step_penalty_;
      ++loss->steps;
      open_step = false;
    }
    if (loss->steps == steps) return Turn::end;
    if (watch.due()) return Turn::pause;
    set_ordered_minibatch(plan, epoch, loss->steps);
    step_penalty_ = 0;
    begin_plan(plan, data, epoch.learning_rates[loss->steps]);
    open_weight = plan.weight_sum;
    open_rows = static_cast<double>(plan.rows);
    open_step = true;
    return Turn::step;
  };
  run_steps(data, batch, steps > 3, next, [&] { return !watch.stop(); });
  decays_ = false;
  for (Plan& plan : plans_) plan.alpha = 0;
  return loss->steps == steps;
}

template <class T>
double Trainer<T>::epoch_loss() const {
  return state.weight_sum == 0 ? 0.0 : state.loss_sum / state.weight_sum;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace fastrelu
