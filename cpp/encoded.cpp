// SPDX-License-Identifier: BSD-3-Clause
#include "encoded.h"

#include <algorithm>
#include <new>

#include "dispatch.h"

namespace fastrelu {
namespace {

std::size_t widest_run(const EncodedSource& x) {
  std::size_t widest = 0;
  for (std::size_t k = 0; k < x.runs; ++k) {
    widest = std::max<std::size_t>(widest, x.starts[k + 1] - x.starts[k]);
  }
  return widest;
}

}  // namespace

template <class T>
std::size_t encoded_scratch_size(const RowSource& x) {
  return x.encoded == nullptr ? 0 : encoded_scratch<T>(widest_run(*x.encoded));
}

template <class T>
void EncodedLayer<T>::reserve(const Network<T>& net, const RowSource& x, std::size_t rows,
                              unsigned threads, bool blocks) {
  if (rows >= UINT32_MAX) throw std::bad_alloc();  // they are numbered in 32 bits
  x_ = x.encoded;
  rows_ = rows;
  widest_ = widest_run(*x_);
  scratch_each_ = encoded_scratch_size<T>(x);
  const std::size_t weights = net.inputs() * net.layers().front().fan_out;
  scratch_.reserve(scratch_each_ * threads);
  if (blocks) ones_.reserve(weights);
  entries_.reserve(rows * threads);
  begins_.reserve((widest_ + 2) * threads);
}

template <class T>
void EncodedLayer<T>::release_memory() {
  *this = EncodedLayer<T>();
}

// Runs that are about as much work for each thread: some for each row, some for each input.
template <class T>
Range EncodedLayer<T>::own_runs(std::size_t rows, unsigned n, unsigned t) const {
  const auto work_before = [&](std::size_t k) { return k * rows + 2 * x_->starts[k]; };
  const std::size_t all = work_before(x_->runs);
  const auto first_of = [&](unsigned thread) {
    std::size_t k = 0;
    while (k < x_->runs && work_before(k) * n < all * thread) ++k;
    return k;
  };
  return {first_of(t), t + 1 == n ? x_->runs : first_of(t + 1)};
}

// The block's rows by their positions in a run; those of one position in their order.
template <class T>
void EncodedLayer<T>::sort_rows(const EncodedBlock& block, std::size_t run, unsigned t) {
  const EncodedSource& x = *block.x;
  const std::size_t width = x.starts[run + 1] - x.starts[run];
  const T* const values = static_cast<const T*>(x.values);
  // next[u + 1] counts, and is then where the next row of position u goes: in the end where those
  // of u + 1 begin.
  std::uint32_t* const next = begins(t) + 1;
  EncodedEntry<T>* const sorted = entries(t);
  const auto place = [&](std::size_t r) {
    return static_cast<std::size_t>(block.pick(r)) * x.runs + run;
  };
  if (width == 1) {
    begins(t)[0] = 0;
    *next = static_cast<std::uint32_t>(block.rows);
    for (std::size_t r = 0; r < block.rows; ++r) {
      sorted[r] = {values[place(r)], static_cast<std::uint32_t>(r)};
    }
    return;
  }
  std::fill_n(begins(t), width + 2, 0u);
  for (std::size_t r = 0; r < block.rows; ++r) ++next[x.positions[place(r)] + std::size_t{1}];
  for (std::size_t u = 0; u < width; ++u) next[u + 1] += next[u];
  for (std::size_t r = 0; r < block.rows; ++r) {
    const std::size_t at = place(r);
    sorted[next[x.positions[at]]++] = {values[at], static_cast<std::uint32_t>(r)};
  }
}

template <class T>
void EncodedLayer<T>::backward_weights(const Network<T>& net, const EncodedBlock& block,
                                       const WeightGradients<T>& out, bool last,
                                       const Panels<T>& dz, unsigned n, unsigned t) {
  const Layer& layer = net.layers().front();
  const auto from = [](T* a, std::size_t offset) { return a == nullptr ? nullptr : a + offset; };
  const Range runs = own_runs(block.rows, n, t);
  for (std::size_t k = runs.begin; k < runs.end; ++k) {
    sort_rows(block, k, t);
    const std::size_t at = block.x->starts[k] * layer.fan_out, w = layer.weight_offset + at;
    EncodedBackwardWeights<T> f;
    f.width = block.x->starts[k + 1] - block.x->starts[k];
    f.ramp = block.x->ramps[k] != 0;
    f.entries = entries(t);
    f.begins = begins(t);
    f.dz = read_only(dz);
    f.dw = from(out.gradient, w);
    f.s = from(ones_.data(), at);
    f.accumulate = out.accumulate;
    f.finish = last;
    f.update = out.update;
    f.w = from(out.parameters, w);
    f.state = out.state.from(w);
    kernels<T>().encoded_backward_weights(f);
  }
  if (t > 0 || !net.has_bias()) return;
  const std::size_t b = layer.bias_offset;
  kernels<T>().sparse_backward_bias({read_only(dz), block.rows, from(out.gradient, b),
                                     out.accumulate, out.update, from(out.parameters, b),
                                     out.state.from(b)});
}

#define FASTRELU_INSTANTIATE(T)                                   \
  template std::size_t encoded_scratch_size<T>(const RowSource&); \
  template class EncodedLayer<T>;

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)
#undef FASTRELU_INSTANTIATE

}  // namespace fastrelu
