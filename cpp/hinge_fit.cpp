// SPDX-License-Identifier: BSD-3-Clause
#include "hinge_fit.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "hinge_exact.h"
#include "hinge_points.h"
#include "hinge_refine.h"
#include "hinge_search.h"

namespace fastrelu {
namespace {

// u -> origin + u * 2^exponent, with |u| <= 1 over the data.
struct Axis {
  double origin = 0;
  int exponent = 0;

  double inside(double value) const { return std::ldexp(value - origin, -exponent); }
  double outside(double u) const { return origin + std::ldexp(u, exponent); }
};

int exponent_of(double size) { return size > 0 ? std::ilogb(size) + 1 : 0; }

// Each x once, with the mean of its y and the sum of its weights.
struct Sorted {
  std::vector<double> x, y, weight;
};
struct Point {
  double x, y, weight;
  bool operator<(const Point& other) const {
    return std::tie(x, y, weight) < std::tie(other.x, other.y, other.weight);
  }
};
Sorted sort_points(const HingeData& data, int shrink, const std::function<void()>& poll) {
  std::vector<Point> points;
  points.reserve(data.size);
  for (std::size_t i = 0; i < data.size; ++i) {
    const double weight = data.weight != nullptr ? data.weight[i] : 1.0;
    points.push_back({data.x[i], std::ldexp(data.y[i], -shrink), weight});
  }
  // Millions of points take a second.
  constexpr std::size_t kBetween = std::size_t{1} << 16;
  std::size_t compared = 0;
  std::sort(points.begin(), points.end(), [&](const Point& a, const Point& b) {
    if (++compared % kBetween == 0) poll();
    return a < b;
  });
  Sorted sorted;
  for (std::size_t begin = 0, end; begin < data.size; begin = end) {
    DoubleDouble above, sum;  // of the first, so that equal ones have it for their mean
    for (end = begin; end < data.size && points[end].x == points[begin].x; ++end) {
      const DoubleDouble weight{points[end].weight, 0};
      above = above + weight * exact_sum(points[end].y, -points[begin].y);
      sum = sum + weight;
    }
    sorted.x.push_back(points[begin].x);
    sorted.y.push_back(points[begin].y + above.high / sum.high);
    sorted.weight.push_back(sum.high);
  }
  return sorted;
}

// Through few points; the inner ones are the knots.
HingeFit through(const Sorted& points) {
  const std::vector<double>&x = points.x, &y = points.y;
  const std::size_t n = x.size();
  const auto slope = [&](std::size_t i) { return (y[i + 1] - y[i]) / (x[i + 1] - x[i]); };
  if (n == 1) return {x, y, 0, 0};
  if (n == 2) return {{x[0]}, {y[0]}, slope(0), slope(0)};
  return {{x.begin() + 1, x.end() - 1}, {y.begin() + 1, y.end() - 1}, slope(0), slope(n - 2)};
}

// The points in the square that the search works in, and back.
class Square {
 public:
  Square(Sorted sorted, int shrink)
      : shrink_(shrink),
        across_{sorted.x[0], exponent_of(sorted.x.back() - sorted.x[0])},
        up_{sorted.y[0], exponent_of(height(sorted.y))},
        points_(inside(sorted.x, across_), inside(sorted.y, up_), sorted.weight) {}

  const HingePoints& points() const { return points_; }
  // The knots as they are rounded, where two may have become one.
  std::vector<double> outside(const std::vector<double>& knots) const {
    std::vector<double> found;
    for (const double knot : knots) {
      const double rounded = across_.outside(knot);
      if (found.empty() || rounded > found.back()) found.push_back(rounded);
    }
    return found;
  }
  // The best function with knots that are given outside.
  HingeFit solve(std::vector<double> knots) const {
    const HingeValues solved = solve_hinges(points_, inside(knots, across_));
    HingeFit fit{std::move(knots), {}, 0, 0};
    for (const double v : solved.values) fit.values.push_back(up_.outside(v));
    fit.left_slope = std::ldexp(solved.left_slope, up_.exponent - across_.exponent);
    fit.right_slope = std::ldexp(solved.right_slope, up_.exponent - across_.exponent);
    return grown(std::move(fit), shrink_);
  }
  static HingeFit grown(HingeFit fit, int shrink) {
    for (double& v : fit.values) v = std::ldexp(v, shrink);
    fit.left_slope = std::ldexp(fit.left_slope, shrink);
    fit.right_slope = std::ldexp(fit.right_slope, shrink);
    return fit;
  }

 private:
  static double height(const std::vector<double>& y) {
    double found = 0;
    for (const double v : y) found = std::max(found, std::fabs(v - y[0]));
    return found;
  }
  static std::vector<double> inside(std::vector<double> values, const Axis& axis) {
    for (double& v : values) v = axis.inside(v);
    return values;
  }
  int shrink_;
  Axis across_, up_;
  HingePoints points_;
};

// y times 2^-this are at most 1/4, so that no difference overflows.
int shrink_of(const HingeData& data) {
  double largest = 0;
  for (std::size_t i = 0; i < data.size; ++i) largest = std::max(largest, std::fabs(data.y[i]));
  return exponent_of(largest) + 2;
}

}  // namespace

HingeFit fit_hinges(const HingeData& data, std::size_t hinges, const std::function<void()>& poll) {
  const int shrink = shrink_of(data);
  Sorted sorted = sort_points(data, shrink, poll);
  if (sorted.x.size() <= hinges + 2) return Square::grown(through(sorted), shrink);
  const Square square(std::move(sorted), shrink);
  Knots best = search_hinges(square.points(), hinges, poll);
  if (is_few(square.points().size(), hinges)) {
    best = exact_hinges(square.points(), hinges, std::move(best), poll);
  }
  return square.solve(square.outside(best.at));
}

HingeFit fit_values(const HingeData& data, const std::vector<double>& knots,
                    const std::function<void()>& poll) {
  const int shrink = shrink_of(data);
  return Square(sort_points(data, shrink, poll), shrink).solve(knots);
}

}  // namespace fastrelu
