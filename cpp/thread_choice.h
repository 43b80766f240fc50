// SPDX-License-Identifier: BSD-3-Clause
// How many threads to use: for a pass, as many as its work is worth waking; for a run of steps,
// measured, since it depends on the machine and on who else uses it. Results never depend on the
// number, so it may change at any time.
//
// A ThreadChoice belongs to one loop, on one thread. Steps run in stretches of about kStretch
// seconds; the caller reports what each took. The number in use is compared with its half and its
// double now and then: at once when steps have become slower than they were, else ever more rarely.
#pragma once

#include <algorithm>
#include <cstdint>

#include "thread_pool.h"

namespace fastrelu {

// Threads worth waking for so many multiply-adds.
inline unsigned threads_for(double multiply_adds) {
  // Two threads win from about 10 us of work on: waking and meeting cost some microseconds.
  constexpr double kWorthSharing = 1e6;
  if (multiply_adds < kWorthSharing) return 1;
  return std::max(1u, std::min(num_threads(), static_cast<unsigned>(std::min(
                                                  multiply_adds / (kWorthSharing / 2), 1e6))));
}

class ThreadChoice {
 public:
  static constexpr double kStretch = 2e-3;

  // most: as many as could be of use for such steps.
  unsigned begin_stretch(unsigned most) {
    if (most != most_) {
      most_ = most;
      current_ = most;
      usual_ = 0;
      pause_ = kFirstPause;
      left_ = kFirstPause;
      cold_ = kColdStretches;
      slow_ = 0;
      trial_ = 0;
    }
    if (most_ == 1) return 1;
    if (trial_ == 0 && left_ <= 0) trial_ = next_trial();
    return trial_ != 0 ? trial_ : current_;
  }
  // Steps for the next stretch.
  std::uint64_t stretch_steps() const {
    if (most_ == 1) return ~std::uint64_t{0};
    return usual_ > 0 ? static_cast<std::uint64_t>(std::max(1.0, kStretch / usual_)) : 1;
  }
  void end_stretch(double seconds, std::uint64_t steps) {
    if (most_ == 1 || steps == 0) return;
    const double each = seconds / static_cast<double>(steps);
    if (trial_ != 0) {
      if (each < 0.97 * usual_) {
        current_ = trial_;
        usual_ = each;
        pause_ = kFirstPause;
      } else {
        pause_ = std::min(2 * pause_, kLongestPause);
      }
      trial_ = 0;
      left_ = pause_;
      return;
    }
    --left_;
    if (cold_ > 0) {
      --cold_;  // first touches, threads that wake
      usual_ = each;
      return;
    }
    slow_ = each > 1.25 * usual_ ? slow_ + 1 : 0;
    if (slow_ == 1) return;  // perhaps an interruption
    if (slow_ >= kSlowStretches) {
      left_ = 0;
      pause_ = kFirstPause;
      slow_ = 0;
      usual_ = each;
    } else {
      usual_ += 0.25 * (each - usual_);
    }
  }

 private:
  static constexpr int kFirstPause = 16, kLongestPause = 1024, kColdStretches = 3,
                       kSlowStretches = 3;

  unsigned next_trial() {
    upwards_ = !upwards_;
    if (current_ == 1) return std::min(2u, most_);
    if (current_ == most_) return current_ / 2;
    return upwards_ ? std::min(2 * current_, most_) : current_ / 2;
  }

  unsigned most_ = 0, current_ = 1, trial_ = 0;
  double usual_ = 0;  // seconds a step with current_
  int pause_ = kFirstPause, left_ = 0, cold_ = 0, slow_ = 0;
  bool upwards_ = false;
};

}  // namespace fastrelu
