// SPDX-License-Identifier: BSD-3-Clause
// A network's linear pieces along a segment.
#include <algorithm>

#include "arrays.h"
#include "bindings.h"
#include "segment.h"

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

}  // namespace

void bind_segment(py::module_& m) {
  m.def("along", &along_segment, py::arg("net"), py::arg("x0"), py::arg("x1"));
}

}  // namespace fastrelu::python
