// SPDX-License-Identifier: BSD-3-Clause
#include "hinge_fit.h"

#include <algorithm>
#include <cmath>
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

// Each x once, with the mean of its y and their number.
struct Sorted {
  std::vector<double> x, y, weight;
};
Sorted sort_points(const double* x, const double* y, std::size_t n) {
  std::vector<std::pair<double, double>> pairs;
  pairs.reserve(n);
  for (std::size_t i = 0; i < n; ++i) pairs.emplace_back(x[i], y[i]);
  std::sort(pairs.begin(), pairs.end());
  Sorted sorted;
  for (std::size_t begin = 0, end; begin < n; begin = end) {
    DoubleDouble above;  // of the first, so that equal ones have it for their mean
    for (end = begin; end < n && pairs[end].first == pairs[begin].first; ++end) {
      above = above + exact_sum(pairs[end].second, -pairs[begin].second);
    }
    const double weight = static_cast<double>(end - begin);
    sorted.x.push_back(pairs[begin].first);
    sorted.y.push_back(pairs[begin].second + above.high / weight);
    sorted.weight.push_back(weight);
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

}  // namespace

HingeFit fit_hinges(const double* x, const double* y, std::size_t n_points, std::size_t hinges,
                    const std::function<void()>& poll) {
  // The y at most 1/4, so that no difference overflows.
  double largest = 0;
  for (std::size_t i = 0; i < n_points; ++i) largest = std::max(largest, std::fabs(y[i]));
  const int shrink = exponent_of(largest) + 2;
  std::vector<double> small(n_points);
  for (std::size_t i = 0; i < n_points; ++i) small[i] = std::ldexp(y[i], -shrink);
  Sorted sorted = sort_points(x, small.data(), n_points);
  HingeFit fit;
  if (sorted.x.size() <= hinges + 2) {
    fit = through(sorted);
  } else {
    const Axis across{sorted.x[0], exponent_of(sorted.x.back() - sorted.x[0])};
    double height = 0;
    for (const double v : sorted.y) height = std::max(height, std::fabs(v - sorted.y[0]));
    const Axis up{sorted.y[0], exponent_of(height)};
    for (double& v : sorted.x) v = across.inside(v);
    for (double& v : sorted.y) v = up.inside(v);
    const HingePoints points(std::move(sorted.x), std::move(sorted.y), sorted.weight);
    Knots best = search_hinges(points, hinges, poll);
    if (is_few(points.size(), hinges)) {
      best = exact_hinges(points, hinges, std::move(best), poll);
    }
    // The values are those for the knots as they are rounded, where two may have become one.
    for (const double knot : best.at) {
      const double rounded = across.outside(knot);
      if (fit.knots.empty() || rounded > fit.knots.back()) fit.knots.push_back(rounded);
    }
    std::vector<double> inside;
    for (const double knot : fit.knots) inside.push_back(across.inside(knot));
    const HingeValues solved = solve_hinges(points, inside);
    for (const double v : solved.values) fit.values.push_back(up.outside(v));
    fit.left_slope = std::ldexp(solved.left_slope, up.exponent - across.exponent);
    fit.right_slope = std::ldexp(solved.right_slope, up.exponent - across.exponent);
  }
  for (double& v : fit.values) v = std::ldexp(v, shrink);
  fit.left_slope = std::ldexp(fit.left_slope, shrink);
  fit.right_slope = std::ldexp(fit.right_slope, shrink);
  return fit;
}

}  // namespace fastrelu
