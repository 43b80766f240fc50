// SPDX-License-Identifier: BSD-3-Clause
// The catalogue's tables as Python reads them, and its names as the core's kinds.
#include "bindings.h"
#include "catalogue.h"

namespace fastrelu::python {
namespace {

const char* name_of(Link link) {
  switch (link) {
    case Link::identity: return "identity";
    case Link::softmax: return "softmax";
    case Link::logistic: return "logistic";
    case Link::log: return "log";
    case Link::ordered: return "ordered";
  }
  return "";
}
const char* name_of(Task task) {
  switch (task) {
    case Task::regression: return "regression";
    case Task::classification: return "classification";
    case Task::multilabel: return "multilabel";
    case Task::quantiles: return "quantiles";
  }
  return "";
}
const char* name_of(Metric metric) {
  switch (metric) {
    case Metric::r2: return "r2";
    case Metric::accuracy: return "accuracy";
    case Metric::d2: return "d2";
  }
  return "";
}

// None without a parameter.
py::object as_python(const Parameter& parameter) {
  if (parameter.name == nullptr) return py::none();
  return py::dict(py::arg("name") = parameter.name, py::arg("initial") = parameter.initial,
                  py::arg("low") = parameter.low, py::arg("high") = parameter.high,
                  py::arg("with_low") = parameter.with_low,
                  py::arg("with_high") = parameter.with_high);
}
py::object as_python(const Domain& domain) {
  return py::dict(py::arg("name") = domain.name, py::arg("text") = domain.text,
                  py::arg("labels") = domain.labels, py::arg("low") = domain.low,
                  py::arg("high") = domain.high, py::arg("open_low") = domain.open_low);
}
py::object as_python(const LossInfo& loss) {
  return py::dict(py::arg("name") = loss.name, py::arg("task") = name_of(loss.task),
                  py::arg("link") = name_of(loss.link), py::arg("domain") = as_python(loss.domain),
                  py::arg("metric") = name_of(loss.metric),
                  py::arg("averaged") = loss.over_outputs == OverOutputs::mean,
                  py::arg("least_outputs") = loss.least_outputs,
                  py::arg("has_pos_weight") = loss.has_pos_weight,
                  py::arg("has_levels") = loss.has_levels,
                  py::arg("parameter") = as_python(loss.parameter));
}
py::object as_python(const ActivationInfo& activation) {
  return py::dict(py::arg("name") = activation.name,
                  py::arg("piecewise_linear") = activation.piecewise_linear,
                  py::arg("slope") = activation.slope);
}

py::object as_python(const OptimizerInfo& optimizer) {
  py::list numbers;
  for (const Parameter& each : optimizer.numbers) {
    if (each.name != nullptr) numbers.append(as_python(each));
  }
  return py::dict(py::arg("name") = optimizer.name,
                  py::arg("decoupled") = optimizer.decay == Decay::decoupled,
                  py::arg("learning_rate") = optimizer.learning_rate, py::arg("numbers") = numbers);
}

template <class Row, std::size_t N>
py::list as_list(const Row (&rows)[N]) {
  py::list list;
  for (const Row& row : rows) list.append(as_python(row));
  return list;
}

py::dict catalogue() {
  return py::dict(py::arg("losses") = as_list(kLosses),
                  py::arg("activations") = as_list(kActivations),
                  py::arg("optimizers") = as_list(kOptimizers));
}

// The row of this name; an error that names the argument and the names that there are.
template <class Row, std::size_t N>
const Row& find(const Row (&rows)[N], const char* argument, const std::string& name) {
  std::string known;
  for (const Row& row : rows) {
    if (name == row.name) return row;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw py::value_error(std::string(argument) + ": expected one of " + known + ", got " + name);
}

}  // namespace

Activation parse_activation(const std::string& name) {
  return find(kActivations, "activation", name).kind;
}

OptimizerKind parse_optimizer(const std::string& name) {
  return find(kOptimizers, "optimizer", name).kind;
}

LossKind parse_loss(const std::string& name, std::size_t outputs) {
  const LossInfo& loss = find(kLosses, "loss", name);
  if (outputs >= loss.least_outputs) return loss.kind;
  std::string others;
  for (const LossInfo& other : kLosses) {
    if (other.metric != loss.metric || outputs < other.least_outputs) continue;
    others += (others.empty() ? "; use " : " or ") + std::string(other.name);
  }
  throw py::value_error("loss: " + name + " needs at least " + std::to_string(loss.least_outputs) +
                        " outputs, one for each class, and the network has " +
                        std::to_string(outputs) + others);
}

void bind_catalogue(py::module_& m) { m.def("catalogue", &catalogue); }

}  // namespace fastrelu::python
