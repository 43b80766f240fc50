// SPDX-License-Identifier: BSD-3-Clause
// The three passes of a dense layer (kernels.h states them). Each is a loop over register tiles of
// MR rows by NV vectors; a lane is one output element and runs its whole chain, so tiles may be
// cut anywhere. A tile needs at least latency x issue rate accumulators (4 cycles x 2 fma = 8) and
// few loads an fma: 12 x 2 vectors read 14 values for 24 fma.
#pragma once

#include <algorithm>

#include "kernels.h"
#include "transpose-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

#if defined(FASTRELU_X86_V4)
constexpr int kTileRows = 12;
constexpr int kGradientTileRows = 8;
#elif defined(FASTRELU_X86_V3)
constexpr int kTileRows = 6;
constexpr int kGradientTileRows = 4;
#elif FASTRELU_HAS_FMA
constexpr int kTileRows = 8;
constexpr int kGradientTileRows = 8;
#else
constexpr int kTileRows = 2;  // the emulated fma needs the registers itself
constexpr int kGradientTileRows = 2;
#endif
// From so many rows on, a panel of W is copied side by side first: the copy costs about one tile
// row, and strided rows of W collide in the L1 cache.
constexpr std::size_t kPackRows = 2 * kTileRows;

// Calls f(constant<MaxRows>, begin) for as many whole tiles as fit, then once for the rest.
template <int N, class F>
FASTRELU_INLINE void call_with_rows(std::size_t rows, std::size_t begin, F f) {
  if constexpr (N > 0) {
    if (rows == static_cast<std::size_t>(N)) {
      f(std::integral_constant<int, N>{}, begin);
    } else {
      call_with_rows<N - 1>(rows, begin, f);
    }
  }
}
template <int MaxRows, class F>
FASTRELU_INLINE void for_row_tiles(std::size_t begin, std::size_t end, F f) {
  for (; begin + MaxRows <= end; begin += MaxRows) {
    f(std::integral_constant<int, MaxRows>{}, begin);
  }
  call_with_rows<MaxRows - 1>(end - begin, begin, f);
}

// Calls f(constant<vectors>, first vector, columns) over the valid columns of a panel, two vectors
// at a time.
template <class T, class F>
FASTRELU_INLINE void for_column_tiles(std::size_t cols, F f) {
  constexpr std::size_t L = Simd<T>::kLanes;
  std::size_t c = 0;
  for (; c + L < cols; c += 2 * L) f(std::integral_constant<int, 2>{}, c);
  if (c < cols) f(std::integral_constant<int, 1>{}, c);
}

template <class T>
FASTRELU_INLINE std::size_t panel_columns(std::size_t cols, std::size_t p) {
  return std::min(kPanel<T>, cols - p * kPanel<T>);
}

// Lanes of vector v, starting at column c, that lie inside `cols`.
template <class T>
FASTRELU_INLINE std::size_t lanes_inside(std::size_t cols, std::size_t c) {
  return c >= cols ? 0 : std::min(Simd<T>::kLanes, cols - c);
}

template <class T, int MR, int NV>
struct Tile {
  using S = Simd<T>;
  typename S::V acc[MR][NV];

  FASTRELU_INLINE void fill(const typename S::V (&first)[NV]) {
    static_for<MR>([&](auto r) __attribute__((always_inline)) {
      static_for<NV>([&](auto v) __attribute__((always_inline)) { acc[r][v] = first[v]; });
    });
  }

  // acc[r][v] = fma(a[r * RowStep], b[v], acc[r][v])
  template <std::size_t RowStep>
  FASTRELU_INLINE void step(const T* a, const T* b) {
    typename S::V bv[NV];
    static_for<NV>([&](auto v)
                       __attribute__((always_inline)) { bv[v] = S::load(b + v * S::kLanes); });
    static_for<MR>([&](auto r) __attribute__((always_inline)) {
      const typename S::V x = S::set1(a[r * RowStep]);
      static_for<NV>([&](auto v) __attribute__((always_inline)) {
        acc[r][v] = S::fma(x, bv[v], acc[r][v]);
      });
    });
  }

  // The chain over the columns of `a`'s rows [row, row + MR) with rows of `b`, ldb apart.
  FASTRELU_INLINE void run_rows(const Panels<const T>& a, std::size_t row, const T* b,
                                std::size_t ldb) {
    for (std::size_t k = 0, p = 0; k < a.cols; k += kPanel<T>, ++p) {
      const T* ap = a.at(row, p);
      const T* const end = ap + std::min(kPanel<T>, a.cols - k);
      for (; ap != end; ++ap, b += ldb) step<kPanel<T>>(ap, b);
    }
  }

  // The chain over rows: a holds MR neighbouring columns, b NV vectors, both kPanel a row.
  FASTRELU_INLINE void run_columns(const T* a, const T* b, std::size_t rows) {
    for (std::size_t n = 0; n < rows; ++n, a += kPanel<T>, b += kPanel<T>) step<1>(a, b);
  }
};

template <class T, int MR, int NV>
__attribute__((noinline)) void forward_tile(const DenseForward<T>& f, std::size_t row,
                                            std::size_t panel, std::size_t c, const T* w,
                                            std::size_t ldw) {
  using S = Simd<T>;
  const std::size_t column = panel * kPanel<T> + c;
  typename S::V first[NV];
  static_for<NV>([&](auto v) __attribute__((always_inline)) {
    const std::size_t o = column + v * S::kLanes;
    const std::size_t n = f.b == nullptr ? 0 : lanes_inside<T>(f.z.cols, o);
    first[v] = n == S::kLanes ? S::load(f.b + o) : n == 0 ? S::zero() : S::load_partial(f.b + o, n);
  });
  Tile<T, MR, NV> tile;
  tile.fill(first);
  tile.run_rows(f.x, row, w, ldw);
  T* z = f.z.at(row, panel) + c;
  if (f.relu) {
    static_for<MR>([&](auto r) __attribute__((always_inline)) {
      static_for<NV>([&](auto v) __attribute__((always_inline)) {
        S::store(z + r * kPanel<T> + v * S::kLanes, S::relu(tile.acc[r][v]));
      });
    });
  } else {
    static_for<MR>([&](auto r) __attribute__((always_inline)) {
      static_for<NV>([&](auto v) __attribute__((always_inline)) {
        S::store(z + r * kPanel<T> + v * S::kLanes, tile.acc[r][v]);
      });
    });
  }
}

// Rows [0, rows) of `cols` columns of w, side by side in rows of kPanel; the rest of a vector is 0.
template <class T>
void pack_panel(const T* w, std::size_t ldw, std::size_t rows, std::size_t cols, T* out) {
  using S = Simd<T>;
  for (std::size_t i = 0; i < rows; ++i, w += ldw, out += kPanel<T>) {
    std::size_t c = 0;
    for (; c + S::kLanes <= cols; c += S::kLanes) S::store(out + c, S::load(w + c));
    if (c < cols) S::store(out + c, S::load_partial(w + c, cols - c));
  }
}

template <class T>
void dense_forward(const DenseForward<T>& f) {
  const std::size_t fan_in = f.x.cols, fan_out = f.z.cols;
  const bool pack = f.row_end - f.row_begin >= kPackRows;
  for (std::size_t p = f.panel_begin; p < f.panel_end; ++p) {
    const std::size_t cols = panel_columns<T>(fan_out, p);
    const T* w = f.w + p * kPanel<T>;
    std::size_t ldw = fan_out;
    if (pack) {
      pack_panel(w, fan_out, fan_in, cols, f.scratch);
      w = f.scratch;
      ldw = kPanel<T>;
    }
    for_row_tiles<kTileRows>(f.row_begin, f.row_end, [&](auto mr, std::size_t row) {
      for_column_tiles<T>(cols, [&](auto nv, std::size_t c) {
        forward_tile<T, decltype(mr)::value, decltype(nv)::value>(f, row, p, c, w + c, ldw);
      });
    });
  }
}

template <class T, int MR, int NV>
__attribute__((noinline)) void backward_data_tile(const DenseBackwardData<T>& f, std::size_t row,
                                                  std::size_t panel, std::size_t c, const T* wt) {
  using S = Simd<T>;
  const typename S::V first[NV] = {};
  Tile<T, MR, NV> tile;
  tile.fill(first);
  tile.run_rows(f.dz, row, wt, kPanel<T>);
  T* dx = f.dx.at(row, panel) + c;
  const T* gate = f.gate.data == nullptr ? nullptr : f.gate.at(row, panel) + c;
  static_for<MR>([&](auto r) __attribute__((always_inline)) {
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      const std::size_t at = r * kPanel<T> + v * S::kLanes;
      const typename S::V x = tile.acc[r][v];
      S::store(dx + at, gate == nullptr ? x : S::where_positive(S::load(gate + at), x));
    });
  });
}

// W's rows [i0, i0 + rows) transposed: out[o * kPanel + i], zero where i is beyond `rows`.
template <class T>
void pack_transposed(const T* w, std::size_t fan_out, std::size_t rows, T* out) {
  using S = Simd<T>;
  constexpr std::size_t L = S::kLanes;
  for (std::size_t i0 = 0; i0 < rows; i0 += L) {
    for (std::size_t o = 0; o < fan_out; o += L) {
      const std::size_t valid = std::min(L, fan_out - o);
      typename S::V block[L];
      for (std::size_t i = 0; i < L; ++i) {
        const T* from = w + (i0 + i) * fan_out + o;
        block[i] = i0 + i >= rows ? S::zero()
                   : valid == L   ? S::load(from)
                                  : S::load_partial(from, valid);
      }
      transpose<T>(block);
      for (std::size_t k = 0; k < L; ++k) S::store(out + (o + k) * kPanel<T> + i0, block[k]);
    }
  }
}

template <class T>
void dense_backward_data(const DenseBackwardData<T>& f) {
  const std::size_t fan_in = f.dx.cols, fan_out = f.dz.cols;
  for (std::size_t p = f.panel_begin; p < f.panel_end; ++p) {
    const std::size_t cols = panel_columns<T>(fan_in, p);
    pack_transposed(f.w + p * kPanel<T> * fan_out, fan_out, cols, f.scratch);
    for_row_tiles<kTileRows>(f.row_begin, f.row_end, [&](auto mr, std::size_t row) {
      for_column_tiles<T>(cols, [&](auto nv, std::size_t c) {
        backward_data_tile<T, decltype(mr)::value, decltype(nv)::value>(f, row, p, c,
                                                                        f.scratch + c);
      });
    });
  }
}

// One row of a gradient tile to memory: `g` where it is wanted, or the SGD update of the parameter.
template <class T>
FASTRELU_INLINE void finish_gradient(const DenseBackwardWeights<T>& f, T* p, typename Simd<T>::V g,
                                     std::size_t lanes) {
  using S = Simd<T>;
  if (lanes == S::kLanes) {
    S::store(p, f.sgd ? S::fma(S::set1(-f.learning_rate), g, S::load(p)) : g);
  } else if (lanes > 0) {
    const typename S::V w = S::load_partial(p, lanes);
    S::store_partial(p, f.sgd ? S::fma(S::set1(-f.learning_rate), g, w) : g, lanes);
  }
}

template <class T>
FASTRELU_INLINE typename Simd<T>::V start_gradient(const DenseBackwardWeights<T>& f, const T* p,
                                                   std::size_t lanes) {
  using S = Simd<T>;
  if (!f.accumulate || lanes == 0) return S::zero();
  return lanes == S::kLanes ? S::load(p) : S::load_partial(p, lanes);
}

template <class T, int MR, int NV>
__attribute__((noinline)) void backward_weights_tile(const DenseBackwardWeights<T>& f,
                                                     std::size_t i, std::size_t o) {
  using S = Simd<T>;
  const std::size_t fan_out = f.dz.cols;
  T* dw = f.dw + i * fan_out + o;
  Tile<T, MR, NV> tile;
  static_for<MR>([&](auto r) __attribute__((always_inline)) {
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      tile.acc[r][v] = start_gradient(f, dw + r * fan_out + v * S::kLanes,
                                      lanes_inside<T>(fan_out, o + v * S::kLanes));
    });
  });
  const std::size_t pi = i / kPanel<T>, po = o / kPanel<T>;
  tile.run_columns(f.x.at(0, pi) + i % kPanel<T>, f.dz.at(0, po) + o % kPanel<T>, f.rows);
  static_for<MR>([&](auto r) __attribute__((always_inline)) {
    static_for<NV>([&](auto v) __attribute__((always_inline)) {
      finish_gradient(f, dw + r * fan_out + v * S::kLanes, tile.acc[r][v],
                      lanes_inside<T>(fan_out, o + v * S::kLanes));
    });
  });
}

template <class T>
void backward_bias(const DenseBackwardWeights<T>& f, std::size_t o) {
  using S = Simd<T>;
  const std::size_t lanes = lanes_inside<T>(f.dz.cols, o);
  typename S::V acc = start_gradient(f, f.db + o, lanes);
  const T* dz = f.dz.at(0, o / kPanel<T>) + o % kPanel<T>;
  for (std::size_t n = 0; n < f.rows; ++n, dz += kPanel<T>) acc = acc + S::load(dz);
  finish_gradient(f, f.db + o, acc, lanes);
}

template <class T>
void dense_backward_weights(const DenseBackwardWeights<T>& f) {
  const std::size_t fan_in = f.x.cols, fan_out = f.dz.cols;
  const std::size_t blocks = panel_count<T>(fan_in);
  for (std::size_t unit = f.unit_begin; unit < f.unit_end; ++unit) {
    const std::size_t p = unit / blocks, block = unit % blocks;
    const std::size_t cols = panel_columns<T>(fan_out, p), o0 = p * kPanel<T>;
    const std::size_t i0 = block * kPanel<T>;
    for_row_tiles<kGradientTileRows>(
        i0, i0 + panel_columns<T>(fan_in, block), [&](auto mr, std::size_t i) {
          for_column_tiles<T>(cols, [&](auto nv, std::size_t c) {
            backward_weights_tile<T, decltype(mr)::value, decltype(nv)::value>(f, i, o0 + c);
          });
        });
    if (block == 0 && f.db != nullptr) {
      for (std::size_t c = 0; c < cols; c += Simd<T>::kLanes) backward_bias(f, o0 + c);
    }
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
