// SPDX-License-Identifier: BSD-3-Clause
// An upper bound on a weighted sum of a network's outputs over one box of inputs, with what a
// search needs to know to go on from there: the input along which the relaxation is loosest, and a
// point that the bound suggests. docs/bounds.md derives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ball.h"
#include "network.h"
#include "relaxation.h"

namespace fastrelu {

// A part of the box that is searched.
struct Box {
  std::vector<double> lower, upper;  // (inputs,)
  // Of the hidden units, layer after layer: 1 active, -1 inactive everywhere in the box, 0 unknown.
  std::vector<std::int8_t> sign;
  double bound = 0;         // no computed sum in the box is above it
  double slack = 0;         // what roundings alone add to the bound
  std::size_t longest = 0;  // the input to halve
  bool is_point = false;    // the network sees a single point
  bool settled = false;     // to halve it would not help: what is left are roundings
  std::vector<double> point;
};

// Bounds one box after another. One thread at a time; the network must outlive it.
template <class T>
class BoxBounds {
 public:
  // weight: (outputs,), finite. Only inputs in `ball` count, if it is one.
  BoxBounds(const Network<T>& net, const std::vector<double>& weight, const Ball& ball);
  BoxBounds(const BoxBounds&) = delete;
  BoxBounds& operator=(const BoxBounds&) = delete;

  // Sets all of `box` but its sides; on entry its bound and its signs are what is known already.
  // A bound that is not above `target` is good enough. `first`: with the bounds of output_bounds,
  // tighter by some roundings and slower.
  // std::invalid_argument if a number of T may overflow in the box; throws Interrupted.
  void evaluate(Box& box, double target, bool first);

 private:
  void hidden_layers(Box& box, bool first);
  void know_signs(const std::int8_t* sign, LayerBounds& layer) const;
  double outputs(bool first);
  double sum_bound();
  void choose_lines(const Box& box, double target, double& bound);
  double slopes_to_change(const Box& box);
  void change_lines(double step);
  double looseness(const Box& box);
  std::size_t to_halve() const;
  void suggest_point(Box& box);

  const Network<T>& net_;
  const std::vector<double> negated_;  // the weights
  std::size_t only_output_;            // the one output of weight 1 or -1, or none
  const Rounding rounding_;
  const Ball ball_;
  const ScaledBall scaled_ball_;
  BallBound in_ball_;
  Interval x_;
  std::vector<LayerBounds> layers_;
  BackSubstitution<T, kUnitLanes> units_;
  BackSubstitution<T, 1> sum_;
  std::vector<Vector> sensitivity_;  // of each layer's units to the inputs, (fan_out, inputs)
  Vector score_, share_;
  // How the bound rises with the slope of the line below each activation, and such slopes.
  std::vector<Vector> rise_, kept_;
  PassWatch watch_;
};

}  // namespace fastrelu
