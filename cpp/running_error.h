// SPDX-License-Identifier: BSD-3-Clause
// A layer's linear part at one point in float64, with what its roundings may have done to it.
//
// Two measures of an error. `certain` is a bound. `likely` is a standard deviation, as if roundings
// were independent: it grows through layers as the values themselves do, where the bound grows
// with the magnitudes of all weights and is soon too large to tell anything. What must never be
// wrong is decided by the first, what should be right by some multiple of the second.
#pragma once

#include <cstddef>
#include <vector>

#include "network.h"

namespace fastrelu {

enum class ErrorKind { likely, certain };

constexpr double kRounding = 0x1p-53;
// A number counts as 0 where it is within so many likely errors of 0.
constexpr double kToleratedErrors = 16;

// Numbers, and the errors that they may have.
struct Uncertain {
  std::vector<double> value, error;
  void resize(std::size_t n) {
    value.resize(n);
    error.resize(n);
  }
};

// Computes pre-activations at points. One thread at a time; the network must outlive it.
template <class T>
class RunningErrors {
 public:
  RunningErrors(const Network<T>& net, ErrorKind kind) : net_(net), kind_(kind) {}

  // z = h W + factor b, (fan_out,), of a layer of the network, from h and its errors, (fan_in,).
  // The terms are added in the order of the inputs. An error of 0 is that of a sum of zeros alone.
  // What is written overlaps nothing else.
  void layer(const Layer& layer, const double* h, const double* h_error, double factor,
             double factor_error, double* z, double* z_error);

 private:
  // An input that is not 0, or the biases' factor: its weights, (fan_out,), and what it adds to the
  // errors for each weight's magnitude, or square.
  struct Term {
    const T* weights;
    double value, spread;
  };

  const Network<T>& net_;
  ErrorKind kind_;
  std::vector<Term> terms_;
};

}  // namespace fastrelu
