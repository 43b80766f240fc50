// SPDX-License-Identifier: BSD-3-Clause
#include "step.h"

#include <algorithm>
#include <stdexcept>

#include "dispatch.h"
#include "fp_environment.h"
#include "thread_choice.h"

namespace fastrelu {
namespace {

// Rows whose activations are kept at once. A larger minibatch runs in blocks: the chains of dW go
// on from the stored value, which rounds nothing.
constexpr std::size_t kBlockRows = 1024;

// Minibatches and networks up to these keep W' as well: an outer product keeps it up to date for
// less than turning W's blocks round at every step costs.
constexpr std::size_t kTransposedRows = 4;
constexpr std::size_t kTransposedWeights = std::size_t{1} << 17;

// Data sets up to this size need no prefetching.
constexpr std::size_t kCachedBytes = std::size_t{1} << 19;

// For a loss that has levels: the slopes of the pinball loss above the target, then those below.
template <class T>
std::vector<T> slopes_of(const LossOptions& loss, std::size_t outputs) {
  if (!info(loss.kind).has_levels) return {};
  std::vector<T> slopes(2 * outputs);
  for (std::size_t k = 0; k < outputs; ++k) {
    const double level = loss.levels.empty()
                             ? static_cast<double>(k + 1) / static_cast<double>(outputs + 1)
                             : loss.levels[k];
    slopes[k] = static_cast<T>(1.0 - level);
    slopes[outputs + k] = static_cast<T>(level);
  }
  return slopes;
}

// Runs of more steps than this prepare something for all of them.
constexpr std::size_t kManySteps = 3;

}  // namespace

template <class T>
Step<T>::Step(Network<T>& net, Optimizer<T>& optimizer, InputScales<T>& scales,
              const StepOptions& options)
    : net_(net),
      optimizer_(optimizer),
      scales_(scales),
      options_(options),
      reducer_(net, options.clip_norm, options.n_shards),
      shared_(net, options.communicator, options.n_shards),
      scratch_each_(round_up(scratch_size(net), 16)) {
  const FpEnvironment environment;
  const LossOptions& o = options_.loss;
  for (const double c : o.pos_weight) pos_weight_.push_back(static_cast<T>(c));
  slopes_ = slopes_of<T>(o, net.outputs());
  loss_spec_ = {o.kind,
                pos_weight_.empty() ? nullptr : pos_weight_.data(),
                slopes_.data(),
                static_cast<T>(o.parameter),
                static_cast<T>(1.0 - o.parameter),
                o.summed,
                o.clipped};
}

template <class T>
void Step<T>::begin_run(const DataSet<T>& data, const StepRun& run) {
  const std::size_t rows = run.own_rows != 0 ? run.own_rows : run.most_rows;
  const std::size_t block = std::min(rows, kBlockRows);
  if (run.updates && scales_.any()) {
    if (data.x.sparse != nullptr || run.penalised) {
      throw std::invalid_argument(
          "input_scale_rate: expected rows that are not sparse, and no penalty, since every "
          "input's factor changes with each step");
    }
    scales_.begin(net_);
  }
  if (is_prepared(data, run)) {
    data_ = data;
    few_.call.loss.targets = data.targets;
    return;
  }
  run_ = StepRun();  // should memory run out here
  data_ = data;
  sparse_ = data.x.sparse != nullptr;
  encoded_ = data.x.encoded != nullptr;
  updates_ = run.updates;
  fused_ = updates_ && !reducer_.is_needed() && !scales_.any();
  work_ = 3.0 * multiply_adds(net_, data.x, rows);
  block_work_ = 3.0 * multiply_adds(net_, data.x, block);
  // Asked for once: the number of threads may be set meanwhile.
  if (rows <= kFewRows) {
    threads_ = 1;
  } else {
    threads_ = run.steps > kManySteps ? threads_for_steps(work_) : threads_for(work_);
  }
  if (block > kFewRows || !data.x.is_dense() || !options_.dropout.empty()) reserve_blocks(block);
  row_losses_.reserve(block);
  factors_.reserve(run.most_rows);
  scratch_.reserve(scratch_each_ * threads_);
  if (threads_ > 1 && data.x.is_dense() && hands_on_gradients(net_, block, 2)) {
    handed_on_.reserve(net_.parameter_count());
  }
  reducer_.reserve(!fused_ || rows > kBlockRows, run.penalised,
                   sparse_ ? &sparse_gradient_ : nullptr, !updates_);
  shared_.reserve(run.most_rows, data.weights != nullptr, sparse_ ? &sparse_gradient_ : nullptr);
  if (sparse_) sparse_gradient_.reserve(data.x, block, run.repeats, threads_);
  if (encoded_) encoded_layer_.reserve(net_, data.x, block, threads_, rows > kBlockRows);
  prepare_prefetch(run.steps > kManySteps);
  prepare_few_rows(run);
  run_ = run;
}

template <class T>
void Step<T>::release_memory() {
  run_ = StepRun();
  data_ = DataSet<T>();
  few_ = FewRows();
  many_ = ManyRows();
  factors_ = RowFactors<T>();
  row_losses_ = AlignedBuffer<T>();
  scratch_ = AlignedBuffer<T>();
  handed_on_ = AlignedBuffer<T>();
  encoded_layer_.release_memory();
}

// Whether the run before was of the same kind and over a few rows in one kernel call: steps of a
// caller's own loop, which are over sooner than a run is prepared.
template <class T>
bool Step<T>::is_prepared(const DataSet<T>& data, const StepRun& run) const {
  return run == run_ && run.most_rows <= kFewRows && data.x.is_dense() && !sparse_ && !encoded_ &&
         options_.dropout.empty() && few_.call.transposed == nullptr && !shared_.is_shared();
}

template <class T>
void Step<T>::reserve_blocks(std::size_t rows) {
  const bool dense = data_.x.is_dense();
  if (rows <= many_.capacity && (!dense || many_.inputs)) return;
  many_.capacity = 0;  // should memory run out here
  many_.activations = Activations<T>(net_, data_.x, rows);
  many_.gradients = OutputGradients<T>(net_, rows);
  many_.capacity = rows;
  many_.inputs = dense;
}

template <class T>
const char* Step<T>::target_data() const {
  const Targets<T>& y = data_.targets;
  return y.labels != nullptr ? reinterpret_cast<const char*>(y.labels)
                             : reinterpret_cast<const char*>(y.values);
}
template <class T>
std::size_t Step<T>::target_bytes() const {
  if (data_.targets.labels != nullptr) return sizeof(*data_.targets.labels);
  return data_.targets.values == nullptr ? 0 : net_.outputs() * sizeof(T);
}

// The lines of a minibatch's rows, spread over the tiles of a step. Small data sets stay in the
// caches.
template <class T>
void Step<T>::prepare_prefetch(bool many) {
  many_.lines_ahead = 0;
  if (!many || !data_.x.is_dense() || many_.capacity == 0 || !tuning().prefetch) return;
  const RowSource& x = data_.x;
  const std::size_t row_bytes = x.row_bytes(sizeof(T));
  if (x.rows * (row_bytes + target_bytes()) <= kCachedBytes) return;
  const std::size_t lines = std::min(many_.capacity, x.rows) * (row_bytes / 64 + 1);
  const std::size_t tiles = forward_tiles(net_, many_.capacity) + gradient_tiles(net_);
  many_.lines_ahead = static_cast<unsigned>(lines / tiles + 1);
}

template <class T>
void Step<T>::prepare_few_rows(const StepRun& run) {
  FewRowsStep<T>& f = few_.call;
  f.transposed = nullptr;
  f.largest = nullptr;
  f.scalar = false;
  if (!data_.x.is_dense()) return;
  const std::vector<Layer>& layers = net_.layers();
  if (few_.workspace.data() == nullptr) {
    const std::size_t size = few_rows_workspace<T>(layers.data(), layers.size());
    if (keeps_derivatives(net_)) few_.derivatives.reset(size);
    few_.workspace.reset(size);
    f.forward =
        few_rows_forward_of(static_cast<const Network<T>&>(net_), data_.x, few_.workspace.data());
    f.forward.derivatives = few_.derivatives.data();
  }
  set_loss(f.loss, {}, 0);
  if (!fused_ || run.penalised || !optimizer_.is_plain_sgd()) return;
  f.scalar = options_.loss.kind == LossKind::squared_error &&
             net_.parameter_count() <= kScalarParameters &&
             std::none_of(layers.begin(), layers.end(),
                          [](const Layer& layer) { return is_elementwise(layer.activation); });
  if (run.steps <= kManySteps || run.most_rows > kTransposedRows) return;
  const std::size_t size = few_rows_transposed_size(layers.data(), layers.size());
  if (size > kTransposedWeights) return;
  few_.transposed.reserve(size);
  f.transposed = few_.transposed.data();
  f.largest = &few_.largest;
  parameters_changed();
}

template <class T>
void Step<T>::parameters_changed() {
  if (updates_) scales_.begin(net_);
  if (few_.call.transposed == nullptr) return;
  kernels<T>().few_rows_transpose(few_.call.forward, few_.call.transposed);
  few_.largest = kernels<T>().largest_magnitude(net_.parameters(), net_.parameter_count());
}

template <class T>
void Step<T>::begin(ReadyStep<T>& step, double learning_rate) {
  const Minibatch& m = step.minibatch;
  const double outputs = averaged_outputs(loss_spec_, net_.outputs());
  if (data_.weights != nullptr && shared_.is_shared()) {
    const double* const weights = shared_.gather_weights(data_, m);
    step.weight_sum = factors_.set(m.count, outputs, [&](std::size_t r) { return weights[r]; });
  } else {
    step.weight_sum = factors_.set(data_, m, outputs);
  }
  step.number = ++steps_begun_;
  if (updates_) optimizer_.next(learning_rate, step.update);
  step.time = optimizer_.progress.step;
  if (updates_ && scales_.any()) {
    optimizer_.same(learning_rate * scales_.rate(), step.of_scales);
  }
  if (m.penalty > 0) {
    step.update.weight_decay =
        step.weight_sum == 0 ? T(0) : static_cast<T>(m.penalty / step.weight_sum);
  }
  result_ = {static_cast<double>(m.count), step.weight_sum, 0, 0};
}

template <class T>
void Step<T>::take(const ReadyStep<T>& step, Team& team, unsigned t) {
  if (shared_.is_shared()) {
    take_shared(step, team, t);
    return;
  }
  const double penalty = step.minibatch.penalty, weight = step.weight_sum;
  WeightGradients<T> out{nullptr, false, fused_ ? &step.update : nullptr, net_.parameters(),
                         optimizer_.state()};
  out.handed_on = handed_on_.data();
  if (sparse_) sparse_gradient_.begin(step.number, team.size(), t);
  if (t == 0 && penalty > 0 && weight != 0) {
    const double squares = reducer_.sum_of_squares(net_.parameters(), false);
    result_.penalty = (0.5 * penalty * squares) / weight;
  }
  double total = 0;
  bool first = true;
  for (const Range& shard : step.minibatch.shards) {
    if (shard.begin == shard.end) continue;
    out.gradient = reducer_.begin_shard(first);
    total += shard_gradient(step, shard, out, team, t);
    reducer_.end_shard(first, team, t);
    first = false;
  }
  if (t == 0) result_.loss = total;
  if (!updates_ || fused_) return;
  UpdateArgs<T> reduced = step.update;
  reducer_.finish(reduced, team, t);
  out.gradient = reducer_.gradient();
  out.update = &reduced;
  update(out, step.of_scales, team, t);
}

// The same where other processes have some of the shards; such steps have no penalty.
template <class T>
void Step<T>::take_shared(const ReadyStep<T>& step, Team& team, unsigned t) {
  const Minibatch& m = step.minibatch;
  WeightGradients<T> out{nullptr, false, nullptr, net_.parameters(), optimizer_.state()};
  if (sparse_) sparse_gradient_.begin(step.number, team.size(), t);
  const auto take_from = [&](std::size_t from) { shared_.ready(m, reducer_.gradient(), from); };
  const GradientTaker taker = taker_of(shared_.segments(), take_from);
  Range own = shared_.own();
  while (own.size() > 0 && m.shards[own.end - 1].size() == 0) --own.end;
  std::size_t k = 0;
  for (std::size_t s = own.begin; s < own.end; ++s) {
    const Range shard = m.shards[s];
    if (shard.begin == shard.end) continue;
    out.gradient = shared_.part(k++);
    // All parts of a number are there when that of the last shard is.
    out.taker = s + 1 == own.end && shared_.segments().size() > 1 ? &taker : nullptr;
    const double loss = shard_gradient(step, shard, out, team, t);
    if (t == 0) shared_.note_loss(s, loss);
  }
  if (!shared_.finish(m, reducer_.gradient(), &result_.loss, team, t)) return;
  UpdateArgs<T> reduced = step.update;
  reducer_.finish(reduced, team, t);
  out.gradient = reducer_.gradient();
  out.update = &reduced;
  update(out, step.of_scales, team, t);
}

template <class T>
void Step<T>::clear_gradient() {
  const Layer& first = net_.layers().front();
  if (sparse_) sparse_gradient_.clear(0, reducer_.gradient() + first.weight_offset, first.fan_out);
}

// The gradient of one shard's rows, in blocks of rows, and the sum of their weighted losses;
// `out.update` and `out.taker` go with the last. `out` is changed meanwhile rather than copied: a
// copy of what has just been written would wait for it, longer than a small network's step takes.
template <class T>
double Step<T>::shard_gradient(const ReadyStep<T>& step, Range shard, WeightGradients<T>& out,
                               Team& team, unsigned t) {
  const UpdateArgs<T>* const update = out.update;
  const GradientTaker* const taker = out.taker;
  double sum = 0;
  for (std::size_t begin = shard.begin; begin < shard.end; begin += kBlockRows) {
    const Range block{begin, std::min(begin + kBlockRows, shard.end)};
    const RowPicker rows = step.minibatch.rows.from(begin);
    out.accumulate = begin != shard.begin;
    const bool last = block.end == shard.end;
    out.update = last ? update : nullptr;
    out.taker = last ? taker : nullptr;
    const bool dropped = updates_ && !options_.dropout.empty();
    if (block.size() <= kFewRows && team.size() == 1 && data_.x.is_dense() && !dropped) {
      fetch_ahead(step.minibatch);
      few_rows_gradient(rows, block, out);
    } else {
      many_rows_gradient(step, block, last, out, team, t);
    }
    if (t == 0) sum = add_losses(rows, block, sum);
    // Asked before the threads meet, and seen by all of them before they meet again.
    if (watch_ != nullptr && t == 0) watch_->stop(t, block_work_);
    if (out.update == nullptr) team.wait(t);
    if (watch_ != nullptr && watch_->stopped()) break;
  }
  return sum;
}

// A few rows and their targets are over before they would have come from far away.
template <class T>
void Step<T>::fetch_ahead(const Minibatch& m) const {
  constexpr std::size_t kMostBytes = 1024;  // of a row: the processor foresees the rest
  const RowSource& x = data_.x;
  const std::size_t row_bytes = std::min(kMostBytes, x.row_bytes(sizeof(T))),
                    of_target = target_bytes();
  const char* const targets = target_data();
  for (std::size_t r = 0; r < std::min(m.ahead_count, kFewRows); ++r) {
    const Index row = m.ahead(r);
    const char* const at = static_cast<const char*>(x.data) + row * x.stride;
    for (std::size_t b = 0; b < row_bytes; b += 64) __builtin_prefetch(at + b);
    if (of_target > 0) __builtin_prefetch(targets + static_cast<std::size_t>(row) * of_target);
  }
}

template <class T>
void Step<T>::few_rows_gradient(const RowPicker& rows, Range block, const WeightGradients<T>& out) {
  FewRowsStep<T>& f = few_.call;
  f.loss.factor = factors_.data() + block.begin;
  f.loss.index = rows.index;
  f.loss.first = rows.first;
  f.forward.rows = rows;
  f.forward.count = block.size();
  f.gradient = out.gradient;
  f.accumulate = out.accumulate;
  f.update = out.update;
  f.parameters = out.parameters;
  f.state = out.state;
  kernels<T>().few_rows_step(f);
}

template <class T>
void Step<T>::many_rows_gradient(const ReadyStep<T>& step, Range block, bool last_block,
                                 const WeightGradients<T>& out, Team& team, unsigned t) {
  const Network<T>& net = net_;
  const Activations<T>& a = many_.activations;
  const OutputGradients<T>& dz = many_.gradients;
  const std::size_t last = net.layers().size(), rows = block.size();
  const Worker<T> worker{team, t, scratch_.data() + scratch_each_ * t};
  const Dropout dropping{&options_.dropout, options_.seed, step.time, block.begin};
  const Dropout* const dropout = updates_ && !options_.dropout.empty() ? &dropping : nullptr;
  const RowPicker pick = step.minibatch.rows.from(block.begin);
  const Range mine = own_rows<T>(rows, team.size(), t);
  RowsAhead ahead = rows_ahead(step.minibatch, team.size(), t);
  const std::size_t loaded =
      load_inputs(net, data_.x, pick, a[0], a[1], a.derivative(1), mine, encoded_layer_.scratch(t));
  forward_pass(net, a, rows, worker, &ahead, loaded, dropout);
  LossArgs<T> loss{};
  set_loss(loss, pick, block.begin);
  loss.z = read_only(a[last]);
  loss.dz = dz.of(last - 1);
  loss.row_begin = mine.begin;
  loss.row_end = mine.end;
  loss.scratch = worker.scratch;
  kernels<T>().loss(loss);
  if (out.taker != nullptr) {
    backward_pass_by_layer(net, a, dz, rows, out, worker, &ahead, loaded, dropout, *out.taker);
    first_layer_gradient(pick, rows, last_block, out, team, t);
    return;
  }
  backward_data_pass(net, a, dz, Panels<T>{}, rows, worker, dropout);
  if (loaded == 0 && hands_on_gradients(net, rows, team.size())) {
    backward_weights_handed_on(net, a, dz, rows, out, worker, &ahead);
    return;
  }
  team.wait(t);
  first_layer_gradient(pick, rows, last_block, out, team, t);
  backward_weights_pass(net, a, dz, rows, out, worker, &ahead, loaded);
}

// Of sparse and of encoded rows; others' comes from the passes.
template <class T>
void Step<T>::first_layer_gradient(const RowPicker& pick, std::size_t rows, bool last_block,
                                   const WeightGradients<T>& out, Team& team, unsigned t) {
  const Panels<T>& dz = many_.gradients.by_rows[0];
  if (sparse_) {
    sparse_gradient_.backward_weights(net_, {data_.x.sparse, pick, rows}, out, dz, t);
  }
  if (encoded_) {
    encoded_layer_.backward_weights(net_, {data_.x.encoded, pick, rows}, out, last_block, dz,
                                    team.size(), t);
  }
}

// What a loss needs to know of the minibatch's rows from `first` on, which are `rows` of the data
// set. Set in place: a copy of what has just been written in parts would wait for it.
template <class T>
void Step<T>::set_loss(LossArgs<T>& loss, const RowPicker& rows, std::size_t first) {
  loss.spec = loss_spec_;
  loss.targets = data_.targets;
  loss.outputs = net_.outputs();
  loss.factor = factors_.data() + first;
  loss.row_loss = row_losses_.data();
  loss.index = rows.index;
  loss.first = rows.first;
}

// The rows that this thread will load in the next step.
template <class T>
RowsAhead Step<T>::rows_ahead(const Minibatch& m, unsigned n, unsigned t) const {
  RowsAhead a{};
  if (m.ahead_count == 0 || many_.lines_ahead == 0) return a;
  const Range mine = own_rows<T>(m.ahead_count, n, t);
  a.base = static_cast<const char*>(data_.x.data);
  a.stride = data_.x.stride;
  a.row_bytes = data_.x.row_bytes(sizeof(T));
  a.targets = target_data();
  a.target_bytes = target_bytes();
  a.pick = m.ahead;
  a.row = mine.begin;
  a.end = mine.end;
  a.lines_each = many_.lines_ahead;
  return a;
}

// `sum` and the losses of those rows, just computed, times their weights.
template <class T>
double Step<T>::add_losses(const RowPicker& rows, Range block, double sum) const {
  for (std::size_t r = 0; r < block.size(); ++r) {
    const double loss = static_cast<double>(row_losses_[r]);
    sum += data_.weights != nullptr ? loss * data_.weights[rows(r)] : loss;
  }
  return sum;
}

// This thread's share of the update by the whole gradient.
template <class T>
void Step<T>::update(const WeightGradients<T>& out, const UpdateArgs<T>& of_scales, Team& team,
                     unsigned t) {
  const auto update_run = [&](std::size_t offset, std::size_t count, bool is_weight) {
    const Range mine = share(count, team.size(), t);
    const std::size_t at = offset + mine.begin;
    kernels<T>().update(*out.update, is_weight, out.parameters + at, out.gradient + at,
                        out.state.from(at), mine.size());
  };
  for (const Layer& layer : net_.layers()) {
    const bool first = &layer == &net_.layers().front();
    // The columns that other processes have touched are not known here.
    if (first && sparse_ && !shared_.is_shared()) {
      sparse_gradient_.update(net_, out, t);
    } else if (first && scales_.any()) {
      scales_.update(net_, *out.update, of_scales, out.gradient, out.state,
                     share(layer.fan_in, team.size(), t));
    } else {
      update_run(layer.weight_offset, layer.fan_in * layer.fan_out, true);
    }
    if (net_.has_bias()) update_run(layer.bias_offset, layer.fan_out, false);
  }
}

template class Step<float>;
template class Step<double>;

}  // namespace fastrelu
