// SPDX-License-Identifier: BSD-3-Clause
// Certified bounds over a box of inputs.
#include <algorithm>

#include "arrays.h"
#include "bindings.h"
#include "bounds.h"

namespace fastrelu::python {
namespace {

// -> lower (n_units,), upper (n_units,) of all pre-activations, the outputs last
py::tuple bounds_in_box(PyNetwork& self, const py::object& lower, const py::object& upper,
                        bool rounding) {
  return self.visit([&](auto& net) {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    const auto from = as_contiguous<double>(lower, "lower", Shape(net.inputs()), true);
    const auto to = as_contiguous<double>(upper, "upper", Shape(net.inputs()), true);
    const PreActivationBounds bounds = without_gil([&] {
      return pre_activation_bounds(static_cast<const Network<T>&>(net), from.data, to.data,
                                   rounding ? Chains::computed : Chains::exact);
    });
    const Output<double> low = new_output<double>(Shape(bounds.lower.size()));
    const Output<double> high = new_output<double>(Shape(bounds.upper.size()));
    std::copy(bounds.lower.begin(), bounds.lower.end(), low.data);
    std::copy(bounds.upper.begin(), bounds.upper.end(), high.data);
    return py::make_tuple(low.array, high.array);
  });
}

}  // namespace

void bind_bounds(py::module_& m) {
  m.def("pre_activation_bounds", &bounds_in_box, py::arg("net"), py::arg("lower"), py::arg("upper"),
        py::arg("rounding"));
}

}  // namespace fastrelu::python
