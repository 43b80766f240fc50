// SPDX-License-Identifier: BSD-3-Clause
#include "bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "linear_rows.h"
#include "poll.h"

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

using Vector = std::vector<double>;

struct Interval {
  Vector lower, upper;
  explicit Interval(std::size_t n) : lower(n), upper(n) {}
  double size(std::size_t i) const { return std::max(std::fabs(lower[i]), std::fabs(upper[i])); }
  bool is_zero(std::size_t i) const { return lower[i] == 0.0 && upper[i] == 0.0; }
};

// Lines through or above and below an activation on its pre-activation's interval:
// below * z <= activation(z) <= above * z + shift.
struct Lines {
  Vector below, above, shift;
};

// What is known of one layer over the box.
struct LayerBounds {
  Interval z;               // pre-activations
  Interval a;               // activations
  Vector size;              // sum of |W| |x| and |b|
  Vector chain_error;       // of a computed pre-activation against its exact sum
  Vector activation_error;  // of a computed activation
  double underflow = 0;     // what a lane's coefficients may lose on the way through it
  Lines lines;
  explicit LayerBounds(std::size_t n)
      : z(n),
        a(n),
        size(n),
        chain_error(n),
        activation_error(n),
        lines{Vector(n), Vector(n), Vector(n)} {}
};

// The arithmetic whose numbers are bounded: a result r is computed within half_ulp |r| + smallest.
struct Rounding {
  double half_ulp, smallest, largest;
};
template <class T>
Rounding rounding_of(Chains chains) {
  if (chains == Chains::exact) return {0.0, 0.0, std::numeric_limits<double>::max()};
  return {0.5 * static_cast<double>(std::numeric_limits<T>::epsilon()),
          static_cast<double>(std::numeric_limits<T>::denorm_min()),
          static_cast<double>(std::numeric_limits<T>::max())};
}

[[noreturn]] void overflow(std::size_t k) {
  throw std::invalid_argument("lower, upper: layer " + std::to_string(k) +
                              " may overflow the network's dtype in this box");
}

// x * scale for X in the box, as the first layer is given it.
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

// The pre-activations by intervals, and how far a computed one may be from its exact sum: every fma
// of the chain adds a rounding of the partial sum that it makes.
template <class T>
void propagate(const Network<T>& net, std::size_t k, const Interval& x, const Rounding& rounding,
               Chains chains, LayerBounds& out) {
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
  if (chains == Chains::computed) chains_at_corners(net, k, x, out.z);
  double x_sizes = 0, z_sizes = 0;
  for (std::size_t i = 0; i < layer.fan_in; ++i) x_sizes += x.size(i);
  for (std::size_t o = 0; o < width; ++o) z_sizes += out.z.size(o);
  out.underflow = kSmallest * (1.02 * static_cast<double>(width) * x_sizes + z_sizes);
}

// Activations and their lines from the pre-activations' intervals; slope: below 0.
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

// Several linear functions at once (lanes), bounded from below over the box: their coefficients
// with respect to a layer's values, (n, kLanes), are carried back to the inputs.
constexpr std::size_t kLanes = 16;
template <class T>
class BackSubstitution {
 public:
  BackSubstitution(const Network<T>& net, const Interval& x, const std::vector<LayerBounds>& layers)
      : net_(net), x_(x), layers_(layers) {
    std::size_t terms = net.inputs();
    for (const Layer& layer : net.layers()) terms += 2 * layer.fan_out;
    terms_ = 4 * terms + 16;
  }

  // Of sign[l] * z_k[unit[l]].
  void lower_bounds(std::size_t k, const std::size_t* unit, const double* sign, std::size_t lanes,
                    double* out) {
    std::fill(constant_, constant_ + kLanes, 0.0);
    std::fill(magnitude_, magnitude_ + kLanes, 0.0);
    std::fill(slack_, slack_ + kLanes, 0.0);
    coefficients_.assign(net_.layers()[k].fan_out * kLanes, 0.0);
    for (std::size_t l = 0; l < lanes; ++l) coefficients_[unit[l] * kLanes + l] = sign[l];
    through_weights(k);
    for (std::size_t j = k; j-- > 0;) {
      through_activations(layers_[j]);
      through_weights(j);
    }
    at_inputs();
    for (std::size_t l = 0; l < lanes; ++l) {
      const double own = roundings(terms_) * magnitude_[l] + kTiny * (1 + magnitude_[l]);
      out[l] = constant_[l] - 1.02 * (slack_[l] + own);
    }
  }

 private:
  // From coefficients of a layer's pre-activations to those of its inputs.
  void through_weights(std::size_t k) {
    const Layer& layer = net_.layers()[k];
    const LayerBounds& known = layers_[k];
    const T* weights = net_.parameters() + layer.weight_offset;
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
    before_.assign(layer.fan_in * kLanes, 0.0);
    for (std::size_t i = 0; i < layer.fan_in; ++i) {
      double* out = before_.data() + i * kLanes;
      const T* row = weights + i * layer.fan_out;
      for (const std::size_t o : present_) {
        const double w = static_cast<double>(row[o]);
        const double* c = coefficients_.data() + o * kLanes;
        for (std::size_t l = 0; l < kLanes; ++l) out[l] += w * c[l];
      }
    }
    std::swap(coefficients_, before_);
  }

  // From coefficients of activations to those of pre-activations, by the line on the safe side.
  void through_activations(const LayerBounds& layer) {
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

  void at_inputs() {
    for (std::size_t i = 0; i < net_.inputs(); ++i) {
      const double* c = coefficients_.data() + i * kLanes;
      const double size = x_.size(i);
      for (std::size_t l = 0; l < kLanes; ++l) {
        constant_[l] += std::min(c[l] * x_.lower[i], c[l] * x_.upper[i]);
        magnitude_[l] += std::fabs(c[l]) * size;
      }
    }
  }

  const Network<T>& net_;
  const Interval& x_;
  const std::vector<LayerBounds>& layers_;
  std::size_t terms_;
  Vector coefficients_, before_;
  std::vector<std::size_t> present_;
  // A lane's bound so far: constant, the sum of its terms' magnitudes, and what may be missing.
  double constant_[kLanes], magnitude_[kLanes], slack_[kLanes];
};

// The nearest number of T that is not below, or not above x: a bound on numbers of T.
template <class T>
double at_least(double x) {
  const T near = static_cast<T>(x);
  if (static_cast<double>(near) >= x) return static_cast<double>(near);
  return static_cast<double>(std::nextafter(near, std::numeric_limits<T>::infinity()));
}
template <class T>
double at_most(double x) {
  return -at_least<T>(-x);
}

// Tightens the intervals of the units of layer k that intervals alone leave in doubt.
template <class T>
void tighten(const Network<T>& net, std::size_t k, Chains chains, BackSubstitution<T>& back,
             PassWatch& watch, LayerBounds& layer) {
  double work = 0;  // of kLanes bounds
  for (std::size_t j = 0; j <= k; ++j) {
    const Layer& before = net.layers()[j];
    work += static_cast<double>(kLanes * before.fan_in * before.fan_out);
  }
  std::vector<std::size_t> units;
  const bool output = k + 1 == net.layers().size();
  for (std::size_t o = 0; o < layer.size.size(); ++o) {
    if (output || (layer.z.lower[o] < 0 && layer.z.upper[o] > 0)) units.push_back(o);
  }
  std::size_t unit[kLanes];
  double sign[kLanes], bound[kLanes];
  for (std::size_t at = 0; at < 2 * units.size(); at += kLanes) {
    if (watch.stop(0, work)) throw Interrupted();
    const std::size_t lanes = std::min(kLanes, 2 * units.size() - at);
    for (std::size_t l = 0; l < lanes; ++l) {
      unit[l] = units[(at + l) / 2];
      sign[l] = (at + l) % 2 == 0 ? 1.0 : -1.0;
    }
    back.lower_bounds(k, unit, sign, lanes, bound);
    for (std::size_t l = 0; l < lanes; ++l) {
      double& lower = layer.z.lower[unit[l]];
      double& upper = layer.z.upper[unit[l]];
      const bool computed = chains == Chains::computed;
      if (sign[l] > 0) lower = std::max(lower, computed ? at_least<T>(bound[l]) : bound[l]);
      if (sign[l] < 0) upper = std::min(upper, computed ? at_most<T>(-bound[l]) : -bound[l]);
    }
  }
}

}  // namespace

template <class T>
PreActivationBounds pre_activation_bounds(const Network<T>& net, const double* lower,
                                          const double* upper, Chains chains) {
  const Rounding rounding = rounding_of<T>(chains);
  const Interval x = scaled_inputs(net, lower, upper, chains);
  std::vector<LayerBounds> layers;
  for (const Layer& layer : net.layers()) layers.emplace_back(layer.fan_out);
  BackSubstitution<T> back(net, x, layers);
  PreActivationBounds out;
  PassWatch watch;
  for (std::size_t k = 0; k < layers.size(); ++k) {
    LayerBounds& layer = layers[k];
    propagate(net, k, k == 0 ? x : layers[k - 1].a, rounding, chains, layer);
    if (k > 0) tighten(net, k, chains, back, watch, layer);
    activate<T>(negative_slope<T>(net.layers()[k].activation), rounding, chains, layer);
    out.lower.insert(out.lower.end(), layer.z.lower.begin(), layer.z.lower.end());
    out.upper.insert(out.upper.end(), layer.z.upper.begin(), layer.z.upper.end());
  }
  return out;
}

template PreActivationBounds pre_activation_bounds(const Network<float>&, const double*,
                                                   const double*, Chains);
template PreActivationBounds pre_activation_bounds(const Network<double>&, const double*,
                                                   const double*, Chains);

}  // namespace fastrelu
