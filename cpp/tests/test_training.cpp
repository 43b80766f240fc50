// SPDX-License-Identifier: BSD-3-Clause
// Fits: the same bits on every instruction set, with any number of threads, whoever draws the rows,
// and through any interruption.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "fixtures.h"
#include "fp_environment.h"
#include "passes.h"
#include "step.h"

namespace fastrelu::tests {
namespace {

template <class T>
std::vector<double> as_doubles(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

// Each epoch's loss and then the parameters after epochs of run_epoch.
template <class T>
std::vector<double> fit(const Sizes& sizes, const TrainerOptions& options, const DataSet<T>& data,
                        Sampling sampling, double learning_rate, int epochs) {
  const auto net = make_network<T>(sizes, Activation::relu);
  Trainer<T> trainer(net, options);
  const std::vector<double> rates(trainer.steps_in_epoch(data.x.rows, sampling), learning_rate);
  std::vector<double> found;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    CHECK(trainer.run_epoch(data, sampling, rates.data(), kNoPoll));
    found.push_back(trainer.epoch_loss());
  }
  const std::vector<double> last = as_doubles(parameters_of(*net));
  found.insert(found.end(), last.begin(), last.end());
  return found;
}

// Losses and parameters of `count` steps over all rows, by as many threads as there may be, which
// nobody chooses by measuring.
template <class T>
std::vector<double> steps(const Sizes& sizes, const OptimizerCase& optimizer, double clip_norm,
                          const DataSet<T>& data, int count) {
  const auto net = make_network<T>(sizes, Activation::relu);
  StepOptions options;
  options.clip_norm = clip_norm;
  Optimizer<T> rule(optimizer.spec, net->parameter_count());
  InputScales<T> no_scales(*net, optimizer.spec, 0);
  Step<T> step(*net, rule, no_scales, options);
  StepRun run;
  run.most_rows = data.x.rows;
  run.steps = 100;
  step.begin_run(data, run);
  ReadyStep<T> ready;
  ready.minibatch.rows = {nullptr, 0};
  ready.minibatch.count = data.x.rows;
  ready.minibatch.shards = {{0, data.x.rows}};
  std::vector<double> found;
  for (int i = 0; i < count; ++i) {
    step.begin(ready, optimizer.learning_rate);
    run_parallel(std::min(num_threads(), step.threads()), [&](Team& team, unsigned t) {
      const FpEnvironment environment;
      step.take(ready, team, t);
    });
    found.push_back(step.result().loss);
  }
  const std::vector<double> last = as_doubles(parameters_of(*net));
  found.insert(found.end(), last.begin(), last.end());
  return found;
}

}  // namespace

TEST(gradients_that_one_thread_hands_on_have_equal_bits_everywhere) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const std::vector<std::pair<Sizes, std::size_t>> cases = {
        {{24, 8, 2}, 200}, {{24, 8, 2}, 1100}, {{7, 33, 1}, 264}, {{5, 17, 9, 3}, 500}};
    for (const std::pair<Sizes, std::size_t>& each : cases) {
      const Sizes& sizes = each.first;
      const std::size_t rows = each.second;
      CHECK(hands_on_gradients(*make_network<T>(sizes, Activation::relu), rows, 2));
      const Table<T> table(rows, sizes.front(), sizes.back(), true);
      for (const OptimizerCase& optimizer : optimizers()) {
        for (const double clip_norm : {0.0, 0.1}) {
          const Context what(optimizer.name + ", rows: " + std::to_string(rows));
          const std::vector<double> found = equal_everywhere([&] {
            return steps<T>(sizes, optimizer, clip_norm, table.data(LossKind::squared_error), 5);
          });
          for (const double number : found) CHECK(std::isfinite(number));
          CHECK(found[4] < found[0]);
        }
      }
    }
  });
}

TEST(fits_of_every_optimizer_and_loss_have_equal_bits_everywhere) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const Table<T> table(40, 5, 3, true);
    for (const LossCase& loss : losses()) {
      for (const OptimizerCase& optimizer : optimizers()) {
        const Context what(loss.name + ", " + optimizer.name);
        const TrainerOptions options = options_for(loss, optimizer.spec, 3, 10);
        const DataSet<T> data = table.data(loss.kind);
        const std::vector<double> found = equal_everywhere([&] {  // 52 steps
          return fit({5, 17, 9, 3}, options, data, Sampling::shuffle, optimizer.learning_rate, 13);
        });
        for (const double each : found) CHECK(std::isfinite(each));
        CHECK(found[12] < found[0]);
      }
    }
  });
}

TEST(samplings_shards_clipping_and_dropout_have_equal_bits_everywhere) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const Table<T> table(37, 5, 3);
    const OptimizerSpec adam(OptimizerKind::adam);
    for (const Sampling sampling :
         {Sampling::shuffle, Sampling::subset, Sampling::with_replacement}) {
      for (const std::size_t shards : Sizes{1, 3}) {
        for (const double clip : {0.0, 0.05}) {
          for (const double dropped : {0.0, 0.3}) {
            const Context what("shards: " + std::to_string(shards) + ", clip " +
                               std::to_string(clip) + ", dropout " + std::to_string(dropped));
            TrainerOptions options = options_for(loss_case(LossKind::squared_error), adam, 3, 12);
            options.n_shards = shards;
            options.clip_norm = clip;
            if (dropped > 0) options.dropout = {dropped, 0};
            equal_everywhere([&] {
              return fit({5, 20, 6, 3}, options, table.data(LossKind::squared_error), sampling,
                         0.01, 4);
            });
          }
        }
      }
    }
  });
}

TEST(minibatches_of_a_few_rows_have_equal_bits_everywhere) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const Table<T> table(29, 5, 3);
    for (const Sizes& sizes : {Sizes{5, 3}, Sizes{5, 4, 3}, Sizes{5, 40, 20, 3}}) {
      for (std::size_t batch = 1; batch <= 9; ++batch) {
        for (const OptimizerCase& optimizer : optimizers()) {
          const Context what(std::string(optimizer.name) + ", batch " + std::to_string(batch));
          for (const LossCase& loss :
               {loss_case(LossKind::squared_error), loss_case(LossKind::cross_entropy)}) {
            equal_everywhere([&] {
              return fit(sizes, options_for(loss, optimizer.spec, 3, batch), table.data(loss.kind),
                         Sampling::shuffle, 0.01, 2);
            });
          }
        }
      }
    }
  });
}

TEST(one_input_and_one_output) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const Table<T> table(5, 1, 1);
    for (const LossCase& loss : losses()) {
      if (!loss.pos_weight.empty()) continue;
      const Context what(loss.name);
      const TrainerOptions options = options_for(loss, OptimizerSpec(), 1, 2);
      for (const Sizes& sizes : {Sizes{1, 1}, Sizes{1, 1, 1}}) {
        equal_everywhere(
            [&] { return fit(sizes, options, table.data(loss.kind), Sampling::shuffle, 0.1, 3); });
      }
    }
  });
}

TEST(weights_that_sum_to_zero_take_a_step_without_a_gradient) {
  const auto net = make_network<double>({5, 8, 3}, Activation::relu);
  Table<double> table(6, 5, 3);
  table.weights.assign(6, 0.0);
  OptimizerSpec decayed;
  decayed.weight_decay = 0.5;
  Trainer<double> trainer(net, options_for(loss_case(LossKind::squared_error), decayed, 3, 6));
  const std::vector<double> before = parameters_of(*net);
  CHECK(trainer.step(table.data(LossKind::squared_error), 0.1) == 0.0);
  CHECK(steps_taken(trainer) == 1);
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(std::abs(net->parameters()[i]) <= std::abs(before[i]));
  }
}

namespace {

// Stops after so many steps.
struct Countdown {
  int left;
  static bool count(void* context) { return --static_cast<Countdown*>(context)->left == 0; }
};

}  // namespace

TEST(an_epoch_goes_on_where_it_stopped) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const Table<T> table(37, 5, 3);
    const DataSet<T> data = table.data(LossKind::squared_error);
    for (const OptimizerCase& optimizer : optimizers()) {
      for (const Sampling sampling :
           {Sampling::shuffle, Sampling::subset, Sampling::with_replacement}) {
        const TrainerOptions options =
            options_for(loss_case(LossKind::squared_error), optimizer.spec, 3, 8);
        const std::vector<double> whole = fit({5, 12, 3}, options, data, sampling, 0.01, 2);
        const std::vector<double> rates(5, 0.01);

        const auto net = make_network<T>({5, 12, 3}, Activation::relu);
        Trainer<T> first(net, options);
        CHECK(first.run_epoch(data, sampling, rates.data(), kNoPoll));
        Countdown steps{3};
        CHECK(!first.run_epoch(data, sampling, rates.data(), kNoPoll,
                               Poll{&Countdown::count, &steps}));
        CHECK(first.state.in_epoch && first.state.totals.steps == 3 && steps_taken(first) == 8);

        Trainer<T> second(net, options);  // as from a checkpoint
        go_on_from(first, second);
        CHECK(second.run_epoch(data, sampling, rates.data(), kNoPoll));
        CHECK(second.epoch_loss() == whole[1]);
        CHECK(same_bits(as_doubles(parameters_of(*net)),
                        std::vector<double>(whole.begin() + 2, whole.end())));
      }
    }
  });
}

TEST(an_epoch_that_a_poll_stops) {
  const Poll stop{[](void*) { return true; }, nullptr};
  const TrainerOptions options =
      options_for(loss_case(LossKind::squared_error), OptimizerSpec(), 3, 1);
  // It is asked every 50 ms, so the epoch has to take longer than that.
  for (std::size_t rows = 10000;; rows *= 2) {
    CHECK(rows < 10000000);
    const Table<float> table(rows, 5, 3);
    const DataSet<float> data = table.data(LossKind::squared_error);
    const auto net = make_network<float>({5, 32, 32, 3}, Activation::relu);
    Trainer<float> trainer(net, options);
    const std::vector<double> rates(rows, 1e-4);
    if (trainer.run_epoch(data, Sampling::shuffle, rates.data(), stop)) continue;
    const std::uint64_t place = trainer.state.totals.steps;
    CHECK(trainer.state.in_epoch && place > 0 && place < rows);
    CHECK(trainer.run_epoch(data, Sampling::shuffle, rates.data(), kNoPoll));
    std::vector<double> found = as_doubles(parameters_of(*net));
    found.insert(found.begin(), trainer.epoch_loss());
    const Sizes sizes{5, 32, 32, 3};
    CHECK(same_bits(found, fit(sizes, options, data, Sampling::shuffle, 1e-4, 1)));
    return;
  }
}

TEST(rows_in_a_given_order) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const Table<T> table(37, 5, 3, true);
    std::vector<Index> order(37), same(37);
    std::iota(same.begin(), same.end(), Index{0});
    for (std::size_t i = 0; i < 37; ++i) order[i] = static_cast<Index>(i * 11 % 37);
    const std::vector<double> rates(5, 0.02);
    const auto run = [&](const Index* rows, double alpha) {
      const auto net = make_network<T>({5, 12, 3}, Activation::tanh);
      Trainer<T> trainer(net, options_for(loss_case(LossKind::cross_entropy),
                                          OptimizerSpec(OptimizerKind::adam), 3, 8));
      const GivenOrder given{rows, 37, 8, alpha};
      Totals totals;
      CHECK(trainer.run_ordered(table.data(LossKind::cross_entropy), given, rates.data(), kNoPoll,
                                &totals));
      CHECK(totals.steps == 5 && (totals.penalty > 0) == (alpha > 0));
      std::vector<double> found = as_doubles(parameters_of(*net));
      found.push_back(totals.loss);
      found.push_back(totals.penalty);
      return found;
    };
    for (const double alpha : {0.0, 0.1}) {
      equal_everywhere([&] { return run(order.data(), alpha); });
      CHECK(same_bits(run(nullptr, alpha), run(same.data(), alpha)));
    }
  });
}

TEST(an_epoch_in_blocks) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const Table<T> table(37, 5, 3);
    std::vector<Index> order(37);
    for (std::size_t i = 0; i < 37; ++i) order[i] = static_cast<Index>(i * 11 % 37);
    const std::vector<double> rates(5, 0.02);
    const auto run = [&](const Sizes& blocks) {
      const auto net = make_network<T>({5, 12, 3}, Activation::relu);
      Trainer<T> trainer(
          net, options_for(loss_case(LossKind::squared_error), optimizers()[1].spec, 3, 8));
      std::size_t first = 0;
      for (const std::size_t count : blocks) {
        const Block block{order.data() + first, count, 37};
        CHECK(trainer.run_block(table.data(LossKind::squared_error), block, rates.data(), kNoPoll));
        first += count;
      }
      CHECK(!trainer.state.in_epoch && steps_taken(trainer) == 5 && trainer.state.epoch == 1);
      std::vector<double> found = as_doubles(parameters_of(*net));
      found.push_back(trainer.epoch_loss());
      return found;
    };
    const std::vector<double> whole = equal_everywhere([&] { return run({37}); });
    CHECK(same_bits(whole, run({8, 8, 16, 5})));
  });
}

TEST(losses_in_parts_are_those_of_the_whole) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const auto net = make_network<T>({5, 12, 3}, Activation::relu);
    const Table<T> table(37, 5, 3, true);
    for (const LossCase& loss : losses()) {
      const Trainer<T> trainer(net, options_for(loss, OptimizerSpec(), 3, 8));
      const DataSet<T> all = table.data(loss.kind);
      std::vector<T> outputs(37 * 3);
      const double whole = trainer.data_loss(all, outputs.data());
      LossSums sums;
      for (std::size_t first = 0; first < 37; first += 10) {
        DataSet<T> part = all;
        part.x = row_source(table.x, std::min<std::size_t>(10, 37 - first), 5);
        part.x.data = table.x.data() + first * 5;
        if (part.targets.values != nullptr) part.targets.values += first * 3;
        if (part.targets.labels != nullptr) part.targets.labels += first;
        part.weights += first;
        std::vector<T> some(part.x.rows * 3);
        trainer.add_losses(part, some.data(), &sums);
        CHECK(std::equal(some.begin(), some.end(),
                         outputs.begin() + static_cast<std::ptrdiff_t>(first * 3)));
      }
      CHECK(sums.loss / sums.weight == whole);
    }
  });
}

}  // namespace fastrelu::tests
