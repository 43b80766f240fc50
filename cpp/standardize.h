// SPDX-License-Identifier: BSD-3-Clause
// Columns of numbers of any kind become rows of a network's inputs:
//
//   out[r, j] = T((x - mean[j]) / divisor[j]),  x = columns[j][rows[r]], fill[j] where that is NaN,
//
// in float64 with the one rounding to T at the end. It exists because a table's columns lie apart
// and a network's rows lie together: here a tile of rows stays in the first-level cache while its
// columns are gone through. Threads take runs of rows. `out` overlaps nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "array.h"

namespace fastrelu {

enum class Number : std::uint8_t { f32, f64, i8, u8, i16, u16, i32, u32, i64, u64 };

struct NumberColumn {
  const void* data = nullptr;  // null: a column of NaN
  std::ptrdiff_t stride = 0;   // bytes from row to row
  Number type = Number::f64;
};

template <class T>
struct Standardize {
  const NumberColumn* columns;
  std::size_t n_columns;
  const Index* rows;  // or null: rows 0 .. n_rows-1
  std::size_t n_rows;
  const double *fill, *mean, *divisor;  // (n_columns,)
  const Index* indicators;              // (n_columns,) where in `out` NaN is told as 1; or -1
  T* out;                               // (n_rows, ...)
  std::ptrdiff_t stride;                // values from row to row
};

struct Standardized {
  std::vector<Index> missing;  // NaN in each column
  bool finite = true;          // all that was written is
};

template <class T>
Standardized standardize(const Standardize<T>& s);

}  // namespace fastrelu
