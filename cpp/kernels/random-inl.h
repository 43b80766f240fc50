// SPDX-License-Identifier: BSD-3-Clause
// Blocks of Philox 4x64-10 (docs/arithmetic.md, "Random numbers"), a lane each where the processor
// multiplies 32-bit lanes: the blocks of a stream do not depend on each other.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "kernels.h"
#include "transpose-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

constexpr std::uint64_t kPhiloxMultiplier0 = 0xD2E7470EE14C6C93u;
constexpr std::uint64_t kPhiloxMultiplier1 = 0xCA5A826395121157u;
constexpr std::uint64_t kPhiloxWeyl0 = 0x9E3779B97F4A7C15u;
constexpr std::uint64_t kPhiloxWeyl1 = 0xBB67AE8584CAA73Bu;

constexpr std::size_t kWordLanes = kVectorBytes / 8;
typedef std::uint64_t Words __attribute__((vector_size(kVectorBytes)));

// The product of the low halves of the lanes.
FASTRELU_INLINE Words multiply_low(Words a, Words b) {
#if defined(FASTRELU_X86_V4)
  return Words(_mm512_maskz_mul_epu32(0xFF, __m512i(a), __m512i(b)));
#elif defined(FASTRELU_X86_V3)
  return Words(_mm256_mul_epu32(__m256i(a), __m256i(b)));
#elif defined(__SSE2__)
  return Words(_mm_mul_epu32(__m128i(a), __m128i(b)));
#elif defined(__aarch64__)
  return Words(vmull_u32(vmovn_u64(uint64x2_t(a)), vmovn_u64(uint64x2_t(b))));
#else
  return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
#endif
}

#if defined(FASTRELU_X86_V3) || defined(FASTRELU_X86_V4)

struct WideWords {
  Words high, low;
};
FASTRELU_INLINE WideWords multiply_wide(Words x, std::uint64_t factor) {
  const Words zero{}, f0 = zero + factor, f1 = zero + (factor >> 32), mask = zero + 0xFFFFFFFFu;
  const Words x1 = x >> 32;
  const Words p00 = multiply_low(x, f0), p01 = multiply_low(x, f1);
  const Words p10 = multiply_low(x1, f0), p11 = multiply_low(x1, f1);
  const Words middle = (p00 >> 32) + (p01 & mask) + p10;
  return {p11 + (p01 >> 32) + (middle >> 32), (middle << 32) | (p00 & mask)};
}

// Vectors of blocks at once: the ten rounds of one wait for each other.
constexpr std::size_t kPhiloxVectors = 2;

inline void philox_blocks(const std::uint64_t* counter, const std::uint64_t* key,
                          std::size_t blocks, std::uint64_t* out) {
  constexpr std::size_t G = kPhiloxVectors;
  Words lane;
  for (std::size_t l = 0; l < kWordLanes; ++l) lane[l] = l;
  for (std::size_t b = 0; b < blocks; b += G * kWordLanes) {
    Words c[G][4];
    static_for<G>([&](auto g) __attribute__((always_inline)) {
      c[g][0] = lane + (counter[0] + b + g * kWordLanes);
      for (int i = 1; i < 4; ++i) c[g][i] = Words{} + counter[i];
    });
    std::uint64_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
      static_for<G>([&](auto g) __attribute__((always_inline)) {
        const WideWords p = multiply_wide(c[g][0], kPhiloxMultiplier0);
        const WideWords q = multiply_wide(c[g][2], kPhiloxMultiplier1);
        c[g][0] = q.high ^ c[g][1] ^ k0;
        c[g][1] = q.low;
        c[g][2] = p.high ^ c[g][3] ^ k1;
        c[g][3] = p.low;
      });
      k0 += kPhiloxWeyl0;
      k1 += kPhiloxWeyl1;
    }
    const std::size_t count = blocks - b < G * kWordLanes ? blocks - b : G * kWordLanes;
    for (std::size_t l = 0; l < count; ++l) {
      for (std::size_t i = 0; i < 4; ++i) {
        out[4 * (b + l) + i] = c[l / kWordLanes][i][l % kWordLanes];
      }
    }
  }
}

#else

__extension__ typedef unsigned __int128 Wide;

inline void philox_blocks(const std::uint64_t* counter, const std::uint64_t* key,
                          std::size_t blocks, std::uint64_t* out) {
  for (std::size_t b = 0; b < blocks; ++b, out += 4) {
    std::uint64_t c0 = counter[0] + b, c1 = counter[1], c2 = counter[2], c3 = counter[3];
    std::uint64_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
      const Wide p = static_cast<Wide>(kPhiloxMultiplier0) * c0;
      const Wide q = static_cast<Wide>(kPhiloxMultiplier1) * c2;
      c0 = static_cast<std::uint64_t>(q >> 64) ^ c1 ^ k0;
      c1 = static_cast<std::uint64_t>(q);
      c2 = static_cast<std::uint64_t>(p >> 64) ^ c3 ^ k1;
      c3 = static_cast<std::uint64_t>(p);
      k0 += kPhiloxWeyl0;
      k1 += kPhiloxWeyl1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
  }
}

#endif

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
