// SPDX-License-Identifier: BSD-3-Clause
#include "dropout.h"

#include <algorithm>

#include "random.h"

namespace fastrelu {

template <class T>
void drop_units(const Dropout& dropout, std::size_t layer, std::size_t row, std::size_t begin,
                std::size_t end, std::size_t stride, T* values) {
  const double rate = dropout.rate(layer);
  const T scale = static_cast<T>(1.0 / (1.0 - rate));
  const std::array<std::uint64_t, 2> key{dropout.seed,
                                         static_cast<std::uint64_t>(Purpose::dropout)};
  for (std::size_t unit = begin; unit < end; unit += 4) {
    const auto words = philox_block({unit / 4, dropout.first_row + row, dropout.step, layer}, key);
    for (std::size_t i = 0; i < std::min<std::size_t>(4, end - unit); ++i, values += stride) {
      const double u = static_cast<double>(words[i] >> 11) * 0x1p-53;
      *values = u < rate ? T(0) : *values * scale;
    }
  }
}

template void drop_units(const Dropout&, std::size_t, std::size_t, std::size_t, std::size_t,
                         std::size_t, float*);
template void drop_units(const Dropout&, std::size_t, std::size_t, std::size_t, std::size_t,
                         std::size_t, double*);

}  // namespace fastrelu
