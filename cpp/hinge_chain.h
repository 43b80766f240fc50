// SPDX-License-Identifier: BSD-3-Clause
// Continuous piecewise-linear least squares with given knots, one knot eliminated after another.
// What the points on one side of a knot want of the value there is a parabola, and the next
// piece turns the parabola at one end of it into that at the other: O(1), and no difference of
// nearly equal numbers is taken.
#pragma once

#include "hinge_points.h"

namespace fastrelu {

// The least sum of squares on one side, by the value v at a knot: least + weight (v - best)^2.
struct Parabola {
  double least = 0, weight = 0, best = 0;
};

inline double line_at(const Run& run, double x) {
  return run.mean_y + run.slope * (x - run.mean_x);
}

// The outermost piece, its slope free, from the points of `run`, all on one side of the knot.
inline Parabola outermost(const Run& run, double knot) {
  const double arm = knot - run.mean_x, lever = run.spread + run.weight * (arm * arm);
  const double weight = lever > 0 ? run.spread * (run.weight / lever) : run.weight;
  return {run.rest, weight, line_at(run, knot)};
}

// The slope of that piece where its value at the knot is v.
inline double outermost_slope(const Run& run, double knot, double v) {
  const double arm = knot - run.mean_x, lever = run.spread + run.weight * (arm * arm);
  if (!(lever > 0)) return 0;
  return run.slope + run.weight * arm * ((v - line_at(run, knot)) / lever);
}

// An inner piece between two knots, with the points of `run` on it; seen from `from` to `to`,
// either way round.
class Piece {
 public:
  Piece(const Run& run, double from, double to) : run_(run), from_(from), to_(to) {
    const double length = to - from;
    share_ = run.weight > 0 ? (run.mean_x - from) / length : 0.5;
    stiff_ = run.spread / (length * length);
    coupling_ = stiff_ - run.weight * (share_ * (1 - share_));
    end_ = stiff_ + run.weight * (share_ * share_);
    start_ = stiff_ + run.weight * ((1 - share_) * (1 - share_));
  }

  // The parabola at `to`, given that at `from`.
  Parabola pass(const Parabola& p) const {
    const double both = stiff_ * run_.weight, all = p.weight * end_ + both;
    const double off = p.best - line_at(run_, from_), pull = p.weight + start_;
    // Nothing holds the value at `from`, and the one point lies at `to`.
    if (!(pull > 0) && end_ > 0) return {p.least + run_.rest, end_, line_at(run_, to_)};
    if (!(all > 0)) {  // the value at `to` is free
      const double rest = p.weight + run_.weight > 0
                              ? p.weight * run_.weight / (p.weight + run_.weight) * (off * off)
                              : 0;
      return {p.least + run_.rest + (share_ == 0 ? rest : 0), 0, p.best};
    }
    return {p.least + run_.rest + p.weight * (off * off) * (both / all), all / pull,
            line_at(run_, to_) + off * (p.weight * coupling_ / all)};
  }

  // The best value at `from`, given that at `to` and the parabola.
  double back(const Parabola& p, double value) const {
    const double pull = p.weight + start_;
    if (!(pull > 0)) return value;
    const double base = line_at(run_, from_);
    return base + (p.weight * (p.best - base) + coupling_ * (value - line_at(run_, to_))) / pull;
  }

 private:
  Run run_;
  double from_, to_, share_, stiff_, coupling_, start_, end_;
};

// Both sides of a knot together.
inline double least_of(const Parabola& a, const Parabola& b) {
  const double sum = a.weight + b.weight, gap = a.best - b.best;
  return a.least + b.least + (sum > 0 ? a.weight * (b.weight / sum) * (gap * gap) : 0);
}
inline double best_of(const Parabola& a, const Parabola& b) {
  const double sum = a.weight + b.weight;
  return sum > 0 ? a.best + (b.best - a.best) * (b.weight / sum) : a.best;
}

}  // namespace fastrelu
