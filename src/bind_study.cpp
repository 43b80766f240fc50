// SPDX-License-Identifier: BSD-3-Clause
// Many runs of SGD from one start.
#include "arrays.h"
#include "bindings.h"
#include "study.h"

namespace fastrelu::python {
namespace {

using Steps = py::array_t<std::int64_t, kInOrder>;
using Reals = py::array_t<double, kInOrder>;

void check_steps(const Steps& at, std::size_t steps, const char* name) {
  std::int64_t before = 0;
  for (py::ssize_t i = 0; i < at.size(); ++i) {
    const std::int64_t k = at.data()[i];
    if (k <= before || k > static_cast<std::int64_t>(steps)) {
      throw py::value_error(std::string(name) + ": expected steps 1.." + std::to_string(steps) +
                            " in ascending order, got " + std::to_string(k));
    }
    before = k;
  }
}

// -> distances (replicates, distance_at), weights (replicates, weights_at, inputs, outputs)
py::tuple study(const py::object& X, const py::object& y, const py::dict& o,
                const Reals& learning_rates, const Reals& start, const Reals& target,
                const Steps& distance_at, const Steps& weights_at) {
  const FpEnvironment environment;
  StudyPlan plan;
  plan.weight_decay = o["weight_decay"].cast<double>();
  plan.batch_size = o["batch_size"].cast<std::size_t>();
  plan.sampling = parse_sampling(o["sampling"].cast<std::string>());
  plan.seed = o["seed"].cast<std::uint64_t>();
  plan.replicates = o["replicates"].cast<std::size_t>();
  plan.steps = static_cast<std::size_t>(learning_rates.size());
  if (start.ndim() != 2 || target.ndim() != 2 || start.shape(0) != target.shape(0) ||
      start.shape(1) != target.shape(1) || start.size() == 0) {
    throw py::value_error("start, target: expected one shape (inputs, outputs)");
  }
  if (plan.batch_size == 0 || plan.replicates == 0 || plan.steps == 0) {
    throw py::value_error("batch_size, replicates, learning_rates: expected at least one");
  }
  check_steps(distance_at, plan.steps, "distance_at");
  check_steps(weights_at, plan.steps, "weights_at");
  const auto inputs = static_cast<std::size_t>(start.shape(0));
  plan.outputs = static_cast<std::size_t>(start.shape(1));
  plan.loss = parse_loss(o["loss"].cast<std::string>(), plan.outputs);
  const Rows x = as_rows<double>(X, "X", inputs, false, true);
  if (x.view.rows == 0) throw py::value_error("X: expected at least one row, got none");
  const auto targets = as_targets<double>(y, x.view.rows, plan.outputs, plan.loss, true);
  const DataSet<double> data{x.view, targets.view, nullptr};
  plan.learning_rates = learning_rates.data();
  plan.start = start.data();
  plan.target = target.data();
  plan.distance_at = distance_at.data();
  plan.distance_count = static_cast<std::size_t>(distance_at.size());
  plan.weights_at = weights_at.data();
  plan.weights_count = static_cast<std::size_t>(weights_at.size());
  const auto replicates = static_cast<py::ssize_t>(plan.replicates);
  Reals distances({replicates, distance_at.size()});
  Reals weights({replicates, weights_at.size(), start.shape(0), start.shape(1)});
  double* const to_distances = distances.mutable_data();
  double* const to_weights = weights.mutable_data();
  Signals signals{py::none(), nullptr};
  {
    const GilReleased release;
    run_study(data, plan, signals.as_poll(), to_distances, to_weights);
  }
  signals.raise();
  return py::make_tuple(distances, weights);
}

}  // namespace

void bind_study(py::module_& m) {
  m.def("study", &study, py::arg("X"), py::arg("y"), py::arg("options"), py::arg("learning_rates"),
        py::arg("start"), py::arg("target"), py::arg("distance_at"), py::arg("weights_at"));
  m.def("replicate_seed", &replicate_seed, py::arg("seed"), py::arg("replicate"));
}

}  // namespace fastrelu::python
