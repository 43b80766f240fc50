// SPDX-License-Identifier: BSD-3-Clause
// Dropout's masks (docs/arithmetic.md, "Random numbers"): a block of Philox 4x32 gives a row's
// masks of eight units, 16 bits each. Lanes are rows, as in the panels, and a lane of 64 bits draws
// a block: Philox 4x32 multiplies halves of such lanes, which every instruction set does in one
// instruction, and what it leaves in the upper halves is never read.
#pragma once

#include "kernels.h"
#include "random-inl.h"
#include "simd-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

constexpr std::size_t kMaskRounds = 10;

// The keys of the rounds in all lanes, made once for many blocks.
struct RoundKeys {
  Words first[kMaskRounds], second[kMaskRounds];
};
FASTRELU_INLINE RoundKeys round_keys(std::uint64_t key) {
  RoundKeys keys;
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (std::size_t round = 0; round < kMaskRounds; ++round) {
    keys.first[round] = Words{} + k0;
    keys.second[round] = Words{} + k1;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return keys;
}

// c: the four words of the counters, then those of the blocks, in the lower halves of the lanes.
FASTRELU_INLINE void philox_4x32(const RoundKeys& keys, Words c[4]) {
  const Words m0 = Words{} + 0xD2511F53u, m1 = Words{} + 0xCD9E8D57u;
  for (std::size_t round = 0; round < kMaskRounds; ++round) {
    const Words p = multiply_low(c[0], m0), q = multiply_low(c[2], m1);
    c[0] = (q >> 32) ^ c[1] ^ keys.first[round];
    c[1] = q;
    c[2] = (p >> 32) ^ c[3] ^ keys.second[round];
    c[3] = p;
  }
}

// w[i]: word i of the blocks of as many rows as a vector of T has lanes, from `row` on, in the
// lower 32 bits of each lane.
template <class T>
FASTRELU_INLINE void mask_words(const RoundKeys& keys, std::uint64_t row, std::uint64_t block,
                                typename Simd<T>::U w[4]) {
  using U = typename Simd<T>::U;
  constexpr bool kNarrow = sizeof(T) == 4;  // two vectors of blocks, of even and of odd rows
  Words even;
  for (std::size_t l = 0; l < kWordLanes; ++l) even[l] = row + (kNarrow ? 2 : 1) * l;
  Words c[4] = {even, even >> 32, Words{} + block, Words{}};
  philox_4x32(keys, c);
  if constexpr (kNarrow) {
    const Words odd = even + 1;
    Words d[4] = {odd, odd >> 32, Words{} + block, Words{}};
    philox_4x32(keys, d);
    for (int i = 0; i < 4; ++i) w[i] = U((c[i] & 0xFFFFFFFFu) | (d[i] << 32));
  } else {
    for (int i = 0; i < 4; ++i) w[i] = U(c[i]);
  }
}

// Masks `count` units of as many rows as a vector has lanes.
template <class T>
FASTRELU_INLINE void drop(const typename Simd<T>::U w[4], typename Simd<T>::I threshold,
                          typename Simd<T>::V scale, std::size_t count, T* a) {
  using S = Simd<T>;
  using I = typename S::I;
  for (std::size_t u = 0; u < kDropoutUnits; ++u, a += kPanel<T>) {
    if (u >= count) return;
    const I number = I((u % 2 == 0 ? w[u / 2] : w[u / 2] >> 16) & 0xFFFF);
    S::store(a, threshold > number ? S::zero() : S::load(a) * scale);
  }
}

template <class T>
void drop_units(const DropUnits<T>& d) {
  using S = Simd<T>;
  const RoundKeys keys = round_keys(d.key);
  const typename S::I threshold = S::set1i(static_cast<typename S::Int>(d.threshold));
  const typename S::V scale = S::set1(d.scale);
  typename S::U w[4];
  for (std::size_t p = d.panel_begin; p < d.panel_end; ++p) {
    for (std::size_t lane = 0; lane < kPanel<T>; lane += S::kLanes) {
      const std::uint64_t row = d.first_row + p * kPanel<T> + lane;
      std::size_t unit = d.unit_begin;
      T* a = d.a.at(unit, p) + lane;
      for (; unit + kDropoutUnits <= d.unit_end;
           unit += kDropoutUnits, a += kDropoutUnits * kPanel<T>) {
        mask_words<T>(keys, row, unit / kDropoutUnits, w);
        drop<T>(w, threshold, scale, kDropoutUnits, a);
      }
      if (unit == d.unit_end) continue;
      mask_words<T>(keys, row, unit / kDropoutUnits, w);
      drop<T>(w, threshold, scale, d.unit_end - unit, a);
    }
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
