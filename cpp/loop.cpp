// SPDX-License-Identifier: BSD-3-Clause
#include "loop.h"

#include <chrono>
#include <cmath>

#include "fp_environment.h"

namespace fastrelu {
namespace {

using Clock = std::chrono::steady_clock;

// What thread 0 does between two steps.
template <class T>
class BetweenSteps {
 public:
  enum class Next : std::uint8_t { step, pause, end };

  BetweenSteps(Sampler& sampler, Step<T>& step, const LoopOptions& options, Totals& totals)
      : sampler_(sampler),
        step_(step),
        options_(options),
        totals_(totals),
        watch_(options.poll),
        rate_(options.learning_rates),
        left_(sampler.left()),
        work_(step.work() + 100.0) {}

  Next next(ReadyStep<T>& ready) {
    if (open_) {
      close();
      const Poll& after = options_.after_step;
      if (after.call != nullptr && after.call(after.context)) return Next::end;
      if (diverged() || step_.must_stop()) return Next::end;
    }
    if (left_ == 0) return Next::end;
    if (watch_.due(work_)) return Next::pause;
    sampler_.next(step_.next_time(), ready.minibatch);
    step_.begin(ready, *rate_++);
    open_ = true;
    --left_;
    return Next::step;
  }

  // In a pause, when no thread is at work: whether to go on.
  Next resume() {
    if (watch_.stop()) {
      if (!step_.is_shared()) return Next::end;
      step_.ask_to_stop();
    }
    step_.parameters_changed();  // perhaps, by a view of them
    return Next::step;
  }

  bool all_taken() const { return left_ == 0; }

 private:
  bool diverged() {
    const StepResult& r = step_.result();
    if (options_.divergence == nullptr || std::isfinite(r.loss)) return false;
    *options_.divergence = {true, step_.next_time() - 1, mean_loss(r)};
    return true;
  }

  void close() {
    const StepResult& r = step_.result();
    if (options_.by_rows) {
      add_step_by_rows(totals_, r);
    } else {
      add_step(totals_, r);
    }
    open_ = false;
  }

  Sampler& sampler_;
  Step<T>& step_;
  const LoopOptions& options_;
  Totals& totals_;
  Stopwatch watch_;
  const double* rate_;
  std::size_t left_;
  const double work_;
  bool open_ = false;  // a step has begun and is not closed
};

}  // namespace

template <class T>
bool Loop<T>::run(Sampler& sampler, Step<T>& step, const LoopOptions& options, Totals& totals) {
  using Next = typename BetweenSteps<T>::Next;
  BetweenSteps<T> between(sampler, step, options, totals);
  const unsigned most = options.after_step.call != nullptr ? 1 : step.threads();
  Next asked = Next::step;
  while (asked != Next::end) {
    const unsigned n = thread_choice_.begin_stretch(most, step.work());
    const std::uint64_t steps = thread_choice_.stretch_steps();
    std::uint64_t taken = 0;
    bool go = true;
    const auto began = most > 1 ? Clock::now() : Clock::time_point();
    run_parallel(n, [&](Team& team, unsigned t) {
      const FpEnvironment environment;
      for (unsigned turn = 0;; turn ^= 1) {
        ReadyStep<T>& ready = ready_[turn];
        if (t == 0) {
          go = taken < steps && (asked = between.next(ready)) == Next::step;
          taken += go ? 1 : 0;
        }
        team.wait(t);
        if (!go) return;
        step.take(ready, team, t);
      }
    });
    if (most > 1) {
      thread_choice_.end_stretch(std::chrono::duration<double>(Clock::now() - began).count(),
                                 taken);
    }
    if (asked == Next::pause) asked = between.resume();
  }
  return between.all_taken();
}

template class Loop<float>;
template class Loop<double>;

}  // namespace fastrelu
