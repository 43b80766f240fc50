// SPDX-License-Identifier: BSD-3-Clause
#include "box_bound.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linear_rows.h"

namespace fastrelu {
namespace {

// Steps of the choice of lines; what is left of a step's length after one that did not help; and
// the share of the way to the target that a step has to go, or else it is one of the few idle ones
// that are allowed.
constexpr int kLineSteps = 12, kIdleSteps = 2;
constexpr double kShorter = 0.6, kWorthwhile = 0.1;

std::vector<double> negative_of(const std::vector<double>& weight) {
  std::vector<double> out(weight.size());
  std::transform(weight.begin(), weight.end(), out.begin(), [](double w) { return -w; });
  return out;
}

// The place of the only weight that is not 0, if that is 1 or -1; else the number of weights.
std::size_t only_unit_weight(const std::vector<double>& weight) {
  std::size_t found = weight.size();
  for (std::size_t o = 0; o < weight.size(); ++o) {
    if (weight[o] == 0) continue;
    if (found < weight.size() || std::fabs(weight[o]) != 1) return weight.size();
    found = o;
  }
  return found;
}

}  // namespace

template <class T>
BoxBounds<T>::BoxBounds(const Network<T>& net, const std::vector<double>& weight, const Ball& ball)
    : net_(net),
      negated_(negative_of(weight)),
      only_output_(only_unit_weight(weight)),
      rounding_(rounding_of<T>(Chains::computed)),
      ball_(ball),
      scaled_ball_(scaled_ball(net, ball, Chains::computed)),
      x_(net.inputs()),
      units_(net, x_, layers_),
      sum_(net, x_, layers_),
      score_(net.inputs()),
      share_(net.inputs()) {
  for (const Layer& layer : net.layers()) {
    layers_.emplace_back(layer.fan_out);
    sensitivity_.emplace_back(net.inputs() * layer.fan_out);
    rise_.emplace_back(layer.fan_out);
    kept_.emplace_back(layer.fan_out);
  }
  // The first layer's units are linear in the inputs.
  const Layer& first = net.layers().front();
  const T* weights = net.parameters() + first.weight_offset;
  for (std::size_t i = 0; i < first.fan_in; ++i) {
    for (std::size_t o = 0; o < first.fan_out; ++o) {
      const double w = static_cast<double>(weights[i * first.fan_out + o]);
      sensitivity_[0][o * first.fan_in + i] = std::fabs(w);
    }
  }
  sum_.set_trace(true);
  if (!ball) return;
  units_.set_ball(&scaled_ball_, &in_ball_);
  sum_.set_ball(&scaled_ball_, &in_ball_);
}

template <class T>
void BoxBounds<T>::evaluate(Box& box, double target, bool first) {
  if (ball_ && is_outside(ball_, box.lower, box.upper)) {
    box.bound = -std::numeric_limits<double>::infinity();
    box.settled = true;
    box.point.assign(ball_.center, ball_.center + net_.inputs());
    return;
  }
  x_ = scaled_inputs(net_, box.lower.data(), box.upper.data(), Chains::computed);
  box.is_point = x_.lower == x_.upper;
  hidden_layers(box, first);
  double bound = outputs(first);
  if (!box.is_point) choose_lines(box, target, bound);
  box.bound = std::min(box.bound, bound);
  box.slack = sum_.slack(0);
  box.settled = box.is_point || looseness(box) <= 2 * box.slack;
  box.longest = to_halve();
  suggest_point(box);
}

// Where the bound is taken on: at a corner, or on the ball's edge.
template <class T>
void BoxBounds<T>::suggest_point(Box& box) {
  box.point.resize(net_.inputs());
  const double* slope = sum_.input_coefficients();
  for (std::size_t i = 0; i < net_.inputs(); ++i) {
    if (ball_) {
      const double at = in_ball_.point()[i] / static_cast<double>(net_.scale());
      box.point[i] = std::min(std::max(at, box.lower[i]), box.upper[i]);
    } else {
      const bool at_upper = (slope[i] < 0) == (net_.scale() > 0);
      box.point[i] = at_upper ? box.upper[i] : box.lower[i];
    }
  }
}

// The input whose width has most to do with the bound's looseness; the widest, where none has.
template <class T>
std::size_t BoxBounds<T>::to_halve() const {
  const auto place = std::max_element(score_.begin(), score_.end());
  if (*place > 0) return static_cast<std::size_t>(place - score_.begin());
  std::size_t widest = 0;
  for (std::size_t i = 1; i < net_.inputs(); ++i) {
    if (x_.upper[i] - x_.lower[i] > x_.upper[widest] - x_.lower[widest]) widest = i;
  }
  return widest;
}

template <class T>
void BoxBounds<T>::hidden_layers(Box& box, bool first) {
  std::int8_t* sign = box.sign.data();
  for (std::size_t k = 0; k + 1 < layers_.size(); ++k) {
    LayerBounds& layer = layers_[k];
    propagate(net_, k, k == 0 ? x_ : layers_[k - 1].a, rounding_, first, layer);
    know_signs(sign, layer);
    if (k > 0 || ball_) {
      tighten(net_, k, open_units(layer), Chains::computed, units_, watch_, layer,
              sensitivity_[k].data());
    }
    activate<T>(negative_slope<T>(net_.layers()[k].activation), rounding_, Chains::computed, layer);
    for (std::size_t o = 0; o < layer.size.size(); ++o) {
      if (layer.z.upper[o] <= 0) sign[o] = -1;
      if (layer.z.lower[o] >= 0) sign[o] = 1;
    }
    sign += layer.size.size();
  }
}

// What was known of a box holds in its parts.
template <class T>
void BoxBounds<T>::know_signs(const std::int8_t* sign, LayerBounds& layer) const {
  for (std::size_t o = 0; o < layer.size.size(); ++o) {
    double &lower = layer.z.lower[o], &upper = layer.z.upper[o];
    if (sign[o] > 0 && lower < 0) lower = 0;
    if (sign[o] < 0 && upper > 0) upper = 0;
  }
}

// The bound on the sum, by the lines as they are and by intervals.
template <class T>
double BoxBounds<T>::outputs(bool first) {
  const std::size_t k = layers_.size() - 1;
  LayerBounds& last = layers_[k];
  propagate(net_, k, k == 0 ? x_ : layers_[k - 1].a, rounding_, first, last);
  const double bound = sum_bound();
  if (only_output_ == negated_.size()) return bound;
  const bool plus = negated_[only_output_] < 0;
  const double other = plus ? last.z.upper[only_output_] : -last.z.lower[only_output_];
  return std::min(bound, at_most<T>(other));
}

template <class T>
double BoxBounds<T>::sum_bound() {
  double least;
  sum_.lower_bounds_of_sums(layers_.size() - 1, negated_.data(), 1, &least);
  // A sum of one output is a number that the network computes.
  return only_output_ == negated_.size() ? -least : at_most<T>(-least);
}

// Any slope from that of the activation below 0 to 1 makes a line below it. Which are best depends
// on each other: steps along the bound's subgradient, as long as they would be if the bound were
// linear and the target within reach (Polyak's), then shorter.
template <class T>
void BoxBounds<T>::choose_lines(const Box& box, double target, double& bound) {
  double now = bound, length = 1;
  int idle = 0;
  for (int step = 0; step < kLineSteps && idle < kIdleSteps && bound > target; ++step) {
    const double square = slopes_to_change(box);
    if (!(square > 0) || !std::isfinite(square)) break;
    for (std::size_t k = 0; step == 0 && k + 1 < layers_.size(); ++k) {
      kept_[k] = layers_[k].lines.below;
    }
    change_lines(length * (now - target) / square);
    now = sum_bound();
    if (!(bound - now >= kWorthwhile * (bound - target))) ++idle;
    if (now < bound) {
      bound = now;
      for (std::size_t k = 0; k + 1 < layers_.size(); ++k) kept_[k] = layers_[k].lines.below;
    } else {
      length *= kShorter;
    }
  }
  if (!(now > bound)) return;
  for (std::size_t k = 0; k + 1 < layers_.size(); ++k) layers_[k].lines.below = kept_[k];
  sum_bound();
}

// Sets rise_, and returns the sum of its squares. The bound on the negated sum is the value of the
// lines, put in place of the activations, at the corner that makes it least: at a unit with a line
// below, of coefficient c, it changes by c z with the line's slope.
template <class T>
double BoxBounds<T>::slopes_to_change(const Box& box) {
  const double* slope = sum_.input_coefficients();
  Vector h(net_.inputs());
  for (std::size_t i = 0; i < h.size(); ++i) h[i] = slope[i] < 0 ? x_.upper[i] : x_.lower[i];
  if (ball_) h = in_ball_.point();
  double square = 0;
  const std::int8_t* sign = box.sign.data();
  for (std::size_t k = 0; k + 1 < layers_.size(); ++k) {
    const Layer& layer = net_.layers()[k];
    const Lines& lines = layers_[k].lines;
    const double least = negative_slope<T>(layer.activation);
    const double* c = sum_.trace(k);
    h = pre_activations(net_, layer, h, nullptr);
    for (std::size_t o = 0; o < layer.fan_out; ++o) {
      const bool free = sign[o] == 0 && c[o] > 0 && least != 1;
      const double rise = free ? c[o] * h[o] : 0;
      const bool stuck = rise > 0 ? lines.below[o] >= 1 : lines.below[o] <= least;
      rise_[k][o] = stuck ? 0 : rise;
      square += rise_[k][o] * rise_[k][o];
      h[o] = c[o] < 0 ? lines.above[o] * h[o] + lines.shift[o] : lines.below[o] * h[o];
    }
    sign += layer.fan_out;
  }
  return square;
}

template <class T>
void BoxBounds<T>::change_lines(double step) {
  for (std::size_t k = 0; k + 1 < layers_.size(); ++k) {
    const double least = negative_slope<T>(net_.layers()[k].activation);
    Vector& below = layers_[k].lines.below;
    for (std::size_t o = 0; o < below.size(); ++o) {
      if (rise_[k][o] == 0) continue;
      below[o] = std::min(std::max(below[o] + step * rise_[k][o], least), 1.0);
    }
  }
}

// By how much the bound may be too large for the lines in the activations' places; score_ gets what
// each input's width has to do with it.
template <class T>
double BoxBounds<T>::looseness(const Box& box) {
  std::fill(score_.begin(), score_.end(), 0.0);
  double total = 0;
  const std::int8_t* sign = box.sign.data();
  for (std::size_t k = 0; k + 1 < layers_.size(); ++k) {
    const LayerBounds& layer = layers_[k];
    const double bend = 1 - negative_slope<T>(net_.layers()[k].activation);
    const double* coefficient = sum_.trace(k);
    for (std::size_t o = 0; o < layer.size.size(); ++o) {
      if (sign[o] != 0 || bend == 0) continue;
      const double c = coefficient[o];
      // The line below is furthest from the activation at one of the ends.
      const double slope = layer.lines.below[o], flat = 1 - bend;
      const double room =
          std::max((1 - slope) * layer.z.upper[o], (slope - flat) * -layer.z.lower[o]);
      const double loose = c < 0 ? -c * layer.lines.shift[o] : c * room;
      total += loose;
      const double* sensitivity = sensitivity_[k].data() + o * net_.inputs();
      double all = 0;
      for (std::size_t i = 0; i < net_.inputs(); ++i) {
        share_[i] = sensitivity[i] * (x_.upper[i] - x_.lower[i]);
        all += share_[i];
      }
      if (!(all > 0)) continue;
      for (std::size_t i = 0; i < net_.inputs(); ++i) score_[i] += loose * (share_[i] / all);
    }
    sign += layer.size.size();
  }
  return total;
}

template class BoxBounds<float>;
template class BoxBounds<double>;

}  // namespace fastrelu
