// SPDX-License-Identifier: BSD-3-Clause
// Least-squares fits of piecewise-linear functions.
#include <pybind11/stl.h>

#include <algorithm>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "hinge_fit.h"
#include "signal_check.h"

namespace fastrelu::python {
namespace {

// The points as contiguous arrays, which own what had to be copied.
struct Points {
  Contiguous<double> x, y, weight;
  HingeData data;
};
Points as_points(const py::array& x, const py::array& y, const py::object& weight) {
  const auto n = static_cast<std::size_t>(x.size());
  Points points{as_contiguous<double>(x, "x", Shape(n), true),
                as_contiguous<double>(y, "y", Shape(n), true),
                {},
                {}};
  if (!weight.is_none()) {
    points.weight = as_contiguous<double>(weight, "sample_weight", Shape(n), true);
  }
  points.data = {points.x.data, points.y.data, points.weight.data, n};
  return points;
}

// -> knots (k,), values (k,), left slope, right slope
py::tuple as_tuple(const HingeFit& fitted) {
  const Output<double> knots = new_output<double>(Shape(fitted.knots.size()));
  const Output<double> values = new_output<double>(Shape(fitted.values.size()));
  std::copy(fitted.knots.begin(), fitted.knots.end(), knots.data);
  std::copy(fitted.values.begin(), fitted.values.end(), values.data);
  return py::make_tuple(knots.array, values.array, fitted.left_slope, fitted.right_slope);
}

// x, y (n,), weight (n,) or None
py::tuple fit(const py::array& x, const py::array& y, const py::object& weight,
              std::size_t n_hinges) {
  const FpEnvironment environment;
  const Points points = as_points(x, y, weight);
  HingeFit fitted;
  {
    const GilReleased release;
    fitted = fit_hinges(points.data, n_hinges, SignalCheck());
  }
  return as_tuple(fitted);
}

py::tuple fit_given(const py::array& x, const py::array& y, const py::object& weight,
                    const std::vector<double>& knots) {
  const FpEnvironment environment;
  const Points points = as_points(x, y, weight);
  HingeFit fitted;
  {
    const GilReleased release;
    fitted = fit_values(points.data, knots, SignalCheck());
  }
  return as_tuple(fitted);
}

}  // namespace

void bind_hinge_fit(py::module_& m) {
  m.def("fit_hinges", &fit, py::arg("x"), py::arg("y"), py::arg("weight"), py::arg("n_hinges"));
  m.def("fit_values", &fit_given, py::arg("x"), py::arg("y"), py::arg("weight"), py::arg("knots"));
}

}  // namespace fastrelu::python
