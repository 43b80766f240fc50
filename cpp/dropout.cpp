// SPDX-License-Identifier: BSD-3-Clause
#include "dropout.h"

#include <algorithm>
#include <cmath>

#include "dispatch.h"
#include "random.h"

namespace fastrelu {

std::uint32_t Dropout::threshold(std::size_t layer) const {
  if (rates == nullptr || layer >= rates->size()) return 0;
  // A threshold of 65536 would leave nothing to scale up.
  return static_cast<std::uint32_t>(std::min(std::floor((*rates)[layer] * 65536.0 + 0.5), 65535.0));
}

template <class T>
void drop_units(const Dropout& dropout, std::size_t layer, const Panels<T>& a, Range units,
                Range panels) {
  DropUnits<T> d;
  d.a = a;
  d.unit_begin = units.begin;
  d.unit_end = units.end;
  d.panel_begin = panels.begin;
  d.panel_end = panels.end;
  d.first_row = dropout.first_row;
  d.key = RandomStream(dropout.seed, Purpose::dropout, layer, dropout.step).next();
  d.threshold = dropout.threshold(layer);
  d.scale = static_cast<T>(dropout.scale(layer));
  kernels<T>().drop_units(d);
}

template void drop_units(const Dropout&, std::size_t, const Panels<float>&, Range, Range);
template void drop_units(const Dropout&, std::size_t, const Panels<double>&, Range, Range);

}  // namespace fastrelu
