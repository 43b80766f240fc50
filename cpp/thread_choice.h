// SPDX-License-Identifier: BSD-3-Clause
// How many threads to use: for a pass, as many as its work is worth waking; for a run of steps,
// measured, since it depends on the machine and on who else uses it. Results never depend on the
// number, so it may change at any time.
//
// A ThreadChoice belongs to one loop, on one thread. Steps run in stretches; the caller reports
// what each took. The number in use is compared with its half and its double now and then, at
// first every few milliseconds, since another library's threads may still spin, then ever more
// rarely, at once when steps have become slower than they were. Where another process has a core
// every other few milliseconds, a short trial may fall between two of its turns: a number that has
// won against fewer threads is on probation, and given up where it has gained nothing after all.
// What was found out is kept for the process, so that the next loop over steps of such work begins
// with it.
#pragma once

#include <cstdint>

namespace fastrelu {

// Threads worth waking for so many multiply-adds, once.
unsigned threads_for(double multiply_adds);
// As many as could be of use for many steps of so many multiply-adds each, one after the other, on
// threads that are awake.
unsigned threads_for_steps(double multiply_adds);

class ThreadChoice {
 public:
  // For the next stretch. most: as many as could be of use for such steps, of `work` multiply-adds.
  unsigned begin_stretch(unsigned most, double work);
  // Steps in it.
  std::uint64_t stretch_steps() const;
  void end_stretch(double seconds, std::uint64_t steps);

 private:
  enum class Phase : std::uint8_t { usual, waking, trial };

  void restart(unsigned most, double work);
  void end_trial(double each, std::uint64_t steps);
  void begin_probation(unsigned fewer, double each, double most_each);
  void watch_probation(double seconds, std::uint64_t steps);
  void watch_for_slower(double each);
  unsigned next_trial();

  unsigned most_ = 0, current_ = 1, trial_ = 1;
  double work_ = 0;
  Phase phase_ = Phase::usual;
  double usual_ = 0;    // seconds a step with current_
  double elapsed_ = 0;  // since the restart
  double until_trial_ = 0, pause_ = 0;
  int cold_ = 0, slow_ = 0;
  bool upwards_ = false;
  // While current_ is on probation: a number of fewer threads (else 0), its seconds a step, those
  // that current_ may take, and what it has taken.
  unsigned fewer_ = 0;
  double fewer_each_ = 0, most_each_ = 0, since_ = 0, steps_since_ = 0;
};

}  // namespace fastrelu
