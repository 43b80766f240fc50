// SPDX-License-Identifier: BSD-3-Clause
// Derivatives row by row: the gradient of every row's own loss, and the Jacobian of the outputs
// with respect to every row's inputs. docs/arithmetic.md defines every value.
//
// Each call chooses its number of threads, takes its working memory (std::bad_alloc) and keeps
// nothing; results are written to the caller's memory, which overlaps nothing else. The functions
// with `bytes` in their names say how much that working memory is at most. Any number of threads
// may call them at once while nobody changes the parameters. They throw Interrupted where the
// calling thread's poll (poll.h) says stop.
#pragma once

#include <cstddef>

#include "array.h"
#include "minibatch.h"
#include "network.h"
#include "step.h"

namespace fastrelu {

// Row r's gradient, laid out as the parameters, at out + r * stride: the bits of that of a
// minibatch that holds row r alone. There is at least one row; data.weights is not looked at;
// `most_threads` >= 1. The network is not changed.
template <class T>
void per_sample_gradients(Network<T>& net, const DataSet<T>& data, const LossOptions& loss, T* out,
                          std::ptrdiff_t stride, unsigned most_threads);
// Of one of its threads, over rows of x.
template <class T>
std::size_t per_sample_bytes(const Network<T>& net, const RowSource& x);

// d outputs / d inputs of row r, (outputs, inputs) row-major, at out + r * stride, `block_rows` >=
// 1 rows at a time.
template <class T>
void jacobian(const Network<T>& net, const RowSource& x, std::size_t block_rows, T* out,
              std::ptrdiff_t stride);
template <class T>
std::size_t jacobian_bytes(const Network<T>& net, std::size_t block_rows);
// The most block_rows, up to `rows`, that takes no more than `bytes`; 0 where 1 takes more.
template <class T>
std::size_t jacobian_block(const Network<T>& net, std::size_t rows, std::size_t bytes);

}  // namespace fastrelu
