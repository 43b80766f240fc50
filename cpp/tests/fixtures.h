// SPDX-License-Identifier: BSD-3-Clause
// Networks, rows and targets for the tests: from formulas, so that every run has the same ones.
// Vectors have exactly the size that the core may touch, so that a sanitizer sees a step beyond.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "dispatch.h"
#include "predict.h"
#include "thread_pool.h"
#include "trainer.h"

namespace fastrelu::tests {

using Sizes = std::vector<std::size_t>;

inline std::vector<Activation> activations() {
  std::vector<Activation> kinds;
  for (const ActivationInfo& each : kActivations) kinds.push_back(each.kind);
  return kinds;
}

// A loss with the numbers that it takes.
struct LossCase {
  std::string name;
  LossKind kind;
  std::vector<double> pos_weight;
  double parameter;
  bool clipped;
};

// Within its limits, and not what it is by default.
inline double inside(const Parameter& parameter) {
  if (parameter.name == nullptr) return 0;
  const double width = std::min(parameter.high - parameter.low, 1.0);
  return parameter.low + (parameter.initial == parameter.low + 0.4 * width ? 0.6 : 0.4) * width;
}

// Every loss of the catalogue, the cross entropies in all their forms.
inline std::vector<LossCase> losses() {
  std::vector<LossCase> cases;
  for (const LossInfo& each : kLosses) {
    const std::string name = each.name;
    cases.push_back({name, each.kind, {}, inside(each.parameter), false});
    if (each.has_pos_weight) {
      cases.push_back({name + ", pos_weight", each.kind, {0.5, 2, 3}, 0, false});
    }
    if (each.metric == Metric::accuracy) {
      cases.push_back({name + ", clipped", each.kind, {}, 0, true});
    }
  }
  return cases;
}
inline LossCase loss_case(LossKind kind) {
  return {info(kind).name, kind, {}, inside(info(kind).parameter), false};
}

struct OptimizerCase {
  std::string name;
  OptimizerSpec spec;
  double learning_rate;
};
// Every optimizer of the catalogue, with weight decay, SGD also without it and in its other forms.
inline std::vector<OptimizerCase> optimizers() {
  OptimizerSpec plain(OptimizerKind::sgd), momentum(OptimizerKind::sgd);
  momentum.momentum = 0.9;
  OptimizerSpec nesterov = momentum;
  nesterov.nesterov = true;
  std::vector<OptimizerCase> cases = {
      {"plain sgd", plain, 0.05}, {"momentum", momentum, 0.01}, {"nesterov", nesterov, 0.01}};
  for (const OptimizerInfo& each : kOptimizers) {
    OptimizerSpec spec(each.kind);
    spec.weight_decay = 0.01;
    cases.push_back({each.name, spec, each.kind == OptimizerKind::sgd ? 0.05 : 0.01});
  }
  return cases;
}

// i times a step, between 0 and 96.
inline std::uint64_t whole_number(std::size_t i, std::uint64_t step) {
  return static_cast<std::uint64_t>(i) * step % 1000003 % 97;
}

// n numbers from -0.75 to 0.75.
template <class T>
std::vector<T> numbers(std::size_t n, std::uint64_t step = 48271) {
  std::vector<T> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = static_cast<T>(static_cast<double>(whole_number(i, step)) / 64 - 0.75);
  }
  return values;
}

template <class T>
RowSource row_source(const std::vector<T>& x, std::size_t rows, std::size_t cols) {
  RowSource source;
  source.data = x.data();
  source.rows = rows;
  source.cols = cols;
  source.stride = static_cast<std::ptrdiff_t>(cols * sizeof(T));
  return source;
}

template <class T>
std::shared_ptr<Network<T>> make_network(const Sizes& sizes, Activation activation,
                                         bool bias = true, T scale = 1) {
  auto net = std::make_shared<Network<T>>(
      sizes, std::vector<Activation>(sizes.size() - 2, activation), bias, scale);
  net->initialize(Init::he_uniform, 5);
  for (const Layer& layer : net->layers()) {
    for (std::size_t o = 0; bias && o < layer.fan_out; ++o) {
      net->parameters()[layer.bias_offset + o] =
          static_cast<T>(static_cast<double>(whole_number(o, 40503)) / 256 - 0.15);
    }
  }
  return net;
}

template <class T>
std::vector<T> parameters_of(const Network<T>& net) {
  return {net.parameters(), net.parameters() + net.parameter_count()};
}

// Rows with targets of 0 and 1, or labels; where a loss takes no 0, targets of 0.5 and 1.
template <class T>
struct Table {
  std::size_t rows, cols, outputs;
  std::vector<T> x, y, positive;
  std::vector<std::int64_t> labels;
  std::vector<double> weights;

  Table(std::size_t n, std::size_t inputs, std::size_t targets, bool weighted = false)
      : rows(n), cols(inputs), outputs(targets), x(numbers<T>(n * inputs)) {
    for (std::size_t i = 0; i < n * targets; ++i) {
      y.push_back(static_cast<T>(whole_number(i, 69621) % 2));
      positive.push_back(y.back() > 0 ? T(1) : T(0.5));
    }
    for (std::size_t r = 0; r < n; ++r) {
      labels.push_back(static_cast<std::int64_t>(whole_number(r, 69621) % targets));
      if (weighted) weights.push_back(static_cast<double>(whole_number(r, 16807) % 5));
    }
  }
  DataSet<T> data(LossKind loss) const {
    DataSet<T> set;
    set.x = row_source(x, rows, cols);
    if (takes_labels(loss)) {
      set.targets.labels = labels.data();
    } else {
      set.targets.values = info(loss).domain.open_low ? positive.data() : y.data();
    }
    set.weights = weights.empty() ? nullptr : weights.data();
    return set;
  }
};

inline TrainerOptions options_for(const LossCase& loss, const OptimizerSpec& optimizer,
                                  std::size_t outputs, std::size_t batch_size) {
  TrainerOptions options;
  options.loss.kind = loss.kind;
  options.loss.pos_weight = loss.pos_weight;
  if (!loss.pos_weight.empty()) options.loss.pos_weight.resize(outputs, 1.5);
  options.loss.parameter = loss.parameter;
  options.loss.clipped = loss.clipped;
  options.optimizer = optimizer;
  options.batch_size = batch_size;
  options.seed = 4;
  return options;
}

template <class T>
std::uint64_t steps_taken(Trainer<T>& trainer) {
  return trainer.optimizer().progress.step;
}

// Brings `to` where `from` is, but for the parameters, as a checkpoint does.
template <class T>
void go_on_from(Trainer<T>& from, Trainer<T>& to) {
  to.state = from.state;
  to.optimizer().progress = from.optimizer().progress;
  for (std::size_t k = 0; k < from.optimizer().spec().state_count(); ++k) {
    std::copy_n(from.optimizer().state().array(k), from.network()->parameter_count(),
                to.optimizer().state().array(k));
  }
}

inline constexpr Poll kNoPoll{nullptr, nullptr};

// f(T()) for float and double.
template <class F>
void for_each_dtype(F f) {
  {
    const Context dtype("float32");
    f(float());
  }
  {
    const Context dtype("float64");
    f(double());
  }
}

// The vectors that make() returns are the same bits on every instruction set that runs here and
// with one thread and two; returns them.
template <class Make>
auto equal_everywhere(Make make) {
  const std::string before = active_isa();
  const unsigned threads_before = num_threads();
  decltype(make()) first;
  bool is_first = true;
  for (const std::string& isa : available_isas()) {
    for (const unsigned threads : {1u, 2u}) {
      const Context where(isa + ", threads: " + std::to_string(threads));
      select_isa(isa);
      set_num_threads(threads);
      auto found = make();
      if (is_first) first = found;
      is_first = false;
      CHECK(same_bits(found, first));
    }
  }
  select_isa(before);
  set_num_threads(threads_before);
  return first;
}

}  // namespace fastrelu::tests
