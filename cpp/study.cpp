// SPDX-License-Identifier: BSD-3-Clause
#include "study.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "independent_runs.h"
#include "random.h"

namespace fastrelu {
namespace {

// One run, watched after every step.
class Replicate {
 public:
  Replicate(const DataSet<double>& data, const StudyPlan& plan, SharedStop& stop, bool asks,
            double* distances, double* weights)
      : data_(data),
        plan_(plan),
        stop_(stop),
        asks_(asks),
        distances_(distances),
        weights_(weights) {}

  void run(std::uint64_t number) {
    const std::vector<std::size_t> sizes{data_.x.cols, plan_.outputs};
    net_ = std::make_shared<Network<double>>(sizes, std::vector<Activation>{}, false, 1.0);
    std::copy_n(plan_.start, net_->parameter_count(), net_->parameters());
    TrainerOptions options;
    options.loss.kind = plan_.loss;
    options.optimizer.weight_decay = plan_.weight_decay;
    options.batch_size = plan_.batch_size;
    options.seed = replicate_seed(plan_.seed, number);
    Trainer<double> trainer(net_, options);
    const Poll after_step{
        [](void* context) { return static_cast<Replicate*>(context)->after_step(); }, this};
    while (!over()) {
      trainer.run_epoch(data_, plan_.sampling, plan_.learning_rates + taken_, {}, after_step);
    }
  }

 private:
  bool over() const { return taken_ == plan_.steps || stop_.is_stopped(); }

  bool after_step() {
    ++taken_;
    const auto step = static_cast<std::int64_t>(taken_);
    const std::size_t n = net_->parameter_count();
    const double* const w = net_->parameters();
    if (distance_ < plan_.distance_count && plan_.distance_at[distance_] == step) {
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const double e = w[i] - plan_.target[i];
        sum += e * e;
      }
      distances_[distance_++] = sum;
    }
    if (weight_ < plan_.weights_count && plan_.weights_at[weight_] == step) {
      std::copy_n(w, n, weights_ + n * weight_++);
    }
    stop_.stopped(asks_);
    return over();
  }

  const DataSet<double>& data_;
  const StudyPlan& plan_;
  SharedStop& stop_;
  const bool asks_;
  double *distances_, *weights_;
  std::shared_ptr<Network<double>> net_;
  std::size_t taken_ = 0, distance_ = 0, weight_ = 0;
};

}  // namespace

std::uint64_t replicate_seed(std::uint64_t seed, std::uint64_t replicate) {
  return philox_block({0, replicate, 0, 0},
                      {seed, static_cast<std::uint64_t>(Purpose::replicate)})[0];
}

bool run_study(const DataSet<double>& data, const StudyPlan& plan, Poll poll, double* distances,
               double* weights) {
  SharedStop stop(poll);
  std::atomic<std::size_t> next{0};
  const std::size_t weights_each = plan.weights_count * data.x.cols * plan.outputs;
  const auto most = static_cast<unsigned>(std::min<std::size_t>(num_threads(), plan.replicates));
  run_independently(most, stop, [&](bool is_caller) {
    for (;;) {
      const std::size_t r = next.fetch_add(1);
      if (r >= plan.replicates || stop.is_stopped()) return;
      Replicate(data, plan, stop, is_caller, distances + r * plan.distance_count,
                weights + r * weights_each)
          .run(r);
    }
  });
  return !stop.is_stopped();
}

}  // namespace fastrelu
