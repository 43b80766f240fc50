// SPDX-License-Identifier: BSD-3-Clause
// One step of a trainer: gradient, shard after shard, and update.
#include <algorithm>
#include <cmath>

#include "dispatch.h"
#include "trainer.h"

namespace fastrelu {
namespace {

// Rows whose activations are kept at once. A larger minibatch runs in blocks: the chains of dW go
// on from the stored value, which rounds nothing.
constexpr std::size_t kBlockRows = 1024;

}  // namespace

// The memory of minibatches of up to `rows` rows, which `repeats` lets be drawn more than once.
template <class T>
void Trainer<T>::reserve(const DataSet<T>& data, std::size_t rows, bool repeats) {
  const std::size_t block = std::min(rows, kBlockRows);
  // Asked for once: the number of threads may be set meanwhile.
  most_threads_ = rows <= kFewRows ? 1 : threads_for(3.0 * multiply_adds(*net_, data.x, rows));
  sparse_ = data.x.sparse != nullptr;
  const bool kept = block > kFewRows || sparse_ || !options_.dropout.empty();
  if (kept && (block > capacity_ || !(sparse_ || inputs_kept_))) {
    capacity_ = 0;  // should memory run out here
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
  if (options_.clip_norm > 0 || decays_) column_sums_.reserve(net_->widest());
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
  sparse_gradient_.reserve(data.x, std::min(rows, kBlockRows), repeats, most_threads_);
}

namespace {

// Minibatches and networks up to these keep W' as well: an outer product keeps it up to date for
// less than turning W's blocks round at every step costs.
constexpr std::size_t kTransposedRows = 4;
constexpr std::size_t kTransposedWeights = std::size_t{1} << 17;

// Data sets up to this size need no prefetching.
constexpr std::size_t kCachedBytes = std::size_t{1} << 19;

}  // namespace

// What all steps of a run share. `many`: enough of them to prepare something for all.
template <class T>
void Trainer<T>::begin_steps(const DataSet<T>& data, std::size_t rows, bool many) {
  equal_factors_ = 0;
  // Small data sets stay in the caches.
  const std::size_t row_bytes = data.x.cols * (data.x.is_uint8 ? 1 : sizeof(T));
  const std::size_t lines = std::min(capacity_, data.x.rows) * (row_bytes / 64 + 1);
  ahead_lines_ = 0;
  if (many && !sparse_ && capacity_ > 0 && data.x.rows * row_bytes > kCachedBytes) {
    ahead_lines_ = static_cast<unsigned>(
        lines / (forward_tiles(*net_, capacity_) + gradient_tiles(*net_)) + 1);
  }
  FewRowsForward<T>& f = few_.forward;
  f = few_rows_forward_of(*net_, data.x, few_rows_.data());
  few_.loss = loss_args(data, Plan{}, 0);
  few_.transposed = nullptr;
  few_.scalar = false;
  const std::size_t size = few_rows_transposed_size(f.layers, f.layer_count);
  const bool plain = optimizer_.is_plain_sgd() && !decays_;
  if (sparse_ || !updates_ || !fused_ || !plain) return;
  few_.scalar = options_.loss == LossKind::squared_error &&
                net_->parameter_count() <= kScalarParameters &&
                std::none_of(net_->layers().begin(), net_->layers().end(),
                             [](const Layer& layer) { return is_elementwise(layer.activation); });
  if (many && rows <= kTransposedRows && size <= kTransposedWeights) {
    transposed_.reserve(size);
    few_.transposed = transposed_.data();
    kernels<T>().few_rows_transpose(f, few_.transposed);
  }
}

// The rows' factors and the update; the rows themselves are set already.
template <class T>
void Trainer<T>::begin_plan(Plan& plan, const DataSet<T>& data, double learning_rate) {
  const bool averaged = info(options_.loss).over_outputs == OverOutputs::mean && !options_.summed;
  const double outputs = averaged ? static_cast<double>(net_->outputs()) : 1.0;
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
  plan.update = optimizer_.next(learning_rate);
  if (plan.alpha > 0) {
    plan.update.weight_decay =
        plan.weight_sum == 0 ? T(0) : static_cast<T>(plan.alpha / plan.weight_sum);
  }
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
void Trainer<T>::few_rows_gradient(const Plan& plan, Segment segment,
                                   const WeightGradients<T>& out) {
  FewRowsStep<T>& f = few_;
  f.loss.factor = factor_.data() + segment.begin;
  f.loss.index = plan.index != nullptr ? plan.index + segment.begin : nullptr;
  f.loss.first = static_cast<Index>(segment.begin);
  f.forward.rows = {f.loss.index, f.loss.first};
  f.forward.count = segment.end - segment.begin;
  f.gradient = out.gradient;
  f.accumulate = out.accumulate;
  f.update = out.update;
  f.parameters = out.parameters;
  f.state = out.state;
  kernels<T>().few_rows_step(f);
}

// The rows that this thread will load in the next step.
template <class T>
RowsAhead Trainer<T>::rows_ahead(const DataSet<T>& data, const Plan& plan, unsigned n,
                                 unsigned t) const {
  RowsAhead a{};
  if (plan.ahead == nullptr || ahead_lines_ == 0) return a;
  const Range mine = own_rows<T>(plan.ahead_rows, n, t);
  a.base = static_cast<const char*>(data.x.data);
  a.stride = data.x.stride;
  a.row_bytes = data.x.cols * (data.x.is_uint8 ? 1 : sizeof(T));
  a.pick = {plan.ahead, 0};
  a.row = mine.begin;
  a.end = mine.end;
  a.lines_each = ahead_lines_;
  return a;
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
    const Dropout dropping{&options_.dropout, options_.seed, optimizer_.progress.step, begin};
    const Dropout* const dropout = updates_ && !options_.dropout.empty() ? &dropping : nullptr;
    if (rows <= kFewRows && team.size() == 1 && !sparse_ && dropout == nullptr) {
      few_rows_gradient(plan, block, part);
    } else {
      const Range mine = own_rows<T>(rows, team.size(), t);
      RowsAhead ahead = rows_ahead(data, plan, team.size(), t);
      LossArgs<T> loss = loss_args(data, plan, begin);
      const RowPicker pick{loss.index, loss.first};
      const std::size_t loaded =
          load_inputs(*net_, data.x, pick, activations_[0], activations_[1], mine);
      forward_pass(*net_, activations_, rows, team, t, scratch, &ahead, loaded, dropout);
      loss.z = read_only(activations_[last]);
      loss.dz = gradients_.of(last - 1);
      loss.row_begin = mine.begin;
      loss.row_end = mine.end;
      loss.scratch = scratch;
      k.loss(loss);
      backward_pass(*net_, activations_, gradients_, Panels<T>{}, rows, team, t, scratch, dropout);
      team.wait();
      if (sparse_) {
        sparse_gradient_.backward_weights(*net_, {data.x.sparse, pick, rows}, part,
                                          gradients_.by_rows[0], t);
      }
      weights_pass(*net_, activations_, gradients_, rows, part, team.size(), t, &ahead, loaded);
    }
    if (t == 0) sum = loss_sum(data, plan, block, sum);
    if (part.update == nullptr) team.wait();
  }
  return sum;
}

template <class T>
void Trainer<T>::take_step(const DataSet<T>& data, const Plan& plan, Team& team, unsigned t) {
  const bool fuse = updates_ && fused_;
  WeightGradients<T> out{gradient_.data(), false, fuse ? &plan.update : nullptr, net_->parameters(),
                         optimizer_.state()};
  if (sparse_) sparse_gradient_.begin(plan.number, team.size(), t);
  double total = 0;
  bool first = true;
  if (t == 0 && plan.alpha > 0 && plan.weight_sum != 0) {
    step_penalty_ = (0.5 * plan.alpha * squared_weights()) / plan.weight_sum;
  }
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
  add(skip + mine.begin, mine.end - mine.begin);
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
double Trainer<T>::squared_weights() const {
  double total = 0;
  double* const sums = const_cast<double*>(column_sums_.data());
  for (const Layer& layer : net_->layers()) {
    std::fill_n(sums, layer.fan_out, 0.0);
    kernels<T>().add_column_squares(net_->parameters() + layer.weight_offset, layer.fan_in,
                                    layer.fan_out, sums);
    double of_layer = 0;
    for (std::size_t o = 0; o < layer.fan_out; ++o) of_layer += sums[o];
    total += of_layer;
  }
  return total;
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
    kernels<T>().update(u, is_weight, net_->parameters() + at, gradient_.data() + at,
                        optimizer_.state().from(at), mine.end - mine.begin);
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

#define FASTRELU_INSTANTIATE(T)                                                \
  template void Trainer<T>::reserve(const DataSet<T>&, std::size_t, bool);     \
  template void Trainer<T>::begin_plan(Plan&, const DataSet<T>&, double);      \
  template void Trainer<T>::begin_steps(const DataSet<T>&, std::size_t, bool); \
  template void Trainer<T>::take_step(const DataSet<T>&, const Plan&, Team&, unsigned);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)

}  // namespace fastrelu
