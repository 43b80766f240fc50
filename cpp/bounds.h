// SPDX-License-Identifier: BSD-3-Clause
// Certified bounds on every pre-activation of a network (relu, leaky_relu, identity) over a box of
// inputs: intervals layer by layer, tightened by linear relaxations of the activations that are
// substituted back to the inputs. docs/bounds.md derives them, roundings included.
//
// `computed`: bounds on the numbers that the network's passes compute in T, chains as
// docs/arithmetic.md defines them. `exact`: on the function of real numbers with these parameters.
// Both hold whatever this computation, in float64 by plain loops, rounds itself, and have the same
// bits everywhere.
#pragma once

#include <cstdint>
#include <vector>

#include "network.h"

namespace fastrelu {

struct Ball;

enum class Chains : std::uint8_t { exact, computed };

// Of Z_0, Z_1, ...: layer after layer, the outputs last.
struct PreActivationBounds {
  std::vector<double> lower, upper;
};

// lower, upper: net.inputs() finite numbers each, lower <= upper; only inputs of `ball` (ball.h)
// count, if it is not null. Parameters must be finite.
// std::invalid_argument if a number of T may overflow somewhere in the box. Activations are the
// caller's to check.
template <class T>
PreActivationBounds pre_activation_bounds(const Network<T>& net, const double* lower,
                                          const double* upper, Chains chains,
                                          const Ball* ball = nullptr);

// Boxes of inputs, (count, inputs) each; with centers of balls, (count, inputs), and their radii,
// (count,), only inputs in the box and the ball of the same place count.
struct Boxes {
  const double* lower;
  const double* upper;
  std::size_t count;
  const double* center = nullptr;
  const double* radius = nullptr;
};

// Of each box the bounds on the outputs, (count, outputs), with the same bits as above; or with
// `sums`, (n_sums, outputs) of finite numbers, on each sum of sums[s, o] times output o as an exact
// sum of the outputs, (count, n_sums). On all threads. What is thrown, as above, leaves `below` and
// `above` half written; throws Interrupted, too.
template <class T>
void bounds_of_boxes(const Network<T>& net, const Boxes& boxes, const std::vector<double>& sums,
                     Chains chains, double* below, double* above);

}  // namespace fastrelu
