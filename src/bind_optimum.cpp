// SPDX-License-Identifier: BSD-3-Clause
// The greatest value of a weighted sum of outputs over a box.
#include <algorithm>

#include "arrays.h"
#include "bindings.h"
#include "optimum.h"

namespace fastrelu::python {
namespace {

const char* name_of(SearchEnd end) {
  switch (end) {
    case SearchEnd::optimal: return "optimal";
    case SearchEnd::decided: return "decided";
    case SearchEnd::roundings: return "roundings";
    case SearchEnd::time_limit: return "time limit";
    case SearchEnd::memory_limit: return "memory limit";
  }
  return "";
}

// center (d_in,) and radius, or None -> x (d_in,), value, bound, how the search ended, boxes
py::tuple maximize(PyNetwork& self, const py::object& lower, const py::object& upper,
                   const py::object& weight, double gap, double seconds,
                   const py::object& threshold, bool or_equal, const py::object& center,
                   double radius) {
  return self.visit([&](auto& net) {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    const auto from = as_contiguous<double>(lower, "lower", Shape(net.inputs()), true);
    const auto to = as_contiguous<double>(upper, "upper", Shape(net.inputs()), true);
    const auto weights = as_contiguous<double>(weight, "weight", Shape(net.outputs()), true);
    Contiguous<double> middle;
    if (!center.is_none()) {
      middle = as_contiguous<double>(center, "center", Shape(net.inputs()), true);
    }
    const Ball ball{middle.data, radius};
    SearchLimits limits;
    limits.relative_gap = gap;
    limits.seconds = seconds;
    limits.has_threshold = !threshold.is_none();
    if (limits.has_threshold) limits.threshold = threshold.cast<double>();
    limits.or_equal = or_equal;
    const Optimum found = without_gil([&] {
      const std::vector<double> sum(weights.data, weights.data + net.outputs());
      return maximize_over_box(static_cast<const Network<T>&>(net), from.data, to.data, ball, sum,
                               limits);
    });
    const Output<double> x = new_output<double>(Shape(found.x.size()));
    std::copy(found.x.begin(), found.x.end(), x.data);
    return py::make_tuple(x.array, found.value, found.bound, name_of(found.end), found.boxes);
  });
}

}  // namespace

void bind_optimum(py::module_& m) {
  m.def("maximize", &maximize, py::arg("net"), py::arg("lower"), py::arg("upper"),
        py::arg("weight"), py::arg("gap"), py::arg("seconds"), py::arg("threshold"),
        py::arg("or_equal"), py::arg("center"), py::arg("radius"));
}

}  // namespace fastrelu::python
