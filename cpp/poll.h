// SPDX-License-Identifier: BSD-3-Clause
// How a long computation asks whether to go on: a function of the caller's, called some 20 times a
// second, since it may be slow (it takes Python's lock and lets signals be handled). Values; each
// belongs to one thread, the one that started the computation.
#pragma once

#include <chrono>

namespace fastrelu {

// true: stop here. `call` may be null: nobody is asked.
struct Poll {
  bool (*call)(void* context) = nullptr;
  void* context = nullptr;
};

class Stopwatch {
 public:
  // Multiply-adds, or anything as long, between two looks at the clock: some milliseconds.
  static constexpr double kWorkBetween = 2e7;

  explicit Stopwatch(Poll poll) : poll_(poll) {
    if (poll_.call != nullptr) last_ = Clock::now();
  }
  // Whether to ask, after so much more work: about 50 ms have passed.
  bool due(double work = kWorkBetween) {
    if (poll_.call == nullptr) return false;
    work_ += work;
    if (work_ < kWorkBetween) return false;
    work_ = 0;
    const auto now = Clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return false;
    last_ = now;
    return true;
  }
  bool stop() const { return poll_.call(poll_.context); }

 private:
  using Clock = std::chrono::steady_clock;

  Poll poll_;
  double work_ = 0;
  Clock::time_point last_;
};

}  // namespace fastrelu
