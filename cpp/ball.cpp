// SPDX-License-Identifier: BSD-3-Clause
#include "ball.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fastrelu {
namespace {

constexpr double kUlp = 0x1p-52;
// More than what underflows anywhere here.
constexpr double kTiny = 1e-300;
// Steps in which the ball's edge is sought: doublings, and halvings of what is left.
constexpr int kTries = 24, kHalvings = 20;

// A norm's relative error, squares that underflow among them, is at most this.
double norm_error(std::size_t n) { return static_cast<double>(n + 8) * kUlp; }

// Without overflow, and no underflow that counts.
double norm(const Vector& v) {
  double largest = 0;
  for (const double value : v) largest = std::max(largest, std::fabs(value));
  if (!(largest > 0) || !std::isfinite(largest)) return largest;
  double square = 0;
  for (const double value : v) square += (value / largest) * (value / largest);
  return largest * std::sqrt(square);
}

}  // namespace

template <class T>
ScaledBall scaled_ball(const Network<T>& net, const Ball& ball, Chains chains) {
  ScaledBall out;
  if (!ball) return out;
  const double s = static_cast<double>(net.scale());
  const Rounding rounding = rounding_of<T>(chains);
  // The cast of x, where T is not float64, and the product with the scale.
  const int casts = sizeof(T) < sizeof(double), products = s != 1;
  const double rounds = 1.01 * static_cast<double>(casts + products) * rounding.half_ulp;
  out.center.resize(net.inputs());
  Vector error(net.inputs());
  for (std::size_t i = 0; i < net.inputs(); ++i) {
    const double c = ball.center[i];
    out.center[i] = s * c;
    error[i] = rounds * std::fabs(s) * (std::fabs(c) + ball.radius) +
               rounding.smallest * (1 + std::fabs(s)) + products * kUlp * std::fabs(s * c);
  }
  const double radius = std::fabs(s) * ball.radius + norm(error);
  out.radius = radius * (1 + 2 * norm_error(net.inputs())) + kTiny;
  return out;
}

bool is_outside(const Ball& ball, const std::vector<double>& lower,
                const std::vector<double>& upper) {
  double square = 0;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    const double gap = std::max({lower[i] - ball.center[i], ball.center[i] - upper[i], 0.0});
    square += (gap / ball.radius) * (gap / ball.radius);
  }
  return square * (1 - 2 * norm_error(lower.size())) > 1;
}

void move_into(const Ball& ball, const std::vector<double>& lower, const std::vector<double>& upper,
               double* point) {
  const std::size_t n = lower.size();
  Vector way(n), share(n);
  for (std::size_t i = 0; i < n; ++i) way[i] = point[i] - ball.center[i];
  double part = 1, less = 2 * norm_error(n);
  while (true) {
    for (std::size_t i = 0; i < n; ++i) {
      if (part != 1) {
        point[i] = std::min(std::max(ball.center[i] + part * way[i], lower[i]), upper[i]);
      }
      share[i] = (point[i] - ball.center[i]) / ball.radius;
    }
    const double distance = norm(share);
    if (distance * (1 + 2 * norm_error(n)) <= 1) return;
    // Where the center's own digits are too coarse for a step, the steps grow until it is 0.
    part = std::max(part * std::min(1 / distance, 1.0) * (1 - less) - less * less, 0.0);
    less = std::min(2 * less, 0.5);
  }
}

LeastSum BallBound::least(const double* a, std::size_t stride, const Interval& box,
                          const ScaledBall& ball) {
  const std::size_t n = ball.center.size();
  a_.resize(n);
  point_.resize(n);
  offset_.resize(n);
  double alone = 0, alone_size = 0;
  for (std::size_t i = 0; i < n; ++i) {
    a_[i] = a[i * stride];
    alone += std::min(a_[i] * box.lower[i], a_[i] * box.upper[i]);
    alone_size += std::fabs(a_[i]) * box.size(i);
  }
  const double g = 1.01 * static_cast<double>(8 * n + 24) * kUlp;
  const LeastSum by_box{alone, alone_size, g * alone_size};
  const double step = step_to_edge(box, ball);
  if (!(step > 0)) return by_box;
  // Any split of the coefficients into a part for the ball and one for the box gives a bound. In
  // this one both parts are least at the same point.
  double value = 0, size = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const bool free = point_[i] == ball.center[i] - step * a_[i];
    const double own = free ? a_[i] : (ball.center[i] - point_[i]) / step, rest = a_[i] - own;
    offset_[i] = own;
    value += std::min(rest * box.lower[i], rest * box.upper[i]) + own * ball.center[i];
    size += (std::fabs(rest) + std::fabs(own) + std::fabs(a_[i])) * box.size(i) +
            std::fabs(own) * (std::fabs(ball.center[i]) + ball.radius);
  }
  value -= ball.radius * norm(offset_);
  // A norm that is subnormal has lost some more.
  const double lost = 4 * std::numeric_limits<double>::denorm_min() * ball.radius;
  return value > alone ? LeastSum{value, size, g * size + lost} : by_box;
}

// The step from the center against a_, cut off by the box, that ends on the ball's edge; 0 if all
// of the box in that direction is in the ball, or no such step is found. Leaves its end in point_.
double BallBound::step_to_edge(const Interval& box, const ScaledBall& ball) {
  for (std::size_t i = 0; i < a_.size(); ++i) {
    point_[i] = a_[i] < 0 ? box.upper[i] : box.lower[i];
    offset_[i] = point_[i] - ball.center[i];
  }
  const double slope = norm(a_);
  if (!(slope > 0) || !std::isfinite(slope) || norm(offset_) <= ball.radius) return 0;
  // Of the whole ball this is the step. The box makes it longer, or shorter if it leaves out the
  // center.
  double low = ball.radius / slope;
  if (!(low > 1e-290) || !(low < 1e290)) return 0;
  for (int tries = 0; is_beyond(low, box, ball); ++tries) {
    if (tries == kTries) return 0;
    low *= 0.5;
  }
  double high = 2 * low;
  for (int tries = 0; tries < kTries && !is_beyond(high, box, ball); ++tries) {
    low = high;
    high *= 2;
  }
  for (int halving = 0; halving < kHalvings; ++halving) {
    const double middle = 0.5 * (low + high);
    (is_beyond(middle, box, ball) ? high : low) = middle;
  }
  is_beyond(low, box, ball);
  return low;
}

// Whether a step leaves the ball, up to roundings; its end is left in point_.
bool BallBound::is_beyond(double step, const Interval& box, const ScaledBall& ball) {
  const double inverse = 1 / ball.radius;
  double square = 0;
  for (std::size_t i = 0; i < a_.size(); ++i) {
    const double to = ball.center[i] - step * a_[i];
    point_[i] = std::min(std::max(to, box.lower[i]), box.upper[i]);
    const double share = (point_[i] - ball.center[i]) * inverse;
    square += share * share;
  }
  return square > 1;
}

template ScaledBall scaled_ball(const Network<float>&, const Ball&, Chains);
template ScaledBall scaled_ball(const Network<double>&, const Ball&, Chains);

}  // namespace fastrelu
