// SPDX-License-Identifier: BSD-3-Clause
// Certified bounds over a box of inputs.
#include <algorithm>
#include <vector>

#include "arrays.h"
#include "ball.h"
#include "bindings.h"
#include "bounds.h"

namespace fastrelu::python {
namespace {

// center: (inputs,) or None -> lower (n_units,), upper (n_units,) of all pre-activations, the
// outputs last
py::tuple bounds_in_box(PyNetwork& self, const py::object& lower, const py::object& upper,
                        bool rounding, const py::object& center, double radius) {
  return self.visit([&](auto& net) {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    const auto from = as_contiguous<double>(lower, "lower", Shape(net.inputs()), true);
    const auto to = as_contiguous<double>(upper, "upper", Shape(net.inputs()), true);
    Contiguous<double> middle;
    if (!center.is_none()) {
      middle = as_contiguous<double>(center, "center", Shape(net.inputs()), true);
    }
    const Ball ball{middle.data, radius};
    const PreActivationBounds bounds = without_gil([&] {
      return pre_activation_bounds(static_cast<const Network<T>&>(net), from.data, to.data,
                                   rounding ? Chains::computed : Chains::exact, &ball);
    });
    const Output<double> low = new_output<double>(Shape(bounds.lower.size()));
    const Output<double> high = new_output<double>(Shape(bounds.upper.size()));
    std::copy(bounds.lower.begin(), bounds.lower.end(), low.data);
    std::copy(bounds.upper.begin(), bounds.upper.end(), high.data);
    return py::make_tuple(low.array, high.array);
  });
}

// lower, upper (n, inputs); sums (m, outputs) or None; center (n, inputs) and radius (n,), or None
// -> lower, upper of (n, outputs) or (n, m)
py::tuple bounds_in_boxes(PyNetwork& self, const py::object& lower, const py::object& upper,
                          const py::object& sums, std::size_t count, std::size_t n_sums,
                          bool rounding, const py::object& center, const py::object& radius) {
  return self.visit([&](auto& net) {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    const auto from = as_contiguous<double>(lower, "lower", Shape(count, net.inputs()), true);
    const auto to = as_contiguous<double>(upper, "upper", Shape(count, net.inputs()), true);
    Contiguous<double> middle, reach;
    if (!center.is_none()) {
      middle = as_contiguous<double>(center, "center", Shape(count, net.inputs()), true);
      reach = as_contiguous<double>(radius, "radius", Shape(count), true);
    }
    const Boxes boxes{from.data, to.data, count, middle.data, reach.data};
    std::vector<double> weights;
    if (!sums.is_none()) {
      const auto given = as_contiguous<double>(sums, "sums", Shape(n_sums, net.outputs()), true);
      weights.assign(given.data, given.data + n_sums * net.outputs());
    }
    const Shape shape(count, sums.is_none() ? net.outputs() : n_sums);
    const Output<double> low = new_output<double>(shape), high = new_output<double>(shape);
    without_gil([&] {
      bounds_of_boxes(static_cast<const Network<T>&>(net), boxes, weights,
                      rounding ? Chains::computed : Chains::exact, low.data, high.data);
    });
    return py::make_tuple(low.array, high.array);
  });
}

}  // namespace

void bind_bounds(py::module_& m) {
  m.def("pre_activation_bounds", &bounds_in_box, py::arg("net"), py::arg("lower"), py::arg("upper"),
        py::arg("rounding"), py::arg("center"), py::arg("radius"));
  m.def("bounds_of_boxes", &bounds_in_boxes, py::arg("net"), py::arg("lower"), py::arg("upper"),
        py::arg("sums"), py::arg("count"), py::arg("n_sums"), py::arg("rounding"),
        py::arg("center"), py::arg("radius"));
}

}  // namespace fastrelu::python
