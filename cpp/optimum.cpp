// SPDX-License-Identifier: BSD-3-Clause
#include "optimum.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>

#include "ascent.h"
#include "box_bound.h"
#include "independent_runs.h"
#include "poll.h"

namespace fastrelu {
namespace {

// Boxes that are halved in one round: enough for the threads, and the same for any number of them.
constexpr std::size_t kRound = 64;

using Clock = std::chrono::steady_clock;

struct OpenBox {
  Box box;
  std::size_t number;
};

// Of two boxes the one of the greater bound comes first, of equal ones the older.
bool comes_later(const std::unique_ptr<OpenBox>& a, const std::unique_ptr<OpenBox>& b) {
  if (a->box.bound != b->box.bound) return a->box.bound < b->box.bound;
  return a->number > b->number;
}

template <class T>
class Search {
 public:
  Search(const Network<T>& net, const Ball& ball, const std::vector<double>& weight,
         const SearchLimits& limits)
      : net_(net),
        ball_(ball),
        weight_(weight),
        limits_(limits),
        start_(Clock::now()),
        stop_(thread_poll),
        ascent_(net, weight, ball) {
    for (std::size_t k = 0; k + 1 < net.layers().size(); ++k) hidden_ += net.layers()[k].fan_out;
    for (const Layer& layer : net.layers()) {
      work_ += 4 * static_cast<double>(layer.fan_in) * static_cast<double>(layer.fan_out);
    }
  }

  Optimum run(const double* lower, const double* upper) {
    begin(lower, upper);
    while (!ended()) round();
    best_.bound = std::max(best_.value, closed_);
    if (!open_.empty()) best_.bound = std::max(best_.bound, open_.front()->box.bound);
    return best_;
  }

 private:
  // The whole box, a first point, and what counts as equal.
  void begin(const double* lower, const double* upper) {
    auto whole = std::make_unique<OpenBox>();
    Box& box = whole->box;
    box.lower.assign(lower, lower + net_.inputs());
    box.upper.assign(upper, upper + net_.inputs());
    box.sign.assign(hidden_, 0);
    box.bound = kInfinity;
    low_ = box.lower;
    high_ = box.upper;
    worker(0).evaluate(box, kInfinity, true);
    best_.boxes = 1;
    into_ball(box);
    best_.x = box.point;
    best_.value = ascent_.value(box.point.data());
    settle(box, best_.value);
    ascent_.climb(low_, high_, best_.x, best_.value);
    width_ = box.bound + opposite_bound(box);
    if (!is_enough(box.bound) && !box.settled) worker(0).evaluate(box, goal(), true);
    keep(std::move(whole));
  }

  // On the negated sum.
  double opposite_bound(Box box) const {
    std::vector<double> negated(weight_);
    for (double& w : negated) w = -w;
    box.bound = kInfinity;
    BoxBounds<T>(net_, negated, ball_).evaluate(box, kInfinity, true);
    return box.bound;
  }

  // With the value at the point that the bound suggests: a bound that is above it by roundings
  // alone comes down no more.
  void settle(Box& box, double value) const {
    // Of a ball the point may have been moved.
    if (box.is_point && !ball_) box.bound = value;
    if (box.bound - value <= 4 * box.slack) box.settled = true;
  }

  bool ended() {
    const double top = open_.empty() ? closed_ : std::max(closed_, open_.front()->box.bound);
    if (limits_.has_threshold && above_threshold(best_.value)) {
      best_.end = SearchEnd::decided;
    } else if (open_.empty() || is_enough(open_.front()->box.bound)) {
      best_.end = !is_enough(top)         ? SearchEnd::roundings
                  : limits_.has_threshold ? SearchEnd::decided
                                          : SearchEnd::optimal;
    } else if (late()) {
      best_.end = SearchEnd::time_limit;
    } else if (open_.size() * box_bytes() > limits_.bytes) {
      best_.end = SearchEnd::memory_limit;
    } else {
      return false;
    }
    return true;
  }

  bool above_threshold(double value) const {
    return limits_.or_equal ? value >= limits_.threshold : value > limits_.threshold;
  }
  // Whether a box of this bound needs no further look.
  bool is_enough(double bound) const {
    if (limits_.has_threshold) return !above_threshold(bound);
    return bound - best_.value <=
           limits_.relative_gap * std::max(std::fabs(best_.value), 1e-2 * width_);
  }
  // What a box's bound has to come down to.
  double goal() const {
    return limits_.has_threshold ? std::max(limits_.threshold, best_.value) : best_.value;
  }
  bool late() const {
    return limits_.seconds > 0 &&
           std::chrono::duration<double>(Clock::now() - start_).count() > limits_.seconds;
  }
  std::size_t box_bytes() const { return sizeof(OpenBox) + 24 * net_.inputs() + hidden_ + 96; }

  BoxBounds<T>& worker(std::size_t w) {
    while (workers_.size() <= w) {
      workers_.push_back(std::make_unique<BoxBounds<T>>(net_, weight_, ball_));
    }
    return *workers_[w];
  }

  void into_ball(Box& box) const {
    if (ball_) move_into(ball_, low_, high_, box.point.data());
  }

  void keep(std::unique_ptr<OpenBox> open) {
    if (open->box.settled || is_enough(open->box.bound)) {
      closed_ = std::max(closed_, open->box.bound);
      return;
    }
    open->number = next_number_++;
    open_.push_back(std::move(open));
    std::push_heap(open_.begin(), open_.end(), comes_later);
  }

  std::unique_ptr<OpenBox> take() {
    std::pop_heap(open_.begin(), open_.end(), comes_later);
    auto open = std::move(open_.back());
    open_.pop_back();
    return open;
  }

  void round() {
    parts_.clear();
    while (parts_.size() < 2 * kRound && !open_.empty()) {
      if (is_enough(open_.front()->box.bound)) break;
      halve(take());
    }
    bound_parts();
    if (stop_.is_stopped()) throw Interrupted();
    evaluate_points();
    for (auto& part : parts_) keep(std::move(part));
  }

  // The second half takes the box's own place.
  void halve(std::unique_ptr<OpenBox> open) {
    const std::size_t i = open->box.longest;
    const double lower = open->box.lower[i], upper = open->box.upper[i];
    const double middle = 0.5 * lower + 0.5 * upper;
    auto other = std::make_unique<OpenBox>(*open);
    other->box.upper[i] = middle < upper ? middle : lower;
    // Of two neighbours there is no middle; between them is nothing that the network sees.
    open->box.lower[i] = middle > lower && middle < upper ? middle : upper;
    parts_.push_back(std::move(other));
    parts_.push_back(std::move(open));
  }

  // Those that time leaves no room for keep the bound of the box that they are a part of.
  void bound_parts() {
    const auto threads =
        static_cast<unsigned>(std::min<std::size_t>(num_threads(), (parts_.size() + 1) / 2));
    worker(threads);
    const double target = goal();
    std::atomic<std::size_t> next{0}, next_worker{0}, bounded{0};
    run_independently(threads, stop_, [&](bool is_caller) {
      BoxBounds<T>& bounds = *workers_[next_worker.fetch_add(1)];
      for (std::size_t i = next.fetch_add(1); i < parts_.size(); i = next.fetch_add(1)) {
        if (stop_.stopped(is_caller, work_) || late()) return;
        bounds.evaluate(parts_[i]->box, target, false);
        bounded.fetch_add(1);
      }
    });
    best_.boxes += bounded.load();
  }

  // The points that the bounds suggest, all in one pass; the best of them climbs.
  void evaluate_points() {
    points_.clear();
    for (const auto& part : parts_) {
      into_ball(part->box);
      points_.insert(points_.end(), part->box.point.begin(), part->box.point.end());
    }
    ascent_.values(points_.data(), parts_.size(), values_);
    std::size_t found = parts_.size();
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      settle(parts_[i]->box, values_[i]);
      if (values_[i] > best_.value) {
        best_.value = values_[i];
        found = i;
      }
    }
    if (found == parts_.size()) return;
    best_.x = parts_[found]->box.point;
    ascent_.climb(low_, high_, best_.x, best_.value);
  }

  const Network<T>& net_;
  const Ball ball_;
  const std::vector<double>& weight_;
  const SearchLimits& limits_;
  const Clock::time_point start_;
  SharedStop stop_;
  Ascent<T> ascent_;
  std::size_t hidden_ = 0, next_number_ = 0;
  double work_ = 0;  // of one box, roughly
  std::vector<double> low_, high_;
  double width_ = 0;
  double closed_ = -kInfinity;  // over the boxes that are done
  std::vector<std::unique_ptr<OpenBox>> open_, parts_;
  std::vector<std::unique_ptr<BoxBounds<T>>> workers_;
  std::vector<double> points_, values_;
  Optimum best_;
};

}  // namespace

template <class T>
Optimum maximize_over_box(const Network<T>& net, const double* lower, const double* upper,
                          const Ball& ball, const std::vector<double>& weight,
                          const SearchLimits& limits) {
  return Search<T>(net, ball, weight, limits).run(lower, upper);
}

template Optimum maximize_over_box(const Network<float>&, const double*, const double*, const Ball&,
                                   const std::vector<double>&, const SearchLimits&);
template Optimum maximize_over_box(const Network<double>&, const double*, const double*,
                                   const Ball&, const std::vector<double>&, const SearchLimits&);

}  // namespace fastrelu
