// SPDX-License-Identifier: BSD-3-Clause
// The kernel interface: one table of functions per instruction set and dtype.
//
// Letters: X (n, fan_in) inputs, W (fan_in, fan_out) weights row-major, b (fan_out,), Z = XW + b
// pre-activations, A = relu(Z) activations, dX, dZ, dW, db gradients. The families:
//
//   dense_*     many rows: lanes are rows of the minibatch. Activations and gradients are kept
//               transposed, as panels of A' (features, rows) (panels.h), so that odd widths waste
//               nothing and W is read as it lies; dZ is also kept as panels of (rows, fan_out)
//               for the weight gradient, whose lanes are outputs.
//   few_rows_*  up to kFewRows rows: lanes are features, straight from row-major W.
//   lanes_*     several small networks at once: lanes are networks (lanes.h).
//   sparse_*    a first layer's passes over sparse rows of X: lanes are its outputs.
//   encoded_*   the same over encoded rows of X.
//
// Kernels allocate nothing, throw nothing and keep no state; any number of threads may call them
// at once on ranges of different outputs. Arguments do not overlap except where said. Every output
// element is one chain as docs/arithmetic.md defines it, so the results do not depend on the
// family, nor on how a caller cuts the ranges.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../array.h"
#include "../layer.h"
#include "../loss.h"
#include "../panels.h"
#include "../update.h"
#include "lanes.h"

namespace fastrelu {

// Minibatches below this many rows would leave most lanes of the dense_* kernels empty.
constexpr std::size_t kFewRows = 8;
// The most terms of a chain that a kernel runs before it stores the accumulators (tuning.h).
constexpr std::size_t kMostChainTerms = 384;

// Rows of the user's matrix that a thread will load next, and their targets, side by side (0 bytes
// a row: none), to be prefetched into the L2 cache a few lines at every tile: fetched all at once
// they would wait for each other. row == end: none left.
struct RowsAhead {
  const char* base;
  std::ptrdiff_t stride;
  RowPicker pick;
  std::size_t row, end;
  std::size_t row_bytes, byte;
  const char* targets;
  std::size_t target_bytes;
  unsigned lines_each;
};

// Z'[o, n] = chain from b[o] over i of fma(X'[i, n], W[i, o]), then relu if `relu`, for outputs
// [out_begin, out_end) and the panels of rows [panel_begin, panel_end).
template <class T>
struct DenseForward {
  Panels<const T> x;  // (fan_in, rows)
  std::size_t fan_in, fan_out;
  const T* w;   // row-major (fan_in, fan_out); kSlackBytes behind it are readable
  const T* b;   // or null
  Panels<T> z;  // (fan_out, rows)
  bool relu;
  std::size_t out_begin, out_end, panel_begin, panel_end;
  std::size_t chain_terms;  // at once, at most kMostChainTerms
  T* scratch;               // dense_scratch values of this thread's own
  RowsAhead* ahead;         // or null
};

// dX'[i, n] = chain from +0 over o of fma(dZ'[o, n], W[i, o]), then 0 where `gate` is not > 0, for
// inputs [in_begin, in_end).
template <class T>
struct DenseBackwardData {
  Panels<const T> dz;  // (fan_out, rows)
  std::size_t fan_in, fan_out;
  const T* w;
  Panels<const T> gate;  // (fan_in, rows) the layer's cached input activations, or data == null
  Panels<T> dx;          // (fan_in, rows)
  std::size_t in_begin, in_end, panel_begin, panel_end;
  std::size_t chain_terms;  // as in DenseForward
  T* scratch;
};

// dW[i, o] = chain over the rows [0, rows) of fma(X'[i, n], dZ[n, o]), from +0, or from what dw
// holds when `accumulate`. X' has a last row of ones where there are biases: b lies behind W like
// one more row of it, and db = dW's last row (fma(1, dz, acc) is acc + dz). Where `update` is
// given, the gradient is not stored: the parameters `w` take the update at once (update.h), with
// their state. Work is the units [unit_begin, unit_end) of panels(fan_out) x runs of `unit` inputs,
// output panel by panel. `narrow`, where there are at most kNarrowOutputs of them: dZ comes
// transposed, since lanes are inputs then.
template <class T>
struct DenseBackwardWeights {
  Panels<const T> x;   // (inputs, rows)
  Panels<const T> dz;  // (rows, fan_out); if `narrow` (fan_out, rows)
  bool narrow;
  std::size_t inputs;  // fan_in, with biases fan_in + 1
  std::size_t fan_in, fan_out, rows;
  T* dw;  // (inputs, fan_out) row-major; null where `update` is given and nothing is accumulated
  bool accumulate;
  const UpdateArgs<T>* update;
  T* w;                     // laid out as dw
  StateArrays<T> state;     // the same
  std::size_t block_bytes;  // of x, read again for every panel of outputs while in a near cache
  std::size_t unit;         // kGradientUnit, or less where that would not cut evenly
  std::size_t unit_begin, unit_end;
  RowsAhead* ahead;  // or null
};
constexpr std::size_t kGradientUnit = 24, kSmallGradientUnit = 4;
constexpr std::size_t kNarrowOutputs = 4;

// Row losses and output gradients of rows [row_begin, row_end) of a minibatch; row_begin is a
// multiple of a panel's width. Row r belongs to the targets' row index[r], or first + r where
// index is null. row_loss and dz may be null (not wanted). dz may be z.
template <class T>
struct LossArgs {
  LossSpec<T> spec;
  Targets<T> targets;
  std::size_t outputs;
  Panels<const T> z;  // (outputs, rows)
  Panels<T> dz;
  const T* factor;  // (rows,)
  T* row_loss;      // (rows,)
  const Index* index;
  Index first;
  std::size_t row_begin, row_end;
  T* scratch;  // loss_scratch(outputs) values
};

// A first layer's forward pass from sparse rows: Z'[o, n] = chain from b[o] over the entries stored
// in row n, picked from X, of fma(value * scale, W[column, o]), then relu if `relu`, for rows
// [row_begin, row_end); row_begin is a multiple of a panel's width.
template <class T>
struct SparseForward {
  const CsrSource* x;
  RowPicker rows;
  T scale;
  const T* w;  // row-major (cols of X, fan_out); kSlackBytes behind it are readable
  const T* b;  // or null
  std::size_t fan_out;
  Panels<T> z;  // (fan_out, rows)
  bool relu;
  std::size_t row_begin, row_end;
};

// One stored entry in the list of its column's: the row is counted from the first row of dZ, and
// `next` is the number of the column's next entry. Entries are numbered from 1; 0 is none.
template <class T>
struct SparseEntry {
  T value;
  std::uint32_t row, next;
};

// Row c of dW, for each of `count` columns c: those in `columns`, or, where it is null, from
// first_column on. dW[c, o] = chain over the list from heads[c] on of fma(value, dZ[row, o]), from
// what dw holds. Where `update` is given, from +0, and the parameters `w` take the update at once
// as in DenseBackwardWeights. The heads are 0 afterwards.
template <class T>
struct SparseBackwardWeights {
  const std::uint32_t* columns;
  std::size_t first_column, count;
  std::uint32_t* heads;
  const SparseEntry<T>* entries;  // entry k is entries[k - 1]
  Panels<const T> dz;             // (rows, fan_out)
  T* dw;                          // row-major (cols of X, fan_out)
  const UpdateArgs<T>* update;
  T* w;                  // laid out as dw
  StateArrays<T> state;  // the same
};

// db[o] = chain over the rows [0, rows) of acc + dZ[n, o], from +0, or from what db holds when
// `accumulate`. Where `update` is given, the biases `b` take it at once.
template <class T>
struct SparseBackwardBias {
  Panels<const T> dz;  // (rows, fan_out)
  std::size_t rows;
  T* db;
  bool accumulate;
  const UpdateArgs<T>* update;
  T* b;
  StateArrays<T> state;
};

// A first layer's forward pass from encoded rows: Z'[o, n] = chain from b[o] over the runs of row
// n, picked from X: where the run is a ramp, acc + P[c, o], then fma(value, W[c, o], acc), with c
// the input at the run's position and P[c, o] the chain from +0 over the run's inputs i before c of
// acc + W[i, o]; then relu if `relu`, for rows [row_begin, row_end); row_begin is a multiple of a
// panel's width.
template <class T>
struct EncodedForward {
  const EncodedSource* x;
  RowPicker rows;
  const T* w;  // row-major (inputs, fan_out); kSlackBytes behind it are readable
  const T* b;  // or null
  std::size_t fan_out;
  Panels<T> z;  // (fan_out, rows)
  bool relu;
  std::size_t row_begin, row_end;
  T* scratch;  // encoded_scratch values of this thread's own
};
// Outputs, in bytes, rows and inputs of ramps that such a pass takes on together.
constexpr std::size_t kEncodedGroupBytes = 256, kEncodedRows = 256, kEncodedInputs = 384;

// What a row of the minibatch holds at its position in a run; the row is counted from the first row
// of dZ.
template <class T>
struct EncodedEntry {
  T value;
  std::uint32_t row;
};

// dW of one run of `width` inputs, whose entries at position u are [begins[u], begins[u + 1]) in
// the order of the rows:
//
//   D[u, o] = chain over them of fma(value, dZ[row, o])
//   S[u, o] = chain over them of acc + dZ[row, o]
//
// from +0, or where `accumulate` from what dw and s hold. Unless `finish`, D and S are stored
// there. Else, of a ramp, dW[u, o] = D[u, o] + R[u, o], R[width - 1] = +0, R[u] = R[u + 1] +
// S[u + 1]; of other runs, which have no S, dW = D. It is stored in dw or, where `update` is given,
// the parameters `w` take the update at once.
template <class T>
struct EncodedBackwardWeights {
  std::size_t width;
  bool ramp;
  const EncodedEntry<T>* entries;
  const std::uint32_t* begins;  // width + 1
  Panels<const T> dz;           // (rows, fan_out)
  T* dw;                        // row-major (width, fan_out), this run's rows alone, as all below
  T* s;
  bool accumulate, finish;
  const UpdateArgs<T>* update;
  T* w;
  StateArrays<T> state;
};

// A whole pass over 1 .. kFewRows rows.
template <class T>
struct FewRowsForward {
  const Layer* layers;
  std::size_t layer_count;
  const T* parameters;
  bool bias;
  T scale;
  const RowSource* x;
  RowPicker rows;
  std::size_t count;
  T* workspace;  // few_rows_workspace values
  // Null, or as many again: where the derivatives that activations keep are left, each as far from
  // here as its activation lies from the workspace's beginning.
  T* derivatives;
  T* out;  // row-major, `stride` elements apart; unused in a step
  std::ptrdiff_t stride;
  const LossKind* link;  // or null
};

// A whole step over 1 .. kFewRows rows: forward, loss, backward, gradient or update.
template <class T>
struct FewRowsStep {
  FewRowsForward<T> forward;
  LossArgs<T> loss;  // spec, targets, factor, row_loss, index, first
  T* gradient;       // laid out as the parameters; stored or (accumulate) continued where not null
  bool accumulate;
  const UpdateArgs<T>* update;  // or null: the gradient alone
  T* parameters;
  StateArrays<T> state;
  bool scalar;    // plain SGD on the squared error of a network of few weights, relu or identity
  T* transposed;  // null, or with plain SGD W' as few_rows_transpose gives it: read instead of W by
                  // the backward pass, and updated beside it
  double* largest;  // null, or with `transposed` no less than any weight's magnitude, kept so;
                    // where it is far from infinity, what is multiplied by 0 is passed over
};

// Networks of up to so many parameters may run one multiply-add at a time.
constexpr std::size_t kScalarParameters = 32;

// Values of W' of every layer but the first, rows padded.
inline std::size_t few_rows_transposed_size(const Layer* layers, std::size_t count) {
  std::size_t total = 0;
  for (std::size_t k = 1; k < count; ++k) {
    total += round_up(layers[k].fan_in, 16) * layers[k].fan_out;
  }
  return total;
}

// leaky_relu(z) is this times z below 0.
template <class T>
constexpr T kLeakySlope = static_cast<T>(info(Activation::leaky_relu).slope);

// Units whose masks one block of Philox 4x32 gives.
constexpr std::size_t kDropoutUnits = 8;

// a = the unit's 16-bit number < threshold ? +0 : a * scale (docs/arithmetic.md), for units
// [unit_begin, unit_end) and the panels of rows [panel_begin, panel_end). Rows beyond the last one
// in its panel are treated like others. unit_begin is a multiple of kDropoutUnits.
template <class T>
struct DropUnits {
  Panels<T> a;  // (units, rows)
  std::size_t unit_begin, unit_end, panel_begin, panel_end;
  std::uint64_t first_row;  // the number of a's first row in the minibatch
  std::uint64_t key;        // of the step and layer
  std::uint32_t threshold;  // at most 65535
  T scale;
};

// Of kCarriedLanes linear functions at once, with coefficients c (fan_out, kCarriedLanes) of a
// layer's outputs, the coefficients of its inputs: out[i, l], (fan_in, kCarriedLanes), is the chain
// from +0 over the `count` outputs o of `present`, in order, of + W[i, o] * c[o, l], each product
// and each sum rounded to float64. c and out do not overlap.
constexpr std::size_t kCarriedLanes = 16;
template <class T>
struct CarryBack {
  const T* w;  // (fan_in, fan_out) row-major
  std::size_t fan_in, fan_out;
  const std::size_t* present;
  std::size_t count;
  const double* c;
  double* out;
};

template <class T>
struct KernelTable {
  void (*relu)(const T* z, T* out, std::size_t n);                        // out may be z
  void (*relu_backward)(const T* dh, const T* h, T* out, std::size_t n);  // out may be dh or h
  bool (*all_finite)(const T* x, std::size_t n);
  double (*largest_magnitude)(const T* x, std::size_t n);  // infinity where one is NaN
  // Rows [row_begin, row_end) of a minibatch, picked from X, times `scale`, into panels of X'
  // (x.cols, rows). row_begin is a multiple of a panel's width.
  void (*load_rows)(const RowSource& x, RowPicker rows, T scale, Panels<T> out,
                    std::size_t row_begin, std::size_t row_end);
  // Panels of A' (features, rows) to row-major rows, `stride` elements apart.
  void (*store_rows)(Panels<const T> a, std::size_t features, T* out, std::ptrdiff_t stride,
                     std::size_t row_begin, std::size_t row_end);
  // Panels of A' (features, rows) to panels of A (rows, features), for those rows.
  void (*transpose)(Panels<const T> a, std::size_t features, Panels<T> out, std::size_t row_begin,
                    std::size_t row_end);
  void (*dense_forward)(const DenseForward<T>&);
  void (*dense_backward_data)(const DenseBackwardData<T>&);
  void (*dense_backward_weights)(const DenseBackwardWeights<T>&);
  void (*loss)(const LossArgs<T>&);
  void (*predict)(const LossArgs<T>&);  // dz = the link applied to z (may be z); targets unused
  void (*sparse_forward)(const SparseForward<T>&);
  void (*sparse_backward_weights)(const SparseBackwardWeights<T>&);
  void (*sparse_backward_bias)(const SparseBackwardBias<T>&);
  void (*encoded_forward)(const EncodedForward<T>&);
  void (*encoded_backward_weights)(const EncodedBackwardWeights<T>&);
  void (*few_rows_forward)(const FewRowsForward<T>&);
  void (*few_rows_step)(const FewRowsStep<T>&);
  void (*few_rows_transpose)(const FewRowsForward<T>&, T* out);
  std::size_t lanes;  // of a vector: networks that take a step at once
  void (*lanes_step)(const LanesStep<T>&);
  void (*lanes_squares)(const LanesStep<T>&, double* sums);  // of each lane's weights
  // One update of n parameters with their state; g is only read. `is_weight` false leaves out the
  // weight decay.
  void (*update)(const UpdateArgs<T>&, bool is_weight, T* w, const T* g, StateArrays<T> state,
                 std::size_t n);
  void (*add)(T* sum, const T* x, std::size_t n);   // sum = sum + x
  void (*multiply)(T* x, T factor, std::size_t n);  // x = x * factor
  // sums[c] = chain from sums[c] over the rows of fma(g[r, c], g[r, c]) in float64; kSlackBytes
  // behind g are readable
  void (*add_column_squares)(const T* g, std::size_t rows, std::size_t cols, double* sums);
  // exp, log, log1p, tanh, element by element; out may be x
  void (*exp)(const T* x, T* out, std::size_t n);
  void (*log)(const T* x, T* out, std::size_t n);
  void (*log1p)(const T* x, T* out, std::size_t n);
  void (*tanh)(const T* x, T* out, std::size_t n);
  // Blocks of random words (docs/arithmetic.md) with counters (c[0] + b, c[1], c[2], c[3]): 4 each.
  void (*philox_blocks)(const std::uint64_t* counter, const std::uint64_t* key, std::size_t blocks,
                        std::uint64_t* out);
  void (*drop_units)(const DropUnits<T>&);
  // a = activation(a); an activation that keeps its derivative leaves it in `derivative`, unless
  // that is null.
  void (*activate)(Activation kind, T* a, T* derivative, std::size_t n);
  // dz = dz times the derivative: the one that was kept, or that at the activation a * unscale.
  void (*activation_backward)(Activation kind, const T* a, const T* derivative, T unscale, T* dz,
                              std::size_t n);
  void (*carry_back)(const CarryBack<T>&);
};

// Values of scratch memory that a dense_* kernel needs: a strip of W.
template <class T>
constexpr std::size_t dense_scratch() {
  return 16 * (kMostChainTerms + 16) + 64;
}
// Of an encoded_forward over runs of at most `widest` inputs: chains, and a table.
template <class T>
constexpr std::size_t encoded_scratch(std::size_t widest) {
  const std::size_t group = kEncodedGroupBytes / sizeof(T);
  return (kEncodedRows + (widest > kEncodedInputs ? widest : kEncodedInputs)) * group;
}
template <class T>
constexpr std::size_t loss_scratch(std::size_t outputs) {
  return outputs * (2 * 16 + kPanel<T>)+64;  // 16: the most lanes of any instruction set
}
// The activations of a block, what they keep, two dZ in turn, and the loss's panels and scratch.
template <class T>
std::size_t lanes_workspace(const LanesSizes& s, std::size_t block_rows, std::size_t lanes) {
  const std::size_t columns = block_rows * lanes;
  return ((s.keeps_derivatives ? 2 : 1) * s.activations + 2 * s.widest) * columns +
         s.outputs * round_up(columns, kPanel<T>) + loss_scratch<T>(s.outputs);
}
// Activations and gradients of kFewRows rows, layer by layer, and what one loss needs.
template <class T>
std::size_t few_rows_workspace(const Layer* layers, std::size_t count) {
  const auto padded = [](std::size_t width) { return round_up(width, 16) * kFewRows; };
  const std::size_t outputs = layers[count - 1].fan_out;
  std::size_t total = padded(outputs) + outputs * kPanel<T> + loss_scratch<T>(outputs);
  for (std::size_t k = 0; k < count; ++k) total += 2 * padded(layers[k].fan_in);
  return total;
}

}  // namespace fastrelu
