// SPDX-License-Identifier: BSD-3-Clause
#include "hinge_joins.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "hinge_refine.h"

namespace fastrelu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
using Kind = HingePlace::Kind;

struct Line {
  double x, y, slope;
  double at(double t) const { return y + slope * (t - x); }
};

// The slopes of a line through a point that can be reached: closed intervals, none or up to two.
struct Slopes {
  std::vector<std::pair<double, double>> intervals;

  void add(double low, double high) {
    if (low <= high) intervals.emplace_back(low, high);
  }
  // One in both, not larger than it has to be; NaN if there is none.
  double one_of(double low, double high) const {
    for (const auto& [a, b] : intervals) {
      const double from = std::max(a, low), to = std::min(b, high);
      if (!(from <= to)) continue;
      if (std::isfinite(from) && std::isfinite(to)) return 0.5 * from + 0.5 * to;
      if (std::isfinite(from)) return from + 1 + std::fabs(from);
      return std::isfinite(to) ? to - 1 - std::fabs(to) : 0.0;
    }
    return kNone;
  }
};

// The slopes of lines through (x, y) that cross `other` between x and `end`.
Slopes crossing(const Line& other, double x, double y, double end) {
  const double at_end = (other.at(end) - y) / (end - x), rise = other.at(x) - y;
  Slopes slopes;
  // Next to x the slope runs off to infinity, on the side of the other line.
  const double far = rise * (end - x);
  if (far >= 0) slopes.add(at_end, kInfinity);
  if (far <= 0) slopes.add(-kInfinity, at_end);
  return slopes;
}

class Joins {
 public:
  Joins(const HingePoints& points, const std::vector<HingePlace>& places)
      : points_(points), places_(places) {
    std::vector<double> springs;
    std::vector<std::size_t> ends;  // of the points before each knot
    const std::vector<double>& x = points.x();
    for (const HingePlace& place : places) {
      const std::size_t i = place.at;
      first_.push_back(knots_.size());
      if (place.kind == Kind::at_point) {
        knots_.push_back(x[i]);
        ends.push_back(i + 1);
        springs.push_back(kInfinity);
        continue;
      }
      const int count = place.kind == Kind::in_gap ? 1 : 2;
      for (int k = 1; k <= count; ++k) {
        knots_.push_back(x[i - 1] + (x[i] - x[i - 1]) * k / (count + 1));
        ends.push_back(i);
        springs.push_back(count == 1 ? 0.0 : kInfinity);
      }
    }
    std::vector<Run> runs;
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      runs.push_back(points.run(begin, end));
      begin = end;
    }
    runs.push_back(points.run(begin, points.size()));
    lines_ = solve_lines(runs, knots_, springs);
  }

  std::vector<double> run() {
    for (std::size_t p = 0; p < places_.size();) {
      if (places_[p].kind != Kind::in_gap) {
        ++p;
        continue;
      }
      // Gaps in a row with one point between each and the next.
      std::size_t last = p;
      while (last + 1 < places_.size() && places_[last + 1].kind == Kind::in_gap &&
             places_[last + 1].at == places_[last].at + 1) {
        ++last;
      }
      if (!(p == last ? join_one(p) : join_row(p, last))) return {};
      p = last + 1;
    }
    for (std::size_t k = 0; k + 1 < knots_.size(); ++k) {
      if (!(knots_[k] < knots_[k + 1])) return {};
    }
    return std::move(knots_);
  }

 private:
  // Whether the piece before or behind a place has any slope that is wanted: it starts or ends at
  // a knot at a point with no point on the way, or has one point and joins nothing else's line.
  bool is_free_before(std::size_t p) const {
    const std::size_t at = places_[p].at;
    if (p == 0) return at == 1;
    const HingePlace& before = places_[p - 1];
    if (before.kind == Kind::at_point) return before.at + 1 == at;
    return before.kind == Kind::two_in_gap && before.at + 1 == at;
  }
  bool is_free_behind(std::size_t p) const {
    const std::size_t at = places_[p].at;
    if (p + 1 == places_.size()) return at + 1 == points_.size();
    const HingePlace& behind = places_[p + 1];
    if (behind.kind == Kind::at_point) return behind.at == at;
    return behind.kind == Kind::two_in_gap && behind.at == at + 1;
  }
  Line before(std::size_t p) const {
    const std::size_t k = first_[p];
    return {knots_[k], lines_.before[k], lines_.slopes[k]};
  }
  Line behind(std::size_t p) const {
    const std::size_t k = first_[p];
    return {knots_[k], lines_.after[k], lines_.slopes[k + 1]};
  }
  // Through the single point behind gap p.
  Line through(std::size_t p, double slope) const {
    const std::size_t i = places_[p].at;
    return {points_.x()[i], value(i), slope};
  }
  double value(std::size_t i) const { return points_.run(i, i + 1).mean_y; }
  double chord(std::size_t i) const {
    return (value(i + 1) - value(i)) / (points_.x()[i + 1] - points_.x()[i]);
  }

  bool join_one(std::size_t p) {
    // With any slope on one side, in the middle of the gap.
    return is_free_before(p) || is_free_behind(p) || cross(p, before(p), behind(p));
  }

  // Puts the knots of the gaps first .. last, with single points between them, where the lines
  // cross. False if they cannot all be joined.
  bool join_row(std::size_t first, std::size_t last) {
    const bool free_before = is_free_before(first), free_behind = is_free_behind(last);
    const std::vector<Slopes> reach = reachable(first, last, free_before);
    if (reach.empty()) return false;
    std::vector<double> slope(reach.size(), kNone);  // from the last back
    for (std::size_t k = reach.size(); k-- > 0;) {
      const std::size_t i = places_[first + k].at;
      if (k + 1 < reach.size()) {
        const double c = chord(i);
        slope[k] =
            slope[k + 1] >= c ? reach[k].one_of(-kInfinity, c) : reach[k].one_of(c, kInfinity);
      } else if (free_behind) {
        slope[k] = reach[k].one_of(-kInfinity, kInfinity);
      } else {
        const Slopes wanted = crossing(behind(last), points_.x()[i], value(i), points_.x()[i + 1]);
        for (const auto& [low, high] : wanted.intervals) {
          if (std::isnan(slope[k])) slope[k] = reach[k].one_of(low, high);
        }
      }
      if (std::isnan(slope[k])) return false;
    }
    if (!free_before && !cross(first, before(first), through(first, slope[0]))) return false;
    for (std::size_t k = 0; k + 1 < slope.size(); ++k) {
      const std::size_t p = first + k;
      if (!cross(p + 1, through(p, slope[k]), through(p + 1, slope[k + 1]))) return false;
    }
    return free_behind || cross(last, through(last - 1, slope.back()), behind(last));
  }

  // The slopes that each single point's line can have, given those before it; empty if one has
  // none.
  std::vector<Slopes> reachable(std::size_t first, std::size_t last, bool free_before) const {
    const std::vector<double>& x = points_.x();
    std::vector<Slopes> reach;
    for (std::size_t p = first; p < last; ++p) {
      const std::size_t i = places_[p].at;
      Slopes here;
      if (p == first && free_before) {
        here.add(-kInfinity, kInfinity);
      } else if (p == first) {
        here = crossing(before(first), x[i], value(i), x[i - 1]);
      } else {
        // A line flatter than the chord of both points can only be followed by a steeper one.
        const double c = chord(i - 1);
        for (const auto& [low, high] : reach.back().intervals) {
          if (low < c) here.add(c, kInfinity);
          if (high > c) here.add(-kInfinity, c);
        }
      }
      if (here.intervals.empty()) return {};
      reach.push_back(std::move(here));
    }
    return reach;
  }

  bool cross(std::size_t p, const Line& a, const Line& b) {
    const std::size_t i = places_[p].at;
    const double low = points_.x()[i - 1], high = points_.x()[i];
    const double rise = a.slope - b.slope, gap = b.at(low) - a.at(low);
    const double t = gap == 0.0 && rise == 0.0 ? 0.5 * low + 0.5 * high : low + gap / rise;
    if (!(t >= low && t <= high)) return false;
    knots_[first_[p]] = t;
    return true;
  }

  const HingePoints& points_;
  const std::vector<HingePlace>& places_;
  std::vector<std::size_t> first_;  // the number of each place's first knot
  std::vector<double> knots_;
  HingeLines lines_;
};

}  // namespace

std::vector<double> joined_knots(const HingePoints& points, const std::vector<HingePlace>& places) {
  return Joins(points, places).run();
}

}  // namespace fastrelu
