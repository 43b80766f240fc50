// SPDX-License-Identifier: BSD-3-Clause
// What is known of a network's layers over a box of inputs: intervals of all values, the roundings
// of the network's chains, and linear functions that lie below and above each activation, which are
// carried back to the inputs. docs/bounds.md derives them. In float64 by plain loops, the same bits
// everywhere; what this computation rounds itself is counted.
//
// Nothing here is shared: an object belongs to one thread, and the network, which any number may
// read, must outlive it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "bounds.h"
#include "kernels/kernels.h"
#include "network.h"
#include "poll.h"

namespace fastrelu {

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

// x * scale for X in the box, as the first layer is given it. std::invalid_argument if one may
// overflow.
template <class T>
Interval scaled_inputs(const Network<T>& net, const double* lower, const double* upper,
                       Chains chains);

// The pre-activations of layer k by intervals, from those of its inputs, and how far a computed one
// may be from its exact sum. `at_corners`: of computed numbers the least and the greatest to the
// bit, by the network's own chains. std::invalid_argument if one may overflow.
template <class T>
void propagate(const Network<T>& net, std::size_t k, const Interval& x, const Rounding& rounding,
               bool at_corners, LayerBounds& out);

// Activations and their lines from the pre-activations' intervals; slope: below 0.
template <class T>
void activate(double slope, const Rounding& rounding, Chains chains, LayerBounds& layer);

class BallBound;
struct ScaledBall;

// Several linear functions at once (lanes), bounded from below over the box: their coefficients
// with respect to a layer's values, (n, kLanes), are carried back to the inputs.
template <class T, std::size_t kLanes>
class BackSubstitution {
 public:
  BackSubstitution(const Network<T>& net, const Interval& x,
                   const std::vector<LayerBounds>& layers);

  // Of sign[l] * z_k[unit[l]].
  void lower_bounds(std::size_t k, const std::size_t* unit, const double* sign, std::size_t lanes,
                    double* out);
  // Of the sum of weight[l * fan_out + o] * z_k[o], fan_out being layer k's.
  void lower_bounds_of_sums(std::size_t k, const double* weight, std::size_t lanes, double* out);

  // Of the latest bounds: the coefficients at the inputs, (inputs, kLanes); what roundings, of the
  // network and of the bound, have taken from a lane; the coefficients of layer k's activations
  // before a line took their place, (fan_out, kLanes), if `trace` was set.
  const double* input_coefficients() const { return coefficients_.data(); }
  double slack(std::size_t lane) const { return slack_[lane]; }
  const double* trace(std::size_t k) const { return traces_[k].data(); }
  void set_trace(bool trace) { trace_ = trace; }

  // The inputs are in a ball, too: `ball` and `finder`, which must outlive this, or null.
  void set_ball(const ScaledBall* ball, BallBound* finder) {
    ball_ = ball;
    finder_ = finder;
  }

 private:
  void begin();
  void carry_back(std::size_t k, std::size_t lanes, double* out);
  void through_weights(std::size_t k);
  void coefficients_before(const Layer& layer);
  void through_activations(const LayerBounds& layer);
  void at_inputs(std::size_t lanes);

  const Network<T>& net_;
  const Interval& x_;
  const std::vector<LayerBounds>& layers_;
  std::size_t terms_ = 0;
  bool trace_ = false;
  const ScaledBall* ball_ = nullptr;
  BallBound* finder_ = nullptr;
  Vector coefficients_, before_;
  std::vector<Vector> traces_;
  std::vector<std::size_t> present_;
  // A lane's bound so far: constant, the sum of its terms' magnitudes, and what may be missing.
  double constant_[kLanes], magnitude_[kLanes], slack_[kLanes];
};

// The bounds of a layer's units are carried back so many at once.
constexpr std::size_t kUnitLanes = kCarriedLanes;

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

// Tightens the intervals of some units of layer k; asks `watch`, and throws Interrupted.
// `sensitivity`, or null: (fan_out, inputs), gets the magnitudes of the coefficients at the inputs
// of those units.
template <class T>
void tighten(const Network<T>& net, std::size_t k, const std::vector<std::size_t>& units,
             Chains chains, BackSubstitution<T, kUnitLanes>& back, PassWatch& watch,
             LayerBounds& layer, double* sensitivity);

// The units of a layer whose sign their intervals leave open.
std::vector<std::size_t> open_units(const LayerBounds& layer);

}  // namespace fastrelu
