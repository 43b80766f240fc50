// SPDX-License-Identifier: BSD-3-Clause
// Trains 1-32-32-1 on a sine and prints what it learned, then the parameters' bits: on any machine
// the same, and the same as those of the Python package (tests/test_cpp_package.py).
#include <fastrelu/model.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

int main() {
  const std::size_t rows = 512;
  std::vector<float> x(rows), y(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    x[r] = static_cast<float>(r) / 256.0f - 1.0f;
    y[r] = x[r] * (1.0f - x[r] * x[r]);  // close to a sine, and exact in every libm
  }

  fastrelu::ModelOptions shape;
  shape.sizes = {1, 32, 32, 1};
  shape.seed = 1;
  fastrelu::Model<float> model(shape);
  fastrelu::FitOptions fit;
  fit.optimizer = "adam";
  fit.learning_rate = 0.003;
  fit.epochs = 60;
  fit.seed = 2;
  const std::vector<double> losses = model.fit(x.data(), y.data(), rows, fit);

  std::vector<float> out(rows);
  model.forward(x.data(), rows, out.data());
  float worst = 0;
  for (std::size_t r = 0; r < rows; ++r) worst = std::fmax(worst, std::fabs(out[r] - y[r]));
  std::printf("kernels %s, %u threads\n", fastrelu::instruction_set().c_str(),
              fastrelu::thread_count());
  std::printf("loss %.3g after the first epoch, %.3g after the last; largest error %.3f\n",
              losses.front(), losses.back(), static_cast<double>(worst));

  std::uint64_t sum = 14695981039346656037u;  // FNV-1a over the parameters' bits
  for (std::size_t i = 0; i < model.parameter_count(); ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, model.parameters() + i, sizeof bits);
    sum = (sum ^ bits) * 1099511628211u;
  }
  std::printf("parameters %016llx\n", static_cast<unsigned long long>(sum));
  return 0;
}
