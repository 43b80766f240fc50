// SPDX-License-Identifier: BSD-3-Clause
// fastrelu from C++, without Python: a network of dense layers, trained and run on the CPU, with
// the bits that the Python package gives (docs/arithmetic.md).
//
//   fastrelu::Model<float> model({{8, 64, 64, 4}});
//   model.fit(x, y, rows, fit);              // minibatches, optimizer, loss: FitOptions
//   model.forward(x, rows, out);
//
// Matrices are row-major and contiguous, a row an example. The model owns its parameters; arrays
// given to a call are looked at, or written, only until it returns, and must not overlap. Any
// number of threads may call the const functions of a model at once; whoever calls another one must
// be alone with it. Bad arguments throw std::invalid_argument with the model unchanged, lack of
// memory std::bad_alloc; a fit whose numbers are no longer finite throws std::runtime_error and
// leaves the parameters as they were when they last were. `fit` looks at all values first;
// `forward` looks at none, and what is not finite goes through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fastrelu {

struct ModelOptions {
  std::vector<std::size_t> sizes;   // inputs, hidden layers, outputs: at least two, each >= 1
  std::string activation = "relu";  // of the hidden layers: relu, leaky_relu, tanh, ...
  bool bias = true;
  std::uint64_t seed = 0;  // of the weights at first: He's uniform distribution
};

struct FitOptions {
  std::string loss = "squared_error";
  std::string optimizer = "sgd";  // sgd, adam, adamw, lion, with the package's usual numbers
  double learning_rate = 0;       // 0: the optimizer's usual one
  double momentum = 0;            // of sgd alone, in [0, 1]
  double weight_decay = -1;       // below 0: the optimizer's usual one
  std::size_t epochs = 10;
  std::size_t batch_size = 32;
  std::uint64_t seed = 0;  // of the order of the rows
};

// T: float or double.
template <class T>
class Model {
 public:
  explicit Model(const ModelOptions& options);
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  std::size_t inputs() const noexcept;
  std::size_t outputs() const noexcept;
  // W_0 (inputs, width), b_0, W_1, b_1, ...: parameter_count() values, which may be written.
  std::size_t parameter_count() const noexcept;
  T* parameters() noexcept;
  const T* parameters() const noexcept;

  // x: (rows, inputs); out: (rows, outputs).
  void forward(const T* x, std::size_t rows, T* out) const;

  // Trains on x (rows, inputs) and y (rows, outputs), or on labels 0 .. outputs - 1, (rows,), for
  // cross_entropy. Returns the mean loss of each epoch.
  std::vector<double> fit(const T* x, const T* y, std::size_t rows, const FitOptions& options);
  std::vector<double> fit(const T* x, const std::int64_t* labels, std::size_t rows,
                          const FitOptions& options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

extern template class Model<float>;
extern template class Model<double>;

// The threads that calls may use: all cores by default. No result depends on it.
void set_thread_count(unsigned threads);
unsigned thread_count();
// The kernels in use: x86_v4, x86_v3, neon or baseline.
std::string instruction_set();

}  // namespace fastrelu
