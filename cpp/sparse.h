// SPDX-License-Identifier: BSD-3-Clause
// The gradient of a first layer's weights over sparse rows: dW's row of column c is a chain over
// the rows that hold an entry in c. So a block's entries are first hung into a list for each
// column, last row first, each entry before those that are there. The columns met in a minibatch,
// the touched ones, are noted: nothing of the size of dW is read, cleared or written for the
// others.
//
// Every thread owns a run of columns and lists, for itself, the entries in it: each row's entries
// are in order, so it finds its own by bisection. All memory is taken by `reserve`. Functions with
// `t` may run at once, for different t.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "array.h"
#include "kernels/kernels.h"
#include "network.h"
#include "passes.h"

namespace fastrelu {

// Rows pick(0) .. pick(rows - 1) of a sparse X.
struct SparseBlock {
  const CsrSource* x = nullptr;
  RowPicker pick;
  std::size_t rows = 0;
};

// Updates that leave a parameter alone where its gradient is 0.
template <class T>
bool is_lazy(const UpdateArgs<T>& u) {
  return u.rule == UpdateRule::sgd && u.weight_decay == 0;
}

template <class T>
class SparseGradient {
 public:
  // For blocks of up to `rows` rows of x, any of them more than once if `repeats`, on up to
  // `threads` threads. Forgets every touched column.
  void reserve(const RowSource& x, std::size_t rows, bool repeats, unsigned threads);

  // Thread t of n begins a minibatch, with a number > 0 never used before: no column of its run is
  // touched yet.
  void begin(std::uint64_t minibatch, unsigned n, unsigned t);

  // Thread t's part of the first layer's dW over the block's rows, and thread 0's of db, as in
  // backward_weights_pass: into out.gradient, which must be +0 in columns not touched before, and
  // with out.update on into the parameters: out.gradient is then +0 everywhere again, and not
  // needed unless it goes on from stored values. A lazy update touches no other columns.
  void backward_weights(const Network<T>& net, const SparseBlock& block,
                        const WeightGradients<T>& out, const Panels<T>& dz, unsigned t);

  // Thread t's part of out.update of W by out.gradient, which is +0 afterwards.
  void update(const Network<T>& net, const WeightGradients<T>& out, unsigned t);

  // f(column) for each touched column of thread t.
  template <class F>
  void for_touched(unsigned t, F f) const {
    const Part& part = parts_[t];
    for (std::size_t i = 0; i < part.touched; ++i) f(std::size_t{touched_[part.low + i]});
  }

  // Zeroes thread t's touched rows of `dw`, `width` values each.
  void clear(unsigned t, T* dw, std::size_t width) const;

 private:
  // A thread's columns [low, high), how many of them it has touched, and the minibatch's number.
  struct alignas(64) Part {
    std::uint32_t low = 0, high = 0;
    std::uint64_t minibatch = 0;
    std::size_t touched = 0;
  };

  std::size_t list_entries(const SparseBlock& block, T scale, unsigned t);
  void note_touched(std::size_t count, unsigned t);
  void share_columns(const RowSource& x, unsigned threads);
  std::uint32_t* columns(unsigned t) { return columns_.data() + parts_[t].low + t; }

  std::vector<Part> parts_;
  std::vector<std::uint32_t> bounds_;  // run k of as many as threads: [bounds_[k], bounds_[k + 1])
  std::size_t rows_ = 0;
  AlignedBuffer<Index> ranges_;  // thread by thread: where its entries of each row begin and end
  // Column by column: the first entry of its list (all 0 between blocks), and the minibatch that
  // touched it last.
  AlignedBuffer<std::uint32_t> heads_;
  AlignedBuffer<std::uint64_t> minibatch_;
  // Thread by thread, from its first column's place on: the columns that the block has, with room
  // for one more each; those touched.
  AlignedBuffer<std::uint32_t> columns_, touched_;
  AlignedBuffer<SparseEntry<T>> entries_;
};

}  // namespace fastrelu
