// SPDX-License-Identifier: BSD-3-Clause
// Plain SGD's update of one layer by a few rows: an outer product onto W, or onto W' where that is
// kept. A unit that relu has left at 0 has no part in it, so its row is passed over.
#pragma once

#include <algorithm>
#include <numeric>

#include "few_rows_zeros-inl.h"
#include "kernels.h"
#include "transpose-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// Plain SGD on rows of w, (count, columns), ldw apart: w[i] = fma(step, the chain over r of
// left[r][i] right[r], w[i]).
template <class T>
struct OuterUpdate {
  const T* left;
  std::size_t left_step, count;
  const T* right;
  std::size_t right_step;
  T step;
  T* w;
  std::size_t ldw, columns;
  // Rows of w that are 0 in all rows of `left`: all of `right` is finite, and `step` is below 0 or
  // -0. Their gradient is +0, and fma(step, +0, w) is w.
  bool skips;
};

// NV vectors of these rows, from the last row up: what the pass before has read last is in the L1
// cache still, where all of it is not.
template <class T, int R, int NV>
FASTRELU_INLINE void few_outer_columns(const OuterUpdate<T>& f, std::size_t column,
                                       const std::int32_t* rows, std::size_t count) {
  using S = Simd<T>;
  const typename S::V scale = S::set1(f.step);
  typename S::V d[R][NV];
  static_for<R>([&](auto r) __attribute__((always_inline)) {
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      d[r][v] = S::load(f.right + r * f.right_step + column + v * S::kLanes);
    });
  });
  const std::size_t ldw = f.ldw, left_step = f.left_step;
  T* const w = f.w + column;
  const T* const left = f.left;
  for (std::size_t k = count; k > 0; --k) {
    const auto i = static_cast<std::size_t>(rows[k - 1]);
    T* const to = w + i * ldw;
    typename S::V x[R];
    static_for<R>([&](auto r)
                      __attribute__((always_inline)) { x[r] = S::set1(left[r * left_step + i]); });
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      typename S::V g = S::zero();
      static_for<R>([&](auto r) __attribute__((always_inline)) { g = S::fma(x[r], d[r][v], g); });
      T* const p = to + v * S::kLanes;
      S::store(p, S::fma(scale, g, S::load(p)));
    });
  }
}

// Columns [column, columns), less than a vector. A vector that is loaded just behind a partial
// store of its neighbour waits for it, so several rows are loaded before any is stored, and the
// last few go one value at a time.
template <class T, int R>
FASTRELU_INLINE void few_outer_rest(const OuterUpdate<T>& f, std::size_t column) {
  using S = Simd<T>;
  constexpr std::size_t kTogether = 8;
  const std::size_t lanes = f.columns - column;
  const typename S::V scale = S::set1(f.step);
  typename S::V d[R];
  static_for<R>([&](auto r) __attribute__((always_inline)) {
    d[r] = S::load(f.right + r * f.right_step + column);
  });
  std::size_t i = 0;
  for (; i + kTogether <= f.count; i += kTogether) {
    T* const to = f.w + i * f.ldw + column;
    typename S::V row[kTogether];
    static_for<kTogether>([&](auto j) __attribute__((always_inline)) {
      typename S::V g = S::zero();
      static_for<R>([&](auto r) __attribute__((always_inline)) {
        g = S::fma(S::set1(f.left[r * f.left_step + i + j]), d[r], g);
      });
      row[j] = S::fma(scale, g, S::load(to + j * f.ldw));
    });
    static_for<kTogether>([&](auto j) __attribute__((always_inline)) {
      S::store_partial(to + j * f.ldw, row[j], lanes);
    });
  }
  for (; i < f.count; ++i) {
    for (std::size_t c = column; c < f.columns; ++c) {
      T g = 0;
      for (std::size_t r = 0; r < R; ++r) {
        g = scalar_fma(f.left[r * f.left_step + i], f.right[r * f.right_step + c], g);
      }
      T& w = f.w[i * f.ldw + c];
      w = scalar_fma(f.step, g, w);
    }
  }
}

// Row by row, so that a matrix beyond the caches streams in order.
template <class T, int R>
FASTRELU_INLINE std::size_t few_outer_rows(const OuterUpdate<T>& f) {
  using S = Simd<T>;
  const std::size_t columns = f.columns / S::kLanes * S::kLanes;
  const typename S::V scale = S::set1(f.step);
  for (std::size_t i = 0; i < f.count; ++i) {
    bool some = !f.skips;
    for (std::size_t r = 0; r < R; ++r) some |= f.left[r * f.left_step + i] != T(0);
    if (!some) continue;
    T* const to = f.w + i * f.ldw;
    typename S::V x[R];
    static_for<R>([&](auto r) __attribute__((always_inline)) {
      x[r] = S::set1(f.left[r * f.left_step + i]);
    });
    for (std::size_t c = 0; c < columns; c += S::kLanes) {
      typename S::V g = S::zero();
      static_for<R>([&](auto r) __attribute__((always_inline)) {
        g = S::fma(x[r], S::load(f.right + r * f.right_step + c), g);
      });
      S::store(to + c, S::fma(scale, g, S::load(to + c)));
    }
  }
  return columns;
}

// Whole vectors of all rows, those of a block of rows first; returns the first column left.
template <class T, int R>
FASTRELU_INLINE std::size_t few_outer_blocks(const OuterUpdate<T>& f) {
  constexpr std::size_t L = Simd<T>::kLanes;
  constexpr int kTogether = R <= 2 ? 4 : 2;
  std::int32_t rows[kPlaces<T>];
  std::size_t c = 0;
  for (std::size_t end = f.count; end > 0;) {
    const std::size_t first = end - std::min(kListed, end);
    std::size_t n = end - first;
    if (f.skips) {
      n = places_of_nonzeros<T, R>(f.left, f.left_step, first, n, rows);
    } else {
      std::iota(rows, rows + n, static_cast<std::int32_t>(first));
    }
    for (c = 0; c + kTogether * L <= f.columns; c += kTogether * L) {
      few_outer_columns<T, R, kTogether>(f, c, rows, n);
    }
    for (; c + L <= f.columns; c += L) few_outer_columns<T, R, 1>(f, c, rows, n);
    end = first;
  }
  return c;
}

// Lane l of a vector of a matrix of C columns, row after row, is row l / C of those in the vector,
// column l % C.
template <std::size_t C>
struct RowOfLane {
  static constexpr std::size_t of(std::size_t lane) { return lane / C; }
};
template <std::size_t C>
struct ColumnOfLane {
  static constexpr std::size_t of(std::size_t lane) { return lane % C; }
};

// A matrix of C columns without gaps, C a divisor of kLanes, in whole vectors.
template <class T, int R, std::size_t C>
FASTRELU_INLINE void few_outer_flat(const OuterUpdate<T>& f) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  constexpr auto kLaneNumbers = std::make_index_sequence<L>{};
  const typename S::V scale = S::set1(f.step);
  typename S::V d[R];
  static_for<R>([&](auto r) __attribute__((always_inline)) {
    const typename S::V right = S::load_partial(f.right + r * f.right_step, C);
    d[r] = shuffle<T, ColumnOfLane<C>>(right, right, kLaneNumbers);
  });
  for (std::size_t i = 0; i < f.count; i += L / C) {
    const std::size_t rows = std::min(L / C, f.count - i);
    typename S::V g = S::zero();
    static_for<R>([&](auto r) __attribute__((always_inline)) {
      const typename S::V x = S::load_partial(f.left + r * f.left_step + i, rows);
      g = S::fma(shuffle<T, RowOfLane<C>>(x, x, kLaneNumbers), d[r], g);
    });
    T* const to = f.w + i * C;
    if (rows * C == L) {
      S::store(to, S::fma(scale, g, S::load(to)));
    } else {
      S::store_partial(to, S::fma(scale, g, S::load_partial(to, rows * C)), rows * C);
    }
  }
}

// Whether it was such a matrix, of less columns than a vector has lanes.
template <class T, int R, std::size_t C = Simd<T>::kLanes / 2>
FASTRELU_INLINE bool few_outer_narrow(const OuterUpdate<T>& f) {
  if constexpr (C == 0) {
    return false;
  } else {
    if (f.columns != C || f.ldw != C) return few_outer_narrow<T, R, C / 2>(f);
    few_outer_flat<T, R, C>(f);
    return true;
  }
}

template <class T, int R>
__attribute__((noinline)) void few_outer_update(const OuterUpdate<T>& f) {
  if (few_outer_narrow<T, R>(f)) return;
  constexpr std::size_t kCachedValues = std::size_t{1} << 16;
  const std::size_t c =
      f.count * f.columns > kCachedValues ? few_outer_rows<T, R>(f) : few_outer_blocks<T, R>(f);
  if (c < f.columns) few_outer_rest<T, R>(f, c);
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
