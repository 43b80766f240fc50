// SPDX-License-Identifier: BSD-3-Clause
// The first layer of a network over encoded rows (docs/arithmetic.md, "Encoded rows"): the gradient
// of its weights, and the memory that its passes need.
//
// Every thread owns some runs, and sorts a minibatch's rows by their positions in each of them. All
// memory is taken by `reserve` (std::bad_alloc) and owned here. Functions with `t` may be called by
// all threads of a team at once, each with its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "array.h"
#include "kernels/kernels.h"
#include "network.h"
#include "passes.h"
#include "range.h"

namespace fastrelu {

// Rows pick(0) .. pick(rows - 1) of an encoded X.
struct EncodedBlock {
  const EncodedSource* x = nullptr;
  RowPicker pick;
  std::size_t rows = 0;
};

// Values of scratch that one thread needs to load x, beside scratch_size; 0 of other rows.
template <class T>
std::size_t encoded_scratch_size(const RowSource& x);

template <class T>
class EncodedLayer {
 public:
  // For blocks of up to `rows` rows of x on up to `threads` threads. `blocks`: a minibatch may have
  // several.
  void reserve(const Network<T>& net, const RowSource& x, std::size_t rows, unsigned threads,
               bool blocks);
  // Gives it all up.
  void release_memory();

  // Thread t's, for load_inputs.
  T* scratch(unsigned t) { return scratch_.data() + scratch_each_ * t; }

  // Thread t's part, of n, of the first layer's dW over the block's rows, and thread 0's of db, as
  // in backward_weights_pass; `last`: the minibatch, or its shard, ends with this block.
  void backward_weights(const Network<T>& net, const EncodedBlock& block,
                        const WeightGradients<T>& out, bool last, const Panels<T>& dz, unsigned n,
                        unsigned t);

 private:
  Range own_runs(std::size_t rows, unsigned n, unsigned t) const;
  void sort_rows(const EncodedBlock& block, std::size_t run, unsigned t);
  EncodedEntry<T>* entries(unsigned t) { return entries_.data() + rows_ * t; }
  std::uint32_t* begins(unsigned t) { return begins_.data() + (widest_ + 2) * t; }

  const EncodedSource* x_ = nullptr;
  std::size_t rows_ = 0, widest_ = 0, scratch_each_ = 0;
  AlignedBuffer<T> scratch_;
  AlignedBuffer<T> ones_;  // S of several blocks (kernels.h), laid out as the weights
  // Thread by thread, of one run: its entries by position, and where each position's begin.
  AlignedBuffer<EncodedEntry<T>> entries_;
  AlignedBuffer<std::uint32_t> begins_;
};

}  // namespace fastrelu
