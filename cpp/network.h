// SPDX-License-Identifier: BSD-3-Clause
// A network of dense layers: A_0 = X * scale, Z_k = A_k W_k + b_k, A_{k+1} = activation(Z_k); the
// last layer is linear. docs/arithmetic.md defines every value; passes.h computes them.
//
// Parameters live in one flat, 64-byte aligned buffer of plain row-major matrices, W_0 b_0 W_1 b_1
// ..., without gaps; the kernels read and write it directly, so it is always current. The buffer
// is shared: it lives as long as the network or any view of it. Functions here check nothing
// (the bindings do) and allocate only where stated. Any number of threads may run the const
// functions at once; whoever changes parameters must be alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "array.h"
#include "layer.h"

namespace fastrelu {

enum class Init : std::uint8_t { he_uniform, glorot_uniform };

template <class T>
class Network {
 public:
  // sizes: at least two, each >= 1. activations: one for each hidden layer. Parameters start at 0.
  Network(const std::vector<std::size_t>& sizes, const std::vector<Activation>& activations,
          bool bias, T scale);

  // Interrupted where the thread's poll stops it (poll.h).
  void initialize(Init init, std::uint64_t seed);

  const std::vector<Layer>& layers() const { return layers_; }
  std::size_t inputs() const { return layers_.front().fan_in; }
  std::size_t outputs() const { return layers_.back().fan_out; }
  std::size_t widest() const { return widest_; }
  bool has_bias() const { return bias_; }
  T scale() const { return scale_; }
  std::size_t parameter_count() const { return parameters_->size(); }
  T* parameters() { return parameters_->data(); }
  const T* parameters() const { return parameters_->data(); }
  const std::shared_ptr<AlignedBuffer<T>>& buffer() const { return parameters_; }

  // Counts changes of the parameters by step, fit and load.
  std::uint64_t version = 0;

 private:
  std::vector<Layer> layers_;
  std::shared_ptr<AlignedBuffer<T>> parameters_;
  std::size_t widest_ = 0;
  bool bias_;
  T scale_;
};

// The widths of A_0 .. A_L: inputs, then every layer's outputs.
template <class T>
std::vector<std::size_t> activation_widths(const Network<T>& net);

// The same for X's rows: sparse and encoded ones are not copied to A_0.
template <class T>
std::vector<std::size_t> activation_widths(const Network<T>& net, const RowSource& x);

// Whether an activation of the network keeps its derivative for the backward pass (catalogue.h).
template <class T>
bool keeps_derivatives(const Network<T>& net);

// Multiply-adds of a forward pass over `rows` rows of x, in the mean.
template <class T>
double multiply_adds(const Network<T>& net, const RowSource& x, std::size_t rows);

}  // namespace fastrelu
