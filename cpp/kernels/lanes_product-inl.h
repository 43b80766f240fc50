// SPDX-License-Identifier: BSD-3-Clause
// The product that all passes of several networks at once are made of: a lane is a chain of its
// own, which ends where its network's terms do.
#pragma once

#include <algorithm>

#include "simd-inl.h"
#include "transpose-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// Chains over k of fma(left(m, k), right(k, n)), in parts that follow each other. left(m, k) lies
// at left + m * left_m + k * left_k over all parts; right(k, n) at right + k * right_k + n *
// right_n of its part, k counted from its beginning. A lane's chain ends at its own `lengths`, of
// which `common` is the least; `first` is the number of the term k = 0.
template <class T>
struct LanesPart {
  const T* right;
  std::size_t right_k, right_n, count;
};
template <class T, class Parts>
struct LanesProduct {
  const T* left;
  std::size_t left_m, left_k;
  std::size_t part_count;
  Parts part;  // part(p) -> LanesPart
  std::size_t common;
  const T* lengths;
  std::size_t first = 0;
};

// The chains of M x N results go on through a part. kSpread: `left` has one value for all lanes.
template <class T, int M, int N, bool kSpread>
FASTRELU_INLINE void lanes_chains(typename Simd<T>::V (&acc)[M][N], const T* left,
                                  std::size_t left_m, std::size_t left_k, const LanesPart<T>& part,
                                  std::size_t n, std::size_t common, std::size_t first,
                                  const T* lengths) {
  using S = Simd<T>;
  using V = typename S::V;
  const std::size_t right_k = part.right_k, right_n = part.right_n;
  const T* right = part.right + n * right_n;
  const auto operand = [](const T* at) __attribute__((always_inline)) {
    return kSpread ? S::set1(*at) : S::load(at);
  };
  std::size_t k = 0;
  for (; k < common; ++k, left += left_k, right += right_k) {
    V b[N];
    static_for<N>([&](auto j)
                      __attribute__((always_inline)) { b[j] = S::load(right + j * right_n); });
    static_for<M>([&](auto i) __attribute__((always_inline)) {
      const V a = operand(left + i * left_m);
      static_for<N>([&](auto j)
                        __attribute__((always_inline)) { acc[i][j] = S::fma(a, b[j], acc[i][j]); });
    });
  }
  for (; k < part.count; ++k, left += left_k, right += right_k) {
    const typename S::M open = S::set1(static_cast<T>(first + k)) < S::load(lengths);
    static_for<M>([&](auto i) __attribute__((always_inline)) {
      const V a = operand(left + i * left_m);
      static_for<N>([&](auto j) __attribute__((always_inline)) {
        const V next = S::fma(a, S::load(right + j * right_n), acc[i][j]);
        acc[i][j] = open ? next : acc[i][j];
      });
    });
  }
}

template <class T, int M, int N, bool kSpread, class Parts, class Start, class Done>
FASTRELU_INLINE void lanes_tile(const LanesProduct<T, Parts>& p, std::size_t m, std::size_t n,
                                const Start& start, const Done& done) {
  typename Simd<T>::V acc[M][N];
  static_for<M>([&](auto i) __attribute__((always_inline)) {
    static_for<N>([&](auto j) __attribute__((always_inline)) { acc[i][j] = start(m + i, n + j); });
  });
  const T* left = p.left + m * p.left_m;
  std::size_t k = 0;
  for (std::size_t s = 0; s < p.part_count; ++s) {
    const LanesPart<T> part = p.part(s);
    const std::size_t common = p.common <= k ? 0 : std::min(part.count, p.common - k);
    lanes_chains<T, M, N, kSpread>(acc, left, p.left_m, p.left_k, part, n, common, p.first + k,
                                   p.lengths);
    k += part.count;
    left += part.count * p.left_k;
  }
  static_for<M>([&](auto i) __attribute__((always_inline)) {
    static_for<N>([&](auto j) __attribute__((always_inline)) { done(m + i, n + j, acc[i][j]); });
  });
}

// Columns [n, n_end), rows m .. m + M - 1.
template <class T, int M, int N, bool kSpread, class Parts, class Start, class Done>
FASTRELU_INLINE void lanes_columns(const LanesProduct<T, Parts>& p, std::size_t m, std::size_t n,
                                   std::size_t n_end, const Start& start, const Done& done) {
  for (; n + N <= n_end; n += N) lanes_tile<T, M, N, kSpread>(p, m, n, start, done);
  if constexpr (N > 1) lanes_columns<T, M, N / 2, kSpread>(p, m, n, n_end, start, done);
}

// Tiles: enough chains to hide the latency of fma, few enough for the registers.
#if defined(FASTRELU_X86_V4) || defined(__aarch64__)
constexpr int kLanesRows = 4, kLanesColumns = 4;
#else
constexpr int kLanesRows = 2, kLanesColumns = 4;
#endif
constexpr int kLanesAlone = 8;  // columns beside one row
// Inputs of the backward pass of one row.
#if defined(FASTRELU_X86_V4) || defined(__aarch64__)
constexpr int kLanesTogether = 8;
#else
constexpr int kLanesTogether = 4;
#endif

template <class T, bool kSpread, class Parts, class Start, class Done>
FASTRELU_INLINE void lanes_product(const LanesProduct<T, Parts>& p, std::size_t m_begin,
                                   std::size_t m_end, std::size_t n_begin, std::size_t n_end,
                                   const Start& start, const Done& done) {
  std::size_t m = m_begin;
  for (; m + kLanesRows <= m_end; m += kLanesRows) {
    lanes_columns<T, kLanesRows, kLanesColumns, kSpread>(p, m, n_begin, n_end, start, done);
  }
  for (; m < m_end; ++m) {
    lanes_columns<T, 1, kLanesAlone, kSpread>(p, m, n_begin, n_end, start, done);
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
