// SPDX-License-Identifier: BSD-3-Clause
// The three passes of a dense layer over many rows (kernels.h states them): loops of register tiles
// over W as it lies, with a strip of it copied side by side where several tiles reuse it.
#pragma once

#include "narrow-inl.h"
#include "rest-inl.h"
#include "tile-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

// A strip of W is copied first where so many panels of rows reuse it; the copy costs about a
// twelfth of a tile. Rows that lie a power of two apart would otherwise collide in the L1 cache.
constexpr std::size_t kPackPanels = 2;
// Weights below this many bytes stay in the L1 cache however they are read.
constexpr std::size_t kSmallWeights = 1 << 14;
// Distance of the rows of a strip copied row by row: no power of two, so that they do not collide.
constexpr std::size_t kStripStride = kMostChainTerms + 16;

template <class T, int MR>
FASTRELU_INLINE void pack_columns(const T* w, std::size_t ldw, std::size_t count, T* out) {
  using S = Simd<T>;
  constexpr std::size_t kVectors = (MR + S::kLanes - 1) / S::kLanes;
  // What a vector writes beyond MR values is written again by the next.
  for (std::size_t k = 0; k < count; ++k, w += ldw, out += MR) {
    static_for<kVectors>([&](auto v) __attribute__((always_inline)) {
      S::store(out + v * S::kLanes, S::load(w + v * S::kLanes));
    });
  }
}

template <class T, int MR>
FASTRELU_INLINE void pack_rows(const T* w, std::size_t ldw, std::size_t count, T* out) {
  using S = Simd<T>;
  for (int r = 0; r < MR; ++r, w += ldw, out += kStripStride) {
    for (std::size_t k = 0; k < count; k += S::kLanes) S::store(out + k, S::load(w + k));
  }
}

// One tile of a product: `out` = start + sum over k of left(r, k) right[k], rows kPanel apart.
template <class T>
struct ProductTile {
  const T* right;
  std::size_t count;
  T* out;
  const T* bias;  // start from bias[r], or from 0 where null; unused when `resume`
  bool resume;    // start from what out holds
  bool relu;
  const T* gate;  // keep where gate > 0, or null
};

template <class T, int MR, int NV, class Left>
__attribute__((noinline)) void product_tile(Left left, const ProductTile<T>& f) {
  using S = Simd<T>;
  Tile<T, MR, NV> tile;
  T* const out = f.out;
  const auto at = [](std::size_t r, std::size_t v) { return r * kPanel<T> + v * S::kLanes; };
  if (f.resume) {
    tile.each([&](auto r, auto v)
                  __attribute__((always_inline)) { tile.acc[r][v] = S::load(out + at(r, v)); });
  } else if (f.bias != nullptr) {
    tile.each([&](auto r, auto v)
                  __attribute__((always_inline)) { tile.acc[r][v] = S::set1(f.bias[r]); });
  } else {
    tile.each([&](auto r, auto v) __attribute__((always_inline)) { tile.acc[r][v] = S::zero(); });
  }
  tile.template run<kPanel<T>>(left, f.right, f.count);
  if (f.relu) {
    tile.each([&](auto r, auto v) __attribute__((always_inline)) {
      S::store(out + at(r, v), S::relu(tile.acc[r][v]));
    });
  } else if (f.gate != nullptr) {
    const T* const gate = f.gate;
    tile.each([&](auto r, auto v) __attribute__((always_inline)) {
      S::store(out + at(r, v), S::where_positive(S::load(gate + at(r, v)), tile.acc[r][v]));
    });
  } else {
    tile.each([&](auto r, auto v)
                  __attribute__((always_inline)) { S::store(out + at(r, v), tile.acc[r][v]); });
  }
}

// Runs of a chain of `terms`, of at most so many, all nearly as long: a short last one would hardly
// pay for its loads and stores.
inline std::size_t inner_block(std::size_t terms, std::size_t most) {
  const std::size_t blocks = (terms + most - 1) / most;
  return (terms + blocks - 1) / blocks;
}

template <class T>
void dense_forward(const DenseForward<T>& f) {
  const std::size_t fan_in = f.fan_in, fan_out = f.fan_out;
  const bool pack =
      f.panel_end - f.panel_begin >= kPackPanels && fan_in * fan_out * sizeof(T) > kSmallWeights;
  const std::size_t inner = inner_block(fan_in, f.chain_terms);
  const std::size_t rest = rest_columns<T>(f.x.cols), cols = f.x.cols - rest;
  for (std::size_t k = 0; k < fan_in; k += inner) {
    const std::size_t count = std::min(inner, fan_in - k);
    const bool last = k + count == fan_in;
    for_row_tiles<kTileRows>(f.out_begin, f.out_end, [&](auto mr, std::size_t o) {
      constexpr int MR = decltype(mr)::value;
      const T* const w = f.w + k * fan_out + o;
      if (pack) pack_columns<T, MR>(w, fan_out, count, f.scratch);
      for (std::size_t p = f.panel_begin; p < f.panel_end; ++p) {
        for_column_tiles<T>(panel_columns<T>(cols, p), [&](auto nv, std::size_t c) {
          constexpr int NV = decltype(nv)::value;
          const ProductTile<T> tile{
              f.x.at(k, p) + c, count,  f.z.at(o, p) + c, f.b == nullptr ? nullptr : f.b + o, k > 0,
              last && f.relu,   nullptr};
          prefetch_ahead(f.ahead);
          if (pack) {
            product_tile<T, MR, NV>(LeftPacked<T, MR>{f.scratch}, tile);
          } else {
            product_tile<T, MR, NV>(LeftColumns<T>{w, fan_out}, tile);
          }
        });
      }
    });
  }
  if (rest > 0 && cols / kPanel<T> < f.panel_end) {
    with_rest<T>(rest, [&](auto rows) {
      rest_forward<T, decltype(rows)::value>(f, cols / kPanel<T>, cols % kPanel<T>);
    });
  }
}

template <class T>
void dense_backward_data(const DenseBackwardData<T>& f) {
  const std::size_t fan_in = f.fan_in, fan_out = f.fan_out;
  const bool pack =
      f.panel_end - f.panel_begin >= kPackPanels && fan_in * fan_out * sizeof(T) > kSmallWeights;
  const std::size_t inner = inner_block(fan_out, f.chain_terms);
  const std::size_t rest = rest_fits<T>(fan_out) ? rest_columns<T>(f.dz.cols) : 0;
  const std::size_t cols = f.dz.cols - rest;
  for (std::size_t k = 0; k < fan_out; k += inner) {
    const std::size_t count = std::min(inner, fan_out - k);
    const bool gated = f.gate.data != nullptr && k + count == fan_out;
    for_row_tiles<kTileRows>(f.in_begin, f.in_end, [&](auto mr, std::size_t i) {
      constexpr int MR = decltype(mr)::value;
      const T* const w = f.w + i * fan_out + k;
      if (pack) pack_rows<T, MR>(w, fan_out, count, f.scratch);
      for (std::size_t p = f.panel_begin; p < f.panel_end; ++p) {
        for_column_tiles<T>(panel_columns<T>(cols, p), [&](auto nv, std::size_t c) {
          constexpr int NV = decltype(nv)::value;
          const ProductTile<T> tile{f.dz.at(k, p) + c,
                                    count,
                                    f.dx.at(i, p) + c,
                                    nullptr,
                                    k > 0,
                                    false,
                                    gated ? f.gate.at(i, p) + c : nullptr};
          if (pack) {
            product_tile<T, MR, NV>(LeftRows<T, kStripStride>{f.scratch}, tile);
          } else {
            product_tile<T, MR, NV>(LeftAnyRows<T, MR>(w, fan_out), tile);
          }
        });
      }
    });
  }
  if (rest > 0 && cols / kPanel<T> < f.panel_end) {
    with_rest<T>(rest, [&](auto rows) {
      rest_backward_data<T, decltype(rows)::value>(f, cols / kPanel<T>, cols % kPanel<T>);
    });
  }
}

// A tile of gradients, `rows` of `vectors` side by side, into the parameters.
template <class T>
__attribute__((noinline)) void update_tile(const DenseBackwardWeights<T>& f, const T* g,
                                           std::size_t i, std::size_t o, std::size_t rows,
                                           std::size_t vectors) {
  using S = Simd<T>;
  const UpdateArgs<T>& u = *f.update;
  for (std::size_t r = 0; r < rows; ++r) {
    const bool decay = i + r < f.fan_in && u.weight_decay != 0;
    for (std::size_t v = 0; v < vectors; ++v, g += S::kLanes) {
      const std::size_t lanes = lanes_inside<T>(f.fan_out, o + v * S::kLanes);
      const std::size_t at = (i + r) * f.fan_out + o + v * S::kLanes;
      update_lanes(u, decay, S::load(g), f.w + at, f.state.from(at), lanes);
    }
  }
}

// `S`: Simd<T>, or HalfSimd<T> for a vector that is half empty.
template <class T, int MR, int NV, class S>
__attribute__((noinline)) void backward_weights_tile(const DenseBackwardWeights<T>& f,
                                                     std::size_t i, std::size_t o) {
  const std::size_t fan_out = f.fan_out;
  const std::size_t first = i * fan_out + o;
  // Lanes of the last vector; those before it are full.
  const std::size_t lanes = std::min(S::kLanes, lanes_inside<T>(fan_out, o + (NV - 1) * S::kLanes));
  const bool full = lanes == S::kLanes;
  const auto at = [fan_out](std::size_t r, std::size_t v) { return r * fan_out + v * S::kLanes; };
  Tile<T, MR, NV, S> tile;
  if (f.accumulate) {
    const T* const dw = f.dw + first;
    tile.each([&](auto r, auto v) __attribute__((always_inline)) {
      tile.acc[r][v] =
          full || v + 1 < NV ? S::load(dw + at(r, v)) : S::load_partial(dw + at(r, v), lanes);
    });
  } else {
    tile.each([&](auto r, auto v) __attribute__((always_inline)) { tile.acc[r][v] = S::zero(); });
  }
  const T* dz = f.dz.at(0, o / kPanel<T>) + o % kPanel<T>;
  for (std::size_t n = 0; n < f.rows; n += kPanel<T>, dz += kPanel<T> * kPanel<T>) {
    LeftRows<T, kPanel<T>> left{f.x.at(i, n / kPanel<T>)};
    tile.template run<kPanel<T>>(left, dz, std::min(kPanel<T>, f.rows - n));
  }
  if (f.update == nullptr) {
    T* const dw = f.dw + first;
    tile.each([&](auto r, auto v) __attribute__((always_inline)) {
      if (full || v + 1 < NV) {
        S::store(dw + at(r, v), tile.acc[r][v]);
      } else {
        S::store_partial(dw + at(r, v), tile.acc[r][v], lanes);
      }
    });
  } else if (is_plain_sgd(*f.update)) {
    T* const w = f.w + first;
    const typename S::V step = S::set1(-f.update->learning_rate);
    if (full) {
      tile.each([&](auto r, auto v) __attribute__((always_inline)) {
        S::store(w + at(r, v), S::fma(step, tile.acc[r][v], S::load(w + at(r, v))));
      });
      return;
    }
    // All rows are loaded before any is stored: a load that overlaps the store before it waits.
    tile.each([&](auto r, auto v) __attribute__((always_inline)) {
      // Only its own lanes: those beyond may be another thread's at this moment.
      const typename S::V old =
          v + 1 < NV ? S::load(w + at(r, v)) : S::load_partial(w + at(r, v), lanes);
      tile.acc[r][v] = S::fma(step, tile.acc[r][v], old);
    });
    tile.each([&](auto r, auto v) __attribute__((always_inline)) {
      if (v + 1 < NV) {
        S::store(w + at(r, v), tile.acc[r][v]);
      } else {
        S::store_partial(w + at(r, v), tile.acc[r][v], lanes);
      }
    });
  } else {
    constexpr std::size_t L = Simd<T>::kLanes;
    alignas(64) T g[MR * NV * L];
    tile.each([&](auto r, auto v) __attribute__((always_inline)) {
      S::store(g + (r * NV + v) * L, tile.acc[r][v]);
    });
    update_tile<T>(f, g, i, o, MR, NV);
  }
}

template <class T, int MR, int NV>
FASTRELU_INLINE void backward_weights_lanes(const DenseBackwardWeights<T>& f, std::size_t i,
                                            std::size_t o) {
#if defined(FASTRELU_X86_V4)
  if (NV == 1 && lanes_inside<T>(f.fan_out, o) <= HalfSimd<T>::kLanes) {
    return backward_weights_tile<T, MR, 1, HalfSimd<T>>(f, i, o);
  }
#endif
  backward_weights_tile<T, MR, NV, Simd<T>>(f, i, o);
}

template <class T>
void dense_backward_weights(const DenseBackwardWeights<T>& f) {
  if (f.narrow) return narrow_backward_weights(f);
  const std::size_t runs = (f.inputs + f.unit - 1) / f.unit;
  const std::size_t rest = rest_columns<T>(f.fan_out), cols = f.fan_out - rest;
  const std::size_t row_bytes = std::max<std::size_t>(f.rows, 1) * sizeof(T);
  const std::size_t block_runs = std::max<std::size_t>(1, f.block_bytes / (f.unit * row_bytes));
  for (std::size_t r0 = 0; r0 < runs; r0 += block_runs) {
    const std::size_t r1 = std::min(r0 + block_runs, runs);
    for (std::size_t p = f.unit_begin / runs; p * runs < f.unit_end; ++p) {
      const std::size_t begin = std::max(p * runs + r0, f.unit_begin);
      const std::size_t end = std::min(p * runs + r1, f.unit_end);
      if (begin >= end) continue;
      const std::size_t i0 = (begin - p * runs) * f.unit;
      const std::size_t i1 = std::min((end - p * runs) * f.unit, f.inputs);
      for_row_tiles<kTileRows>(i0, i1, [&](auto mr, std::size_t i) {
        for_column_tiles<T>(panel_columns<T>(cols, p), [&](auto nv, std::size_t c) {
          prefetch_ahead(f.ahead);
          backward_weights_lanes<T, decltype(mr)::value, decltype(nv)::value>(f, i,
                                                                              p * kPanel<T> + c);
        });
      });
      if (rest == 0 || cols / kPanel<T> != p) continue;
      with_rest<T>(rest, [&](auto outputs) {
        backward_weights_rest<T, decltype(outputs)::value>(f, i0, i1, cols);
      });
    }
  }
}

}  // namespace
}  // namespace FASTRELU_ISA
}  // namespace fastrelu
