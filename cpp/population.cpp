// SPDX-License-Identifier: BSD-3-Clause
#include "population.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>

#include "dispatch.h"
#include "member_lanes.h"

namespace fastrelu {
namespace {

// A lane is worth it from so many members side by side: half of the lanes, since a step of all of
// them takes about as long as so many steps alone.
template <class T>
std::size_t fewest_lanes(const KernelTable<T>& kernels) {
  return std::max<std::size_t>(2, kernels.lanes / 2);
}

// Members side by side have at least so much of the widest one's parameters.
constexpr double kLeastShare = 0.6;

template <class T>
double parameters_of(const PopulationMember<T>& member) {
  return static_cast<double>(member.trainer->network()->parameter_count());
}
// Multiply-adds, more or less.
template <class T>
double work_of(const PopulationMember<T>& member) {
  return 3.0 * parameters_of(member) * static_cast<double>(member.epochs) *
         static_cast<double>(member.rows());
}

bool ask_run(void* run) { return static_cast<PopulationRun*>(run)->is_stopped(); }
bool ask_caller(void* run) { return static_cast<PopulationRun*>(run)->stopped(true); }

// The steps that the member's epoch has left.
template <class T>
std::size_t steps_left(const PopulationMember<T>& m) {
  if (m.given != nullptr) return m.given->steps();
  const TrainerState& state = m.trainer->state;
  return m.trainer->steps_in_epoch(m.rows(), m.sampling) -
         (state.in_epoch ? state.totals.steps : 0);
}

// Runs an epoch of a member and says what came of it; false: it is not finished.
template <class T>
bool run_epoch(PopulationMember<T>& m, const double* rates, Poll poll, EpochNumbers* numbers) {
  Trainer<T>& trainer = *m.trainer;
  Totals totals;
  const auto began = std::chrono::steady_clock::now();
  const bool finished = m.given != nullptr
                            ? trainer.run_ordered(*m.data, m.given->next(), rates, poll, &totals)
                            : trainer.run_epoch(*m.data, m.sampling, rates, poll, {}, m.subset);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  *numbers = {m.given != nullptr ? totals.loss : trainer.epoch_loss(), 0, took.count(),
              totals.penalty};
  return finished;
}

// All the epochs of a member, on this thread.
template <class T>
void run_alone(PopulationMember<T>& m, PopulationRun& run, bool is_caller) {
  const PopulationHooks& hooks = run.hooks;
  Trainer<T>& trainer = *m.trainer;
  const Poll poll{is_caller ? ask_caller : ask_run, &run};
  const double epoch_work = work_of(m) / static_cast<double>(m.epochs);
  std::vector<double> constant;
  if (m.given == nullptr) trainer.forget_kept();
  while (m.epochs > 0) {
    const std::size_t steps = steps_left(m);
    if (m.constant_rate && constant.size() < steps) constant.assign(steps, m.learning_rate);
    const double* const rates =
        m.constant_rate ? constant.data() : hooks.rates(hooks.context, m.number, steps);
    if (rates == nullptr) run.stop();
    if (run.stopped(is_caller, epoch_work)) break;
    EpochNumbers numbers;
    if (!run_epoch(m, rates, poll, &numbers)) {
      if (trainer.divergence().happened) hooks.ended(hooks.context, m.number);
      break;
    }
    if (steps > 0) numbers.learning_rate = rates[steps - 1];
    hooks.record(hooks.context, m.number, numbers);
    --m.epochs;
    if (given_run_ends(m, numbers)) m.epochs = 0;
    if (m.asks && hooks.epoch_end(hooks.context, m.number)) m.epochs = 0;
    if (m.epochs == 0) end_member(m, run);
  }
  if (m.given == nullptr) trainer.release_memory();
}

// Members that wait for their turn.
template <class T>
class Queue {
 public:
  explicit Queue(std::vector<PopulationMember<T>*> members) : members_(std::move(members)) {
    for (const PopulationMember<T>* member : members_) work_.push_back(work_of(*member));
  }

  bool waits() const { return next_.load() < members_.size(); }
  // The multiply-adds of the next `count`.
  double work(std::size_t count) const {
    double total = 0;
    for (std::size_t i = next_.load(); i < work_.size() && count > 0; ++i, --count) {
      total += work_[i];
    }
    return total;
  }
  // The next one if it fits; null: none is there, or it does not.
  template <class Fits>
  PopulationMember<T>* take(Fits fits) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::size_t i = next_.load();
    if (i == members_.size() || !fits(*members_[i])) return nullptr;
    next_.store(i + 1);
    return members_[i];
  }

 private:
  std::vector<PopulationMember<T>*> members_;
  std::vector<double> work_;  // of each, before anybody begins it
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;
};

// Members one after the other.
template <class T>
class AloneWork : public PopulationWork {
 public:
  explicit AloneWork(std::vector<PopulationMember<T>*> members) : queue_(std::move(members)) {}
  bool waits() const override { return queue_.waits(); }
  double longest() const override { return queue_.work(1); }
  void run(PopulationRun& run, bool is_caller) override {
    PopulationMember<T>* const member = queue_.take([](const auto&) { return true; });
    if (member != nullptr) run_alone(*member, run, is_caller);
  }

 private:
  Queue<T> queue_;
};

// Members side by side: alike, the widest first. Their numbers lie as the lanes of one instruction
// set have them, to which all of a run keeps, whatever others choose meanwhile.
template <class T>
class LanesWork : public PopulationWork {
 public:
  LanesWork(std::vector<PopulationMember<T>*> members, const KernelTable<T>& kernels)
      : kernels_(kernels), queue_(std::move(members)) {}
  bool waits() const override { return queue_.waits(); }
  double longest() const override { return queue_.work(kernels_.lanes) / 2; }

  void run(PopulationRun& run, bool is_caller) override {
    std::vector<PopulationMember<T>*> group;
    const auto near = [&](const PopulationMember<T>& m) {
      return group.empty() || parameters_of(m) >= kLeastShare * parameters_of(*group.front());
    };
    while (group.size() < kernels_.lanes) {
      PopulationMember<T>* const member = queue_.take(near);
      if (member == nullptr) break;
      group.push_back(member);
    }
    if (group.size() >= fewest_lanes(kernels_)) return run_lanes(group, run, is_caller);
    for (PopulationMember<T>* member : group) {
      if (!run.is_stopped()) run_alone(*member, run, is_caller);
    }
  }

 private:
  void run_lanes(const std::vector<PopulationMember<T>*>& group, PopulationRun& run,
                 bool is_caller) {
    MemberLanes<T> lanes(group, kernels_);
    const double most = parameters_of(*group.front());
    try {
      for (PopulationMember<T>* member : group) lanes.enter(*member, run);
      while (!run.is_stopped() && lanes.free_lanes() < kernels_.lanes) {
        lanes.steps(run, is_caller);
        while (!run.is_stopped() && lanes.free_lanes() > 0) {
          PopulationMember<T>* const member = queue_.take([&](const PopulationMember<T>& m) {
            return parameters_of(m) >= kLeastShare * most && lanes.has_room(m);
          });
          if (member == nullptr) break;
          lanes.enter(*member, run);
        }
      }
    } catch (...) {
      lanes.leave();
      throw;
    }
    lanes.leave();
  }

  const KernelTable<T>& kernels_;
  Queue<T> queue_;
};

// Whether member a comes before b: the wider, then the longer.
template <class T>
bool comes_first(const PopulationMember<T>* a, const PopulationMember<T>* b) {
  const double p = parameters_of(*a), q = parameters_of(*b);
  return p != q ? p > q : work_of(*a) > work_of(*b);
}

// A thread's part: the longest work that waits, again and again.
void run_works(std::vector<std::unique_ptr<PopulationWork>>& works, PopulationRun& run,
               bool is_caller) {
  while (!run.is_stopped()) {
    PopulationWork* longest = nullptr;
    double most = -1;
    for (const auto& work : works) {
      if (!work->waits() || work->longest() <= most) continue;
      longest = work.get();
      most = work->longest();
    }
    if (longest == nullptr) return;
    longest->run(run, is_caller);
  }
}

}  // namespace

template <class T>
void add_population_work(std::vector<PopulationMember<T>>& members,
                         std::vector<std::unique_ptr<PopulationWork>>& work) {
  const KernelTable<T>& chosen = kernels<T>();
  std::vector<std::vector<PopulationMember<T>*>> classes;
  std::vector<PopulationMember<T>*> alone;
  for (PopulationMember<T>& member : members) {
    if (!fits_lanes(member)) {
      alone.push_back(&member);
      continue;
    }
    const auto like = std::find_if(classes.begin(), classes.end(), [&](const auto& those) {
      return are_alike(*those.front(), member);
    });
    if (like != classes.end()) {
      like->push_back(&member);
    } else {
      classes.push_back({&member});
    }
  }
  for (auto& those : classes) {
    if (those.size() < fewest_lanes(chosen)) {
      alone.insert(alone.end(), those.begin(), those.end());
      continue;
    }
    std::stable_sort(those.begin(), those.end(), comes_first<T>);
    work.push_back(std::make_unique<LanesWork<T>>(std::move(those), chosen));
  }
  std::stable_sort(alone.begin(), alone.end(),
                   [](const auto* a, const auto* b) { return work_of(*a) > work_of(*b); });
  if (!alone.empty()) work.push_back(std::make_unique<AloneWork<T>>(std::move(alone)));
}

bool run_population(std::vector<std::unique_ptr<PopulationWork>>& works, std::size_t members,
                    const PopulationHooks& hooks, Poll poll) {
  PopulationRun run(hooks, poll);
  if (members <= 1) {  // its steps may have all threads
    run_works(works, run, true);
    return !run.is_stopped();
  }
  const auto most = static_cast<unsigned>(std::min<std::size_t>(num_threads(), members));
  run_independently(most, run, [&](bool is_caller) { run_works(works, run, is_caller); });
  return !run.is_stopped();
}

template void add_population_work(std::vector<PopulationMember<float>>&,
                                  std::vector<std::unique_ptr<PopulationWork>>&);
template void add_population_work(std::vector<PopulationMember<double>>&,
                                  std::vector<std::unique_ptr<PopulationWork>>&);

}  // namespace fastrelu
