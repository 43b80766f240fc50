// SPDX-License-Identifier: BSD-3-Clause
// The three passes of a network over the rows of a minibatch, by a team of threads:
//
//   forward_pass            A_1 .. A_L from A_0
//   backward_data_pass      dZ of every layer from that of the last, dX if wanted
//   backward_weights_pass   dW and db of every layer, stored or taken by the parameters at once
//
// Every thread of the team calls them with its own Worker. It works on the panels of rows
// own_panels(count, n, t) or on a share of a layer's outputs, whichever moves less between the
// cores; a pass waits for the others where it needs what they computed. No result depends on how
// many threads there are.
//
// Nothing here owns memory but Activations and OutputGradients, or allocates outside their
// constructors; arguments do not overlap. docs/arithmetic.md defines every value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

#include "array.h"
#include "dropout.h"
#include "kernels/kernels.h"
#include "network.h"
#include "panel_stack.h"
#include "poll.h"
#include "range.h"
#include "thread_pool.h"
#include "tuning.h"

namespace fastrelu {

// One thread of a team at its passes.
template <class T>
struct Worker {
  Team& team;
  unsigned t;
  T* scratch;  // scratch_size(net) values of its own
  // The whole team's, asked between pieces of a layer, or null. Once it has stopped, the passes
  // compute nothing more but wait for each other as ever.
  PassWatch* watch = nullptr;
};

// Values of scratch that one thread needs for any pass over `net`.
template <class T>
std::size_t scratch_size(const Network<T>& net);

// A_0 .. A_L of a minibatch, transposed, and the derivatives that activations keep for the backward
// pass (catalogue.h). Owns the memory.
template <class T>
struct Activations {
  Activations() = default;
  // `rows` rows; of sparse and encoded ones A_0 is empty.
  Activations(const Network<T>& net, const RowSource& x, std::size_t rows);
  const Panels<T>& operator[](std::size_t k) const { return values[k]; }
  // Beside A_k; without data where no activation of the network keeps its derivative.
  Panels<T> derivative(std::size_t k) const {
    return derivatives.empty() ? Panels<T>{} : derivatives[k];
  }
  PanelStack<T> values, derivatives;
};

// Whether the weight gradient of layer k reads dZ transposed, as the passes before it leave it. The
// first layer's rows may be sparse or encoded, and their kernels read it by rows.
inline bool is_narrow(const Layer& layer, std::size_t k) {
  return k > 0 && layer.fan_out <= kNarrowOutputs;
}

// dZ of a minibatch while it runs backward: of every narrow layer, and of two others in turn,
// transposed; of the others by rows, too, for the weight gradient. Owns the memory.
template <class T>
struct OutputGradients {
  OutputGradients() = default;
  OutputGradients(const Network<T>& net, std::size_t rows);
  const Panels<T>& of(std::size_t k) const { return of_layer[k]; }
  PanelStack<T> in_turn, narrow, by_rows;
  std::vector<Panels<T>> of_layer;
};

// The panels of rows that thread t of n owns between two passes.
Range own_panels(std::size_t panels, unsigned n, unsigned t);
// The same in rows.
template <class T>
Range own_rows(std::size_t rows, unsigned n, unsigned t) {
  const Range panels = own_panels(panel_count<T>(rows), n, t);
  return {std::min(panels.begin * kPanel<T>, rows), std::min(panels.end * kPanel<T>, rows)};
}

// A_0, or of sparse and of encoded rows A_1 (and beside it derivative_1, unless that has no data),
// for rows [rows.begin, rows.end) of a minibatch picked from x; returns how many layers that was.
// rows.begin is a multiple of a panel's width. `scratch`: for encoded rows alone (encoded.h), this
// thread's own.
template <class T>
std::size_t load_inputs(const Network<T>& net, const RowSource& x, RowPicker pick,
                        const Panels<T>& a_0, const Panels<T>& a_1, const Panels<T>& derivative_1,
                        Range rows, T* scratch);

// A_1 .. A_L from A_0, or from A_first on (with `dropout` those of training), of the first `rows`
// rows; on entry and on return each thread may read and write its own panels. `ahead` (or null):
// rows to prefetch meanwhile.
template <class T>
void forward_pass(const Network<T>& net, const Activations<T>& a, std::size_t rows,
                  const Worker<T>& worker, RowsAhead* ahead, std::size_t first,
                  const Dropout* dropout);

// dZ by rows of every layer (and dX', transposed, if dx.data is not null) from dz.of(L - 1), of
// which each thread has its own panels; the same on return.
template <class T>
void backward_data_pass(const Network<T>& net, const Activations<T>& a,
                        const OutputGradients<T>& dz, const Panels<T>& dx, std::size_t rows,
                        const Worker<T>& worker, const Dropout* dropout);

// Who takes a gradient piece by piece, the last one first, while those before it are computed.
struct GradientTaker {
  const std::vector<std::size_t>* begins;               // where the pieces begin, descending to 0
  void (*take)(const void* context, std::size_t from);  // thread 0's: it is there from `from` on
  const void* context;
  // Of the piece that number end - 1 is in.
  std::size_t begin_before(std::size_t end) const {
    return *std::upper_bound(begins->begin(), begins->end(), end, std::greater<std::size_t>());
  }
};
// Calls f(from); both must outlive it.
template <class F>
GradientTaker taker_of(const std::vector<std::size_t>& begins, const F& f) {
  return {&begins,
          [](const void* context, std::size_t from) { (*static_cast<const F*>(context))(from); },
          &f};
}

// Where dW and db go: into `gradient` (laid out as the parameters), after what it holds if
// `accumulate`; or with `update` straight into the parameters and the optimizer's state.
template <class T>
struct WeightGradients {
  T* gradient;
  bool accumulate;
  const UpdateArgs<T>* update;  // or null
  T* parameters;
  StateArrays<T> state;
  const GradientTaker* taker = nullptr;  // of a gradient that is complete with these rows, or null
  // As large as the parameters, for what is handed on (below) where `gradient` is null; or null.
  T* handed_on = nullptr;
};

// Rows of dW of layer k, the last of which is db where there are biases.
template <class T>
std::size_t dw_rows(const Network<T>& net, std::size_t k) {
  return net.layers()[k].fan_in + (net.has_bias() ? 1 : 0);
}

// This thread's part of every dW, db, after all threads' backward_data_pass (the caller waits).
// Without the layers before the `first`: of sparse rows' a SparseGradient takes care, of encoded
// rows' an EncodedLayer.
template <class T>
void backward_weights_pass(const Network<T>& net, const Activations<T>& a,
                           const OutputGradients<T>& dz, std::size_t rows,
                           const WeightGradients<T>& out, const Worker<T>& worker, RowsAhead* ahead,
                           std::size_t first);

// Whether n threads cut the weight gradients by rows: two of them may, where these gradients are
// small beside the activations and dZ that would cross between the cores otherwise.
template <class T>
bool hands_on_gradients(const Network<T>& net, std::size_t rows, unsigned n);
// Then, right after this thread's backward_data_pass: every chain runs over the first thread's
// rows, is handed on, and goes on over the second one's, who stores the gradient or updates. On
// return, the losses of all rows are there for the first thread.
template <class T>
void backward_weights_handed_on(const Network<T>& net, const Activations<T>& a,
                                const OutputGradients<T>& dz, std::size_t rows,
                                const WeightGradients<T>& out, const Worker<T>& worker,
                                RowsAhead* ahead);

// backward_data_pass and backward_weights_pass layer by layer, so that a layer's gradient is there
// before the layers before it are begun; all threads wait for each other at the end. A piece begins
// where a row of some dW does.
template <class T>
void backward_pass_by_layer(const Network<T>& net, const Activations<T>& a,
                            const OutputGradients<T>& dz, std::size_t rows,
                            const WeightGradients<T>& out, const Worker<T>& worker,
                            RowsAhead* ahead, std::size_t first, const Dropout* dropout,
                            const GradientTaker& taker);

// The forward pass of layer k from x to z, all outputs of all their rows; the caller narrows it.
template <class T>
DenseForward<T> dense_forward_of(const Network<T>& net, std::size_t k, const Panels<T>& x,
                                 const Panels<T>& z, T* scratch, RowsAhead* ahead);
// A forward pass over the x.rows rows of x in one kernel call, without an output.
template <class T>
FewRowsForward<T> few_rows_forward_of(const Network<T>& net, const RowSource& x, T* workspace);

// Register tiles of a forward pass over so many rows, and of the weight gradient, roughly: what the
// prefetches of the rows behind them are spread over.
template <class T>
std::size_t forward_tiles(const Network<T>& net, std::size_t rows) {
  const std::size_t terms = tuning().chain_terms;
  std::size_t tiles = 0;
  for (const Layer& layer : net.layers()) {
    const std::size_t inner = (layer.fan_in + terms - 1) / terms;
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

}  // namespace fastrelu
