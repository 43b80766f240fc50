// SPDX-License-Identifier: BSD-3-Clause
// Values of a weighted sum of a network's outputs at points, and a climb from one of them: a lower
// bound on the greatest value in a box.
#pragma once

#include <cstddef>
#include <vector>

#include "ball.h"
#include "network.h"

namespace fastrelu {

// One thread at a time, with as many as passes use; the network and the weights must outlive it.
template <class T>
class Ascent {
 public:
  Ascent(const Network<T>& net, const std::vector<double>& weight, const Ball& ball)
      : net_(net), weight_(weight), ball_(ball) {}

  // Of the sum at `rows` points, (rows, inputs): of a single output with weight 1 or -1 its bits,
  // else a number that is not above the exact sum of the computed outputs.
  void values(const double* points, std::size_t rows, std::vector<double>& out);
  double value(const double* point);

  // Moves x, of this value, to a higher place in box and ball if steps along the gradient's signs
  // lead to one.
  void climb(const std::vector<double>& lower, const std::vector<double>& upper,
             std::vector<double>& x, double& value);

 private:
  std::vector<double> gradient(const std::vector<double>& x) const;

  const Network<T>& net_;
  const std::vector<double>& weight_;
  const Ball ball_;
  std::vector<T> rows_, outputs_;
  std::vector<double> one_;
};

}  // namespace fastrelu
