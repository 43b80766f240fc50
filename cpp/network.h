// SPDX-License-Identifier: BSD-3-Clause
// A network of dense layers: A_0 = X * scale, Z_k = A_k W_k + b_k, A_{k+1} = activation(Z_k); the
// last layer is linear. docs/arithmetic.md defines every value.
//
// Parameters live in one flat, 64-byte aligned buffer of plain row-major matrices, W_0 b_0 W_1 b_1
// ..., without gaps; the kernels read and write it directly, so it is always current. The buffer
// is shared: it lives as long as the network or any view of it. Functions here check nothing
// (the bindings do) and allocate only where stated. Any number of threads may run the const
// functions at once; whoever changes parameters must be alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "array.h"
#include "dropout.h"
#include "kernels/kernels.h"
#include "layer.h"
#include "loss.h"
#include "panels.h"
#include "thread_pool.h"

namespace fastrelu {

enum class Init : std::uint8_t { he_uniform, glorot_uniform };

template <class T>
class Network {
 public:
  // sizes: at least two, each >= 1. activations: one for each hidden layer. Parameters start at 0.
  Network(const std::vector<std::size_t>& sizes, const std::vector<Activation>& activations,
          bool bias, T scale);

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

// Panels of a stack of matrices that share the number of rows of a minibatch. Owns their memory.
template <class T>
class PanelStack {
 public:
  PanelStack() = default;
  // (widths[k], rows) each: a layer's activations or gradients, transposed. With `ones` each has
  // one row more, of ones: the input of the biases (kernels.h, DenseBackwardWeights).
  static PanelStack transposed(const std::vector<std::size_t>& widths, std::size_t rows, bool ones);
  // (rows, widths[k]) each.
  static PanelStack row_major(const std::vector<std::size_t>& widths, std::size_t rows);
  const Panels<T>& operator[](std::size_t k) const { return panels_[k]; }

 private:
  AlignedBuffer<T> buffer_;
  std::vector<Panels<T>> panels_;
};

// A_0 .. A_L of a minibatch, transposed.
template <class T>
using Activations = PanelStack<T>;

template <class T>
std::vector<std::size_t> activation_widths(const Network<T>& net);  // inputs, then every layer's

// The same for X's rows: sparse ones are not copied to A_0.
template <class T>
std::vector<std::size_t> activation_widths(const Network<T>& net, const RowSource& x);

// Multiply-adds of a forward pass over `rows` rows of x, in the mean.
template <class T>
double multiply_adds(const Network<T>& net, const RowSource& x, std::size_t rows);

// A_0, or of sparse rows A_1, for rows [rows.begin, rows.end) of a minibatch picked from x; returns
// how many layers that was. rows.begin is a multiple of a panel's width.
template <class T>
std::size_t load_inputs(const Network<T>& net, const RowSource& x, RowPicker pick,
                        const Panels<T>& a_0, const Panels<T>& a_1, Range rows);

// Values of scratch that one thread needs for any pass over `net`.
template <class T>
std::size_t scratch_size(const Network<T>& net);

// The forward pass of layer k from x to z, all outputs of all their rows; the caller narrows it.
template <class T>
DenseForward<T> dense_forward_of(const Network<T>& net, std::size_t k, const Panels<T>& x,
                                 const Panels<T>& z, T* scratch, RowsAhead* ahead);
// A forward pass over the x.rows rows of x, without an output.
template <class T>
FewRowsForward<T> few_rows_forward_of(const Network<T>& net, const RowSource& x, T* workspace);

// Register tiles of a forward pass over so many rows, and of the weight gradient, roughly: what the
// prefetches of the rows behind them are spread over.
template <class T>
std::size_t forward_tiles(const Network<T>& net, std::size_t rows) {
  std::size_t tiles = 0;
  for (const Layer& layer : net.layers()) {
    const std::size_t inner = (layer.fan_in + kInnerBlock - 1) / kInnerBlock;
    tiles += (layer.fan_out + 11) / 12 * panel_count<T>(rows) * inner;
  }
  return tiles;
}
template <class T>
std::size_t gradient_tiles(const Network<T>& net) {
  std::size_t tiles = 0;
  for (const Layer& layer : net.layers()) {
    tiles += (layer.fan_in + 11) / 12 * panel_count<T>(layer.fan_out);
  }
  return tiles;
}

// dZ of a minibatch while it runs backward: of two layers in turn transposed, and of every layer
// by rows for the weight gradient.
template <class T>
struct OutputGradients {
  OutputGradients() = default;
  OutputGradients(const Network<T>& net, std::size_t rows);
  const Panels<T>& of(std::size_t k) const { return in_turn[k % 2]; }
  PanelStack<T> in_turn, by_rows;
};

// The passes of a team over the first `rows` rows of a minibatch. Thread t works on the panels of
// rows own_panels(rows, team.size(), t) or on a share of a layer's outputs, whichever moves less
// between the cores; a pass waits for the others where it needs what they computed.
Range own_panels(std::size_t panels, unsigned n, unsigned t);
// The same in rows.
template <class T>
Range own_rows(std::size_t rows, unsigned n, unsigned t) {
  const Range panels = own_panels(panel_count<T>(rows), n, t);
  return {std::min(panels.begin * kPanel<T>, rows), std::min(panels.end * kPanel<T>, rows)};
}

// `ahead` (or null): rows to prefetch meanwhile.
//
// A_1 .. A_L from A_0, or from A_first on (with `dropout` those of training); on entry and on
// return each thread may read and write its own panels.
template <class T>
void forward_pass(const Network<T>& net, const Activations<T>& a, std::size_t rows, Team& team,
                  unsigned t, T* scratch, RowsAhead* ahead, std::size_t first = 0,
                  const Dropout* dropout = nullptr);
// dZ by rows of every layer (and dX', transposed, if dx.data is not null) from dz.of(L - 1), of
// which each thread has its own panels; the same on return.
template <class T>
void backward_pass(const Network<T>& net, const Activations<T>& a, const OutputGradients<T>& dz,
                   const Panels<T>& dx, std::size_t rows, Team& team, unsigned t, T* scratch,
                   const Dropout* dropout = nullptr);
// This thread's part of every dW, db, after all threads' backward_pass (the caller waits): into
// `gradient` (laid out as the parameters), or with `update` straight into the parameters. Without
// the layers before the `first`: of sparse rows' a SparseGradient takes care.
template <class T>
struct WeightGradients {
  T* gradient;
  bool accumulate;
  const UpdateArgs<T>* update;  // or null
  T* parameters;
  StateArrays<T> state;
};
template <class T>
void weights_pass(const Network<T>& net, const Activations<T>& a, const OutputGradients<T>& dz,
                  std::size_t rows, const WeightGradients<T>& out, unsigned n, unsigned t,
                  RowsAhead* ahead, std::size_t first = 0);

// Whole passes over any number of rows; they choose the number of threads and run in blocks of
// rows, so that memory does not grow with x.rows. They allocate.
template <class T>
void predict(const Network<T>& net, const RowSource& x, T* out, std::ptrdiff_t stride,
             const LossKind* link);
// Row losses of x.rows rows, and the outputs they come from unless that is null.
template <class T>
void row_losses(const Network<T>& net, const RowSource& x, const Targets<T>& targets,
                const LossSpec<T>& loss, T* out, T* outputs);
// A_0 .. A_L of all rows.
template <class T>
Activations<T> forward_cached(const Network<T>& net, const RowSource& x);
// The outputs among them, (rows, outputs) row-major.
template <class T>
void store_outputs(const Network<T>& net, const Activations<T>& a, std::size_t rows, T* out);
// x: the rows that `a` came from; looked at only if they are sparse. d_out: (x.rows, outputs)
// row-major. `gradient` (laid out as the parameters) or `dx` (x.rows, inputs) may be null.
template <class T>
void backward(const Network<T>& net, const RowSource& x, const Activations<T>& a, const T* d_out,
              T* gradient, T* dx);

// out = relu(X W + b), (x.rows, fan_out) row-major; b may be null. Copies W once.
template <class T>
void linear_relu(const RowSource& x, const T* w, const T* b, std::size_t fan_out, T* out);

// Threads worth waking for so many multiply-adds.
unsigned threads_for(double multiply_adds);

}  // namespace fastrelu
