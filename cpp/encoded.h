// SPDX-License-Identifier: BSD-3-Clause
// The first layer of a network over encoded rows (docs/arithmetic.md, "Encoded rows"): the sums of
// each ramp's weights that its forward pass needs, and the gradient of its weights.
//
// Every thread owns some runs: it adds up their weights, and sorts a minibatch's rows by their
// positions in each of them. All memory is taken by `reserve` (std::bad_alloc) and owned here.
// Functions with `t` may be called by all threads of a team at once, each with its own.
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

// The sums of every ramp's weights, laid out as the first layer's weights, for one pass over x;
// empty of other rows. One thread makes it.
template <class T>
AlignedBuffer<T> ramp_sums(const Network<T>& net, const RowSource& x);

template <class T>
class EncodedLayer {
 public:
  // For blocks of up to `rows` rows of x on up to `threads` threads. `blocks`: a minibatch may have
  // several. Sums and gradients of before are forgotten.
  void reserve(const Network<T>& net, const RowSource& x, std::size_t rows, unsigned threads,
               bool blocks);
  // Gives it all up.
  void release_memory();

  // What the forward pass reads.
  const T* sums() const { return sums_.data(); }
  // Thread t of n: the sums of its runs.
  void add_up(const Network<T>& net, unsigned n, unsigned t);

  // Thread t's part, of n, of the first layer's dW over the block's rows, and thread 0's of db, as
  // in backward_weights_pass; `last`: the minibatch, or its shard, ends with this block. With
  // out.update the parameters take it at once, and `sums` are up to date afterwards.
  void backward_weights(const Network<T>& net, const EncodedBlock& block,
                        const WeightGradients<T>& out, bool last, const Panels<T>& dz, unsigned n,
                        unsigned t);

 private:
  Range own_runs(std::size_t rows, unsigned n, unsigned t) const;
  void sort_rows(const EncodedBlock& block, std::size_t run, unsigned t);
  EncodedEntry<T>* entries(unsigned t) { return entries_.data() + rows_ * t; }
  std::uint32_t* begins(unsigned t) { return begins_.data() + (widest_ + 2) * t; }

  const EncodedSource* x_ = nullptr;
  std::size_t rows_ = 0, widest_ = 0;
  AlignedBuffer<T> sums_, suffixes_;  // laid out as the weights; the latter for several blocks
  // Thread by thread, of one run: its entries by position, and where each position's begin.
  AlignedBuffer<EncodedEntry<T>> entries_;
  AlignedBuffer<std::uint32_t> begins_;
};

}  // namespace fastrelu
