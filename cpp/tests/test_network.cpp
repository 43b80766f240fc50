// SPDX-License-Identifier: BSD-3-Clause
// Passes of a network: the same bits on every instruction set, with any number of threads, for any
// batch, wherever the rows lie.
#include <algorithm>
#include <cmath>

#include "fixtures.h"

namespace fastrelu::tests {
namespace {

template <class T>
std::vector<T> outputs_of(const Network<T>& net, const RowSource& x,
                          const LossKind* link = nullptr) {
  std::vector<T> out(x.rows * net.outputs());
  predict(net, x, out.data(), static_cast<std::ptrdiff_t>(net.outputs()), link);
  return out;
}

template <class T>
std::vector<T> gradients_of(const Network<T>& net, const RowSource& x) {
  const Activations<T> a = forward_cached(net, x);
  std::vector<T> out(x.rows * net.outputs());
  store_outputs(net, a, x.rows, out.data());
  CHECK(same_bits(out, outputs_of(net, x)));
  const std::vector<T> d_out = numbers<T>(out.size(), 16807);
  std::vector<T> gradient(net.parameter_count()), dx(x.rows * net.inputs());
  backward(net, x, a, d_out.data(), gradient.data(), dx.data());
  gradient.insert(gradient.end(), dx.begin(), dx.end());
  return gradient;
}

}  // namespace

TEST(passes_have_equal_bits_everywhere) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    for (const Sizes& sizes :
         {Sizes{1, 1}, Sizes{3, 5, 2}, Sizes{17, 33, 65, 3}, Sizes{2, 300, 1}}) {
      for (const std::size_t rows : Sizes{0, 1, 2, 7, 8, 9, 33, 70}) {
        for (const Activation activation : {Activation::relu, Activation::leaky_relu}) {
          const Context shape(std::to_string(sizes[0]) + " inputs, " + std::to_string(rows) +
                              " rows");
          const auto net = make_network<T>(sizes, activation, rows != 9);
          const std::vector<T> x = numbers<T>(rows * sizes[0]);
          equal_everywhere([&] { return gradients_of(*net, row_source(x, rows, sizes[0])); });
        }
      }
    }
  });
}

TEST(activations_and_links_have_equal_bits_everywhere) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const std::vector<T> x = numbers<T>(21 * 5);
    for (const Activation activation : activations()) {
      const auto net = make_network<T>({5, 19, 6, 3}, activation);
      equal_everywhere([&] { return gradients_of(*net, row_source(x, 21, 5)); });
      for (const LossCase& loss : losses()) {
        for (const std::size_t rows : Sizes{1, 21}) {
          equal_everywhere([&] { return outputs_of(*net, row_source(x, rows, 5), &loss.kind); });
        }
      }
    }
  });
}

TEST(a_row_does_not_depend_on_its_batch) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const auto net = make_network<T>({7, 40, 21, 4}, Activation::relu);
    const std::vector<T> x = numbers<T>(70 * 7);
    const std::vector<T> all = outputs_of(*net, row_source(x, 70, 7));
    for (const std::size_t rows : Sizes{1, 5, 8, 13}) {
      for (std::size_t first = 0; first + rows <= 70; first += rows) {
        RowSource part = row_source(x, rows, 7);
        part.data = x.data() + first * 7;
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first * 4);
        CHECK(same_bits(outputs_of(*net, part),
                        std::vector<T>(begin, begin + static_cast<std::ptrdiff_t>(rows * 4))));
      }
    }
  });
}

TEST(rows_may_lie_anywhere) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const auto net = make_network<T>({5, 9, 2}, Activation::relu, true, T(0.25));
    for (const std::size_t rows : Sizes{1, 6, 40}) {
      std::vector<std::uint8_t> bytes(rows * 5);
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::uint8_t>(whole_number(i, 48271) * 2);
      }
      const std::vector<T> x(bytes.begin(), bytes.end());
      const std::vector<T> plain = outputs_of(*net, row_source(x, rows, 5));
      RowSource as_bytes = row_source(bytes, rows, 5);
      as_bytes.is_uint8 = true;
      CHECK(same_bits(outputs_of(*net, as_bytes), plain));

      std::vector<T> backwards(rows * 8 - 3);  // from the last row to the first, with gaps
      for (std::size_t r = 0; r < rows; ++r) {
        std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(r * 5), 5,
                    backwards.begin() + static_cast<std::ptrdiff_t>((rows - 1 - r) * 8));
      }
      RowSource reversed = row_source(x, rows, 5);
      reversed.data = backwards.data() + (rows - 1) * 8;
      reversed.stride = -8 * static_cast<std::ptrdiff_t>(sizeof(T));
      CHECK(same_bits(outputs_of(*net, reversed), plain));

      std::vector<T> spread(rows * 3 - 1, T(7));  // outputs with a gap behind each row
      predict(*net, row_source(x, rows, 5), spread.data(), 3, nullptr);
      for (std::size_t r = 0; r < rows; ++r) {
        CHECK(spread[3 * r] == plain[2 * r] && spread[3 * r + 1] == plain[2 * r + 1]);
        CHECK(r + 1 == rows || spread[3 * r + 2] == T(7));
      }
    }
  });
}

TEST(linear_relu_is_a_layer) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    for (const std::size_t rows : Sizes{0, 1, 30}) {
      const auto net = make_network<T>({6, 11, 1}, Activation::relu);
      const std::vector<T> x = numbers<T>(rows * 6);
      const Layer& layer = net->layers()[0];
      const T* const p = net->parameters();
      equal_everywhere([&] {
        std::vector<T> out(rows * 11);
        linear_relu(row_source(x, rows, 6), p + layer.weight_offset, p + layer.bias_offset, 11,
                    out.data());
        return out;
      });
    }
  });
}

TEST(gradients_are_differences_of_losses) {
  for (const LossCase& loss : losses()) {
    for (const std::size_t outputs : Sizes{1, 3}) {
      for (const Activation activation : activations()) {
        const Context what(loss.name + ", outputs: " + std::to_string(outputs));
        if (loss.clipped) continue;  // its loss is flat where its gradient is not
        const auto net = make_network<double>({4, 7, 5, outputs}, activation);
        const Table<double> table(11, 4, outputs, true);
        Trainer<double> trainer(net, options_for(loss, OptimizerSpec(), outputs, 11));
        const DataSet<double> data = table.data(loss.kind);
        std::vector<double> gradient(net->parameter_count());
        const double at = trainer.loss_and_gradient(data, gradient.data());
        CHECK(at == trainer.data_loss(data, nullptr));
        constexpr double kStep = 1e-6;
        for (std::size_t i = 0; i < gradient.size(); ++i) {
          double& w = net->parameters()[i];
          const double before = w;
          w = before + kStep;
          const double up = trainer.data_loss(data, nullptr);
          w = before - kStep;
          const double down = trainer.data_loss(data, nullptr);
          w = before;
          CHECK(std::abs((up - down) / (2 * kStep) - gradient[i]) < 1e-7);
        }
      }
    }
  }
}

}  // namespace fastrelu::tests
