// SPDX-License-Identifier: BSD-3-Clause
// A stack of matrices in panels (panels.h) that share the rows of a minibatch: the activations of
// all layers, or the gradients to them. It owns their memory, which lies side by side; its panels
// are views that live as long as the stack. Making one allocates (std::bad_alloc) and asks the poll
// of the thread (Interrupted); threads may then write different panels, or different rows of one,
// at once.
#pragma once

#include <cstddef>
#include <vector>

#include "array.h"
#include "panels.h"

namespace fastrelu {

template <class T>
class PanelStack {
 public:
  PanelStack() = default;
  // (widths[k], rows) each: a layer's activations or gradients, transposed. With `ones` each has
  // one row more, of ones: the input of the biases (kernels.h, DenseBackwardWeights).
  static PanelStack transposed(const std::vector<std::size_t>& widths, std::size_t rows, bool ones);
  // (rows, widths[k]) each.
  static PanelStack row_major(const std::vector<std::size_t>& widths, std::size_t rows);
  bool empty() const { return panels_.empty(); }
  const Panels<T>& operator[](std::size_t k) const { return panels_[k]; }

 private:
  AlignedBuffer<T> buffer_;
  std::vector<Panels<T>> panels_;
};

}  // namespace fastrelu
