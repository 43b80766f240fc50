// SPDX-License-Identifier: BSD-3-Clause
#include "relaxation.h"

#include <stdexcept>
#include <string>
#include <utility>

#include "ball.h"
#include "dispatch.h"

// The chains of the kernels once more, in plain code.
#define FASTRELU_ISA plain
#include "kernels/exact_fma.h"
#undef FASTRELU_ISA

namespace fastrelu {
namespace {

// Half a unit in the last place of 1: a result's rounding error is at most this times its size.
constexpr double kHalfUlp = 0x1p-53;
// A product loses at most half of this where it is subnormal. Where what it stands for is
// multiplied by large numbers later, that is counted; the rest is far below kTiny.
constexpr double kSmallest = std::numeric_limits<double>::denorm_min();
constexpr double kTiny = 1e-300;

// A bound on n roundings in a row, relative to the sum of magnitudes; itself rounded up.
double roundings(std::size_t n) { return 1.01 * static_cast<double>(n) * kHalfUlp; }

[[noreturn]] void overflow(std::size_t k) {
  throw std::invalid_argument("lower, upper: layer " + std::to_string(k) +
                              " may overflow the network's dtype in this box");
}

// The network's own chains at the corners of x that make each least and greatest: roundings to
// nearest keep the order, so all computed pre-activations lie between, up to the last bit.
template <class T>
void chains_at_corners(const Network<T>& net, std::size_t k, const Interval& x, Interval& z) {
  const Layer& layer = net.layers()[k];
  const T* weights = net.parameters() + layer.weight_offset;
  const T* bias = net.parameters() + layer.bias_offset;
  std::vector<T> least(layer.fan_out, T(0));
  if (net.has_bias()) std::copy(bias, bias + layer.fan_out, least.begin());
  std::vector<T> greatest = least;
  for (std::size_t i = 0; i < layer.fan_in; ++i) {
    if (x.is_zero(i)) continue;
    const T lower = static_cast<T>(x.lower[i]), upper = static_cast<T>(x.upper[i]);
    const T* row = weights + i * layer.fan_out;
    for (std::size_t o = 0; o < layer.fan_out; ++o) {
      least[o] = plain::exact_fma(row[o] < 0 ? upper : lower, row[o], least[o]);
      greatest[o] = plain::exact_fma(row[o] < 0 ? lower : upper, row[o], greatest[o]);
    }
  }
  std::copy(least.begin(), least.end(), z.lower.begin());
  std::copy(greatest.begin(), greatest.end(), z.upper.begin());
}

}  // namespace

template <class T>
Interval scaled_inputs(const Network<T>& net, const double* lower, const double* upper,
                       Chains chains) {
  Interval x(net.inputs());
  const double s = static_cast<double>(net.scale());
  for (std::size_t i = 0; i < net.inputs(); ++i) {
    double a, b;
    if (chains == Chains::computed) {  // roundings to nearest keep the order
      a = static_cast<double>(static_cast<T>(static_cast<T>(lower[i]) * net.scale()));
      b = static_cast<double>(static_cast<T>(static_cast<T>(upper[i]) * net.scale()));
    } else {
      a = lower[i] * s;
      b = upper[i] * s;
    }
    if (a > b) std::swap(a, b);
    if (!(std::max(std::fabs(a), std::fabs(b)) <=
          static_cast<double>(std::numeric_limits<T>::max()))) {
      overflow(0);
    }
    const bool rounded = chains == Chains::exact && s != 1.0;
    const double infinity = std::numeric_limits<double>::infinity();
    x.lower[i] = rounded ? std::nextafter(a, -infinity) : a;
    x.upper[i] = rounded ? std::nextafter(b, infinity) : b;
  }
  return x;
}

// Every fma of the chain adds a rounding of the partial sum that it makes.
template <class T>
void propagate(const Network<T>& net, std::size_t k, const Interval& x, const Rounding& rounding,
               bool at_corners, LayerBounds& out) {
  const Layer& layer = net.layers()[k];
  const std::size_t width = layer.fan_out;
  const T* weights = net.parameters() + layer.weight_offset;
  const T* bias = net.parameters() + layer.bias_offset;
  const double g = roundings(2 * layer.fan_in + 2);
  Vector lower(width, 0.0), largest(width, 0.0);
  if (net.has_bias()) std::copy(bias, bias + width, lower.begin());
  Vector upper = lower;
  for (std::size_t o = 0; o < width; ++o) out.size[o] = std::fabs(lower[o]);
  std::fill(out.chain_error.begin(), out.chain_error.end(), 0.0);
  for (std::size_t i = 0; i < layer.fan_in; ++i) {
    if (x.is_zero(i)) continue;  // fma(0, w, sum) is exact
    const double x_lower = x.lower[i], x_upper = x.upper[i], x_size = x.size(i);
    const T* row = weights + i * width;
    for (std::size_t o = 0; o < width; ++o) {
      const double w = static_cast<double>(row[o]);
      const double p = w * x_lower, q = w * x_upper;
      lower[o] += std::min(p, q);
      upper[o] += std::max(p, q);
      out.size[o] += std::fabs(w) * x_size;
      const double partial =
          std::max(std::fabs(lower[o]), std::fabs(upper[o])) + g * out.size[o] + out.chain_error[o];
      out.chain_error[o] += rounding.half_ulp * partial + rounding.smallest;
      largest[o] = std::max(largest[o], partial);
    }
  }
  for (std::size_t o = 0; o < width; ++o) {
    out.chain_error[o] *= 1.02;
    const double own = g * out.size[o] + 4 * kHalfUlp * largest[o] + kTiny * (1 + out.size[o]);
    const double away = 1.02 * own + out.chain_error[o];
    out.z.lower[o] = lower[o] - away;
    out.z.upper[o] = upper[o] + away;
    if (!(std::max(largest[o], out.z.size(o)) <= rounding.largest)) overflow(k);
  }
  if (at_corners) chains_at_corners(net, k, x, out.z);
  double x_sizes = 0, z_sizes = 0;
  for (std::size_t i = 0; i < layer.fan_in; ++i) x_sizes += x.size(i);
  for (std::size_t o = 0; o < width; ++o) z_sizes += out.z.size(o);
  out.underflow = kSmallest * (1.02 * static_cast<double>(width) * x_sizes + z_sizes);
}

template <class T>
void activate(double slope, const Rounding& rounding, Chains chains, LayerBounds& layer) {
  for (std::size_t o = 0; o < layer.size.size(); ++o) {
    const double lower = layer.z.lower[o], upper = layer.z.upper[o];
    // z * slope is one rounding where that is a product.
    const bool product = slope != 0.0 && slope != 1.0 && lower < 0;
    const double error =
        product ? 1.02 * (rounding.half_ulp * slope * -lower + rounding.smallest) : 0;
    const double own = product ? 4 * kHalfUlp * slope * -lower + kTiny : 0;
    layer.activation_error[o] = error;
    if (chains == Chains::computed) {  // in order, too
      const T factor = static_cast<T>(slope);
      layer.a.lower[o] = lower > 0 ? lower : static_cast<double>(static_cast<T>(lower) * factor);
      layer.a.upper[o] = upper > 0 ? upper : static_cast<double>(static_cast<T>(upper) * factor);
    } else {
      layer.a.lower[o] = lower > 0 ? lower : slope * lower - own;
      layer.a.upper[o] = upper > 0 ? upper : slope * upper + own;
    }
    double below = 1, above = 1, shift = 0;
    if (upper <= 0) {
      below = above = slope;
    } else if (lower < 0 && slope != 1.0) {
      below = upper > -lower ? 1 : slope;
      above = (upper - slope * lower) / (upper - lower);
      // At both ends of the interval the line must not be below a convex function.
      shift = std::max((slope - above) * lower, (1 - above) * upper) +
              8 * kHalfUlp * (upper - lower) + kTiny;
    }
    layer.lines.below[o] = below;
    layer.lines.above[o] = above;
    layer.lines.shift[o] = shift;
  }
}

template <class T, std::size_t kLanes>
BackSubstitution<T, kLanes>::BackSubstitution(const Network<T>& net, const Interval& x,
                                              const std::vector<LayerBounds>& layers)
    : net_(net), x_(x), layers_(layers), traces_(net.layers().size()) {
  std::size_t terms = net.inputs();
  for (const Layer& layer : net.layers()) terms += 2 * layer.fan_out;
  terms_ = 4 * terms + 16;
}

template <class T, std::size_t kLanes>
void BackSubstitution<T, kLanes>::begin() {
  std::fill(constant_, constant_ + kLanes, 0.0);
  std::fill(magnitude_, magnitude_ + kLanes, 0.0);
  std::fill(slack_, slack_ + kLanes, 0.0);
}

template <class T, std::size_t kLanes>
void BackSubstitution<T, kLanes>::lower_bounds(std::size_t k, const std::size_t* unit,
                                               const double* sign, std::size_t lanes, double* out) {
  begin();
  coefficients_.assign(net_.layers()[k].fan_out * kLanes, 0.0);
  for (std::size_t l = 0; l < lanes; ++l) coefficients_[unit[l] * kLanes + l] = sign[l];
  carry_back(k, lanes, out);
}

template <class T, std::size_t kLanes>
void BackSubstitution<T, kLanes>::lower_bounds_of_sums(std::size_t k, const double* weight,
                                                       std::size_t lanes, double* out) {
  begin();
  const std::size_t width = net_.layers()[k].fan_out;
  coefficients_.assign(width * kLanes, 0.0);
  for (std::size_t l = 0; l < lanes; ++l) {
    for (std::size_t o = 0; o < width; ++o) coefficients_[o * kLanes + l] = weight[l * width + o];
  }
  carry_back(k, lanes, out);
}

template <class T, std::size_t kLanes>
void BackSubstitution<T, kLanes>::carry_back(std::size_t k, std::size_t lanes, double* out) {
  through_weights(k);
  for (std::size_t j = k; j-- > 0;) {
    if (trace_) traces_[j] = coefficients_;
    through_activations(layers_[j]);
    through_weights(j);
  }
  at_inputs(lanes);
  for (std::size_t l = 0; l < lanes; ++l) {
    const double own = roundings(terms_) * magnitude_[l] + kTiny * (1 + magnitude_[l]);
    slack_[l] = 1.02 * (slack_[l] + own);
    out[l] = constant_[l] - slack_[l];
  }
}

// From coefficients of a layer's pre-activations to those of its inputs.
template <class T, std::size_t kLanes>
void BackSubstitution<T, kLanes>::through_weights(std::size_t k) {
  const Layer& layer = net_.layers()[k];
  const LayerBounds& known = layers_[k];
  const T* bias = net_.parameters() + layer.bias_offset;
  const double g = roundings(2 * layer.fan_out + 2);
  present_.clear();
  for (std::size_t o = 0; o < layer.fan_out; ++o) {
    const double* c = coefficients_.data() + o * kLanes;
    if (std::all_of(c, c + kLanes, [](double value) { return value == 0.0; })) continue;
    present_.push_back(o);
    const double b = net_.has_bias() ? static_cast<double>(bias[o]) : 0.0;
    // The product's roundings below, and those of the chain that this stands for.
    const double error = known.chain_error[o] + g * known.size[o] + kSmallest;
    for (std::size_t l = 0; l < kLanes; ++l) {
      constant_[l] += c[l] * b;
      magnitude_[l] += std::fabs(c[l] * b);
      slack_[l] += std::fabs(c[l]) * error;
    }
  }
  for (double& slack : slack_) slack += known.underflow;
  coefficients_before(layer);
  std::swap(coefficients_, before_);
}

// before_ from coefficients_, whose outputs that are not all 0 are in present_: chains over those
// from +0, products and sums rounded each.
template <class T, std::size_t kLanes>
void BackSubstitution<T, kLanes>::coefficients_before(const Layer& layer) {
  before_.resize(layer.fan_in * kLanes);
  const T* weights = net_.parameters() + layer.weight_offset;
  if constexpr (kLanes == kCarriedLanes) {
    kernels<T>().carry_back({weights, layer.fan_in, layer.fan_out, present_.data(), present_.size(),
                             coefficients_.data(), before_.data()});
  } else {
    static_assert(kLanes == 1);
    constexpr std::size_t kAtOnce = 8;  // chains that do not wait for each other
    for (std::size_t i = 0; i < layer.fan_in; i += kAtOnce) {
      const std::size_t rows = std::min(kAtOnce, layer.fan_in - i);
      double sum[kAtOnce] = {};
      for (const std::size_t o : present_) {
        const T* w = weights + i * layer.fan_out + o;
        for (std::size_t r = 0; r < rows; ++r) {
          sum[r] += static_cast<double>(w[r * layer.fan_out]) * coefficients_[o];
        }
      }
      std::copy_n(sum, rows, before_.data() + i);
    }
  }
}

// From coefficients of activations to those of pre-activations, by the line on the safe side.
template <class T, std::size_t kLanes>
void BackSubstitution<T, kLanes>::through_activations(const LayerBounds& layer) {
  for (std::size_t o = 0; o < layer.size.size(); ++o) {
    const double below = layer.lines.below[o], above = layer.lines.above[o];
    const double shift = layer.lines.shift[o], error = layer.activation_error[o];
    const double z = 2 * kHalfUlp * layer.z.size(o);
    double* c = coefficients_.data() + o * kLanes;
    for (std::size_t l = 0; l < kLanes; ++l) {
      const double shifted = c[l] < 0 ? c[l] * shift : 0.0;
      constant_[l] += shifted;
      magnitude_[l] += std::fabs(shifted);
      slack_[l] += std::fabs(c[l]) * error;
      c[l] *= c[l] < 0 ? above : below;
      slack_[l] += std::fabs(c[l]) * z;
    }
  }
}

template <class T, std::size_t kLanes>
void BackSubstitution<T, kLanes>::at_inputs(std::size_t lanes) {
  if (ball_ != nullptr) {
    for (std::size_t l = 0; l < lanes; ++l) {
      const LeastSum least = finder_->least(coefficients_.data() + l, kLanes, x_, *ball_);
      constant_[l] += least.value;
      magnitude_[l] += least.magnitude;
      slack_[l] += least.roundings;
    }
    return;
  }
  for (std::size_t i = 0; i < net_.inputs(); ++i) {
    const double* c = coefficients_.data() + i * kLanes;
    const double size = x_.size(i);
    for (std::size_t l = 0; l < kLanes; ++l) {
      constant_[l] += std::min(c[l] * x_.lower[i], c[l] * x_.upper[i]);
      magnitude_[l] += std::fabs(c[l]) * size;
    }
  }
}

template <class T>
void tighten(const Network<T>& net, std::size_t k, const std::vector<std::size_t>& units,
             Chains chains, BackSubstitution<T, kUnitLanes>& back, PassWatch& watch,
             LayerBounds& layer, double* sensitivity) {
  double work = 0;  // of kUnitLanes bounds
  for (std::size_t j = 0; j <= k; ++j) {
    const Layer& before = net.layers()[j];
    work += static_cast<double>(kUnitLanes * before.fan_in * before.fan_out);
  }
  const bool computed = chains == Chains::computed;
  std::size_t unit[kUnitLanes];
  double sign[kUnitLanes], bound[kUnitLanes];
  for (std::size_t at = 0; at < 2 * units.size(); at += kUnitLanes) {
    if (watch.stop(0, work)) throw Interrupted();
    const std::size_t lanes = std::min(kUnitLanes, 2 * units.size() - at);
    for (std::size_t l = 0; l < lanes; ++l) {
      unit[l] = units[(at + l) / 2];
      sign[l] = (at + l) % 2 == 0 ? 1.0 : -1.0;
    }
    back.lower_bounds(k, unit, sign, lanes, bound);
    for (std::size_t l = 0; l < lanes; ++l) {
      double& lower = layer.z.lower[unit[l]];
      double& upper = layer.z.upper[unit[l]];
      if (sign[l] > 0) lower = std::max(lower, computed ? at_least<T>(bound[l]) : bound[l]);
      if (sign[l] < 0) upper = std::min(upper, computed ? at_most<T>(-bound[l]) : -bound[l]);
    }
    if (sensitivity == nullptr) continue;
    for (std::size_t l = 0; l < lanes; ++l) {
      double* out = sensitivity + unit[l] * net.inputs();
      for (std::size_t i = 0; i < net.inputs(); ++i) {
        const double size = std::fabs(back.input_coefficients()[i * kUnitLanes + l]);
        out[i] = sign[l] > 0 ? size : std::max(out[i], size);
      }
    }
  }
}

std::vector<std::size_t> open_units(const LayerBounds& layer) {
  std::vector<std::size_t> units;
  for (std::size_t o = 0; o < layer.size.size(); ++o) {
    if (layer.z.lower[o] < 0 && layer.z.upper[o] > 0) units.push_back(o);
  }
  return units;
}

#define FASTRELU_INSTANTIATE(T)                                                                   \
  template Interval scaled_inputs(const Network<T>&, const double*, const double*, Chains);       \
  template void propagate(const Network<T>&, std::size_t, const Interval&, const Rounding&, bool, \
                          LayerBounds&);                                                          \
  template void activate<T>(double, const Rounding&, Chains, LayerBounds&);                       \
  template class BackSubstitution<T, 1>;                                                          \
  template class BackSubstitution<T, kUnitLanes>;                                                 \
  template void tighten(const Network<T>&, std::size_t, const std::vector<std::size_t>&, Chains,  \
                        BackSubstitution<T, kUnitLanes>&, PassWatch&, LayerBounds&, double*);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)
#undef FASTRELU_INSTANTIATE

}  // namespace fastrelu
