// SPDX-License-Identifier: BSD-3-Clause
// The register tile that every pass of a dense layer is made of: MR rows by NV vectors of
// accumulators, each lane one output element that runs its whole chain
//
//   acc[r][v] = fma(left(r, k), right[k][v], acc[r][v]),  k ascending,
//
// so tiles may be cut anywhere. A tile hides the latency of fma with latency x issue rate
// accumulators (4 cycles x 2 = 8) and wants few loads an fma: 12 x 2 reads 14 values for 24 fma.
#pragma once

#include <algorithm>

#include "kernels.h"
#include "transpose-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

#if defined(FASTRELU_X86_V4)
constexpr std::size_t kTileRows = 12;
#elif defined(FASTRELU_X86_V3)
constexpr std::size_t kTileRows = 6;
#elif FASTRELU_HAS_FMA
constexpr std::size_t kTileRows = 8;
#else
constexpr std::size_t kTileRows = 2;  // the emulated fma needs the registers itself
#endif

// A short tile's loop costs more beside its work: two turns at once are 3 % slower with AVX2.
#if defined(FASTRELU_X86_V4)
#define FASTRELU_UNROLL_TILE FASTRELU_UNROLL_2
#else
#define FASTRELU_UNROLL_TILE FASTRELU_UNROLL_4
#endif

// The left operand: left(r) is row r's value at the present k; next() goes to k + 1.

// Rows side by side, `step` values from one k to the next.
template <class T>
struct LeftColumns {
  const T* p;
  std::size_t step;
  FASTRELU_INLINE T operator()(std::size_t r) const { return p[r]; }
  FASTRELU_INLINE void next() { p += step; }
};
// The same with the step known: packed strips of MR rows.
template <class T, int MR>
struct LeftPacked {
  const T* p;
  FASTRELU_INLINE T operator()(std::size_t r) const { return p[r]; }
  FASTRELU_INLINE void next() { p += MR; }
};
// Values of a row side by side, rows Stride apart.
template <class T, std::size_t Stride>
struct LeftRows {
  const T* p;
  FASTRELU_INLINE T operator()(std::size_t r) const { return p[r * Stride]; }
  FASTRELU_INLINE void next() { ++p; }
};
// Values of a row side by side, rows any stride apart: a pointer for every third row, so that the
// others are reached by scaled addressing.
template <class T, int MR>
struct LeftAnyRows {
  static constexpr int kBases = (MR + 2) / 3;
  const T* base[kBases];
  std::size_t stride;
  FASTRELU_INLINE LeftAnyRows(const T* p, std::size_t row_stride) : stride(row_stride) {
    static_for<kBases>([&](auto i)
                           __attribute__((always_inline)) { base[i] = p + 3 * i * row_stride; });
  }
  FASTRELU_INLINE T operator()(std::size_t r) const { return base[r / 3][(r % 3) * stride]; }
  FASTRELU_INLINE void next() {
    static_for<kBases>([&](auto i) __attribute__((always_inline)) { ++base[i]; });
  }
};

// `Vector`: Simd<T>, or HalfSimd<T> where half of its lanes would be empty.
template <class T, int MR, int NV, class Vector = Simd<T>>
struct Tile {
  using S = Vector;
  using V = typename S::V;
  V acc[MR][NV];

  // f(r, v) for every vector, unrolled in the source.
  template <class F>
  static FASTRELU_INLINE void each(F&& f) {
    static_for<MR>([&](auto r) __attribute__((always_inline)) {
      static_for<NV>([&](auto v) __attribute__((always_inline)) { f(r, v); });
    });
  }

  // right: NV vectors at each k, RightStep values apart.
  template <std::size_t RightStep, class Left>
  FASTRELU_INLINE void run(Left& left, const T* right, std::size_t count) {
    FASTRELU_UNROLL_TILE
    for (std::size_t k = 0; k < count; ++k) {
      V b[NV];
      static_for<NV>([&](auto v)
                         __attribute__((always_inline)) { b[v] = S::load(right + v * S::kLanes); });
      static_for<MR>([&](auto r) __attribute__((always_inline)) {
        const V a = S::set1(left(r));
        static_for<NV>(
            [&](auto v) __attribute__((always_inline)) { acc[r][v] = S::fma(a, b[v], acc[r][v]); });
      });
      left.next();
      right += RightStep;
    }
  }
};

// Calls f(constant<rows>, begin) for runs of at most MaxRows that cover [begin, end), all nearly
// as long: a short last run would not hide the latency.
template <std::size_t N, class F>
FASTRELU_INLINE void call_with_rows(std::size_t rows, std::size_t begin, F& f) {
  if constexpr (N > 0) {
    if (rows == N) {
      f(std::integral_constant<int, static_cast<int>(N)>{}, begin);
    } else {
      call_with_rows<N - 1>(rows, begin, f);
    }
  }
}
template <std::size_t MaxRows, class F>
FASTRELU_INLINE void for_row_tiles(std::size_t begin, std::size_t end, F f) {
  if (begin >= end) return;
  const std::size_t rows = end - begin, tiles = (rows + MaxRows - 1) / MaxRows;
  const std::size_t each = rows / tiles;
  std::size_t longer = rows % tiles;
  while (begin < end) {
    const std::size_t now = longer > 0 ? each + 1 : each;
    if (longer > 0) --longer;
    call_with_rows<MaxRows>(now, begin, f);
    begin += now;
  }
}

// Calls f(constant<vectors>, first column) over the vectors that hold `cols` columns of a panel,
// two at a time.
template <class T, class F>
FASTRELU_INLINE void for_column_tiles(std::size_t cols, F f) {
  constexpr std::size_t L = Simd<T>::kLanes;
  std::size_t c = 0;
  for (; c + L < cols; c += 2 * L) f(std::integral_constant<int, 2>{}, c);
  if (c < cols) f(std::integral_constant<int, 1>{}, c);
}

template <class T>
FASTRELU_INLINE std::size_t panel_columns(std::size_t cols, std::size_t p) {
  const std::size_t before = p * kPanel<T>;
  return cols <= before ? 0 : std::min(kPanel<T>, cols - before);
}

// Lanes of the vector at column c that lie inside `cols`.
template <class T>
FASTRELU_INLINE std::size_t lanes_inside(std::size_t cols, std::size_t c) {
  return c >= cols ? 0 : std::min(Simd<T>::kLanes, cols - c);
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
