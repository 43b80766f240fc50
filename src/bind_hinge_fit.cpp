// SPDX-License-Identifier: BSD-3-Clause
// Least-squares fits of piecewise-linear functions.
#include <algorithm>

#include "arrays.h"
#include "bindings.h"
#include "hinge_fit.h"
#include "signal_check.h"

namespace fastrelu::python {
namespace {

// x, y (n,) -> knots (k,), values (k,), left slope, right slope
py::tuple fit(const py::array& x, const py::array& y, std::size_t n_hinges) {
  const FpEnvironment environment;
  const Shape shape(static_cast<std::size_t>(x.size()));
  const auto from = as_contiguous<double>(x, "x", shape, true);
  const auto to = as_contiguous<double>(y, "y", shape, true);
  HingeFit fitted;
  {
    const GilReleased release;
    fitted =
        fit_hinges(from.data, to.data, static_cast<std::size_t>(x.size()), n_hinges, SignalCheck());
  }
  const Output<double> knots = new_output<double>(Shape(fitted.knots.size()));
  const Output<double> values = new_output<double>(Shape(fitted.values.size()));
  std::copy(fitted.knots.begin(), fitted.knots.end(), knots.data);
  std::copy(fitted.values.begin(), fitted.values.end(), values.data);
  return py::make_tuple(knots.array, values.array, fitted.left_slope, fitted.right_slope);
}

}  // namespace

void bind_hinge_fit(py::module_& m) {
  m.def("fit_hinges", &fit, py::arg("x"), py::arg("y"), py::arg("n_hinges"));
}

}  // namespace fastrelu::python
