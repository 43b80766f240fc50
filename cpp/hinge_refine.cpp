// SPDX-License-Identifier: BSD-3-Clause
#include "hinge_refine.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include "hinge_chain.h"

namespace fastrelu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<std::size_t> counts_of(const HingePoints& points, const std::vector<double>& knots) {
  std::vector<std::size_t> counts;
  for (const double knot : knots) counts.push_back(points.up_to(knot));
  return counts;
}

std::vector<Run> runs_of(const HingePoints& points, const std::vector<double>& knots) {
  std::vector<Run> runs;
  std::size_t begin = 0;
  for (const std::size_t end : counts_of(points, knots)) {
    runs.push_back(points.run(begin, end));
    begin = end;
  }
  runs.push_back(points.run(begin, points.size()));
  return runs;
}

double least_with(const HingePoints& points, const std::vector<double>& knots) {
  const std::vector<Run> runs = runs_of(points, knots);
  Parabola p = outermost(runs[0], knots[0]);
  for (std::size_t k = 1; k < knots.size(); ++k) {
    p = Piece(runs[k], knots[k - 1], knots[k]).pass(p);
  }
  return least_of(p, outermost(runs.back(), knots.back()));
}

// Where each knot goes if the pieces are fitted with these springs: to where its two lines cross,
// but at most most of the way to its neighbours.
std::vector<double> crossings(const HingePoints& points, const std::vector<double>& knots,
                              const HingeLines& lines, const std::vector<double>& springs) {
  const double first = points.x()[1], last = points.x()[points.size() - 2];
  std::vector<double> moved = knots;
  for (std::size_t k = 0; k < knots.size(); ++k) {
    if (!(springs[k] < kInfinity)) continue;
    const double t = knots[k];
    const double step =
        (lines.before[k] - lines.after[k]) / (lines.slopes[k + 1] - lines.slopes[k]);
    if (!std::isfinite(step)) continue;
    const double low = k == 0 ? first : t + 0.45 * (knots[k - 1] - t);
    const double high = k + 1 == knots.size() ? last : t + 0.45 * (knots[k + 1] - t);
    moved[k] = std::min(std::max(t + step, low), high);
  }
  return moved;
}

// Joint steps of all knots (Levenberg-Marquardt; without damping each step fits all pieces on their
// own and takes their crossings). Those of `fixed` stay.
void joint_steps(const HingePoints& points, Knots& knots, const std::vector<bool>& fixed, int steps,
                 const std::function<void()>& poll) {
  const std::size_t n = knots.at.size();
  double damping = 1e-3;
  for (int step = 0; step < steps; ++step) {
    const std::vector<Run> runs = runs_of(points, knots.at);
    const double before = knots.least;
    for (; damping < 1e6; damping *= 8) {
      poll();
      std::vector<double> springs(n, kInfinity);
      for (std::size_t k = 0; k < n; ++k) {
        if (!fixed[k]) springs[k] = damping * (runs[k].weight + runs[k + 1].weight);
      }
      std::vector<double> trial =
          crossings(points, knots.at, solve_lines(runs, knots.at, springs), springs);
      const double least = least_with(points, trial);
      if (least < knots.least) {
        knots = {std::move(trial), least};
        damping /= 64;
        break;
      }
    }
    if (knots.least >= before * (1 - 1e-12)) return;
  }
}

// What is known on one side of the knot that is moved: the parabola at the neighbouring knot, or
// none where it is the outermost.
struct Side {
  bool outer;
  double knot;
  Parabola parabola;

  Parabola at(const Run& run, double x) const {
    return outer ? outermost(run, x) : Piece(run, knot, x).pass(parabola);
  }
  double slope(const Run& run, double x, double value) const {
    if (outer) return outermost_slope(run, x, value);
    return (Piece(run, knot, x).back(parabola, value) - value) / (knot - x);
  }
};

// The best place of one knot between its neighbours: at a point, or in a gap where the lines of
// both sides, each fitted without the other, cross.
class OneKnot {
 public:
  OneKnot(const HingePoints& points, const Side& left, const Side& right, std::size_t begin,
          std::size_t end)
      : points_(points), left_(left), right_(right), begin_(begin), end_(end) {}

  double least_at(double knot) const {
    const std::size_t count = points_.up_to(knot);
    return least_of(left_.at(points_.run(begin_, count), knot),
                    right_.at(points_.run(count, end_), knot));
  }

  // Moves `knot` if that lowers `least`, trying every `stride`-th point from first to last.
  bool move(std::size_t first, std::size_t last, std::size_t stride, double& knot,
            double& least) const {
    const std::size_t low = std::max(begin_ + (left_.outer ? 2 : 1), first);
    const std::size_t high = std::min(end_ - (right_.outer ? 2 : 1), last);
    const double goal = least * (1 - 1e-12);
    double best = goal;
    for (std::size_t j = low; j <= high; j += stride) try_gap(j, knot, best);
    if (!(best < goal)) return false;
    least = best;
    return true;
  }

 private:
  // With the points before j on the left.
  void try_gap(std::size_t j, double& knot, double& best) const {
    const std::vector<double>& x = points_.x();
    const Run run_left = points_.run(begin_, j), run_right = points_.run(j, end_);
    const Parabola l = left_.at(run_left, x[j - 1]), r = right_.at(run_right, x[j - 1]);
    if (l.least + r.least >= best) return;
    const double low = left_.outer ? x[j - 1] : std::max(x[j - 1], left_.knot);
    const double high = right_.outer ? x[j] : std::min(x[j], right_.knot);
    if (low == x[j - 1] && low < high && least_of(l, r) < best) {
      best = least_of(l, r);
      knot = low;
    }
    if (!(l.weight > 0 && r.weight > 0)) return;
    const double rise =
        left_.slope(run_left, x[j - 1], l.best) - right_.slope(run_right, x[j - 1], r.best);
    const double crossing = x[j - 1] + (r.best - l.best) / rise;
    if (crossing > low && crossing < high && l.least + r.least < best) {
      best = l.least + r.least;
      knot = crossing;
    }
  }

  const HingePoints& points_;
  const Side &left_, &right_;
  std::size_t begin_, end_;
};

// At each knot, of the points to its right.
std::vector<Parabola> parabolas_from_right(const HingePoints& points,
                                           const std::vector<double>& knots,
                                           const std::vector<std::size_t>& counts) {
  const std::size_t n = knots.size();
  std::vector<Parabola> parabolas(n);
  for (std::size_t k = n; k-- > 0;) {
    parabolas[k] = k + 1 == n ? outermost(points.run(counts[k], points.size()), knots[k])
                              : Piece(points.run(counts[k], counts[k + 1]), knots[k + 1], knots[k])
                                    .pass(parabolas[k + 1]);
  }
  return parabolas;
}

// Moves one knot after another to its best place. Says whether any moved.
bool move_each(const HingePoints& points, Knots& knots, const std::function<void()>& poll) {
  constexpr std::size_t kReach = 48;  // points on either side
  std::vector<double>& at = knots.at;
  const std::size_t n = at.size();
  std::vector<std::size_t> counts = counts_of(points, at);
  const std::vector<Parabola> from_right = parabolas_from_right(points, at, counts);
  bool moved = false;
  Side left{true, 0, {}};
  for (std::size_t k = 0; k < n; ++k) {
    poll();
    const bool last = k + 1 == n;
    const Side right{last, last ? 0 : at[k + 1], last ? Parabola{} : from_right[k + 1]};
    const std::size_t begin = k == 0 ? 0 : counts[k - 1];
    const OneKnot one(points, left, right, begin, last ? points.size() : counts[k + 1]);
    double least = one.least_at(at[k]);
    const std::size_t low = counts[k] - std::min(counts[k], kReach);
    if (one.move(low, counts[k] + kReach, 1, at[k], least)) moved = true;
    counts[k] = points.up_to(at[k]);
    knots.least = std::min(knots.least, least);
    left = {false, at[k], left.at(points.run(begin, counts[k]), at[k])};
  }
  if (moved) knots.least = least_with(points, at);
  return moved;
}

}  // namespace

HingeLines solve_lines(const std::vector<Run>& runs, const std::vector<double>& knots,
                       const std::vector<double>& springs) {
  const std::size_t n = knots.size();
  std::vector<Parabola> before(n), after(n);
  for (std::size_t k = 0; k < n; ++k) {
    before[k] = k == 0 ? outermost(runs[0], knots[0])
                       : Piece(runs[k], knots[k - 1], knots[k]).pass(after[k - 1]);
    after[k] = before[k];
    if (springs[k] < kInfinity) {
      const double sum = before[k].weight + springs[k];
      after[k].weight = sum > 0 ? before[k].weight * (springs[k] / sum) : 0;
    }
  }
  const Parabola last = outermost(runs[n], knots[n - 1]);
  HingeLines lines{least_of(after[n - 1], last), std::vector<double>(n), std::vector<double>(n),
                   std::vector<double>(n + 1)};
  double value = best_of(after[n - 1], last);
  lines.slopes[n] = outermost_slope(runs[n], knots[n - 1], value);
  for (std::size_t k = n; k-- > 0;) {
    lines.after[k] = value;
    const double pull = before[k].weight + springs[k];
    if (springs[k] < kInfinity && pull > 0) {
      value = before[k].best + (value - before[k].best) * (springs[k] / pull);
    }
    lines.before[k] = value;
    if (k == 0) break;
    value = Piece(runs[k], knots[k - 1], knots[k]).back(after[k - 1], value);
    lines.slopes[k] = (lines.before[k] - value) / (knots[k] - knots[k - 1]);
  }
  lines.slopes[0] = outermost_slope(runs[0], knots[0], lines.before[0]);
  return lines;
}

HingeValues solve_hinges(const HingePoints& points, const std::vector<double>& knots) {
  HingeLines lines =
      solve_lines(runs_of(points, knots), knots, std::vector<double>(knots.size(), kInfinity));
  return {lines.least, std::move(lines.after), lines.slopes.front(), lines.slopes.back()};
}

Knots refine_hinges(const HingePoints& points, std::vector<double> start, int rounds,
                    const std::function<void()>& poll) {
  Knots knots{std::move(start), 0};
  knots.least = least_with(points, knots.at);
  joint_steps(points, knots, std::vector<bool>(knots.at.size(), false), 20, poll);
  for (int round = 0; round < rounds; ++round) {
    const double before = knots.least;
    const bool moved = move_each(points, knots, poll);
    // A knot at a point is held there by a kink of the sum of squares; the others move on.
    std::vector<bool> fixed;
    for (const double knot : knots.at) fixed.push_back(points.x()[points.up_to(knot) - 1] == knot);
    joint_steps(points, knots, fixed, 10, poll);
    if (!moved || knots.least >= before * (1 - 1e-12)) break;
  }
  return knots;
}

std::vector<Knots> insert_hinge(const HingePoints& points, const std::vector<double>& knots,
                                std::size_t stride, const std::function<void()>& poll) {
  const std::size_t n = knots.size();
  const std::vector<std::size_t> counts = counts_of(points, knots);
  const std::vector<Parabola> from_right = parabolas_from_right(points, knots, counts);
  std::vector<Knots> found;
  Side left{true, 0, {}};
  for (std::size_t k = 0; k <= n; ++k) {
    poll();
    const Side right{k == n, k == n ? 0 : knots[k], k == n ? Parabola{} : from_right[k]};
    const std::size_t begin = k == 0 ? 0 : counts[k - 1];
    const OneKnot one(points, left, right, begin, k == n ? points.size() : counts[k]);
    Knots more{knots, kInfinity};
    double knot = 0;
    if (one.move(0, points.size(), stride, knot, more.least)) {
      more.at.insert(more.at.begin() + static_cast<std::ptrdiff_t>(k), knot);
      found.push_back(std::move(more));
    }
    if (k < n) left = {false, knots[k], left.at(points.run(begin, counts[k]), knots[k])};
  }
  const auto better = [](const Knots& a, const Knots& b) { return a.least < b.least; };
  std::stable_sort(found.begin(), found.end(), better);
  return found;
}

}  // namespace fastrelu
