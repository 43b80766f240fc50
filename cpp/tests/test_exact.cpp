// SPDX-License-Identifier: BSD-3-Clause
// The mathematics on a network: segments, regions, bounds, fits of hinges, many runs of SGD.
#include <algorithm>
#include <cmath>
#include <limits>

#include "bounds.h"
#include "fixtures.h"
#include "hinge_fit.h"
#include "optimum.h"
#include "regions.h"
#include "segment.h"
#include "study.h"

namespace fastrelu::tests {
namespace {

template <class T>
std::vector<double> values_at(const Network<T>& net, const std::vector<double>& x) {
  const std::vector<T> row(x.begin(), x.end());
  std::vector<T> out(net.outputs());
  predict(net, row_source(row, 1, net.inputs()), out.data(),
          static_cast<std::ptrdiff_t>(net.outputs()), nullptr);
  return {out.begin(), out.end()};
}

}  // namespace

TEST(a_network_on_a_segment) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    for (const Activation activation :
         {Activation::relu, Activation::leaky_relu, Activation::identity}) {
      const auto net = make_network<T>({2, 9, 5, 2}, activation);
      const std::vector<double> x0{-2, 1}, x1{1.5, -3};
      const SegmentPieces pieces = along(*net, x0.data(), x1.data());
      CHECK(pieces.t.size() >= 2 && pieces.t.front() == 0 && pieces.t.back() == 1);
      CHECK(std::is_sorted(pieces.t.begin(), pieces.t.end()));
      CHECK(pieces.values.size() == 2 * pieces.t.size());
      CHECK((activation == Activation::identity) == (pieces.t.size() == 2));
      for (std::size_t k = 0; k < pieces.t.size(); ++k) {
        const double t = pieces.t[k];
        const std::vector<double> there =
            values_at(*net, {x0[0] + t * (x1[0] - x0[0]), x0[1] + t * (x1[1] - x0[1])});
        for (std::size_t o = 0; o < 2; ++o) {
          CHECK(std::abs(there[o] - pieces.values[2 * k + o]) < 1e-5);
        }
      }
    }
  });
}

TEST(linear_regions_fill_the_window) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const auto net = make_network<T>({2, 12, 7, 1}, Activation::relu);
    const std::vector<double> rows{1, 0, 0, 0, 1, 0, 0, 0, 1};
    const Plane plane{-2, 1, -1, 3, rows.data()};
    std::size_t polls = 0;
    const Regions regions = linear_regions(*net, plane, 100000, false, [&] { ++polls; });
    const Regions doubted = linear_regions(*net, plane, 100000, true, [] {});
    CHECK(same_bits(regions.vertices, doubted.vertices) && regions.doubts.pattern.empty());
    CHECK(doubted.doubts.pattern.size() == doubted.doubts.open.size());
    const std::size_t count = regions.offsets.size() - 1;
    CHECK(count > 5 && polls > 0);
    CHECK(regions.pattern.size() == count * 19 && regions.maps.size() == count * 3);
    double area = 0;
    for (std::size_t r = 0; r < count; ++r) {
      const auto first = static_cast<std::size_t>(regions.offsets[r]);
      const std::size_t corners = static_cast<std::size_t>(regions.offsets[r + 1]) - first;
      double s = 0, t = 0;
      for (std::size_t i = 0; i < corners; ++i) {
        const double* const a = regions.vertices.data() + 2 * (first + i);
        const double* const b = regions.vertices.data() + 2 * (first + (i + 1) % corners);
        area += (a[0] * b[1] - a[1] * b[0]) / 2;
        s += a[0] / static_cast<double>(corners);
        t += a[1] / static_cast<double>(corners);
      }
      const double* const map = regions.maps.data() + 3 * r;
      CHECK(std::abs(map[0] * s + map[1] * t + map[2] - values_at(*net, {s, t})[0]) < 1e-4);
    }
    CHECK(std::abs(area - 12) < 1e-9);
    CHECK(throws<TooManyRegions>([&] { linear_regions(*net, plane, 2, false, [] {}); }));
  });
}

TEST(bounds_hold_what_is_computed) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    for (const Activation activation :
         {Activation::relu, Activation::leaky_relu, Activation::identity}) {
      const auto net = make_network<T>({3, 10, 6, 2}, activation);
      const std::vector<double> lower{-0.75, -0.75, -0.75}, upper{0.75, 0.75, 0.75};
      for (const Chains chains : {Chains::computed, Chains::exact}) {
        const PreActivationBounds bounds =
            pre_activation_bounds(*net, lower.data(), upper.data(), chains);
        CHECK(bounds.lower.size() == 18 && bounds.upper.size() == 18);
        const std::vector<double> x = numbers<double>(300);
        for (std::size_t r = 0; r < 100; ++r) {
          const std::vector<double> out = values_at(*net, {x[3 * r], x[3 * r + 1], x[3 * r + 2]});
          for (std::size_t o = 0; chains == Chains::computed && o < 2; ++o) {
            CHECK(bounds.lower[16 + o] <= out[o] && out[o] <= bounds.upper[16 + o]);
          }
        }
      }
      const double huge = static_cast<double>(std::numeric_limits<T>::max());
      const std::vector<double> far(3, huge);
      CHECK(throws<std::invalid_argument>(
          [&] { pre_activation_bounds(*net, lower.data(), far.data(), Chains::computed); }));
    }
  });
}

TEST(a_search_without_room_for_its_boxes_ends_with_a_bound_that_holds) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const auto net = make_network<T>({3, 10, 6, 2}, Activation::relu);
    const std::vector<double> lower{-0.75, -0.75, -0.75}, upper{0.75, 0.75, 0.75};
    SearchLimits limits;
    limits.relative_gap = 0;
    const Optimum all =
        maximize_over_box(*net, lower.data(), upper.data(), Ball{}, {1.0, 0.0}, limits);
    limits.bytes = 1;  // any box that is left is too much
    const Optimum found =
        maximize_over_box(*net, lower.data(), upper.data(), Ball{}, {1.0, 0.0}, limits);
    CHECK(found.end == SearchEnd::memory_limit && found.boxes < all.boxes);
    CHECK(found.value <= all.value && all.value <= found.bound && all.bound <= found.bound);
    CHECK(values_at(*net, found.x)[0] == found.value);
  });
}

TEST(a_fit_of_hinges_finds_the_function_again) {
  const std::vector<double> knots{-1, 0.5, 2};
  std::vector<double> x, y;
  for (int i = 0; i <= 400; ++i) {
    x.push_back(-3 + i / 50.0);
    double value = 0.25 * x.back();
    for (std::size_t k = 0; k < 3; ++k) {
      value += (k == 1 ? -2.0 : 1.5) * std::max(0.0, x.back() - knots[k]);
    }
    y.push_back(value);
  }
  const HingeFit fit = fit_hinges({x.data(), y.data(), nullptr, x.size()}, 3);
  CHECK(fit.knots.size() == 3 && fit.values.size() == 3);
  for (std::size_t k = 0; k < 3; ++k) CHECK(std::abs(fit.knots[k] - knots[k]) < 1e-6);
  CHECK(std::abs(fit.left_slope - 0.25) < 1e-9);
  std::reverse(x.begin(), x.end());  // any order of the points gives the same bits
  std::reverse(y.begin(), y.end());
  const HingeFit again = fit_hinges({x.data(), y.data(), nullptr, x.size()}, 3);
  CHECK(same_bits(fit.knots, again.knots) && same_bits(fit.values, again.values));
}

TEST(a_fit_of_few_points) {
  for (const std::size_t points : Sizes{1, 2, 3, 5}) {
    std::vector<double> x, y;
    for (std::size_t i = 0; i < points; ++i) {
      x.push_back(i == 3 ? 0.0 : static_cast<double>(i));
      y.push_back(static_cast<double>(whole_number(i, 48271)));
    }
    for (const std::size_t hinges : Sizes{1, 2, 8}) {
      const HingeFit fit = fit_hinges({x.data(), y.data(), nullptr, points}, hinges);
      CHECK(fit.knots.size() == fit.values.size() && fit.knots.size() <= std::max(hinges, points));
      for (const double value : fit.values) CHECK(std::isfinite(value));
    }
  }
}

TEST(many_runs_do_not_depend_on_threads) {
  const Table<double> table(30, 4, 1);
  const std::vector<double> rates(20, 0.05), zeros(4), ones(4, 1.0);
  const std::vector<std::int64_t> at{1, 7, 20}, last{20};
  StudyPlan plan;
  plan.batch_size = 2;
  plan.replicates = 5;
  plan.steps = 20;
  plan.learning_rates = rates.data();
  plan.start = zeros.data();
  plan.target = ones.data();
  plan.distance_at = at.data();
  plan.weights_at = last.data();
  plan.distance_count = 3;
  plan.weights_count = 1;
  for (const Sampling sampling : {Sampling::subset, Sampling::shuffle}) {
    plan.sampling = sampling;
    const std::vector<double> found = equal_everywhere([&] {
      std::vector<double> distances(15), weights(20);
      CHECK(run_study(table.data(LossKind::squared_error), plan, kNoPoll, distances.data(),
                      weights.data()));
      distances.insert(distances.end(), weights.begin(), weights.end());
      return distances;
    });
    double distance = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const double e = found[15 + i] - 1;
      distance = distance + e * e;
    }
    CHECK(found[2] == distance);
  }
  CHECK(replicate_seed(3, 0) != replicate_seed(3, 1));
}

}  // namespace fastrelu::tests
