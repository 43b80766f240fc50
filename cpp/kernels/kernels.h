// SPDX-License-Identifier: BSD-3-Clause
// The kernel interface: one table of functions per instruction set and dtype.
//
// Letters: X (n, fan_in) inputs, W (fan_in, fan_out) weights row-major, b (fan_out,), Z = XW + b
// pre-activations, A = relu(Z) activations, dX, dZ, dW, db gradients. Activations are Panels
// (array.h). Kernels allocate nothing, throw nothing and keep no state; any number of threads may
// call them at once on ranges of different outputs. Arguments do not overlap except where said.
// Every output element is one chain as docs/arithmetic.md defines it, so the results do not
// depend on how a caller cuts the ranges.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../array.h"
#include "../loss.h"
#include "../optimizer.h"

namespace fastrelu {

// Z[r, c] = chain from b[c] over i of fma(X[r, i], W[i, c]), then relu if `relu`, for rows
// [row_begin, row_end) and panels [panel_begin, panel_end) of the output.
template <class T>
struct DenseForward {
  Panels<const T> x;  // cols = fan_in
  const T* w;         // row-major (fan_in, fan_out); kSlackBytes behind it are readable
  const T* b;         // or null
  Panels<T> z;        // cols = fan_out
  bool relu;
  std::size_t row_begin, row_end, panel_begin, panel_end;
  T* scratch;  // forward_scratch(fan_in) values of this thread's own
};

// dX[r, i] = chain from +0 over o of fma(dZ[r, o], W[i, o]), then 0 where `gate` is not > 0.
template <class T>
struct DenseBackwardData {
  Panels<const T> dz;  // cols = fan_out
  const T* w;
  Panels<const T> gate;  // the layer's cached input activations, or data == null
  Panels<T> dx;          // cols = fan_in
  std::size_t row_begin, row_end, panel_begin, panel_end;
  T* scratch;  // backward_scratch(fan_out) values
};

// dW[i, o] = chain over the rows [0, rows) of fma(X[n, i], dZ[n, o]), db[o] likewise of dZ[n, o],
// from +0, or from what dw, db hold when `accumulate`. With `sgd` the parameters w, b are updated
// at once, w = fma(-learning_rate, dW, w), and dw, db are not touched. Work is the units
// [unit_begin, unit_end) of panels(fan_out) x blocks of kPanel inputs, output panel by panel.
template <class T>
struct DenseBackwardWeights {
  Panels<const T> x;   // cols = fan_in
  Panels<const T> dz;  // cols = fan_out
  std::size_t rows;
  T* dw;  // row-major (fan_in, fan_out)
  T* db;  // or null
  bool accumulate;
  bool sgd;
  T learning_rate;
  std::size_t unit_begin, unit_end;
};

// Row losses and output gradients of `rows` rows. Row r of `z` belongs to targets' row index[r], or
// first + r where index is null. row_loss and dz may be null (not wanted). dz may be z.
template <class T>
struct LossArgs {
  LossSpec<T> spec;
  Targets<T> targets;
  Panels<const T> z;
  Panels<T> dz;
  const T* factor;  // (rows,)
  T* row_loss;      // (rows,)
  const Index* index;
  Index first;
  std::size_t row_begin, row_end;
  T* scratch;  // loss_scratch(K) values
};

template <class T>
struct KernelTable {
  void (*relu)(const T* z, T* out, std::size_t n);                        // out may be z
  void (*relu_backward)(const T* dh, const T* h, T* out, std::size_t n);  // out may be dh or h
  bool (*all_finite)(const T* x, std::size_t n);
  // Rows index[row_begin..row_end) (or first + r) of X into panels, times `scale`.
  void (*load_rows)(const RowSource& x, const Index* index, Index first, T scale, Panels<T> out,
                    std::size_t row_begin, std::size_t row_end);
  // Panels to row-major rows, `stride` elements apart.
  void (*store_rows)(Panels<const T> a, T* out, std::ptrdiff_t stride, std::size_t row_begin,
                     std::size_t row_end);
  void (*dense_forward)(const DenseForward<T>&);
  void (*dense_backward_data)(const DenseBackwardData<T>&);
  void (*dense_backward_weights)(const DenseBackwardWeights<T>&);
  void (*loss)(const LossArgs<T>&);
  void (*predict)(const LossArgs<T>&);  // dz = the link applied to z (may be z); targets unused
  // One update of n parameters; g is only read. `is_weight` false leaves out the weight decay.
  void (*update)(const UpdateArgs<T>&, bool is_weight, T* w, const T* g, T* s1, T* s2,
                 std::size_t n);
  void (*add)(T* sum, const T* x, std::size_t n);   // sum = sum + x
  void (*multiply)(T* x, T factor, std::size_t n);  // x = x * factor
  // sums[c] = chain from sums[c] over the rows of fma(g[r, c], g[r, c]) in float64
  void (*add_column_squares)(const T* g, std::size_t rows, std::size_t cols, double* sums);
  // exp, log, log1p, tanh, element by element; out may be x
  void (*exp)(const T* x, T* out, std::size_t n);
  void (*log)(const T* x, T* out, std::size_t n);
  void (*log1p)(const T* x, T* out, std::size_t n);
  void (*tanh)(const T* x, T* out, std::size_t n);
};

template <class T>
constexpr std::size_t forward_scratch(std::size_t fan_in) {
  return fan_in * kPanel<T>;
}
template <class T>
constexpr std::size_t backward_scratch(std::size_t fan_out) {
  return round_up(fan_out, 16) * kPanel<T>;
}
template <class T>
constexpr std::size_t loss_scratch(std::size_t outputs) {
  return 3 * outputs * 16 + 64;  // 16: the most lanes of any instruction set
}

}  // namespace fastrelu
