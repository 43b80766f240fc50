// SPDX-License-Identifier: BSD-3-Clause
#if __has_include("fastrelu/model.h")
#include "fastrelu/model.h"
#else  // each file of the core compiles by itself, without CMake's include folders
#include "../python/fastrelu/include/fastrelu/model.h"
#endif

#include <cmath>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "dispatch.h"
#include "fp_environment.h"
#include "predict.h"
#include "thread_pool.h"
#include "trainer.h"

namespace fastrelu {
namespace {

template <class Row, std::size_t N>
const Row& row_named(const Row (&rows)[N], const char* what, const std::string& name) {
  std::string known;
  for (const Row& row : rows) {
    if (name == row.name) return row;
    known += std::string(known.empty() ? "" : ", ") + row.name;
  }
  throw std::invalid_argument(std::string(what) + ": expected one of " + known + ", got " + name);
}

void check_sizes(const std::vector<std::size_t>& sizes) {
  bool right = sizes.size() >= 2;
  for (const std::size_t size : sizes) right = right && size >= 1;
  if (!right) throw std::invalid_argument("sizes: expected at least two, each 1 or more");
}

template <class T>
std::shared_ptr<Network<T>> make_network(const ModelOptions& options) {
  check_sizes(options.sizes);
  const Activation activation = row_named(kActivations, "activation", options.activation).kind;
  const std::vector<Activation> hidden(options.sizes.size() - 2, activation);
  auto net = std::make_shared<Network<T>>(options.sizes, hidden, options.bias, T(1));
  net->initialize(Init::he_uniform, options.seed);
  return net;
}

// Once in a process: what the environment asks for, as the package's import does it.
void select_kernels() {
  static const bool selected = (select_isa_from_environment(), true);
  static_cast<void>(selected);
}

TrainerOptions trainer_options(const FitOptions& options, const LossInfo& loss,
                               const OptimizerInfo& optimizer) {
  TrainerOptions made;
  made.loss.kind = loss.kind;
  made.loss.parameter = loss.parameter.initial;
  made.optimizer = OptimizerSpec(optimizer.kind);
  if (options.momentum != 0) made.optimizer.momentum = options.momentum;
  if (options.weight_decay >= 0) made.optimizer.weight_decay = options.weight_decay;
  made.batch_size = options.batch_size;
  made.seed = options.seed;
  return made;
}

std::string text(double number) {
  std::ostringstream out;
  out << number;
  return out.str();
}

void check_number(const char* name, double got, const char* expected, bool right) {
  if (right) return;
  throw std::invalid_argument(std::string(name) + ": expected " + expected + ", got " + text(got));
}

void check_options(const FitOptions& options, const OptimizerInfo& optimizer) {
  const double rate = options.learning_rate, momentum = options.momentum;
  check_number("learning_rate", rate, "a finite number above 0, or 0 for the optimizer's usual one",
               std::isfinite(rate) && rate >= 0);
  check_number("momentum", momentum, "a number in [0, 1]", momentum >= 0 && momentum <= 1);
  check_number("weight_decay", options.weight_decay,
               "a finite number, below 0 for the optimizer's usual one",
               std::isfinite(options.weight_decay));
  if (momentum != 0 && optimizer.kind != OptimizerKind::sgd) {
    throw std::invalid_argument(std::string("momentum: is sgd's, got ") + text(momentum) + " for " +
                                optimizer.name);
  }
  if (options.batch_size == 0) throw std::invalid_argument("batch_size: expected 1 or more, got 0");
}

std::string in_row(std::size_t place, std::size_t columns) {
  return " in row " + std::to_string(place / columns) + ", column " +
         std::to_string(place % columns);
}

template <class T>
void check_finite(const T* x, std::size_t rows, std::size_t inputs) {
  for (std::size_t i = 0; i < rows * inputs; ++i) {
    if (std::isfinite(x[i])) continue;
    throw std::invalid_argument("x: expected finite numbers, got " + text(double(x[i])) +
                                in_row(i, inputs));
  }
}

template <class T>
void check_targets(const Targets<T>& targets, std::size_t rows, std::size_t outputs,
                   const LossInfo& loss) {
  for (std::size_t r = 0; targets.labels != nullptr && r < rows; ++r) {
    const std::int64_t label = targets.labels[r];
    if (label >= 0 && static_cast<std::uint64_t>(label) < outputs) continue;
    throw std::invalid_argument("labels: expected 0 .. " + std::to_string(outputs - 1) + ", got " +
                                std::to_string(label) + " in row " + std::to_string(r));
  }
  for (std::size_t i = 0; targets.values != nullptr && i < rows * outputs; ++i) {
    const T y = targets.values[i];
    if (std::isfinite(y) && loss.domain.holds(y)) continue;
    throw std::invalid_argument(std::string("y: expected finite ") + loss.domain.text + " for " +
                                loss.name + ", got " + text(double(y)) + in_row(i, outputs));
  }
}

}  // namespace

template <class T>
struct Model<T>::Impl {
  std::shared_ptr<Network<T>> net;

  RowSource rows(const T* x, std::size_t count) const {
    const std::size_t inputs = net->inputs();
    return {x, count, inputs, static_cast<std::ptrdiff_t>(inputs * sizeof(T)), false, nullptr};
  }
  std::vector<double> fit(const T* x, const Targets<T>& targets, std::size_t count,
                          const FitOptions& options);
  void check(const LossInfo& loss, const Targets<T>& targets, std::size_t count) const;
};

template <class T>
void Model<T>::Impl::check(const LossInfo& loss, const Targets<T>& targets,
                           std::size_t count) const {
  const std::string named = std::string("loss: ") + loss.name;
  if (loss.domain.labels != (targets.labels != nullptr)) {
    throw std::invalid_argument(
        named + (loss.domain.labels ? " takes labels, got numbers" : " takes numbers, got labels"));
  }
  if (net->outputs() < loss.least_outputs) {
    throw std::invalid_argument(named + " needs at least " + std::to_string(loss.least_outputs) +
                                " outputs, the model has " + std::to_string(net->outputs()));
  }
  if (loss.has_levels) throw std::invalid_argument(named + " is not for this interface");
  if (count == 0) throw std::invalid_argument("rows: expected at least one, got none");
}

template <class T>
std::vector<double> Model<T>::Impl::fit(const T* x, const Targets<T>& targets, std::size_t count,
                                        const FitOptions& options) {
  const FpEnvironment environment;
  const LossInfo& loss = row_named(kLosses, "loss", options.loss);
  const OptimizerInfo& optimizer = row_named(kOptimizers, "optimizer", options.optimizer);
  check_options(options, optimizer);
  check(loss, targets, count);
  check_finite(x, count, net->inputs());
  check_targets(targets, count, net->outputs(), loss);
  Trainer<T> trainer(net, trainer_options(options, loss, optimizer));
  const DataSet<T> data{rows(x, count), targets, nullptr};
  const double rate = options.learning_rate > 0 ? options.learning_rate : optimizer.learning_rate;
  const std::vector<double> rates(trainer.steps_in_epoch(count, Sampling::shuffle), rate);
  std::vector<double> losses;
  losses.reserve(options.epochs);
  for (std::size_t epoch = 0; epoch < options.epochs; ++epoch) {
    const bool finished = trainer.run_epoch(data, Sampling::shuffle, rates.data(), Poll{});
    if (!finished || !trainer.keep_finite()) {
      throw std::runtime_error("fit: the numbers of epoch " + std::to_string(epoch + 1) +
                               " are not finite; try a lower learning rate");
    }
    losses.push_back(trainer.epoch_loss());
  }
  return losses;
}

template <class T>
Model<T>::Model(const ModelOptions& options) {
  select_kernels();
  const FpEnvironment environment;
  impl_ = std::make_unique<Impl>(Impl{make_network<T>(options)});
}
template <class T>
Model<T>::~Model() = default;
template <class T>
Model<T>::Model(Model&&) noexcept = default;
template <class T>
Model<T>& Model<T>::operator=(Model&&) noexcept = default;

template <class T>
std::size_t Model<T>::inputs() const noexcept {
  return impl_->net->inputs();
}
template <class T>
std::size_t Model<T>::outputs() const noexcept {
  return impl_->net->outputs();
}
template <class T>
std::size_t Model<T>::parameter_count() const noexcept {
  return impl_->net->parameter_count();
}
template <class T>
T* Model<T>::parameters() noexcept {
  return impl_->net->parameters();
}
template <class T>
const T* Model<T>::parameters() const noexcept {
  return impl_->net->parameters();
}

template <class T>
void Model<T>::forward(const T* x, std::size_t rows, T* out) const {
  if (rows == 0) return;
  const FpEnvironment environment;
  const Network<T>& net = *impl_->net;
  predict(net, impl_->rows(x, rows), out, static_cast<std::ptrdiff_t>(net.outputs()), nullptr);
}

template <class T>
std::vector<double> Model<T>::fit(const T* x, const T* y, std::size_t rows,
                                  const FitOptions& options) {
  return impl_->fit(x, {y, nullptr}, rows, options);
}
template <class T>
std::vector<double> Model<T>::fit(const T* x, const std::int64_t* labels, std::size_t rows,
                                  const FitOptions& options) {
  return impl_->fit(x, {nullptr, labels}, rows, options);
}

template class Model<float>;
template class Model<double>;

void set_thread_count(unsigned threads) { set_num_threads(threads); }
unsigned thread_count() { return num_threads(); }
std::string instruction_set() {
  select_kernels();
  return active_isa();
}

}  // namespace fastrelu
