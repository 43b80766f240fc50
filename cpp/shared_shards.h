// SPDX-License-Identifier: BSD-3-Clause
// The shards of a minibatch where several processes share them (communicator.h): each computes the
// gradients of its own run of shards, and all get the sum over all shards,
//
//   sum = g_first, then sum = sum + g_s over the shards that have rows, in ascending order
//
// and so the bits of one process that has all of them. What else runs over all rows goes with it:
// the rows' weights before the factors, the shards' losses, and whether a process wants to stop,
// so that all stop after the same step.
//
// Where the communicator exchanges behind the computation, `segments` says where it cuts the
// gradient, and segments leave, the last one first, as a step says that they are `ready`. What is
// not ready before `finish`, such as that of a process without rows, leaves there.
//
// A step asks `part` where the gradient of its k-th own shard with rows goes and notes its loss,
// then all threads of its team call `finish`. gather_weights, note_loss, ready and ask_to_stop are
// for thread 0. The buffers are taken by `reserve` (std::bad_alloc). One step at a time uses it.
#pragma once

#include <cstddef>
#include <vector>

#include "array.h"
#include "communicator.h"
#include "minibatch.h"
#include "network.h"
#include "sparse.h"
#include "thread_pool.h"

namespace fastrelu {

template <class T>
class SharedShards {
 public:
  SharedShards(const Network<T>& net, const Communicator& communicator, std::size_t n_shards);

  bool is_shared() const { return communicator_.is_shared(); }
  Range own() const { return own_; }  // the shards of this process

  // The memory of a run over minibatches of so many rows; forgets that a run was to stop. With
  // `sparse` (or null) it has the first layer's weights, whose parts are +0 between two steps.
  void reserve(std::size_t rows, bool weighted, const SparseGradient<T>* sparse);

  // The weights of all rows of a minibatch, in their order.
  const double* gather_weights(const DataSet<T>& data, const Minibatch& m);

  // Where the segments of the sum begin, descending to 0; one, if none leaves before the others.
  const std::vector<std::size_t>& segments() const { return segments_; }
  // All own parts of a minibatch are there from number `from` on; the sum goes into `sum`.
  void ready(const Minibatch& m, T* sum, std::size_t from);

  T* part(std::size_t k) { return parts_.data() + k * length_; }
  void note_loss(std::size_t shard, double loss) { own_notes()[shard - own_.begin] = loss; }
  // All own parts are there, every thread has waited for the others: puts the sum of all shards
  // into `sum` and their losses' into `loss`, and waits again. False: an exchange has failed, now
  // or before; the step must not be taken.
  bool finish(const Minibatch& m, T* sum, double* loss, Team& team, unsigned t);

  void ask_to_stop() { own_notes()[note_count_ - 1] = 1; }
  // Whether a process has asked, or an exchange has failed.
  bool must_stop() const { return must_stop_; }
  bool failed() const { return failed_; }

 private:
  double* own_notes() { return notes_.data() + communicator_.rank * note_count_; }
  void exchange(const Minibatch& m, T* sum, double* loss);
  void count_parts(const Minibatch& m);
  SumInOrder segment(std::size_t begin, std::size_t end, T* sum) const;

  const Network<T>& net_;
  const Communicator communicator_;
  const std::size_t n_shards_, length_;
  const Range own_;
  const std::size_t note_count_;  // of each rank: a loss for each of its shards, whether to stop
  const SparseGradient<T>* sparse_ = nullptr;
  AlignedBuffer<T> parts_;
  AlignedBuffer<double> weights_;
  std::vector<double> notes_;
  std::vector<std::size_t> counts_;  // one for each rank
  std::vector<std::size_t> segments_;
  std::size_t left_ = 0;  // numbers in segments that have not left
  std::size_t next_ = 0;  // the first of these segments
  bool must_stop_ = false, failed_ = false;
};

}  // namespace fastrelu
