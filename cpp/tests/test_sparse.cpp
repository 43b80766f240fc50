// SPDX-License-Identifier: BSD-3-Clause
// Sparse rows: the same numbers as the dense rows with zeros between them.
#include "fixtures.h"

namespace fastrelu::tests {
namespace {

// Rows with most entries 0, both ways. Some rows and columns have no entry at all.
template <class T>
struct SparseRows {
  std::size_t rows, cols;
  std::vector<T> dense, values;
  std::vector<std::int32_t> columns, narrow{0};
  std::vector<std::int64_t> wide{0};
  CsrSource csr;

  SparseRows(std::size_t n, std::size_t width, bool wide_pointers)
      : rows(n), cols(width), dense(n * width) {
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t c = 0; c < width; ++c) {
        if (whole_number(r * width + c, 48271) >= 12 || r % 7 == 3 || c == 2) continue;
        const T value = static_cast<T>(whole_number(r * width + c, 16807)) / 64 - T(0.5);
        dense[r * width + c] = value;
        values.push_back(value);
        columns.push_back(static_cast<std::int32_t>(c));
      }
      narrow.push_back(static_cast<std::int32_t>(values.size()));
      wide.push_back(static_cast<std::int64_t>(values.size()));
    }
    csr.values = values.data();
    csr.columns = columns.data();
    csr.wide_pointers = wide_pointers;
    if (wide_pointers) {
      csr.pointers = wide.data();
    } else {
      csr.pointers = narrow.data();
    }
  }
  SparseRows(const SparseRows&) = delete;
  SparseRows& operator=(const SparseRows&) = delete;

  RowSource source(bool sparse) const {
    RowSource x = row_source(dense, rows, cols);
    if (sparse) {
      x = RowSource();
      x.rows = rows;
      x.cols = cols;
      x.sparse = &csr;
    }
    return x;
  }
};

template <class T>
void check_equal_numbers(const std::vector<T>& a, const std::vector<T>& b) {  // -0 == +0
  CHECK(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == b[i]);
}

}  // namespace

TEST(sparse_rows_predict_as_dense_ones) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    for (const std::size_t rows : Sizes{0, 1, 5, 60}) {
      const SparseRows<T> table(rows, 30, rows != 5);
      for (const Activation activation : activations()) {
        const auto net = make_network<T>({30, 17, 6, 2}, activation, true, T(0.5));
        const auto run = [&](bool sparse) {
          const RowSource x = table.source(sparse);
          std::vector<T> out(rows * 2), gradient(net->parameter_count()), dx(rows * 30);
          predict(*net, x, out.data(), 2, nullptr);
          const Activations<T> a = forward_cached(*net, x);
          const std::vector<T> d_out = numbers<T>(rows * 2, 16807);
          backward(*net, x, a, d_out.data(), gradient.data(), dx.data());
          out.insert(out.end(), gradient.begin(), gradient.end());
          out.insert(out.end(), dx.begin(), dx.end());
          return out;
        };
        check_equal_numbers(equal_everywhere([&] { return run(true); }), run(false));
      }
    }
  });
}

TEST(sparse_rows_train_as_dense_ones) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const SparseRows<T> table(60, 30, false);
    const Table<T> targets(60, 30, 3, true);
    for (const std::size_t batch : Sizes{1, 7, 20}) {
      for (const OptimizerCase& optimizer : optimizers()) {
        for (const Sampling sampling : {Sampling::shuffle, Sampling::with_replacement}) {
          for (const std::size_t shards : Sizes{1, 4}) {
            if (batch < shards) continue;
            const Context what(std::string(optimizer.name) + ", batch " + std::to_string(batch));
            const auto run = [&](bool sparse) {
              const auto net = make_network<T>({30, 17, 3}, Activation::relu);
              TrainerOptions options =
                  options_for(loss_case(LossKind::cross_entropy), optimizer.spec, 3, batch);
              options.n_shards = shards;
              options.clip_norm = shards == 1 ? 0 : 0.1;
              Trainer<T> trainer(net, options);
              DataSet<T> data = targets.data(LossKind::cross_entropy);
              data.x = table.source(sparse);
              const std::vector<double> rates(trainer.steps_in_epoch(60, sampling), 0.01);
              for (int epoch = 0; epoch < 2; ++epoch) {
                CHECK(trainer.run_epoch(data, sampling, rates.data(), kNoPoll));
              }
              return parameters_of(*net);
            };
            check_equal_numbers(equal_everywhere([&] { return run(true); }), run(false));
          }
        }
      }
    }
  });
}

}  // namespace fastrelu::tests
