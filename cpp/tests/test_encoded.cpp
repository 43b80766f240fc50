// SPDX-License-Identifier: BSD-3-Clause
// Encoded rows: the same bits everywhere, and the numbers of the same rows written out.
#include <cmath>

#include "fixtures.h"

namespace fastrelu::tests {
namespace {

// Rows by runs, both ways: ramps of 9, 1 and 4 inputs, others of 1 and 5. Some rows hold nothing.
template <class T>
struct EncodedTable {
  std::size_t rows, cols = 20;
  std::vector<std::uint32_t> starts{0, 9, 10, 14, 15, 20};
  std::vector<std::uint8_t> ramps{1, 1, 1, 0, 0};
  std::vector<std::uint16_t> positions;
  std::vector<T> dense, values;
  EncodedSource encoded;

  explicit EncodedTable(std::size_t n) : rows(n), dense(n * cols) {
    const std::size_t runs = ramps.size();
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t k = 0; k < runs; ++k) {
        const std::size_t i = r * runs + k, width = starts[k + 1] - starts[k];
        const bool nothing = r % 7 == 3;
        const std::size_t p = nothing ? 0 : whole_number(i, 48271) % width;
        const T value = nothing ? T(0) : static_cast<T>(whole_number(i, 16807)) / 97;
        T* const run = dense.data() + r * cols + starts[k];
        for (std::size_t u = 0; u < p; ++u) run[u] = ramps[k];
        run[p] = value;
        positions.push_back(static_cast<std::uint16_t>(p));
        values.push_back(value);
      }
    }
    encoded = {runs, starts.data(), ramps.data(), positions.data(), values.data()};
  }
  EncodedTable(const EncodedTable&) = delete;
  EncodedTable& operator=(const EncodedTable&) = delete;

  RowSource source(bool by_runs) const {
    if (!by_runs) return row_source(dense, rows, cols);
    RowSource x;
    x.rows = rows;
    x.cols = cols;
    x.encoded = &encoded;
    return x;
  }
};

template <class T>
void check_near(const std::vector<T>& a, const std::vector<T>& b) {
  CHECK(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) < T(1e-4));
}

}  // namespace

TEST(encoded_rows_predict_as_dense_ones) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    for (const std::size_t rows : Sizes{0, 1, 5, 300}) {
      const EncodedTable<T> table(rows);
      for (const Activation activation : activations()) {
        const auto net = make_network<T>({20, 70, 6, 2}, activation);
        const auto run = [&](bool by_runs) {
          std::vector<T> out(rows * 2);
          predict(*net, table.source(by_runs), out.data(), 2, nullptr);
          return out;
        };
        check_near(equal_everywhere([&] { return run(true); }), run(false));
      }
    }
  });
}

TEST(encoded_rows_train_as_dense_ones) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const EncodedTable<T> table(60);
    const Table<T> targets(60, 20, 3, true);
    for (const std::size_t batch : Sizes{1, 7, 20}) {
      for (const OptimizerCase& optimizer : optimizers()) {
        for (const std::size_t shards : Sizes{1, 4}) {
          if (batch < shards) continue;
          const Context what(std::string(optimizer.name) + ", batch " + std::to_string(batch));
          const auto run = [&](bool by_runs) {
            const auto net = make_network<T>({20, 37, 3}, Activation::relu);
            TrainerOptions options =
                options_for(loss_case(LossKind::cross_entropy), optimizer.spec, 3, batch);
            options.n_shards = shards;
            options.clip_norm = shards == 1 ? 0 : 0.1;
            options.input_scale_rate = batch == 7 ? 2 : 0;
            Trainer<T> trainer(net, options);
            DataSet<T> data = targets.data(LossKind::cross_entropy);
            data.x = table.source(by_runs);
            const std::vector<double> rates(trainer.steps_in_epoch(60, Sampling::shuffle), 0.01);
            for (int epoch = 0; epoch < 2; ++epoch) {
              CHECK(trainer.run_epoch(data, Sampling::shuffle, rates.data(), kNoPoll));
            }
            return parameters_of(*net);
          };
          const std::vector<T> encoded = equal_everywhere([&] { return run(true); });
          // Where a rule divides by what may be nearly 0, roundings do not stay small.
          if (optimizer.spec.kind == OptimizerKind::sgd) check_near(encoded, run(false));
        }
      }
    }
  });
}

TEST(gradients_of_encoded_rows_in_blocks) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const EncodedTable<T> table(2100);
    const Table<T> targets(2100, 20, 3, true);
    const auto run = [&](bool by_runs) {
      const auto net = make_network<T>({20, 33, 3}, Activation::relu);
      OptimizerSpec sgd(OptimizerKind::sgd);
      Trainer<T> trainer(net, options_for(loss_case(LossKind::cross_entropy), sgd, 3, 2100));
      DataSet<T> data = targets.data(LossKind::cross_entropy);
      data.x = table.source(by_runs);
      std::vector<T> gradient(net->parameter_count());
      trainer.loss_and_gradient(data, gradient.data());
      trainer.step(data, 0.1);
      const std::vector<T> after = parameters_of(*net);
      gradient.insert(gradient.end(), after.begin(), after.end());
      return gradient;
    };
    check_near(equal_everywhere([&] { return run(true); }), run(false));
  });
}

}  // namespace fastrelu::tests
