// SPDX-License-Identifier: BSD-3-Clause
#include "study.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "fp_environment.h"
#include "random.h"

namespace fastrelu {
namespace {

// What the threads share.
struct Progress {
  explicit Progress(Poll poll) : watch(poll) {}

  // For the calling thread alone.
  void ask() {
    if (watch.due() && watch.stop()) stop.store(true, std::memory_order_relaxed);
  }

  Stopwatch watch;
  std::atomic<bool> stop{false};
  std::atomic<std::size_t> next{0};
  std::atomic<unsigned> at_work{0};
  std::mutex mutex;
  std::exception_ptr error;
};

// One run, watched after every step.
class Replicate {
 public:
  Replicate(const DataSet<double>& data, const StudyPlan& plan, Progress& progress, bool asks,
            double* distances, double* weights)
      : data_(data),
        plan_(plan),
        progress_(progress),
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
  bool over() const {
    return taken_ == plan_.steps || progress_.stop.load(std::memory_order_relaxed);
  }

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
    if (asks_) progress_.ask();
    return over();
  }

  const DataSet<double>& data_;
  const StudyPlan& plan_;
  Progress& progress_;
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
  Progress progress(poll);
  const std::size_t weights_each = plan.weights_count * data.x.cols * plan.outputs;
  const auto most = static_cast<unsigned>(std::min<std::size_t>(num_threads(), plan.replicates));
  run_parallel(most, [&](Team& team, unsigned t) {
    const FpEnvironment environment;
    const unsigned before = set_thread_limit(1);  // the steps of a run are one thread's
    if (t != 0) progress.at_work.fetch_add(1);
    team.wait();
    try {
      for (;;) {
        const std::size_t r = progress.next.fetch_add(1);
        if (r >= plan.replicates || progress.stop.load()) break;
        Replicate(data, plan, progress, t == 0, distances + r * plan.distance_count,
                  weights + r * weights_each)
            .run(r);
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(progress.mutex);
      progress.error = std::current_exception();
      progress.stop.store(true);
    }
    if (t != 0) progress.at_work.fetch_sub(1);
    // The others may have long runs to finish, and nobody else hears a signal.
    while (t == 0 && progress.at_work.load() > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      progress.ask();
    }
    set_thread_limit(before);
  });
  if (progress.error) std::rethrow_exception(progress.error);
  return !progress.stop.load();
}

}  // namespace fastrelu
