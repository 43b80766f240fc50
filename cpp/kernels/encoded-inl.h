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

// A forward pass goes through some runs for many rows before it goes on to the next: as many
// outputs and runs as their weights and sums fit into the L1 cache with, since each row of them is
// read by several rows of X. Between two of these passes the chains wait in memory.
constexpr std::size_t kEncodedForwardVectors = kVectorBytes >= 32 ? 256 / kVectorBytes : 8;
constexpr std::size_t kEncodedRows = 128;
constexpr std::size_t kEncodedTableBytes = std::size_t{1} << 15;

// Goes on with the chains of one row of X over runs [first, last).
template <class T, int NV>
FASTRELU_INLINE void encoded_forward_row(const EncodedForward<T>& f, Index from, std::size_t first,
                                         std::size_t last, std::size_t begin,
                                         SparseRow<T, NV>& row) {
  using S = Simd<T>;
  const EncodedSource& x = *f.x;
  const std::size_t row_begin = static_cast<std::size_t>(from) * x.runs;
  const std::uint16_t* const positions = x.positions + row_begin;
  const T* const values = static_cast<const T*>(x.values) + row_begin;
  for (std::size_t k = first; k < last; ++k) {
    // Lanes beyond the last output read the next row's values, or the slack behind the last.
    const std::size_t at = (std::size_t{x.starts[k]} + positions[k]) * f.fan_out + begin;
    const T* const sums = f.sums + at;
    const T* const weights = f.w + at;
    const typename S::V value = S::set1(values[k]);
    if (x.ramps[k] != 0) {
      static_for<NV>([&](auto v) __attribute__((always_inline)) {
        row.acc[v] = row.acc[v] + S::load(sums + v * S::kLanes);
      });
    }
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      row.acc[v] = S::fma(value, S::load(weights + v * S::kLanes), row.acc[v]);
    });
  }
}

// Where a pass that begins with run `first` ends.
template <class T, int NV>
std::size_t encoded_forward_end(const EncodedSource& x, std::size_t first) {
  constexpr std::size_t kInputs = kEncodedTableBytes / (2 * NV * kVectorBytes);
  std::size_t last = first + 1;
  while (last < x.runs && x.starts[last + 1] - x.starts[first] <= kInputs) ++last;
  return last;
}

template <class T, int NV>
__attribute__((noinline)) void encoded_forward_group(const EncodedForward<T>& f,
                                                     std::size_t begin) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  alignas(64) T chains[kEncodedRows][NV * L];
  for (std::size_t n = f.row_begin; n < f.row_end; n += kEncodedRows) {
    const std::size_t rows = std::min(kEncodedRows, f.row_end - n);
    for (std::size_t first = 0, last; first < f.x->runs; first = last) {
      last = encoded_forward_end<T, NV>(*f.x, first);
      for (std::size_t r = 0; r < rows; ++r) {
        SparseRow<T, NV> row;
        if (first > 0) {
          static_for<NV>([&](auto v) __attribute__((always_inline)) {
            row.acc[v] = S::load(chains[r] + v * L);
          });
        } else if (f.b != nullptr) {
          row.load(f.b + begin, begin, f.fan_out);
        } else {
          row.clear();
        }
        encoded_forward_row<T, NV>(f, f.rows(n + r), first, last, begin, row);
        const bool relu = f.relu && last == f.x->runs;
        static_for<NV>([&](auto v) __attribute__((always_inline)) {
          S::store(chains[r] + v * L, relu ? S::relu(row.acc[v]) : row.acc[v]);
        });
      }
    }
    std::fill_n(chains[0] + rows * (NV * L), (round_up(rows, L) - rows) * NV * L, T(0));
    for (std::size_t r = 0; r < rows; r += L) {
      store_transposed<T, NV>(f, chains[0] + r * (NV * L), n + r, begin);
    }
  }
}

template <class T>
void encoded_forward(const EncodedForward<T>& f) {
  for_vector_groups<T, kEncodedForwardVectors>(f.fan_out, [&](auto nv, std::size_t begin) {
    encoded_forward_group<T, decltype(nv)::value>(f, begin);
  });
}

// The sums of a ramp's weights for the outputs of a group.
template <class T, int NV>
FASTRELU_INLINE void encoded_sums_group(const T* w, std::size_t width, std::size_t fan_out, T* sums,
                                        std::size_t begin) {
  using Row = SparseRow<T, NV>;
  Row sum;
  sum.clear();
  sum.store(sums + begin, begin, fan_out);
  for (std::size_t u = 1; u < width; ++u) {
    Row weights;
    weights.load(w + (u - 1) * fan_out + begin, begin, fan_out);
    static_for<NV>(
        [&](auto v) __attribute__((always_inline)) { sum.acc[v] = sum.acc[v] + weights.acc[v]; });
    sum.store(sums + u * fan_out + begin, begin, fan_out);
  }
}

template <class T>
void encoded_sums(const T* w, std::size_t width, std::size_t fan_out, T* sums) {
  for_vector_groups<T>(fan_out, [&](auto nv, std::size_t begin) {
    encoded_sums_group<T, decltype(nv)::value>(w, width, fan_out, sums, begin);
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
  if (kRamp && f.update != nullptr) {
    encoded_sums_group<T, NV>(f.w, f.width, cols, f.sums, begin);
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
