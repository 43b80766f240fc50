// SPDX-License-Identifier: BSD-3-Clause
// Whole passes over any number of rows: predictions, row losses, cached activations, gradients from
// them. docs/arithmetic.md defines every value.
//
// Each call chooses its number of threads, and all but forward_cached and backward run in blocks of
// rows, so that their memory does not grow with x.rows. They allocate (std::bad_alloc) and keep
// nothing; results are written to the caller's memory, which overlaps nothing else. Any number of
// threads may call them at once while nobody changes the parameters.
#pragma once

#include <cstddef>

#include "array.h"
#include "loss.h"
#include "network.h"
#include "passes.h"

namespace fastrelu {

// The outputs of x's rows, or the link of a loss applied to them, rows `stride` elements apart.
// Where `finite` is given, it becomes false if dense rows hold a value that is not finite, and the
// outputs are of no use then.
template <class T>
void predict(const Network<T>& net, const RowSource& x, T* out, std::ptrdiff_t stride,
             const LossKind* link, bool* finite = nullptr);
// Row losses of x.rows rows, and the outputs they come from unless that is null.
template <class T>
void row_losses(const Network<T>& net, const RowSource& x, const Targets<T>& targets,
                const LossSpec<T>& loss, T* out, T* outputs);

// A_0 .. A_L of all rows, which are not encoded ones; nor are those of `backward`.
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

}  // namespace fastrelu
