// SPDX-License-Identifier: BSD-3-Clause
#include "reducer.h"

#include <algorithm>
#include <cmath>

#include "dispatch.h"

namespace fastrelu {

template <class T>
void Reducer<T>::reserve(bool stored, bool squares, const SparseGradient<T>* sparse, bool left) {
  if (stored) sum_.reserve(net_.parameter_count());
  if (n_shards_ > 1) shard_.reserve(net_.parameter_count());
  if (squares || clip_norm_ > 0) column_sums_.reserve(net_.widest());
  sparse_ = sparse;
  if (sparse == nullptr) {
    filled_ = filled_ || sum_.data() != nullptr;
    return;
  }
  if (filled_) {
    const std::size_t weights = net_.inputs() * net_.layers().front().fan_out;
    std::fill_n(sum_.data(), weights, T(0));
    if (n_shards_ > 1) std::fill_n(shard_.data(), weights, T(0));
  }
  filled_ = left;
}

template <class T>
void Reducer<T>::add_shard(Team& team, unsigned t) {
  const Layer& layer = net_.layers().front();
  const std::size_t skip = sparse_ != nullptr ? layer.fan_in * layer.fan_out : 0;
  const auto add = [&](std::size_t begin, std::size_t count) {
    kernels<T>().add(sum_.data() + begin, shard_.data() + begin, count);
  };
  const Range mine = share(net_.parameter_count() - skip, team.size(), t);
  add(skip + mine.begin, mine.size());
  if (sparse_ != nullptr) {
    sparse_->for_touched(t, [&](std::size_t c) { add(c * layer.fan_out, layer.fan_out); });
    sparse_->clear(t, shard_.data(), layer.fan_out);
  }
  team.wait(t);
}

template <class T>
void Reducer<T>::clip(UpdateArgs<T>& update, Team& team, unsigned t) {
  if (t == 0) {
    const double norm = std::sqrt(sum_of_squares(sum_.data(), true));
    clipped_ = norm > clip_norm_;
    clip_ = clipped_ ? static_cast<T>(clip_norm_ / norm) : T(1);
  }
  team.wait(t);
  update.clipped = clipped_;
  update.clip = clip_;
}

// Column by column, then the columns, then the layers.
template <class T>
double Reducer<T>::sum_of_squares(const T* values, bool biases) {
  double total = 0;
  double* const sums = column_sums_.data();
  for (const Layer& layer : net_.layers()) {
    std::fill_n(sums, layer.fan_out, 0.0);
    kernels<T>().add_column_squares(values + layer.weight_offset, layer.fan_in, layer.fan_out,
                                    sums);
    if (biases && net_.has_bias()) {
      kernels<T>().add_column_squares(values + layer.bias_offset, 1, layer.fan_out, sums);
    }
    double of_layer = 0;
    for (std::size_t o = 0; o < layer.fan_out; ++o) of_layer += sums[o];
    total += of_layer;
  }
  return total;
}

template class Reducer<float>;
template class Reducer<double>;

}  // namespace fastrelu
