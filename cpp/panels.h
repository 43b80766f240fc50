// SPDX-License-Identifier: BSD-3-Clause
// Panels: how the core keeps a matrix while it computes. Columns lie in groups of kPanel<T> (128
// bytes), each group a block of rows of kPanel<T> contiguous values, so element (r, c) lies at
// data[(c / kPanel) * stride + r * kPanel + c % kPanel]. Activations are kept as panels of A'
// (features, rows of the minibatch): whole vectors of rows side by side, features 128 bytes apart.
// Columns beyond the matrix's own in the last panel hold unspecified values.
//
// A view: it owns nothing, may look at what another one looks at, and must not outlive it
// (PanelStack in panel_stack.h owns such memory). Threads may write different elements at once.
#pragma once

#include <cstddef>
#include <type_traits>

namespace fastrelu {

template <class T>
constexpr std::size_t kPanel = 128 / sizeof(T);

template <class T>
constexpr std::size_t panel_count(std::size_t cols) {
  return (cols + kPanel<T> - 1) / kPanel<T>;
}

template <class T>
struct Panels {
  T* data = nullptr;
  std::size_t stride = 0;  // elements from one panel to the next: allocated rows * kPanel<T>
  std::size_t cols = 0;

  T* panel(std::size_t p) const { return data + p * stride; }
  T* at(std::size_t row, std::size_t p) const {
    return data + p * stride + row * kPanel<std::remove_const_t<T>>;
  }
};

template <class T>
Panels<const T> read_only(const Panels<T>& a) {
  return {a.data, a.stride, a.cols};
}

}  // namespace fastrelu
