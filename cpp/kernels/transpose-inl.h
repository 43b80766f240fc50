// SPDX-License-Identifier: BSD-3-Clause
// In-register transposition of a square block of vectors, and compile-time loops.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "simd-inl.h"

#if defined(__clang__)
#define FASTRELU_UNROLL_ALL _Pragma("clang loop unroll(full)")
#define FASTRELU_UNROLL_2 _Pragma("clang loop unroll_count(2)")
#define FASTRELU_UNROLL_4 _Pragma("clang loop unroll_count(4)")
#else
#define FASTRELU_UNROLL_ALL _Pragma("GCC unroll 32")
#define FASTRELU_UNROLL_2 _Pragma("GCC unroll 2")
#define FASTRELU_UNROLL_4 _Pragma("GCC unroll 4")
#endif

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// f(0), ..., f(N - 1), unrolled, so that arrays of accumulators indexed by it live in registers.
template <int N, class F>
FASTRELU_INLINE void static_for(F&& f) {
  FASTRELU_UNROLL_ALL
  for (std::size_t i = 0; i < static_cast<std::size_t>(N); ++i) f(i);
}

// Lane i of the result is lane Index::of(i) of (a, b) side by side.
template <class T, class Pick, std::size_t... I>
FASTRELU_INLINE typename Simd<T>::V shuffle(typename Simd<T>::V a, typename Simd<T>::V b,
                                            std::index_sequence<I...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, static_cast<int>(Pick::of(I))...);
#else
  using Int = typename Simd<T>::Int;
  const typename Simd<T>::I mask = {static_cast<Int>(Pick::of(I))...};
  return __builtin_shuffle(a, b, mask);
#endif
}

// The 2x2 block exchange of size B: rows r and r + B swap their off-diagonal blocks.
template <std::size_t L, std::size_t B>
struct Upper {
  static constexpr std::size_t of(std::size_t lane) { return (lane & B) ? L + lane - B : lane; }
};
template <std::size_t L, std::size_t B>
struct Lower {
  static constexpr std::size_t of(std::size_t lane) { return (lane & B) ? L + lane : lane + B; }
};

template <class T, std::size_t B>
FASTRELU_INLINE void transpose_stage(typename Simd<T>::V (&block)[Simd<T>::kLanes]) {
  constexpr std::size_t L = Simd<T>::kLanes;
  if constexpr (B > 0) {
    static_for<static_cast<int>(L)>([&](auto r) __attribute__((always_inline)) {
      if ((r & B) == 0) {
        const typename Simd<T>::V a = block[r], b = block[r + B];
        block[r] = shuffle<T, Upper<L, B>>(a, b, std::make_index_sequence<L>{});
        block[r + B] = shuffle<T, Lower<L, B>>(a, b, std::make_index_sequence<L>{});
      }
    });
    transpose_stage<T, B / 2>(block);
  }
}

// block[i][j] <-> block[j][i]
template <class T>
FASTRELU_INLINE void transpose(typename Simd<T>::V (&block)[Simd<T>::kLanes]) {
  transpose_stage<T, Simd<T>::kLanes / 2>(block);
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
