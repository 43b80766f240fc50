// SPDX-License-Identifier: BSD-3-Clause
// Derivatives row by row: gradients of each row's loss, Jacobians, within a bound on their memory.
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>

#include "py_trainer.h"
#include "row_derivatives.h"
#include "thread_pool.h"

namespace fastrelu::python {
namespace {

// Bytes that the caller lets a call take beside its arguments.
using Bound = std::optional<std::size_t>;

// What the work of a Jacobian may take where the caller sets no bound.
constexpr std::size_t kUsualBytes = std::size_t{64} << 20;

// What is left for the work beside a result of `rows` rows, which needs `least`.
std::size_t memory_for_work(std::size_t bound, std::size_t result, std::size_t least,
                            std::size_t rows) {
  if (bound >= least && bound - least >= result) return bound - result;
  std::string text = "memory: expected at least " + std::to_string(result + least) + " bytes";
  if (result > 0) {
    text += ", " + std::to_string(result) + " of them for the result of " + std::to_string(rows) +
            (rows == 1 ? " row" : " rows");
  }
  throw py::value_error(text + ", got " + std::to_string(bound) +
                        "; a call with fewer rows takes less, and one with out= has no new result");
}

// `out` checked, or a new array.
template <class T>
Output<T> output_for(const py::object& out, const Shape& shape, const Rows& x,
                     const Network<T>& net) {
  if (out.is_none()) return new_output<T>(shape);
  const Output<T> output = as_output<T>(out, shape, x.keep);
  refuse_parameters(output, shape, net.parameters(), net.parameter_count());
  return output;
}

// (n, n_parameters): `out`, or a new array.
py::object per_sample_gradients(PyTrainer& self, const py::object& X, const py::object& y,
                                const py::object& out, const Bound& memory, bool check_finite) {
  const Working working(self.guard, "a gradient");
  return self.visit([&](auto& trainer) -> py::object {
    using T = ScalarT<decltype(trainer)>;
    Network<T>& net = *trainer.network();
    const LossOptions& loss = trainer.options().loss;
    const FpEnvironment environment;
    const Reading reading(self.net->guard);
    const Data<T> data = as_data<T>(net, X, y, py::none(), loss.kind, check_finite);
    if (data.x.encoded != nullptr) {
      throw py::type_error(
          "X: expected an array or a sparse matrix, got EncodedRows, for which "
          "there are no derivatives row by row; X.toarray() makes an array");
    }
    const std::size_t rows = data.view.x.rows;
    std::size_t most_threads = kMaxThreads;
    if (memory) {
      const std::size_t each = per_sample_bytes<T>(net, data.view.x);
      const std::size_t result = out.is_none() ? rows * net.parameter_count() * sizeof(T) : 0;
      most_threads = std::min(most_threads, memory_for_work(*memory, result, each, rows) / each);
    }
    const Shape shape(rows, net.parameter_count());
    if (!out.is_none()) as_output<T>(out, shape, data.y.keep);  // without overlap with y either
    const Output<T> result = output_for<T>(out, shape, data.x, net);
    without_gil(4 * forward_work(net, rows), [&] {
      fastrelu::per_sample_gradients(net, data.view, loss, result.data, result.stride,
                                     static_cast<unsigned>(most_threads));
    });
    return result.array;
  });
}

// (n, d_out * d_in), or (d_out * d_in,) of one row: `out`, or a new array.
py::object jacobian(PyNetwork& self, const py::object& X, const py::object& out,
                    const Bound& memory, bool check_finite) {
  return self.visit([&](auto& changeable) -> py::object {
    using T = Scalar<decltype(changeable)>;
    const Network<T>& net = changeable;
    const FpEnvironment environment;
    const Reading reading(self.guard);
    const Rows x = as_rows<T>(X, "X", net.inputs(), true, check_finite);
    const std::size_t values = net.outputs() * net.inputs(), rows = x.view.rows;
    std::size_t work = std::max(kUsualBytes, jacobian_bytes(net, 1));
    if (memory) {
      const std::size_t result = out.is_none() ? rows * values * sizeof(T) : 0;
      work = memory_for_work(*memory, result, jacobian_bytes(net, 1), rows);
    }
    // Somebody may have changed the number of threads meanwhile.
    const std::size_t block = std::max<std::size_t>(1, jacobian_block(net, rows, work));
    const Shape shape = x.one_row ? Shape(values) : Shape(rows, values);
    const Output<T> result = output_for<T>(out, shape, x, net);
    const double passes = 1.0 + static_cast<double>(net.outputs());
    without_gil(passes * forward_work(net, rows),
                [&] { fastrelu::jacobian(net, x.view, block, result.data, result.stride); });
    return result.array;
  });
}

}  // namespace

void bind_row_derivatives(py::module_& m) {
  const py::module_ core = m;
  py::class_<PyNetwork>(core.attr("Network"))
      .def("_jacobian", &jacobian, py::arg("X"), py::arg("out"), py::arg("memory"),
           py::arg("check_finite"));
  py::class_<PyTrainer>(core.attr("Trainer"))
      .def("per_sample_gradients", &per_sample_gradients, py::arg("X"), py::arg("y"),
           py::arg("out"), py::arg("memory"), py::arg("check_finite"));
}

}  // namespace fastrelu::python
