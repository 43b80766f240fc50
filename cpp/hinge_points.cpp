// SPDX-License-Identifier: BSD-3-Clause
#include "hinge_points.h"

#include <algorithm>
#include <utility>

namespace fastrelu {

HingePoints::HingePoints(std::vector<double> x, std::vector<double> y,
                         const std::vector<double>& weight)
    : x_(std::move(x)), y_(std::move(y)), before_(x_.size() + 1) {
  for (std::size_t i = 0; i < x_.size(); ++i) {
    const Sums& s = before_[i];
    const DoubleDouble w{weight[i], 0};
    const DoubleDouble wx = exact_product(weight[i], x_[i]), wy = exact_product(weight[i], y_[i]);
    const DoubleDouble xx = exact_product(x_[i], x_[i]), xy = exact_product(x_[i], y_[i]),
                       yy = exact_product(y_[i], y_[i]);
    before_[i + 1] = {s.w + w, s.x + wx, s.y + wy, s.xx + w * xx, s.xy + w * xy, s.yy + w * yy};
  }
  constexpr std::size_t kFew = 128;
  if (size() > kFew) return;
  known_.resize(size() * (size() + 1));
  for (std::size_t i = 0; i < size(); ++i) {
    for (std::size_t j = i + 1; j <= size(); ++j) known_[i * (size() + 1) + j] = sum(i, j);
  }
}

std::size_t HingePoints::up_to(double at) const {
  return static_cast<std::size_t>(std::upper_bound(x_.begin(), x_.end(), at) - x_.begin());
}

Run HingePoints::sum(std::size_t begin, std::size_t end) const {
  const Sums &a = before_[begin], &b = before_[end];
  const DoubleDouble w = b.w - a.w, x = b.x - a.x, y = b.y - a.y;
  if (end == begin + 1) return {w.high, x_[begin], y_[begin], 0, 0, 0};
  const DoubleDouble mean_x = x / w, mean_y = y / w;
  const DoubleDouble spread = (b.xx - a.xx) - x * mean_x;
  const DoubleDouble common = (b.xy - a.xy) - x * mean_y;
  const DoubleDouble slope = common / spread;
  const DoubleDouble rest = ((b.yy - a.yy) - y * mean_y) - slope * common;
  return {w.high,      mean_x.high,
          mean_y.high, std::max(spread.high, 0.0),
          slope.high,  std::max(rest.high, 0.0)};
}

}  // namespace fastrelu
