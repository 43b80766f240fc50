// SPDX-License-Identifier: BSD-3-Clause
#include "panel_stack.h"

#include <algorithm>

#include "poll.h"

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
  // The ones lie in every page, which the system makes now: a byte takes as long as this many
  // multiply-adds, or less.
  constexpr double kWorkOfByte = 10;
  PassWatch watch;
  for (const std::size_t width : widths) {
    const Panels<T> made{at, (width + 1) * kPanel<T>, rows};
    const double work = kWorkOfByte * static_cast<double>(made.stride * sizeof(T));
    for (std::size_t p = 0; ones && p < panels; ++p) {
      std::fill_n(made.at(width, p), kPanel<T>, T(1));
      watch.stop(0, work);
      watch.throw_if_stopped();
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
