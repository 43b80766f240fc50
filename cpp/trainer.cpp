// SPDX-License-Identifier: BSD-3-Clause
#include "trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "dispatch.h"
#include "fp_environment.h"
#include "random.h"

namespace fastrelu {
namespace {

// Rows whose activations are kept at once. A larger minibatch runs in blocks: the chains of dW go
// on from the stored value, which rounds nothing.
constexpr std::size_t kBlockRows = 1024;

// Sizes as numpy.array_split: the first count % n runs are one longer.
Range split(std::size_t count, std::size_t n, std::size_t s) {
  const std::size_t each = count / n, longer = count % n;
  const std::size_t begin = s * each + std::min(s, longer);
  return {begin, begin + each + (s < longer ? 1 : 0)};
}

using Clock = std::chrono::steady_clock;

std::size_t length(Range r) { return r.end - r.begin; }

template <class T>
UpdateArgs<T> update_args(const OptimizerSpec& o, double learning_rate, TrainerState& state) {
  using Rule = typename UpdateArgs<T>::Rule;
  UpdateArgs<T> u;
  u.learning_rate = static_cast<T>(learning_rate);
  u.weight_decay = static_cast<T>(o.weight_decay);
  if (o.kind == OptimizerKind::sgd) {
    u.rule = o.momentum == 0 ? Rule::sgd : o.nesterov ? Rule::nesterov : Rule::momentum;
    u.momentum = static_cast<T>(o.momentum);
    return u;
  }
  u.rule = o.kind == OptimizerKind::adam ? Rule::adam : Rule::adamw;
  state.power_1 *= o.beta_1;
  state.power_2 *= o.beta_2;
  u.learning_rate =
      static_cast<T>((learning_rate * std::sqrt(1.0 - state.power_2)) / (1.0 - state.power_1));
  if (o.kind == OptimizerKind::adamw) {
    u.weight_decay = static_cast<T>(learning_rate * o.weight_decay);
  }
  u.beta_1 = static_cast<T>(o.beta_1);
  u.beta_2 = static_cast<T>(o.beta_2);
  u.c1 = static_cast<T>(1.0 - o.beta_1);
  u.c2 = static_cast<T>(1.0 - o.beta_2);
  u.epsilon = static_cast<T>(o.epsilon);
  return u;
}

// Asks `poll` about every 50 ms; reads the clock only after so much work.
class Stopwatch {
 public:
  Stopwatch(Poll poll, double work_each) : poll_(poll), work_each_(work_each) {}
  bool stop() {
    if (poll_.call == nullptr) return false;
    work_ += work_each_;
    if (work_ < 2e7) return false;
    work_ = 0;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return false;
    last_ = now;
    return poll_.call(poll_.context);
  }

 private:
  Poll poll_;
  double work_each_, work_ = 0;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

// One minibatch, ready to run: its rows, shard after shard, and its update.
template <class T>
struct Trainer<T>::Plan {
  const Index* index = nullptr;  // or null: rows 0 .. rows-1
  std::size_t rows = 0;
  std::vector<Segment> segments;  // one a shard, some may be empty
  double weight_sum = 0;
  std::uint64_t number = 0;  // among all this trainer's, from 1
  UpdateArgs<T> update;
};

template <class T>
Trainer<T>::Trainer(std::shared_ptr<Network<T>> net, TrainerOptions options)
    : net_(std::move(net)), options_(std::move(options)) {
  const FpEnvironment environment;
  for (const double c : options_.pos_weight) pos_weight_.push_back(static_cast<T>(c));
  const std::size_t n = net_->parameter_count();
  for (int i = 0; i < options_.optimizer.state_count(); ++i) optimizer_state_[i].reset(n);
  fused_ = options_.clip_norm == 0 && options_.n_shards == 1;
}

template <class T>
Range Trainer<T>::shard(std::size_t rows, std::size_t s) const {
  return split(rows, options_.n_shards, s);
}

template <class T>
unsigned Trainer<T>::most_threads(const DataSet<T>& data, std::size_t rows) const {
  return rows <= kFewRows ? 1 : threads_for(3.0 * multiply_adds(*net_, data.x, rows));
}

// The memory of minibatches of up to `rows` rows, which `repeats` lets be drawn more than once.
template <class T>
void Trainer<T>::reserve(const DataSet<T>& data, std::size_t rows, bool repeats) {
  const std::size_t block = std::min(rows, kBlockRows);
  sparse_ = data.x.sparse != nullptr;
  if ((block > kFewRows || sparse_) && (block > capacity_ || !(sparse_ || inputs_kept_))) {
    activations_ = Activations<T>::transposed(activation_widths(*net_, data.x), block, true);
    gradients_ = OutputGradients<T>(*net_, block);
    capacity_ = block;
    inputs_kept_ = !sparse_;
  }
  row_loss_.reserve(block);
  const std::vector<Layer>& layers = net_->layers();
  if (!sparse_) few_rows_.reserve(few_rows_workspace<T>(layers.data(), layers.size()));
  factor_.reserve(rows);
  const bool stored = !updates_ || !fused_ || rows > kBlockRows;
  if (stored) gradient_.reserve(net_->parameter_count());
  if (options_.n_shards > 1) shard_gradient_.reserve(net_->parameter_count());
  if (options_.clip_norm > 0) column_sums_.reserve(net_->widest());
  scratch_each_ = round_up(scratch_size(*net_), 16);
  if (sparse_) {
    reserve_sparse(data, rows, repeats);
  } else {
    gradient_filled_ = gradient_filled_ || gradient_.data() != nullptr;
  }
}

template <class T>
void Trainer<T>::reserve_sparse(const DataSet<T>& data, std::size_t rows, bool repeats) {
  if (gradient_filled_) {
    const std::size_t weights = net_->inputs() * net_->layers().front().fan_out;
    std::fill_n(gradient_.data(), weights, T(0));
    if (options_.n_shards > 1) std::fill_n(shard_gradient_.data(), weights, T(0));
    gradient_filled_ = false;
  }
  sparse_gradient_.reserve(data.x, std::min(rows, kBlockRows), repeats, most_threads(data, rows));
}

// The rows' factors and the update; the rows themselves are set already.
template <class T>
void Trainer<T>::begin_plan(Plan& plan, const DataSet<T>& data, double learning_rate) {
  const bool squared = options_.loss == LossKind::squared_error;
  const double outputs = squared ? static_cast<double>(net_->outputs()) : 1.0;
  if (data.weights == nullptr) {
    plan.weight_sum = static_cast<double>(plan.rows);
    if (equal_factors_ != plan.rows) {
      std::fill_n(factor_.data(), plan.rows, static_cast<T>(1.0 / (outputs * plan.weight_sum)));
      equal_factors_ = plan.rows;
    }
  } else {
    const RowPicker pick{plan.index, 0};
    plan.weight_sum = 0;
    for (std::size_t r = 0; r < plan.rows; ++r) plan.weight_sum += data.weights[pick(r)];
    const double sum = outputs * plan.weight_sum;
    for (std::size_t r = 0; r < plan.rows; ++r) {
      factor_[r] = plan.weight_sum == 0 ? T(0) : static_cast<T>(data.weights[pick(r)] / sum);
    }
    equal_factors_ = 0;
  }
  plan.number = ++minibatches_;
  ++state.step;
  plan.update = update_args<T>(options_.optimizer, learning_rate, state);
}

template <class T>
template <class Next>
void Trainer<T>::run_steps(const DataSet<T>& data, std::size_t rows, Next next) {
  const unsigned most = most_threads(data, rows);
  scratch_.reserve(scratch_each_ * most);
  equal_factors_ = 0;
  // Two plans in turn: thread 0 makes the next while others may still read the last.
  Plan plans[2];
  for (Plan& plan : plans) plan.segments.resize(options_.n_shards);
  bool more = true;
  while (more) {
    const unsigned n = thread_choice_.begin_stretch(most);
    const std::uint64_t steps = thread_choice_.stretch_steps();
    std::uint64_t taken = 0;
    bool go = true;
    const auto began = most > 1 ? Clock::now() : Clock::time_point();
    run_parallel(n, [&](Team& team, unsigned t) {
      const FpEnvironment environment;
      for (unsigned turn = 0;; turn ^= 1) {
        if (t == 0) {
          go = taken < steps && (more = next(plans[turn]));
          taken += go ? 1 : 0;
        }
        team.wait();
        if (!go) return;
        take_step(data, plans[turn], team, t);
      }
    });
    if (most > 1) {
      thread_choice_.end_stretch(std::chrono::duration<double>(Clock::now() - began).count(),
                                 taken);
    }
  }
  if (updates_) ++net_->version;
}

template <class T>
LossArgs<T> Trainer<T>::loss_args(const DataSet<T>& data, const Plan& plan,
                                  std::size_t first) const {
  LossArgs<T> loss{};
  loss.spec = loss_spec();
  loss.targets = data.targets;
  loss.outputs = net_->outputs();
  loss.factor = factor_.data() + first;
  loss.row_loss = const_cast<T*>(row_loss_.data());
  loss.index = plan.index != nullptr ? plan.index + first : nullptr;
  loss.first = static_cast<Index>(first);
  return loss;
}

// `sum` and the losses of those rows, just computed, times their weights.
template <class T>
double Trainer<T>::loss_sum(const DataSet<T>& data, const Plan& plan, Segment rows,
                            double sum) const {
  const RowPicker pick{plan.index, 0};
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const double loss = static_cast<double>(row_loss_[r - rows.begin]);
    sum += data.weights != nullptr ? loss * data.weights[pick(r)] : loss;
  }
  return sum;
}

template <class T>
void Trainer<T>::few_rows_gradient(const DataSet<T>& data, const Plan& plan, Segment segment,
                                   const WeightGradients<T>& out) {
  FewRowsStep<T> f{};
  const std::vector<Layer>& layers = net_->layers();
  f.forward.layers = layers.data();
  f.forward.layer_count = layers.size();
  f.forward.parameters = net_->parameters();
  f.forward.bias = net_->has_bias();
  f.forward.scale = net_->scale();
  f.forward.x = &data.x;
  f.loss = loss_args(data, plan, segment.begin);
  f.forward.rows = {f.loss.index, f.loss.first};
  f.forward.count = segment.end - segment.begin;
  f.forward.workspace = few_rows_.data();
  f.gradient = out.gradient;
  f.accumulate = out.accumulate;
  f.update = out.update;
  f.parameters = out.parameters;
  f.s1 = out.s1;
  f.s2 = out.s2;
  kernels<T>().few_rows_step(f);
}

// The gradient of one shard's rows, in blocks of rows; `out.update` goes with the last.
template <class T>
double Trainer<T>::segment_gradient(const DataSet<T>& data, const Plan& plan, Segment segment,
                                    const WeightGradients<T>& out, Team& team, unsigned t) {
  const KernelTable<T>& k = kernels<T>();
  T* const scratch = scratch_.data() + scratch_each_ * t;
  const std::size_t last = net_->layers().size();
  double sum = 0;
  for (std::size_t begin = segment.begin; begin < segment.end; begin += kBlockRows) {
    const Segment block{begin, std::min(begin + kBlockRows, segment.end)};
    WeightGradients<T> part = out;
    part.accumulate = begin != segment.begin;
    if (block.end != segment.end) part.update = nullptr;
    const std::size_t rows = block.end - block.begin;
    if (rows <= kFewRows && team.size() == 1 && !sparse_) {
      few_rows_gradient(data, plan, block, part);
    } else {
      const Range mine = own_rows<T>(rows, team.size(), t);
      LossArgs<T> loss = loss_args(data, plan, begin);
      const RowPicker pick{loss.index, loss.first};
      const std::size_t loaded =
          load_inputs(*net_, data.x, pick, activations_[0], activations_[1], mine);
      forward_pass(*net_, activations_, rows, team, t, scratch, loaded);
      loss.z = read_only(activations_[last]);
      loss.dz = gradients_.of(last - 1);
      loss.row_begin = mine.begin;
      loss.row_end = mine.end;
      loss.scratch = scratch;
      k.loss(loss);
      backward_pass(*net_, activations_, gradients_, Panels<T>{}, rows, team, t, scratch);
      team.wait();
      if (sparse_) {
        sparse_gradient_.backward_weights(*net_, {data.x.sparse, pick, rows}, part,
                                          gradients_.by_rows[0], t);
      }
      weights_pass(*net_, activations_, gradients_, rows, part, team.size(), t, loaded);
    }
    if (t == 0) sum = loss_sum(data, plan, block, sum);
    if (part.update == nullptr) team.wait();
  }
  return sum;
}

template <class T>
void Trainer<T>::take_step(const DataSet<T>& data, const Plan& plan, Team& team, unsigned t) {
  const bool fuse = updates_ && fused_;
  WeightGradients<T> out{gradient_.data(),
                         false,
                         fuse ? &plan.update : nullptr,
                         net_->parameters(),
                         optimizer_state_[0].data(),
                         optimizer_state_[1].data()};
  if (sparse_) sparse_gradient_.begin(plan.number, team.size(), t);
  double total = 0;
  bool first = true;
  for (const Segment& segment : plan.segments) {
    if (segment.begin == segment.end) continue;
    if (!first) out.gradient = shard_gradient_.data();
    total += segment_gradient(data, plan, segment, out, team, t);
    if (!first) {
      add_shard(team, t);
      team.wait();
    }
    first = false;
  }
  if (t == 0) step_loss_ = total;
  out.gradient = gradient_.data();
  if (updates_ && !fuse) update_phase(plan, out, team, t);
}

template <class T>
void Trainer<T>::add_shard(Team& team, unsigned t) {
  const Layer& layer = net_->layers().front();
  const std::size_t skip = sparse_ ? layer.fan_in * layer.fan_out : 0;
  const auto add = [&](std::size_t begin, std::size_t count) {
    kernels<T>().add(gradient_.data() + begin, shard_gradient_.data() + begin, count);
  };
  const Range mine = share(net_->parameter_count() - skip, team.size(), t);
  add(skip + mine.begin, length(mine));
  if (!sparse_) return;
  sparse_gradient_.for_touched(t, [&](std::size_t c) { add(c * layer.fan_out, layer.fan_out); });
  sparse_gradient_.clear(t, shard_gradient_.data(), layer.fan_out);
}

// In float64: column by column, then the columns, then the layers.
template <class T>
double Trainer<T>::gradient_norm() const {
  double total = 0;
  double* const sums = const_cast<double*>(column_sums_.data());
  for (const Layer& layer : net_->layers()) {
    std::fill_n(sums, layer.fan_out, 0.0);
    kernels<T>().add_column_squares(gradient_.data() + layer.weight_offset, layer.fan_in,
                                    layer.fan_out, sums);
    if (net_->has_bias()) {
      kernels<T>().add_column_squares(gradient_.data() + layer.bias_offset, 1, layer.fan_out, sums);
    }
    double of_layer = 0;
    for (std::size_t o = 0; o < layer.fan_out; ++o) of_layer += sums[o];
    total += of_layer;
  }
  return std::sqrt(total);
}

template <class T>
void Trainer<T>::update_phase(const Plan& plan, WeightGradients<T> out, Team& team, unsigned t) {
  if (options_.clip_norm > 0) {
    if (t == 0) {
      const double norm = gradient_norm();
      clipped_ = norm > options_.clip_norm;
      clip_ = clipped_ ? static_cast<T>(options_.clip_norm / norm) : T(1);
    }
    team.wait();
  }
  UpdateArgs<T> u = plan.update;
  u.clipped = options_.clip_norm > 0 && clipped_;
  u.clip = clip_;
  const auto update = [&](std::size_t offset, std::size_t count, bool is_weight) {
    const Range mine = share(count, team.size(), t);
    const std::size_t at = offset + mine.begin;
    T* const s1 = optimizer_state_[0].data();
    T* const s2 = optimizer_state_[1].data();
    kernels<T>().update(u, is_weight, net_->parameters() + at, gradient_.data() + at,
                        s1 != nullptr ? s1 + at : nullptr, s2 != nullptr ? s2 + at : nullptr,
                        length(mine));
  };
  out.update = &u;
  for (const Layer& layer : net_->layers()) {
    if (sparse_ && layer.weight_offset == 0) {
      sparse_gradient_.update(*net_, out, t);
    } else {
      update(layer.weight_offset, layer.fan_in * layer.fan_out, true);
    }
    if (net_->has_bias()) update(layer.bias_offset, layer.fan_out, false);
  }
}

template <class T>
double Trainer<T>::step(const DataSet<T>& data, double learning_rate) {
  const FpEnvironment environment;
  reserve(data, data.x.rows, false);
  double weight_sum = 0;
  bool taken = false;
  run_steps(data, data.x.rows, [&](Plan& plan) {
    if (taken) return false;
    taken = true;
    plan.index = nullptr;
    plan.rows = data.x.rows;
    for (std::size_t s = 0; s < options_.n_shards; ++s) {
      const Range r = shard(plan.rows, s);
      plan.segments[s] = {r.begin, r.end};
    }
    begin_plan(plan, data, learning_rate);
    weight_sum = plan.weight_sum;
    return true;
  });
  return weight_sum == 0 ? 0.0 : step_loss_ / weight_sum;
}

template <class T>
double Trainer<T>::loss_and_gradient(const DataSet<T>& data, T* gradient) {
  const TrainerState before = state;
  updates_ = false;
  const double loss = step(data, 0.0);
  updates_ = true;
  state = before;
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
  double total = 0, sum = 0, weight_sum = 0;
  for (std::size_t s = 0; s < options_.n_shards; ++s) {
    const Range mine = shard(rows, s);
    sum = 0;
    for (std::size_t r = mine.begin; r < mine.end; ++r) {
      const double loss = static_cast<double>(losses[r]);
      sum += data.weights != nullptr ? loss * data.weights[r] : loss;
      weight_sum += data.weights != nullptr ? data.weights[r] : 1.0;
    }
    total += sum;
  }
  return weight_sum == 0 ? 0.0 : total / weight_sum;
}

template <class T>
LossSpec<T> Trainer<T>::loss_spec() const {
  return {options_.loss, pos_weight_.empty() ? nullptr : pos_weight_.data()};
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
  if (state.sampling == Sampling::shuffle && options_.n_shards == 1) {
    const std::size_t begin = state.place * options_.batch_size;
    plan.rows = std::min(options_.batch_size, rows - begin);
    plan.segments[0] = {0, plan.rows};
    plan.index = order_.data() + begin;
    return;
  }
  // In turn, like the plans: others may still read the last one's rows.
  const std::size_t turn = (state.step % 2) * std::min(options_.batch_size, rows);
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
    draw_subset(options_.seed, state.step + 1, rows, plan.rows, drawn, taken_.data());
  } else {
    draw_with_replacement(options_.seed, state.step + 1, rows, plan.rows, drawn);
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
bool Trainer<T>::run_epoch(const DataSet<T>& data, Sampling sampling, const double* learning_rates,
                           Poll poll) {
  const FpEnvironment environment;
  const std::size_t rows = data.x.rows, batch = std::min(options_.batch_size, rows);
  reserve(data, batch, sampling == Sampling::with_replacement);
  minibatch_.reserve(2 * batch);
  if (sampling == Sampling::shuffle) order_.reserve(rows);
  if (sampling != Sampling::shuffle) grouped_.reserve(2 * batch);
  if (sampling == Sampling::subset) taken_.reserve(rows);
  if (!state.in_epoch) {
    ++state.epoch;
    state.in_epoch = true;
    state.place = 0;
    state.epoch_rows = rows;
    state.sampling = sampling;
    state.loss_sum = state.weight_sum = 0;
  }
  if (sampling == Sampling::shuffle) {
    for (std::size_t s = 0; s < options_.n_shards; ++s) {
      const Range r = shard(rows, s);
      draw_row_order(options_.seed, state.epoch, s, static_cast<Index>(r.begin), length(r),
                     order_.data() + r.begin);
    }
  }
  const std::size_t steps = steps_in_epoch(rows, sampling);
  Stopwatch watch(poll, 3.0 * multiply_adds(*net_, data.x, batch) + 100.0);
  bool open_step = false;
  double open_weight = 0;
  std::size_t taken = 0;
  run_steps(data, batch, [&](Plan& plan) {
    if (open_step) {
      state.loss_sum += step_loss_;
      state.weight_sum += open_weight;
      ++state.place;
      open_step = false;
    }
    if (state.place == steps || watch.stop()) return false;
    draw_minibatch(plan, rows);
    begin_plan(plan, data, learning_rates[taken++]);
    open_weight = plan.weight_sum;
    open_step = true;
    return true;
  });
  if (state.place == steps) state.in_epoch = false;
  return !state.in_epoch;
}

template <class T>
double Trainer<T>::epoch_loss() const {
  return state.weight_sum == 0 ? 0.0 : state.loss_sum / state.weight_sum;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace fastrelu
