// SPDX-License-Identifier: BSD-3-Clause
#include "plane_point.h"

#include <cmath>
#include <limits>
#include <utility>

#include "linear_rows.h"

namespace fastrelu {
namespace {

// s u + t v + origin of one coordinate, and a bound on its error (that of `rows` included).
double on_plane(const double* point, double u, double v, double origin, double& error) {
  const double a = point[0] * u, b = point[1] * v;
  error = 4.04 * kRounding * (std::fabs(a) + std::fabs(b) + std::fabs(origin));
  if (a != 0.0 || b != 0.0) error += 2 * std::numeric_limits<double>::denorm_min();
  return a + b + origin;
}

}  // namespace

template <class T>
PlaneRows plane_rows(const Network<T>& net, const double* rows) {
  const std::size_t width = net.inputs();
  const double scale = static_cast<double>(net.scale());
  PlaneRows out;
  for (std::size_t n = 0; n < 3; ++n) {
    const double* row = rows + n * (width + 1);
    for (std::size_t i = 0; i < width; ++i) out.inputs.push_back(row[i] * scale);
    out.factor.push_back(row[width]);
  }
  return out;
}

void activate(double slope, const Uncertain& z, Uncertain& h) {
  h.resize(z.value.size());
  for (std::size_t o = 0; o < z.value.size(); ++o) {
    const double value = z.value[o], error = z.error[o];
    h.value[o] = value > 0.0 ? value : value * slope;
    h.error[o] = value < -error ? slope * error + kRounding * std::fabs(h.value[o]) : error;
  }
}

template <class T>
PlanePoint<T>::PlanePoint(const Network<T>& net, const PlaneRows& rows, ErrorKind kind)
    : net_(net), rows_(rows), errors_(net, kind), z_(net.layers().size()) {
  x_.resize(net.inputs());
}

template <class T>
void PlanePoint<T>::start(const double* point) {
  const std::size_t width = net_.inputs();
  const double* r = rows_.inputs.data();
  for (std::size_t i = 0; i < width; ++i) {
    x_.value[i] = on_plane(point, r[i], r[width + i], r[2 * width + i], x_.error[i]);
  }
  const std::vector<double>& f = rows_.factor;
  factor_ = on_plane(point, f[0], f[1], f[2], factor_error_);
}

template <class T>
void PlanePoint<T>::run(const double* point, std::size_t last) {
  start(point);
  for (std::size_t k = 0; k <= last; ++k) {
    layer(k, k == 0 ? x_ : h_, z_[k]);
    if (k < last) activate(negative_slope<T>(net_.layers()[k].activation), z_[k], h_);
  }
}

template <class T>
void PlanePoint<T>::gradients(std::size_t k, std::vector<double>& out) const {
  std::vector<double> h(rows_.inputs.begin(),
                        rows_.inputs.begin() + static_cast<std::ptrdiff_t>(2 * net_.inputs()));
  for (std::size_t j = 0; j <= k; ++j) {
    const Layer& layer = net_.layers()[j];
    std::vector<double> z = pre_activations(net_, layer, h, rows_.factor.data());
    if (j < k) {
      const double slope = negative_slope<T>(layer.activation);
      for (std::size_t i = 0; i < z.size(); ++i) {
        if (!(z_[j].value[i % layer.fan_out] > 0.0)) z[i] *= slope;
      }
    }
    h = std::move(z);
  }
  out = std::move(h);
}

template PlaneRows plane_rows(const Network<float>&, const double*);
template PlaneRows plane_rows(const Network<double>&, const double*);
template class PlanePoint<float>;
template class PlanePoint<double>;

}  // namespace fastrelu
