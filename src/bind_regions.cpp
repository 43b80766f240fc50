// SPDX-License-Identifier: BSD-3-Clause
// A network's linear regions on a plane.
#include <algorithm>

#include "arrays.h"
#include "bindings.h"
#include "regions.h"
#include "signal_check.h"

namespace fastrelu::python {
namespace {

// Rows of `width` flags.
py::array_t<bool> as_flags(const std::vector<std::uint8_t>& flags, std::size_t rows,
                           std::size_t width) {
  py::array_t<bool> array({static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(width)});
  std::transform(flags.begin(), flags.end(), array.mutable_data(),
                 [](std::uint8_t flag) { return flag != 0; });
  return array;
}

// window (4,), plane (3, d_in + 1): see regions.h. -> vertices (V, 2), offsets (R + 1,),
// pattern (R, n_hidden), maps (R, 3 * d_out), and of the doubts pattern and open (n, n_hidden)
py::tuple regions_on_plane(PyNetwork& self, const py::object& window, const py::object& plane,
                           std::size_t max_regions, bool with_doubts) {
  return self.visit([&](auto& net) {
    using T = Scalar<decltype(net)>;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    const auto edges = as_contiguous<double>(window, "window", Shape(4), true);
    const auto rows = as_contiguous<double>(plane, "plane", Shape(3, net.inputs() + 1), true);
    Regions regions;
    {
      const GilReleased release;
      const double* w = edges.data;
      regions = linear_regions(static_cast<const Network<T>&>(net),
                               Plane{w[0], w[1], w[2], w[3], rows.data}, max_regions, with_doubts,
                               SignalCheck());
    }
    const std::size_t count = regions.offsets.size() - 1;
    const auto vertices = new_output<double>(Shape(regions.vertices.size() / 2, 2));
    const auto maps = new_output<double>(Shape(count, 3 * net.outputs()));
    const auto n = static_cast<py::ssize_t>(count);
    py::array_t<std::int64_t> offsets(n + 1);
    std::copy(regions.vertices.begin(), regions.vertices.end(), vertices.data);
    std::copy(regions.maps.begin(), regions.maps.end(), maps.data);
    std::copy(regions.offsets.begin(), regions.offsets.end(), offsets.mutable_data());
    std::size_t hidden = 0;
    for (const Layer& layer : net.layers()) hidden += layer.fan_out;
    hidden -= net.outputs();
    const std::size_t doubts = hidden > 0 ? regions.doubts.pattern.size() / hidden : 0;
    return py::make_tuple(vertices.array, offsets, as_flags(regions.pattern, count, hidden),
                          maps.array, as_flags(regions.doubts.pattern, doubts, hidden),
                          as_flags(regions.doubts.open, doubts, hidden));
  });
}

}  // namespace

void bind_regions(py::module_& m) {
  py::register_exception<TooManyRegions>(m, "TooManyRegionsError", PyExc_ValueError);
  m.def("linear_regions", &regions_on_plane, py::arg("net"), py::arg("window"), py::arg("plane"),
        py::arg("max_regions"), py::arg("with_doubts"));
}

}  // namespace fastrelu::python
