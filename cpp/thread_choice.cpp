// SPDX-License-Identifier: BSD-3-Clause
#include "thread_choice.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "thread_pool.h"

namespace fastrelu {
namespace {

// Seconds. A stretch is long beside the microseconds in which a team starts; a trial, on what may
// be the wrong number, is short; so is what a thread takes to wake, which no trial should count.
constexpr double kStretch = 2e-3, kTrial = 5e-4, kWaking = 1e-4;
// Between two trials at first, and at most once `kSettled` seconds have gone by.
constexpr double kFirstPause = 3e-3, kEarlyPause = 25e-3, kSettled = 0.5, kLongestPause = 2;
// So many times what a trial has lost, so that few long steps are on the wrong number.
constexpr double kPauseOverLoss = 30;
// A number is taken if its steps take less than this share of the time; more threads take more of
// the machine, and wait for each other where others work.
constexpr double kWorthMore = 0.93, kWorthFewer = 0.97, kClearly = 0.85;
// Stretches that touch memory for the first time.
constexpr int kColdStretches = 3;
// The probation of a number against fewer threads, for some turns of a process that shares a core
// with one of them; it ends before that once so much is lost.
constexpr double kProbation = 30e-3, kMostLoss = 2e-3;
// So many in a row that are slower than usual are no interruption.
constexpr int kSlowStretches = 3;

// The number of threads that loops over steps of such work have ended up with, by the work's power
// of two; 0: none has yet.
std::array<std::atomic<unsigned>, 64> found_best{};

std::atomic<unsigned>& found_best_for(double work) {
  const int power = work < 1 ? 0 : std::ilogb(work);
  return found_best[static_cast<std::size_t>(std::min(power, 63))];
}

unsigned shared_out(double multiply_adds, double worth_sharing) {
  if (multiply_adds < worth_sharing) return 1;
  const double most = std::min(multiply_adds / (worth_sharing / 2), 1e6);
  return std::max(1u, std::min(num_threads(), static_cast<unsigned>(most)));
}

}  // namespace

unsigned threads_for(double multiply_adds) {
  // Two threads win from about 10 us of work on: waking and meeting cost some microseconds.
  return shared_out(multiply_adds, 1e6);
}

unsigned threads_for_steps(double multiply_adds) {
  // Two threads that meet within 100 ns win from about 2 us on; whether they do is measured.
  return shared_out(multiply_adds, 1e5);
}

void ThreadChoice::restart(unsigned most, double work) {
  most_ = most;
  work_ = work;
  const unsigned known = found_best_for(work).load(std::memory_order_relaxed);
  current_ = known == 0 ? most : std::min(known, most);
  phase_ = Phase::usual;
  usual_ = 0;
  elapsed_ = 0;
  pause_ = until_trial_ = kFirstPause;
  cold_ = kColdStretches;
  slow_ = 0;
  fewer_ = 0;
}

unsigned ThreadChoice::begin_stretch(unsigned most, double work) {
  if (most != most_ || work != work_) restart(most, work);
  if (most_ == 1) return 1;
  if (phase_ == Phase::usual && until_trial_ <= 0 && cold_ == 0) {
    trial_ = next_trial();
    phase_ = trial_ > current_ ? Phase::waking : Phase::trial;
  }
  return phase_ == Phase::usual ? current_ : trial_;
}

std::uint64_t ThreadChoice::stretch_steps() const {
  if (most_ == 1) return ~std::uint64_t{0};
  if (usual_ == 0) return 1;
  double seconds = kStretch;
  if (phase_ == Phase::waking) seconds = kWaking;
  if (phase_ == Phase::trial || elapsed_ < 10 * kTrial) seconds = kTrial;
  return static_cast<std::uint64_t>(std::max(1.0, seconds / usual_));
}

void ThreadChoice::end_stretch(double seconds, std::uint64_t steps) {
  if (most_ == 1 || steps == 0) return;
  const double each = seconds / static_cast<double>(steps);
  elapsed_ += seconds;
  if (phase_ == Phase::waking) {
    phase_ = Phase::trial;
  } else if (phase_ == Phase::trial) {
    end_trial(each, steps);
  } else if (cold_ > 0) {
    --cold_;
    usual_ = each;
  } else {
    until_trial_ -= seconds;
    watch_for_slower(each);
    if (fewer_ != 0) watch_probation(seconds, steps);
  }
}

void ThreadChoice::end_trial(double each, std::uint64_t steps) {
  phase_ = Phase::usual;
  const double gain = each / usual_;
  pause_ = std::min(2 * pause_, elapsed_ < kSettled ? kEarlyPause : kLongestPause);
  if (gain < (trial_ > current_ ? kWorthMore : kWorthFewer)) {
    fewer_ = 0;
    if (trial_ > current_) begin_probation(current_, usual_, kWorthMore * usual_);
    current_ = trial_;
    usual_ = each;
    // A small gain may be chance: looked into at once, numbers about as good would take turns.
    if (gain < kClearly) pause_ = kFirstPause;
  } else {
    pause_ = std::max(pause_, kPauseOverLoss * (each - usual_) * static_cast<double>(steps));
    if (trial_ < current_) begin_probation(trial_, each, each / kWorthFewer);
  }
  found_best_for(work_).store(current_, std::memory_order_relaxed);
  until_trial_ = pause_;
}

void ThreadChoice::begin_probation(unsigned fewer, double each, double most_each) {
  fewer_ = fewer;
  fewer_each_ = each;
  most_each_ = most_each;
  since_ = steps_since_ = 0;
}

void ThreadChoice::watch_probation(double seconds, std::uint64_t steps) {
  since_ += seconds;
  steps_since_ += static_cast<double>(steps);
  const double lost = since_ - fewer_each_ * steps_since_;
  if (since_ < kProbation && lost < kMostLoss) return;
  if (since_ > most_each_ * steps_since_) {
    current_ = fewer_;
    usual_ = fewer_each_;
    pause_ = std::max(pause_, kPauseOverLoss * lost);
    until_trial_ = pause_;
    found_best_for(work_).store(current_, std::memory_order_relaxed);
  }
  fewer_ = 0;
}

void ThreadChoice::watch_for_slower(double each) {
  slow_ = each > 1.25 * usual_ ? slow_ + 1 : 0;
  if (slow_ == 1) return;  // perhaps an interruption
  if (slow_ >= kSlowStretches) {
    until_trial_ = 0;
    pause_ = kFirstPause;
    slow_ = 0;
    usual_ = each;
  } else {
    usual_ += 0.25 * (each - usual_);
  }
}

unsigned ThreadChoice::next_trial() {
  upwards_ = !upwards_;
  if (current_ == 1) return std::min(2u, most_);
  if (current_ == most_) return current_ / 2;
  return upwards_ ? std::min(2 * current_, most_) : current_ / 2;
}

}  // namespace fastrelu
