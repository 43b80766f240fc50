// SPDX-License-Identifier: BSD-3-Clause
// The processes that share the shards of one training (docs/arithmetic.md, "Shards"): rank r of P
// has the r-th of P contiguous runs of the S shards, sizes as numpy.array_split's, and the rows of
// the data set that are in them.
//
// A communicator is a view of whoever moves the numbers: its two functions are collective, called
// by the thread that runs the training (thread 0 of a team) at the same points of the same step on
// every rank. They return false where that failed; the training then ends, and what has failed is
// for their owner to keep. The buffers are the caller's, for the time of the call.
//
// One that exchanges behind the computation has `segment_bytes`: `begin` then gives it segments of
// the sum as soon as this rank's parts of them are there, and returns at once; the same segments in
// the same order on every rank. The `sum` that follows is of the last segment, and returns when all
// are done; until then the buffers of all belong to both. After a failure none is in use.
#pragma once

#include <cstddef>

#include "range.h"

namespace fastrelu {

// What the ranks sum once a step, or a segment of it: T* parts of `length` numbers each.
struct SumInOrder {
  const void* parts = nullptr;          // of this rank's shards that have rows, in their order
  std::size_t stride = 0;               // numbers from a part to the next
  const std::size_t* counts = nullptr;  // how many parts each rank has
  std::size_t length = 0;
  bool is_double = false;
  void* total =
      nullptr;  // becomes g_0, then + g_1, ... over the parts of all ranks, in their order
  // (size, note_count): some numbers of each rank for all of them; this rank's are there.
  double* notes = nullptr;
  std::size_t note_count = 0;
};

struct Communicator {
  std::size_t rank = 0, size = 1;
  void* context = nullptr;
  bool (*sum)(void* context, const SumInOrder& what) = nullptr;
  bool (*begin)(void* context, const SumInOrder& what) = nullptr;  // without notes
  std::size_t segment_bytes = 0;  // of the segments at least; 0: there is one, and no `begin`
  // counts[r] numbers of rank r, rank after rank; this rank's are there, the others' are put there.
  bool (*gather)(void* context, double* values, const std::size_t* counts) = nullptr;

  bool is_shared() const { return size > 1; }
  // Of n shards, those of a rank.
  Range shards(std::size_t n, std::size_t of_rank) const { return shard_of(n, size, of_rank); }
};

}  // namespace fastrelu
