// SPDX-License-Identifier: BSD-3-Clause
// The passes of a first layer over sparse rows (kernels.h states them). A stored entry costs one
// row of W or dZ, fan_out values side by side, so lanes run over the outputs: up to kSparseVectors
// of them keep their chains in registers while a row's, or a column's, entries go by. What such
// a loop waits for is memory, as rows of W come in no order: they are asked for ahead.
#pragma once

#include <algorithm>

#include "kernels.h"
#include "transpose-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

constexpr std::size_t kSparseVectors = 8;
// Entries, or columns, ahead of the one at work: some 10 ns each against 80 ns from main memory.
constexpr std::size_t kPrefetchAhead = 8;

// f(constant<n>, first column) for groups of n <= Most vectors that cover `cols`. A group begins a
// panel.
template <int N, class F>
FASTRELU_INLINE void call_with_vectors(std::size_t vectors, std::size_t c, F f) {
  if constexpr (N > 0) {
    if (vectors == static_cast<std::size_t>(N)) {
      f(std::integral_constant<int, N>{}, c);
    } else {
      call_with_vectors<N - 1>(vectors, c, f);
    }
  }
}
template <class T, std::size_t Most = kSparseVectors, class F>
FASTRELU_INLINE void for_vector_groups(std::size_t cols, F f) {
  constexpr std::size_t L = Simd<T>::kLanes;
  for (std::size_t c = 0; c < cols; c += Most * L) {
    const std::size_t vectors = std::min((cols - c + L - 1) / L, Most);
    call_with_vectors<Most>(vectors, c, f);
  }
}

// NV vectors of one row, from column `begin` of `cols`; fewer lanes at the end of the row.
template <class T, int NV>
struct SparseRow {
  using S = Simd<T>;
  using V = typename S::V;
  static constexpr std::size_t L = S::kLanes;
  V acc[NV];

  static FASTRELU_INLINE std::size_t lanes(std::size_t begin, std::size_t cols, std::size_t v) {
    const std::size_t c = begin + v * L;
    return c >= cols ? 0 : std::min(L, cols - c);
  }
  // Where vector v of a row in panels lies, from the row's place in the group's first panel.
  static FASTRELU_INLINE std::size_t offset(std::size_t stride, std::size_t v) {
    return v * L / kPanel<T> * stride + v * L % kPanel<T>;
  }
  static FASTRELU_INLINE void prefetch(const T* p) {
    const char* const line = reinterpret_cast<const char*>(p);
    static_for<(NV * kVectorBytes + 63) / 64>(
        [&](auto l) __attribute__((always_inline)) { __builtin_prefetch(line + l * 64); });
  }

  FASTRELU_INLINE void clear() {
    static_for<NV>([&](auto v) __attribute__((always_inline)) { acc[v] = S::zero(); });
  }
  FASTRELU_INLINE void load(const T* from, std::size_t begin, std::size_t cols) {
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      const std::size_t n = lanes(begin, cols, v);
      acc[v] = n == L ? S::load(from + v * L) : S::load_partial(from + v * L, n);
    });
  }
  FASTRELU_INLINE void store(T* to, std::size_t begin, std::size_t cols) const {
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      const std::size_t n = lanes(begin, cols, v);
      if (n == L) {
        S::store(to + v * L, acc[v]);
      } else {
        S::store_partial(to + v * L, acc[v], n);
      }
    });
  }
  // The update of the parameters at `w`, with their state, by the gradient `acc`.
  FASTRELU_INLINE void update(const UpdateArgs<T>& u, bool decay, T* w, const StateArrays<T>& state,
                              std::size_t begin, std::size_t cols) const {
    alignas(64) T gradient[NV * L];
    static_for<NV>([&](auto v)
                       __attribute__((always_inline)) { S::store(gradient + v * L, acc[v]); });
    update_row(u, decay, w, gradient, state, std::min(NV * L, cols - begin));
  }
};

// The chains of one row of X for the outputs of a group, side by side into `to`.
template <class T, int NV>
FASTRELU_INLINE void sparse_forward_row(const SparseForward<T>& f, Index from, std::size_t begin,
                                        T* to) {
  using S = Simd<T>;
  using Row = SparseRow<T, NV>;
  const auto* const values = static_cast<const T*>(f.x->values);
  const std::int32_t* const columns = f.x->columns;
  const auto at = [&](std::int32_t c) __attribute__((always_inline)) {
    return f.w + begin + static_cast<std::size_t>(c) * f.fan_out;
  };
  Row row;
  if (f.b != nullptr) {
    row.load(f.b + begin, begin, f.fan_out);
  } else {
    row.clear();
  }
  const Index last = f.x->begin(from + 1);
  for (Index e = f.x->begin(from); e < last; ++e) {
    const Index ahead = e + static_cast<Index>(kPrefetchAhead);
    if (ahead < last) Row::prefetch(at(columns[ahead]));
    const typename S::V x = S::set1(values[e] * f.scale);  // times 1 rounds nothing
    const T* const of_column = at(columns[e]);
    // Lanes beyond the last output read the next row's weights, or the slack behind the last.
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      row.acc[v] = S::fma(x, S::load(of_column + v * S::kLanes), row.acc[v]);
    });
  }
  static_for<NV>([&](auto v) __attribute__((always_inline)) {
    S::store(to + v * S::kLanes, f.relu ? S::relu(row.acc[v]) : row.acc[v]);
  });
}

// The outputs of a group of kLanes rows, side by side row by row, into the panels of Z' from row n
// on.
template <class T, int NV, class Forward>
FASTRELU_INLINE void store_transposed(const Forward& f, const T* side_by_side, std::size_t n,
                                      std::size_t begin) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  for (std::size_t o = begin; o < std::min(begin + NV * L, f.fan_out); o += L) {
    typename S::V block[L];
    for (std::size_t l = 0; l < L; ++l) {
      block[l] = S::load(side_by_side + l * (NV * L) + (o - begin));
    }
    transpose<T>(block);
    T* const z = f.z.at(o, n / kPanel<T>) + n % kPanel<T>;
    const std::size_t outputs = std::min(L, f.fan_out - o);
    for (std::size_t k = 0; k < outputs; ++k) S::store(z + k * kPanel<T>, block[k]);
  }
}

// The outputs of a group for all rows: kLanes rows in turn, then transposed.
template <class T, int NV>
__attribute__((noinline)) void sparse_forward_group(const SparseForward<T>& f, std::size_t begin) {
  constexpr std::size_t L = Simd<T>::kLanes;
  alignas(64) T side_by_side[L][NV * L] = {};
  for (std::size_t n = f.row_begin; n < f.row_end; n += L) {
    const std::size_t rows = std::min(L, f.row_end - n);
    for (std::size_t l = 0; l < rows; ++l) {
      sparse_forward_row<T, NV>(f, f.rows(n + l), begin, side_by_side[l]);
    }
    store_transposed<T, NV>(f, side_by_side[0], n, begin);
  }
}

template <class T>
void sparse_forward(const SparseForward<T>& f) {
  for_vector_groups<T>(f.fan_out, [&](auto nv, std::size_t begin) {
    sparse_forward_group<T, decltype(nv)::value>(f, begin);
  });
}

// The outputs of a group, for `count` of f's columns from the `first` on. Where `strip` is given,
// their chains begin at +0 and are stored there, row by row as wide as W's, and nothing is updated.
template <class T, int NV>
__attribute__((noinline)) void sparse_backward_columns(const SparseBackwardWeights<T>& f,
                                                       std::size_t begin, T* strip,
                                                       std::size_t first, std::size_t count) {
  using S = Simd<T>;
  using Row = SparseRow<T, NV>;
  const std::size_t cols = f.dz.cols, end = first + count;
  const bool last_group = begin + kSparseVectors * S::kLanes >= cols;
  const bool decay = f.update != nullptr && f.update->weight_decay != 0;
  T* const target = f.update != nullptr ? f.w : f.dw;
  const T* const dz = f.dz.at(0, begin / kPanel<T>);
  const SparseEntry<T>* const entries = f.entries - 1;
  const auto column = [&](std::size_t i) __attribute__((always_inline)) {
    return f.columns == nullptr ? f.first_column + i : std::size_t{f.columns[i]};
  };
  for (std::size_t i = first; i < end; ++i) {
    if (i + kPrefetchAhead < f.count) {
      const std::size_t ahead = column(i + kPrefetchAhead);
      if (strip == nullptr) Row::prefetch(target + ahead * cols + begin);
      __builtin_prefetch(entries + f.heads[ahead]);
    }
    const std::size_t c = column(i), at = c * cols + begin;
    Row row;
    if (f.update != nullptr) {
      row.clear();
    } else {
      row.load(f.dw + at, begin, cols);
    }
    for (std::uint32_t k = f.heads[c]; k != 0; k = entries[k].next) {
      const typename S::V x = S::set1(entries[k].value);
      const T* const of_row = dz + entries[k].row * kPanel<T>;
      static_for<NV>([&](auto v) __attribute__((always_inline)) {
        row.acc[v] = S::fma(x, S::load(of_row + Row::offset(f.dz.stride, v)), row.acc[v]);
      });
    }
    if (strip != nullptr) {
      row.store(strip + (i - first) * cols + begin, begin, cols);
    } else if (f.update != nullptr) {
      row.update(*f.update, decay, f.w + at, f.state.from(at), begin, cols);
    } else {
      row.store(f.dw + at, begin, cols);
    }
    if (last_group) f.heads[c] = 0;
  }
}

// Where every column is updated, their weights lie in a row, and so do, in strips of this many
// bytes, their gradients: an update of each alone ends with a part of a vector, whose masked store
// the loads of the next one wait for (rows of 50 float64 by Adam: 1.8 ns a weight instead of 1.0).
constexpr std::size_t kSparseStripBytes = 1 << 14;

template <class T>
void sparse_backward_weights(const SparseBackwardWeights<T>& f) {
  constexpr std::size_t kStrip = kSparseStripBytes / sizeof(T);
  const std::size_t cols = f.dz.cols;
  const bool in_strips = f.update != nullptr && f.columns == nullptr && cols <= kStrip;
  alignas(64) T gradients[kStrip];
  T* const strip = in_strips ? gradients : nullptr;
  const std::size_t step = in_strips ? kStrip / cols : f.count;
  for (std::size_t i = 0; i < f.count; i += step) {
    const std::size_t count = std::min(step, f.count - i);
    for_vector_groups<T>(cols, [&](auto nv, std::size_t begin) {
      sparse_backward_columns<T, decltype(nv)::value>(f, begin, strip, i, count);
    });
    if (!in_strips) continue;
    const std::size_t at = (f.first_column + i) * cols;
    update_row(*f.update, f.update->weight_decay != 0, f.w + at, strip, f.state.from(at),
               count * cols);
  }
}

template <class T>
void sparse_backward_bias(const SparseBackwardBias<T>& f) {
  for_vector_groups<T>(f.dz.cols, [&](auto nv, std::size_t begin) {
    using S = Simd<T>;
    using Row = SparseRow<T, decltype(nv)::value>;
    Row row;
    if (f.accumulate) {
      row.load(f.db + begin, begin, f.dz.cols);
    } else {
      row.clear();
    }
    const T* dz = f.dz.at(0, begin / kPanel<T>);
    for (std::size_t n = 0; n < f.rows; ++n, dz += kPanel<T>) {
      static_for<decltype(nv)::value>([&](auto v) __attribute__((always_inline)) {
        row.acc[v] = row.acc[v] + S::load(dz + Row::offset(f.dz.stride, v));
      });
    }
    if (f.update != nullptr) {
      row.update(*f.update, false, f.b + begin, f.state.from(begin), begin, f.dz.cols);
    } else {
      row.store(f.db + begin, begin, f.dz.cols);
    }
  });
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
