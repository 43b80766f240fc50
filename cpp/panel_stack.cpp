// SPDX-License-Identifier: BSD-3-Clause
#include "panel_stack.h"

#include <algorithm>

namespace fastrelu {

template <class T>
PanelStack<T> PanelStack<T>::transposed(const std::vector<std::size_t>& widths, std::size_t rows,
                                        bool ones) {
  PanelStack stack;
  const std::size_t panels = panel_count<T>(rows);
  std::size_t total = 0;
  for (const std::size_t width : widths) total += (width + 1) * kPanel<T> * panels;
  stack.buffer_.reset(total);
  T* at = stack.buffer_.data();
  for (const std::size_t width : widths) {
    const Panels<T> made{at, (width + 1) * kPanel<T>, rows};
    if (ones) {
      for (std::size_t p = 0; p < panels; ++p) std::fill_n(made.at(width, p), kPanel<T>, T(1));
    }
    stack.panels_.push_back(made);
    at += made.stride * panels;
  }
  return stack;
}

template <class T>
PanelStack<T> PanelStack<T>::row_major(const std::vector<std::size_t>& widths, std::size_t rows) {
  PanelStack stack;
  const std::size_t stride = round_up(rows, kPanel<T>) * kPanel<T>;
  std::size_t total = 0;
  for (const std::size_t width : widths) total += panel_count<T>(width) * stride;
  stack.buffer_.reset(total);
  T* at = stack.buffer_.data();
  for (const std::size_t width : widths) {
    stack.panels_.push_back({at, stride, width});
    at += panel_count<T>(width) * stride;
  }
  return stack;
}

template class PanelStack<float>;
template class PanelStack<double>;

}  // namespace fastrelu
