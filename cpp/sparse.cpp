// SPDX-License-Identifier: BSD-3-Clause
#include "sparse.h"

#include <algorithm>
#include <functional>
#include <new>
#include <numeric>

#include "dispatch.h"

namespace fastrelu {
namespace {

// The most entries that `rows` rows of x can hold.
std::size_t largest_block(const RowSource& x, std::size_t rows, bool repeats) {
  if (!repeats && rows >= x.rows) return static_cast<std::size_t>(stored_entries(x));
  std::vector<Index> lengths(x.rows);
  for (std::size_t r = 0; r < x.rows; ++r) {
    const auto row = static_cast<Index>(r);
    lengths[r] = x.sparse->begin(row + 1) - x.sparse->begin(row);
  }
  if (lengths.empty()) return 0;
  if (repeats)
    return rows * static_cast<std::size_t>(*std::max_element(lengths.begin(), lengths.end()));
  const auto end = lengths.begin() + static_cast<std::ptrdiff_t>(rows);
  std::nth_element(lengths.begin(), end, lengths.end(), std::greater<>());
  return static_cast<std::size_t>(std::accumulate(lengths.begin(), end, Index{0}));
}

}  // namespace

// Runs of columns with about as many entries each, judged by some entries from all over x.
template <class T>
void SparseGradient<T>::share_columns(const RowSource& x, unsigned threads) {
  constexpr Index kSample = 4096;
  const Index entries = stored_entries(x);
  std::vector<std::int32_t> sample;
  if (threads > 1) {
    for (Index i = 0; i < std::min(entries, kSample); ++i) {
      sample.push_back(x.sparse->columns[entries <= kSample ? i : i * (entries / kSample)]);
    }
    std::sort(sample.begin(), sample.end());
  }
  bounds_.assign(threads + 1, static_cast<std::uint32_t>(x.cols));
  bounds_[0] = 0;
  for (unsigned k = 1; k < threads; ++k) {
    const std::size_t i = sample.size() * k / threads;
    bounds_[k] = sample.empty() ? 0 : static_cast<std::uint32_t>(sample[i]);
  }
}

template <class T>
void SparseGradient<T>::reserve(const RowSource& x, std::size_t rows, bool repeats,
                                unsigned threads) {
  const std::size_t entries = largest_block(x, rows, repeats);
  if (entries >= UINT32_MAX) throw std::bad_alloc();  // they are numbered in 32 bits
  rows_ = rows;
  share_columns(x, threads);
  parts_.assign(threads, Part{});
  ranges_.reserve(2 * rows * threads);
  heads_.reserve(x.cols);
  minibatch_.reserve(x.cols);
  columns_.reserve(x.cols + threads);
  touched_.reserve(x.cols);
  entries_.reserve(entries);
}

template <class T>
void SparseGradient<T>::begin(std::uint64_t minibatch, unsigned n, unsigned t) {
  const Range runs = share(bounds_.size() - 1, n, t);
  parts_[t] = {bounds_[runs.begin], bounds_[runs.end], minibatch, 0};
}

template <class T>
void SparseGradient<T>::clear(unsigned t, T* dw, std::size_t width) const {
  for_touched(t, [&](std::size_t c) { std::fill_n(dw + c * width, width, T(0)); });
}

// Lists the block's entries in thread t's columns; returns how many columns have any.
template <class T>
std::size_t SparseGradient<T>::list_entries(const SparseBlock& block, T scale, unsigned t) {
  const Part& part = parts_[t];
  const std::int32_t* const columns_of = block.x->columns;
  const T* const values = static_cast<const T*>(block.x->values);
  Index* const ranges = ranges_.data() + 2 * rows_ * t;
  Index before = 0;  // entries in columns before this thread's
  for (std::size_t r = 0; r < block.rows; ++r) {
    const Index row = block.pick(r);
    const Index begin = block.x->begin(row), end = block.x->begin(row + 1);
    const auto find = [&](std::uint32_t column) {
      return std::lower_bound(columns_of + begin, columns_of + end,
                              static_cast<std::int32_t>(column)) -
             columns_of;
    };
    ranges[2 * r] = part.low == 0 ? begin : find(part.low);
    ranges[2 * r + 1] = part.high == bounds_.back() ? end : find(part.high);
    before += ranges[2 * r] - begin;
  }
  std::uint32_t* const heads = heads_.data();
  std::uint32_t* const met = columns(t);
  SparseEntry<T>* const entries = entries_.data();
  auto k = static_cast<std::uint32_t>(before);
  std::size_t count = 0;
  for (std::size_t r = block.rows; r-- > 0;) {
    for (Index e = ranges[2 * r]; e < ranges[2 * r + 1]; ++e) {
      const auto c = static_cast<std::uint32_t>(columns_of[e]);
      const std::uint32_t next = heads[c];
      met[count] = c;  // without a branch, which nobody could predict
      count += next == 0;
      entries[k] = {values[e] * scale, static_cast<std::uint32_t>(r), next};
      heads[c] = ++k;
    }
  }
  return count;
}

template <class T>
void SparseGradient<T>::note_touched(std::size_t count, unsigned t) {
  Part& part = parts_[t];
  const std::uint32_t* const met = columns(t);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t c = met[i];
    if (minibatch_[c] == part.minibatch) continue;
    minibatch_[c] = part.minibatch;
    touched_[part.low + part.touched++] = c;
  }
}

template <class T>
void SparseGradient<T>::backward_weights(const Network<T>& net, const SparseBlock& block,
                                         const WeightGradients<T>& out, const Panels<T>& dz,
                                         unsigned t) {
  const Layer& layer = net.layers().front();
  const bool at_once = out.update != nullptr && !out.accumulate;
  const UpdateArgs<T>* const update_now = at_once ? out.update : nullptr;
  const auto from = [](T* a, std::size_t offset) { return a == nullptr ? nullptr : a + offset; };
  const std::size_t w = layer.weight_offset, b = layer.bias_offset;
  const Part& part = parts_[t];
  SparseBackwardWeights<T> f;
  f.columns = columns(t);
  f.first_column = part.low;
  f.count = list_entries(block, net.scale(), t);
  if (!at_once) {
    note_touched(f.count, t);
  } else if (!is_lazy(*out.update)) {
    f.columns = nullptr;
    f.count = part.high - part.low;
  }
  f.heads = heads_.data();
  f.entries = entries_.data();
  f.dz = read_only(dz);
  f.dw = from(out.gradient, w);
  f.update = update_now;
  f.w = from(out.parameters, w);
  f.state = out.state.from(w);
  kernels<T>().sparse_backward_weights(f);
  if (t == 0 && net.has_bias()) {
    SparseBackwardBias<T> of_bias{f.dz,
                                  block.rows,
                                  from(out.gradient, b),
                                  out.accumulate,
                                  out.update,
                                  from(out.parameters, b),
                                  out.state.from(b)};
    kernels<T>().sparse_backward_bias(of_bias);
  }
  if (out.update != nullptr && !at_once) update(net, out, t);
}

template <class T>
void SparseGradient<T>::update(const Network<T>& net, const WeightGradients<T>& out, unsigned t) {
  const Layer& layer = net.layers().front();
  const auto update_rows = [&](std::size_t first, std::size_t count) {
    const std::size_t begin = layer.weight_offset + first * layer.fan_out;
    const auto at = [&](T* a) { return a == nullptr ? nullptr : a + begin; };
    kernels<T>().update(*out.update, true, at(out.parameters), at(out.gradient),
                        out.state.from(begin), count * layer.fan_out);
  };
  const Part& part = parts_[t];
  if (is_lazy(*out.update)) {
    for_touched(t, [&](std::size_t c) { update_rows(c, 1); });
  } else {
    update_rows(part.low, part.high - part.low);
  }
  clear(t, out.gradient + layer.weight_offset, layer.fan_out);
}

template class SparseGradient<float>;
template class SparseGradient<double>;

}  // namespace fastrelu
