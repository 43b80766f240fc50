// SPDX-License-Identifier: BSD-3-Clause
// Balls of inputs, in the Euclidean norm, and the least value that a linear function has in a box
// and a ball at once. docs/bounds.md derives it. In float64 by plain loops, the same bits
// everywhere; roundings are counted.
#pragma once

#include <cstddef>
#include <vector>

#include "network.h"
#include "relaxation.h"

namespace fastrelu {

// The inputs, as they are given and before `scale`, within `radius` of `center`, (inputs,):
// exactly, in real numbers. No center: all inputs. The center must outlive what it is handed to.
struct Ball {
  const double* center = nullptr;
  double radius = 0;  // > 0, finite
  explicit operator bool() const { return center != nullptr; }
};

// A ball that holds the inputs of the first layer, as they are computed or exact, of all inputs in
// a ball. An empty center: no ball.
struct ScaledBall {
  Vector center;
  double radius = 0;
};
template <class T>
ScaledBall scaled_ball(const Network<T>& net, const Ball& ball, Chains chains);

// Whether no point of the box, (inputs,) each, is in the ball; false where roundings decide.
bool is_outside(const Ball& ball, const std::vector<double>& lower,
                const std::vector<double>& upper);

// Moves a point of the box straight towards the center, which must be in the box, until it is in
// the ball for certain.
void move_into(const Ball& ball, const std::vector<double>& lower, const std::vector<double>& upper,
               double* point);

// A lower bound on a @ x over the box and the ball: value, less what its roundings take; and the
// sum of its terms' magnitudes.
struct LeastSum {
  double value, magnitude, roundings;
};

// Finds that for one linear function after another. One thread at a time.
class BallBound {
 public:
  // a: inputs.size() coefficients, `stride` apart.
  LeastSum least(const double* a, std::size_t stride, const Interval& box, const ScaledBall& ball);
  // Of the latest: near the point of box and ball where the function is least, (inputs,).
  const Vector& point() const { return point_; }

 private:
  double step_to_edge(const Interval& box, const ScaledBall& ball);
  bool is_beyond(double step, const Interval& box, const ScaledBall& ball);

  Vector a_, point_, offset_;
};

}  // namespace fastrelu
