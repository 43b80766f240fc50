// SPDX-License-Identifier: BSD-3-Clause
// A network's linear pieces, and fits of piecewise-linear functions.
#include <algorithm>

#include "arrays.h"
#include "bindings.h"
#include "hinge_fit.h"
#include "piecewise.h"

namespace fastrelu::python {
namespace {

// -> t (n,), values (n, d_out)
py::tuple along_segment(PyNetwork& self, const py::object& x0, const py::object& x1) {
  return self.visit([&](auto& net) {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    const auto from = as_contiguous<double>(x0, "x0", Shape(net.inputs()), true);
    const auto to = as_contiguous<double>(x1, "x1", Shape(net.inputs()), true);
    SegmentPieces pieces;
    {
      // Some knots a unit of the widest layer, none known beforehand.
      const GilReleasedFor release(forward_work(net, net.widest()));
      pieces = along(static_cast<const Network<T>&>(net), from.data, to.data);
    }
    const Output<double> t = new_output<double>(Shape(pieces.t.size()));
    const Output<double> values = new_output<double>(Shape(pieces.t.size(), net.outputs()));
    std::copy(pieces.t.begin(), pieces.t.end(), t.data);
    std::copy(pieces.values.begin(), pieces.values.end(), values.data);
    return py::make_tuple(t.array, values.array);
  });
}

// x, y (n,) -> knots (k,), values (k,), left slope, right slope
py::tuple fit(const py::array& x, const py::array& y, std::size_t n_hinges) {
  const FpEnvironment environment;
  const Shape shape(static_cast<std::size_t>(x.size()));
  const auto from = as_contiguous<double>(x, "x", shape, true);
  const auto to = as_contiguous<double>(y, "y", shape, true);
  HingeFit fitted;
  {
    const py::gil_scoped_release release;
    fitted = fit_hinges(from.data, to.data, static_cast<std::size_t>(x.size()), n_hinges);
  }
  const Output<double> knots = new_output<double>(Shape(fitted.knots.size()));
  const Output<double> values = new_output<double>(Shape(fitted.values.size()));
  std::copy(fitted.knots.begin(), fitted.knots.end(), knots.data);
  std::copy(fitted.values.begin(), fitted.values.end(), values.data);
  return py::make_tuple(knots.array, values.array, fitted.left_slope, fitted.right_slope);
}

}  // namespace

void bind_piecewise(py::module_& m) {
  m.def("along", &along_segment, py::arg("net"), py::arg("x0"), py::arg("x1"));
  m.def("fit_hinges", &fit, py::arg("x"), py::arg("y"), py::arg("n_hinges"));
}

}  // namespace fastrelu::python
