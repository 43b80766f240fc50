// SPDX-License-Identifier: BSD-3-Clause
// The passes of a first layer over encoded rows (kernels.h states them). Whatever the width of a
// run, a row costs one row of W and, of a ramp, one of the sums of W's rows before it; lanes run
// over the outputs. Going backward, the rows at one position of a run are added together, so that
// every row of dW is complete in the registers and neither stored nor loaded before the parameters
// take it.
#pragma once

#include "kernels.h"
#include "sparse-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// Three chains for each vector of a ramp's backward pass have to stay in the registers.
#if defined(FASTRELU_X86_V3)
constexpr std::size_t kEncodedVectors = 4;
#else
constexpr std::size_t kEncodedVectors = 8;
#endif

// A forward pass goes through a part of the runs for many rows before it goes on to the next, so
// that the sums of the part's ramps, made anew for each pass, stay in the caches: several rows of X
// read each of them. Between two parts the chains wait in memory.
constexpr std::size_t kEncodedForwardVectors =
    std::min<std::size_t>(8, kEncodedGroupBytes / kVectorBytes);
// Rows whose chains run side by side, as those of one row wait for each other: as the registers
// are.
#if defined(FASTRELU_X86_V4) || defined(__aarch64__)
constexpr int kEncodedTogether = 2;
#else
constexpr int kEncodedTogether = 1;
#endif
constexpr std::size_t kEncodedAhead = 6;  // rows of X that are asked for

// Runs [first, last), and the inputs of those that are ramps.
struct EncodedPart {
  std::size_t first, last, ramp_inputs;
};
FASTRELU_INLINE EncodedPart encoded_part(const EncodedSource& x, std::size_t first) {
  EncodedPart part{first, first, 0};
  for (; part.last < x.runs; ++part.last) {
    if (x.ramps[part.last] == 0) continue;
    const std::size_t width = x.starts[part.last + 1] - x.starts[part.last];
    if (part.ramp_inputs > 0 && part.ramp_inputs + width > kEncodedInputs) break;
    part.ramp_inputs += width;
  }
  return part;
}

// The table of a part: the sums of its ramps' weights, NV vectors for each input.
template <class T, int NV>
FASTRELU_INLINE void encoded_table(const EncodedForward<T>& f, const EncodedPart& part,
                                   std::size_t begin, T* table) {
  using S = Simd<T>;
  for (std::size_t k = part.first; k < part.last; ++k) {
    if (f.x->ramps[k] == 0) continue;
    SparseRow<T, NV> sum;
    sum.clear();
    for (std::size_t i = f.x->starts[k]; i < f.x->starts[k + 1]; ++i) {
      // Lanes beyond the last output have the next row's weights, or the slack behind the last.
      const T* const w = f.w + i * f.fan_out + begin;
      static_for<NV>([&](auto v) __attribute__((always_inline)) {
        S::store(table + v * S::kLanes, sum.acc[v]);
        sum.acc[v] = sum.acc[v] + S::load(w + v * S::kLanes);
      });
      table += NV * S::kLanes;
    }
  }
}

// Asks for a row of X, which in no order is in no cache.
template <class T>
FASTRELU_INLINE void prefetch_encoded_row(const EncodedSource& x, Index row) {
  const std::size_t begin = static_cast<std::size_t>(row) * x.runs;
  const auto* const positions = reinterpret_cast<const char*>(x.positions + begin);
  const auto* const values = reinterpret_cast<const char*>(static_cast<const T*>(x.values) + begin);
  for (std::size_t at = 0; at < x.runs * sizeof(T); at += 64) __builtin_prefetch(values + at);
  for (std::size_t at = 0; at < x.runs * 2; at += 64) __builtin_prefetch(positions + at);
}

// Goes on with the chains of R rows of X over a part of the runs, from the biases in the first: of
// one row alone they would wait for each other.
template <class T, int NV, int R>
FASTRELU_INLINE void encoded_forward_part(const EncodedForward<T>& f, const EncodedPart& part,
                                          std::size_t begin, std::size_t n, const T* table,
                                          T* chains) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  const EncodedSource& x = *f.x;
  SparseRow<T, NV> rows[R];
  const std::uint16_t* positions[R];
  const T* values[R];
  static_for<R>([&](auto r) __attribute__((always_inline)) {
    const std::size_t of_row = static_cast<std::size_t>(f.rows(n + r)) * x.runs;
    positions[r] = x.positions + of_row;
    values[r] = static_cast<const T*>(x.values) + of_row;
    if (part.first > 0) {
      static_for<NV>([&](auto v) __attribute__((always_inline)) {
        rows[r].acc[v] = S::load(chains + (r * NV + v) * L);
      });
    } else if (f.b != nullptr) {
      rows[r].load(f.b + begin, begin, f.fan_out);
    } else {
      rows[r].clear();
    }
  });
  for (std::size_t k = part.first; k < part.last; ++k) {
    if (x.ramps[k] != 0) {
      static_for<R>([&](auto r) __attribute__((always_inline)) {
        const T* const sums = table + positions[r][k] * (NV * L);
        static_for<NV>([&](auto v) __attribute__((always_inline)) {
          rows[r].acc[v] = rows[r].acc[v] + S::load(sums + v * L);
        });
      });
      table += (x.starts[k + 1] - x.starts[k]) * (NV * L);
    }
    const T* const of_run = f.w + std::size_t{x.starts[k]} * f.fan_out + begin;
    static_for<R>([&](auto r) __attribute__((always_inline)) {
      const typename S::V value = S::set1(values[r][k]);
      const T* const weights = of_run + positions[r][k] * f.fan_out;
      static_for<NV>([&](auto v) __attribute__((always_inline)) {
        rows[r].acc[v] = S::fma(value, S::load(weights + v * L), rows[r].acc[v]);
      });
    });
  }
  const bool relu = f.relu && part.last == x.runs;
  static_for<R>([&](auto r) __attribute__((always_inline)) {
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      const typename S::V z = rows[r].acc[v];
      S::store(chains + (r * NV + v) * L, relu ? S::relu(z) : z);
    });
  });
}

// Rows [n, n + rows), at most kEncodedRows, of the outputs of a group.
template <class T, int NV>
FASTRELU_INLINE void encoded_forward_rows(const EncodedForward<T>& f, std::size_t begin,
                                          std::size_t n, std::size_t rows) {
  constexpr std::size_t L = Simd<T>::kLanes;
  T* const chains = f.scratch;
  T* const table = chains + kEncodedRows * NV * L;
  for (EncodedPart part = encoded_part(*f.x, 0);; part = encoded_part(*f.x, part.last)) {
    encoded_table<T, NV>(f, part, begin, table);
    const bool is_first = part.first == 0 && begin == 0;
    const auto advance = [&](auto together, std::size_t r) __attribute__((always_inline)) {
      constexpr int R = decltype(together)::value;
      for (std::size_t q = r + kEncodedAhead; is_first && q < r + kEncodedAhead + R; ++q) {
        if (q < rows) prefetch_encoded_row<T>(*f.x, f.rows(n + q));
      }
      encoded_forward_part<T, NV, R>(f, part, begin, n + r, table, chains + r * (NV * L));
    };
    std::size_t r = 0;
    for (; r + kEncodedTogether <= rows; r += kEncodedTogether) {
      advance(std::integral_constant<int, kEncodedTogether>{}, r);
    }
    for (; r < rows; ++r) advance(std::integral_constant<int, 1>{}, r);
    if (part.last == f.x->runs) break;
  }
  std::fill_n(chains + rows * (NV * L), (round_up(rows, L) - rows) * NV * L, T(0));
  for (std::size_t r = 0; r < rows; r += L) {
    store_transposed<T, NV>(f, chains + r * (NV * L), n + r, begin);
  }
}

template <class T, int NV>
__attribute__((noinline)) void encoded_forward_group(const EncodedForward<T>& f,
                                                     std::size_t begin) {
  for (std::size_t n = f.row_begin; n < f.row_end; n += kEncodedRows) {
    encoded_forward_rows<T, NV>(f, begin, n, std::min(kEncodedRows, f.row_end - n));
  }
}

template <class T>
void encoded_forward(const EncodedForward<T>& f) {
  for_vector_groups<T, kEncodedForwardVectors>(f.fan_out, [&](auto nv, std::size_t begin) {
    encoded_forward_group<T, decltype(nv)::value>(f, begin);
  });
}

// D and S of position u, for the outputs of a group.
template <class T, int NV, bool kRamp>
struct EncodedChains {
  using S = Simd<T>;
  using Row = SparseRow<T, NV>;
  Row d, s;

  FASTRELU_INLINE void begin(const EncodedBackwardWeights<T>& f, std::size_t at,
                             std::size_t begin) {
    if (f.accumulate) {
      d.load(f.dw + at, begin, f.dz.cols);
      if constexpr (kRamp) s.load(f.s + at, begin, f.dz.cols);
    } else {
      d.clear();
      if constexpr (kRamp) s.clear();
    }
  }
  FASTRELU_INLINE void add(const EncodedEntry<T>& entry, const Panels<const T>& dz,
                           const T* group) {
    const typename S::V value = S::set1(entry.value);
    const T* const of_row = group + entry.row * kPanel<T>;
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      const typename S::V g = S::load(of_row + Row::offset(dz.stride, v));
      d.acc[v] = S::fma(value, g, d.acc[v]);
      if constexpr (kRamp) s.acc[v] = s.acc[v] + g;
    });
  }
};

template <class T, int NV, bool kRamp>
__attribute__((noinline)) void encoded_backward_group(const EncodedBackwardWeights<T>& f,
                                                      std::size_t begin) {
  const std::size_t cols = f.dz.cols;
  const bool decay = f.update != nullptr && f.update->weight_decay != 0;
  const T* const dz = f.dz.at(0, begin / kPanel<T>);
  SparseRow<T, NV> later;  // R
  later.clear();
  for (std::size_t u = f.width; u-- > 0;) {
    const std::size_t at = u * cols + begin;
    EncodedChains<T, NV, kRamp> chains;
    chains.begin(f, at, begin);
    for (std::uint32_t e = f.begins[u]; e < f.begins[u + 1]; ++e) {
      chains.add(f.entries[e], f.dz, dz);
    }
    if (!f.finish) {
      chains.d.store(f.dw + at, begin, cols);
      if constexpr (kRamp) chains.s.store(f.s + at, begin, cols);
      continue;
    }
    if constexpr (kRamp) {
      static_for<NV>([&](auto v) __attribute__((always_inline)) {
        chains.d.acc[v] = chains.d.acc[v] + later.acc[v];
        later.acc[v] = later.acc[v] + chains.s.acc[v];
      });
    }
    if (f.update != nullptr) {
      chains.d.update(*f.update, decay, f.w + at, f.state.from(at), begin, cols);
    } else {
      chains.d.store(f.dw + at, begin, cols);
    }
  }
}

template <class T>
void encoded_backward_weights(const EncodedBackwardWeights<T>& f) {
  for_vector_groups<T, kEncodedVectors>(f.dz.cols, [&](auto nv, std::size_t begin) {
    constexpr int NV = decltype(nv)::value;
    if (f.ramp) {
      encoded_backward_group<T, NV, true>(f, begin);
    } else {
      encoded_backward_group<T, NV, false>(f, begin);
    }
  });
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
