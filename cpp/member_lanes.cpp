// SPDX-License-Identifier: BSD-3-Clause
#include "member_lanes.h"

#include <algorithm>

namespace fastrelu {
namespace {

// Networks of more parameters than this would be read from beyond the L2 cache; alone they need
// not be. With so many multiply-adds in a forward pass a network fills its vectors alone.
constexpr std::size_t kMostParameters = 8192;
constexpr std::size_t kMostWork = std::size_t{3} << 16;

// A block of rows takes about so much memory, or twice that of the parameters.
constexpr std::size_t kBlockBytes = std::size_t{1} << 16;

std::size_t rows_of_block(std::size_t bytes_each_row, std::size_t parameter_bytes,
                          std::size_t most) {
  const std::size_t rows = std::max(kBlockBytes, 2 * parameter_bytes) / bytes_each_row;
  return std::max<std::size_t>(1, std::min(most, std::max<std::size_t>(4, rows / 4 * 4)));
}

template <class T>
const Network<T>& network_of(const PopulationMember<T>& member) {
  return *member.trainer->network();
}

template <class T>
bool have_like_layers(const Network<T>& a, const Network<T>& b) {
  return a.has_bias() == b.has_bias() && a.scale() == b.scale() &&
         std::equal(a.layers().begin(), a.layers().end(), b.layers().begin(), b.layers().end(),
                    [](const Layer& x, const Layer& y) { return x.activation == y.activation; });
}

// The same rows, beside weights of their own.
template <class T>
bool have_like_data(const DataSet<T>& a, const DataSet<T>& b) {
  return a.x.data == b.x.data && a.x.rows == b.x.rows && a.x.stride == b.x.stride &&
         a.x.is_uint8 == b.x.is_uint8 && a.targets.values == b.targets.values &&
         a.targets.labels == b.targets.labels;
}

bool have_like_losses(const LossOptions& a, const LossOptions& b) {
  return a.kind == b.kind && a.pos_weight == b.pos_weight && a.levels == b.levels &&
         a.parameter == b.parameter && a.summed == b.summed && a.clipped == b.clipped;
}

}  // namespace

template <class T>
bool fits_lanes(const PopulationMember<T>& member) {
  const TrainerOptions& o = member.trainer->options();
  const std::size_t parameters = network_of(member).parameter_count();
  const std::size_t rows = std::min(member.batch_size(), member.rows());
  return member.data->x.is_dense() && o.dropout.empty() && o.clip_norm == 0 && o.n_shards == 1 &&
         o.input_scale_rate == 0 && parameters <= kMostParameters && parameters * rows <= kMostWork;
}

template <class T>
bool are_alike(const PopulationMember<T>& a, const PopulationMember<T>& b) {
  const TrainerOptions &x = a.trainer->options(), &y = b.trainer->options();
  return have_like_data(*a.data, *b.data) && a.batch_size() == b.batch_size() &&
         have_like_losses(x.loss, y.loss) && x.optimizer.kind == y.optimizer.kind &&
         x.optimizer.nesterov == y.optimizer.nesterov &&
         x.optimizer.state_count() == y.optimizer.state_count() &&
         have_like_layers(network_of(a), network_of(b));
}

template <class T>
MemberLanes<T>::MemberLanes(const std::vector<PopulationMember<T>*>& members,
                            const KernelTable<T>& kernels)
    : kernels_(kernels), lanes_(kernels.lanes), members_(lanes_) {
  lay_out(members);
  const PopulationMember<T>& first = *members.front();
  const Trainer<T>& trainer = *first.trainer;
  std::size_t most = 0;
  for (const PopulationMember<T>* m : members) most = std::max(most, m->rows());
  most = std::min(most, first.batch_size());
  const std::size_t values = parameters_count_ * lanes_;
  const LanesSizes sizes(layers_.data(), layers_.size());
  const std::size_t block = rows_of_block(
      (sizes.activations + 2 * sizes.widest) * lanes_ * sizeof(T), values * sizeof(T), most);
  widths_.reset((layers_.size() + 1) * lanes_);
  counts_.reset(lanes_);
  parameters_.reset(values);
  if (block < most) gradient_.reset(values);
  state_.reset(trainer.options().optimizer.state_count() * values);
  factors_.reset(most * lanes_);
  row_losses_.reset(most * lanes_);
  rows_.reset(most * lanes_);
  workspace_.reset(lanes_workspace<T>(sizes, block, lanes_));
  for (Lane& lane : members_) lane.minibatch.shards.resize(1);
  work_ = 3.0 * static_cast<double>(values * most);
  const Network<T>& net = network_of(first);
  step_.layers = layers_.data();
  step_.layer_count = layers_.size();
  step_.widths = widths_.data();
  step_.bias = net.has_bias();
  step_.scale = net.scale();
  step_.x = &first.data->x;
  step_.rows = rows_.data();
  step_.counts = counts_.data();
  step_.targets = first.data->targets;
  step_.loss = trainer.loss_spec();
  step_.factors = factors_.data();
  step_.row_losses = row_losses_.data();
  step_.parameters = parameters_.data();
  step_.gradient = gradient_.data();
  step_.state = state_.data();
  step_.state_stride = values;
  step_.block_rows = block;
  step_.workspace = workspace_.data();
}

// Layers as wide as the widest member's.
template <class T>
void MemberLanes<T>::lay_out(const std::vector<PopulationMember<T>*>& members) {
  for (const Layer& layer : network_of(*members.front()).layers()) {
    layers_.push_back({layer.fan_in, layer.fan_out, 0, 0, 0, 0, layer.activation});
  }
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    for (const PopulationMember<T>* member : members) {
      const Layer& layer = network_of(*member).layers()[k];
      layers_[k].fan_in = std::max(layers_[k].fan_in, layer.fan_in);
      layers_[k].fan_out = std::max(layers_[k].fan_out, layer.fan_out);
    }
    layers_[k].weight_offset = parameters_count_;
    layers_[k].bias_offset = parameters_count_ + layers_[k].fan_in * layers_[k].fan_out;
    const bool bias = network_of(*members.front()).has_bias();
    parameters_count_ = layers_[k].bias_offset + (bias ? layers_[k].fan_out : 0);
  }
}

template <class T>
bool MemberLanes<T>::has_room(const PopulationMember<T>& member) const {
  const std::vector<Layer>& own = network_of(member).layers();
  const std::size_t batch = std::min(member.rows(), member.batch_size());
  return batch * lanes_ <= rows_.size() &&
         std::equal(own.begin(), own.end(), layers_.begin(),
                    [](const Layer& layer, const LanesLayer& most) {
                      return layer.fan_in <= most.fan_in && layer.fan_out <= most.fan_out;
                    });
}

template <class T>
std::size_t MemberLanes<T>::free_lanes() const {
  return static_cast<std::size_t>(std::count_if(
      members_.begin(), members_.end(), [](const Lane& lane) { return lane.member == nullptr; }));
}

// move(where in the member's own arrays, where in those of the lanes)
template <class T>
template <class Move>
void MemberLanes<T>::for_each_parameter(std::size_t lane, Move move) {
  const Network<T>& net = network_of(*members_[lane].member);
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    const Layer& own = net.layers()[k];
    std::size_t from = own.weight_offset;
    for (std::size_t i = 0; i < own.fan_in; ++i) {
      for (std::size_t o = 0; o < own.fan_out; ++o, ++from) {
        move(from, layers_[k].weight(i, o) * lanes_ + lane);
      }
    }
    for (std::size_t o = 0; net.has_bias() && o < own.fan_out; ++o) {
      move(own.bias_offset + o, (layers_[k].bias_offset + o) * lanes_ + lane);
    }
  }
}

template <class T>
void MemberLanes<T>::load(std::size_t lane) {
  Trainer<T>& trainer = *members_[lane].member->trainer;
  const T* const from = trainer.network()->parameters();
  const StateArrays<T> state = trainer.optimizer().state();
  const std::size_t arrays = trainer.options().optimizer.state_count();
  for (std::size_t at = lane; at < parameters_.size(); at += lanes_) parameters_[at] = 0;
  for (std::size_t at = lane; at < state_.size(); at += lanes_) state_[at] = 0;
  for_each_parameter(lane, [&](std::size_t own, std::size_t at) {
    parameters_[at] = from[own];
    for (std::size_t k = 0; k < arrays; ++k) {
      state_[k * step_.state_stride + at] = state.array(k)[own];
    }
  });
}

template <class T>
void MemberLanes<T>::store(std::size_t lane) {
  Trainer<T>& trainer = *members_[lane].member->trainer;
  T* const to = trainer.network()->parameters();
  const StateArrays<T> state = trainer.optimizer().state();
  const std::size_t arrays = trainer.options().optimizer.state_count();
  for_each_parameter(lane, [&](std::size_t own, std::size_t at) {
    to[own] = parameters_[at];
    for (std::size_t k = 0; k < arrays; ++k) {
      state.array(k)[own] = state_[k * step_.state_stride + at];
    }
  });
  ++trainer.network()->version;
}

// Widths of the members that are there; a free lane has the widest, which nothing waits for.
template <class T>
void MemberLanes<T>::set_widths() {
  for (std::size_t k = 0; k <= layers_.size(); ++k) {
    const std::size_t most = k == 0 ? layers_[0].fan_in : layers_[k - 1].fan_out;
    std::size_t least = most;
    for (std::size_t l = 0; l < lanes_; ++l) {
      std::size_t width = most;
      if (members_[l].member != nullptr) {
        const std::vector<Layer>& own = network_of(*members_[l].member).layers();
        width = k == 0 ? own[0].fan_in : own[k - 1].fan_out;
      }
      widths_[k * lanes_ + l] = static_cast<T>(width);
      least = std::min(least, width);
    }
    if (k > 0) layers_[k - 1].common_fan_out = least;
    if (k < layers_.size()) layers_[k].common_fan_in = least;
  }
}

template <class T>
void MemberLanes<T>::enter(PopulationMember<T>& member, PopulationRun& run) {
  std::size_t l = 0;
  while (members_[l].member != nullptr) ++l;
  members_[l].member = &member;
  members_[l].factor_rows = 0;
  members_[l].weights = member.data->weights;
  weighted_ = weighted_ || member.data->weights != nullptr;
  const UpdateArgs<T>& constants = member.trainer->optimizer().constants();
  LanesUpdate<T>& u = step_.update;
  u.rule = constants.rule;
  u.decoupled = constants.decoupled;
  u.momentum[l] = constants.momentum;
  u.beta_1[l] = constants.beta_1;
  u.beta_2[l] = constants.beta_2;
  u.c1[l] = constants.c1;
  u.c2[l] = constants.c2;
  u.epsilon[l] = constants.epsilon;
  load(l);
  set_widths();
  if (member.given == nullptr) member.trainer->forget_kept();
  try {
    begin_epoch(l, run);
  } catch (...) {
    members_[l].member = nullptr;
    throw;
  }
}

// The member may leave by it, or the run stop.
template <class T>
void MemberLanes<T>::begin_epoch(std::size_t l, PopulationRun& run) {
  Lane& lane = members_[l];
  PopulationMember<T>& m = *lane.member;
  Trainer<T>& trainer = *m.trainer;
  if (trainer.looks_before_epoch()) store(l);
  lane.began = Clock::now();
  if (!begin_sampling(l)) {
    lane.member = nullptr;
    run.hooks.ended(run.hooks.context, m.number);
    return;
  }
  lane.steps_left = trainer.sampler().left();
  if (m.constant_rate) return;
  lane.rates = run.hooks.rates(run.hooks.context, m.number, lane.steps_left);
  if (lane.rates == nullptr) run.stop();
}

// The order of the member's next epoch, or of what is left of this one. False: it must not begin.
template <class T>
bool MemberLanes<T>::begin_sampling(std::size_t l) {
  PopulationMember<T>& m = *members_[l].member;
  Trainer<T>& trainer = *m.trainer;
  if (m.given != nullptr) {
    members_[l].totals = {};
    return trainer.begin_ordered(m.given->next());
  }
  const std::uint64_t epoch = trainer.state.epoch + (trainer.state.in_epoch ? 0 : 1);
  const Sampler* like = nullptr;
  for (const Lane& other : members_) {
    if (other.member == nullptr || other.member == &m || m.sampling != Sampling::shuffle) continue;
    const Sampler& theirs = other.member->trainer->sampler();
    if (theirs.has_order(trainer.options().seed, epoch, m.rows(), m.subset)) like = &theirs;
  }
  return trainer.begin_epoch(*m.data, m.sampling, m.subset, like);
}

template <class T>
void MemberLanes<T>::end_epoch(std::size_t l, PopulationRun& run) {
  Lane& lane = members_[l];
  PopulationMember<T>& m = *lane.member;
  const PopulationHooks& hooks = run.hooks;
  if (m.given == nullptr) m.trainer->end_epoch();
  const double loss = m.given != nullptr ? lane.totals.loss : m.trainer->epoch_loss();
  const double rate = m.constant_rate ? m.learning_rate : lane.rates[-1];
  const std::chrono::duration<double> took = Clock::now() - lane.began;
  const EpochNumbers numbers{loss, rate, took.count(), lane.totals.penalty};
  hooks.record(hooks.context, m.number, numbers);
  --m.epochs;
  bool ends = given_run_ends(m, numbers) || m.epochs == 0;
  if (m.asks) {
    store(l);
    ends = hooks.epoch_end(hooks.context, m.number) || ends;
    load(l);
  }
  if (!ends) return begin_epoch(l, run);
  store(l);
  lane.member = nullptr;
  end_member(m, run);
}

template <class T>
void MemberLanes<T>::begin_step() {
  const Lane* first = nullptr;
  bool same = true;
  std::size_t most = 0, least = SIZE_MAX;
  step_.update.decays = penalised_ = false;
  for (std::size_t l = 0; l < lanes_; ++l) {
    Lane& lane = members_[l];
    if (lane.member == nullptr) continue;
    Trainer<T>& trainer = *lane.member->trainer;
    trainer.sampler().next(trainer.optimizer().progress.step + 1, lane.minibatch);
    if (first == nullptr) first = &lane;
    const Sampler& other = first->member->trainer->sampler();
    same = same && (&lane == first || (trainer.sampler().is_like(other) &&
                                       trainer.sampler().place() == other.place()));
    most = std::max(most, lane.minibatch.count);
    least = std::min(least, lane.minibatch.count);
    set_factors(l);
    set_update(l);
  }
  for (std::size_t l = 0; l < lanes_; ++l) {
    const bool is_free = members_[l].member == nullptr;
    counts_[l] = static_cast<T>(is_free ? most : members_[l].minibatch.count);
  }
  step_.same_rows = same;
  step_.count = most;
  step_.common_count = least;
  if (same) {
    for (std::size_t r = 0; r < most; ++r) {
      std::fill_n(rows_.data() + r * lanes_, lanes_, first->minibatch.rows(r));
    }
    return;
  }
  for (std::size_t l = 0; l < lanes_; ++l) {
    if (members_[l].member == nullptr) continue;
    const Minibatch& m = members_[l].minibatch;
    for (std::size_t r = 0; r < m.count; ++r) rows_[r * lanes_ + l] = m.rows(r);
  }
}

template <class T>
void MemberLanes<T>::set_factors(std::size_t l) {
  Lane& lane = members_[l];
  const Minibatch& m = lane.minibatch;
  const double outputs = averaged_outputs(step_.loss, layers_.back().fan_out);
  if (lane.weights == nullptr) {
    lane.weight = static_cast<double>(m.count);
    if (lane.factor_rows == m.count) return;
    const T factor = equal_factor<T>(outputs, lane.weight);
    for (std::size_t r = 0; r < m.count; ++r) factors_[r * lanes_ + l] = factor;
    lane.factor_rows = m.count;
    return;
  }
  lane.weight = 0;
  for (std::size_t r = 0; r < m.count; ++r) lane.weight += lane.weights[m.rows(r)];
  for (std::size_t r = 0; r < m.count; ++r) {
    factors_[r * lanes_ + l] = row_factor<T>(lane.weights[m.rows(r)], outputs, lane.weight);
  }
}

template <class T>
void MemberLanes<T>::set_update(std::size_t l) {
  Lane& lane = members_[l];
  const double rate = lane.member->constant_rate ? lane.member->learning_rate : *lane.rates++;
  lane.member->trainer->optimizer().next(rate, lane.update);
  const double penalty = lane.minibatch.penalty;
  if (penalty > 0) {
    lane.update.weight_decay = lane.weight == 0 ? T(0) : static_cast<T>(penalty / lane.weight);
    penalised_ = true;
  }
  step_.update.learning_rate[l] = lane.update.learning_rate;
  step_.update.weight_decay[l] = lane.update.weight_decay;
  step_.update.decays = step_.update.decays || lane.update.weight_decay != 0;
}

// The row losses of each lane, times their weights, as a chain.
template <class T>
void MemberLanes<T>::add_losses(double* sums) const {
  for (std::size_t r = 0; r < step_.count; ++r) {
    const T* const losses = row_losses_.data() + r * lanes_;
    const Index* const rows = rows_.data() + r * lanes_;
    if (!weighted_ && r < step_.common_count) {
      for (std::size_t l = 0; l < lanes_; ++l) sums[l] += static_cast<double>(losses[l]);
      continue;
    }
    for (std::size_t l = 0; l < lanes_; ++l) {
      if (!(static_cast<T>(r) < counts_[l])) continue;
      const double loss = static_cast<double>(losses[l]);
      const double* const weights = members_[l].weights;
      sums[l] += weights != nullptr ? loss * weights[rows[l]] : loss;
    }
  }
}

// The losses into the members' totals; epochs and members end.
template <class T>
void MemberLanes<T>::end_step(PopulationRun& run) {
  double sums[kMostLanes] = {};
  add_losses(sums);
  for (std::size_t l = 0; l < lanes_; ++l) {
    Lane& lane = members_[l];
    if (lane.member == nullptr) continue;
    PopulationMember<T>& m = *lane.member;
    if (!count_step(l, sums[l])) {
      store(l);
      m.trainer->undo_divergence();
      lane.member = nullptr;
      run.hooks.ended(run.hooks.context, m.number);
    } else if (--lane.steps_left == 0) {
      end_epoch(l, run);
    }
  }
}

// False: the loss is not finite.
template <class T>
bool MemberLanes<T>::count_step(std::size_t l, double loss) {
  Lane& lane = members_[l];
  Trainer<T>& trainer = *lane.member->trainer;
  StepResult result{static_cast<double>(lane.minibatch.count), lane.weight, loss, 0};
  if (lane.member->given == nullptr) return trainer.count_step(result);
  const double penalty = lane.minibatch.penalty;
  if (penalty > 0 && lane.weight != 0) {
    result.penalty = (0.5 * penalty * squares_[l]) / lane.weight;
  }
  return trainer.count_ordered_step(result, lane.totals);
}

template <class T>
void MemberLanes<T>::steps(PopulationRun& run, bool is_caller) {
  const std::size_t before = free_lanes();
  while (free_lanes() == before && before < lanes_) {
    if (run.stopped(is_caller, work_)) return;
    begin_step();
    if (penalised_) kernels_.lanes_squares(step_, squares_);
    kernels_.lanes_step(step_);
    end_step(run);
  }
}

template <class T>
void MemberLanes<T>::leave() {
  for (std::size_t l = 0; l < lanes_; ++l) {
    if (members_[l].member == nullptr) continue;
    store(l);
    members_[l].member = nullptr;
  }
}

#define FASTRELU_INSTANTIATE(T)                                                    \
  template bool fits_lanes(const PopulationMember<T>&);                            \
  template bool are_alike(const PopulationMember<T>&, const PopulationMember<T>&); \
  template class MemberLanes<T>;

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)
#undef FASTRELU_INSTANTIATE

}  // namespace fastrelu
