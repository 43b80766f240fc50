// SPDX-License-Identifier: BSD-3-Clause
// A network at a point of a plane (regions.h), layer after layer, with running errors.
#pragma once

#include <cstddef>
#include <vector>

#include "network.h"
#include "running_error.h"

namespace fastrelu {

// The directions and the origin of a plane: without and with the factors of the biases.
struct PlaneRows {
  std::vector<double> inputs;  // (3, inputs), times the network's scale
  std::vector<double> factor;  // (3,)
};
// rows: (3, inputs + 1), as Plane has them.
template <class T>
PlaneRows plane_rows(const Network<T>& net, const double* rows);

// What a network makes of a point of the plane. Owns its memory; the network and the rows must
// outlive it. One thread at a time.
template <class T>
class PlanePoint {
 public:
  PlanePoint(const Network<T>& net, const PlaneRows& rows, ErrorKind kind);

  // The inputs at (s, t); then the layers one by one, from activations to pre-activations.
  void start(const double* point);
  void layer(std::size_t k, const Uncertain& h, Uncertain& z) {
    z.resize(net_.layers()[k].fan_out);
    layer(k, h.value.data(), h.error.data(), z.value.data(), z.error.data());
  }
  void layer(std::size_t k, const double* h, const double* h_error, double* z, double* z_error) {
    errors_.layer(net_.layers()[k], h, h_error, factor_, factor_error_, z, z_error);
  }
  const Uncertain& inputs() const { return x_; }

  // Pre-activations of layers 0 .. last at (s, t). After them, z(k) for k <= last.
  void run(const double* point, std::size_t last);
  const Uncertain& z(std::size_t k) const { return z_[k]; }
  // By s and t, (2, fan_out), of layer k <= last, on the side of each kink that the last run was
  // on.
  void gradients(std::size_t k, std::vector<double>& out) const;

 private:
  const Network<T>& net_;
  const PlaneRows& rows_;
  RunningErrors<T> errors_;
  Uncertain x_, h_;
  double factor_ = 0, factor_error_ = 0;
  std::vector<Uncertain> z_;
};

// From pre-activations to activations; slope: below 0. A kink takes errors as they are, or, on the
// side that is known to be below, times the slope.
void activate(double slope, const Uncertain& z, Uncertain& h);

}  // namespace fastrelu
