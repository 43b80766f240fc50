// SPDX-License-Identifier: BSD-3-Clause
#include "shared_shards.h"

#include <algorithm>

namespace fastrelu {

template <class T>
SharedShards<T>::SharedShards(const Network<T>& net, const Communicator& communicator,
                              std::size_t n_shards)
    : net_(net),
      communicator_(communicator),
      n_shards_(n_shards),
      length_(net.parameter_count()),
      own_(communicator.shards(n_shards, communicator.rank)),
      note_count_(communicator.shards(n_shards, 0).size() + 1) {
  if (!is_shared()) return;
  notes_.resize(communicator_.size * note_count_);
  counts_.resize(communicator_.size);
}

template <class T>
void SharedShards<T>::reserve(std::size_t rows, bool weighted, const SparseGradient<T>* sparse) {
  if (!is_shared()) return;
  parts_.reserve(own_.size() * length_);
  if (weighted) weights_.reserve(rows);
  sparse_ = sparse;
  const Layer& first = net_.layers().front();
  for (std::size_t k = 0; sparse != nullptr && k < own_.size(); ++k) {
    std::fill_n(part(k) + first.weight_offset, first.fan_in * first.fan_out, T(0));
  }
  std::fill(notes_.begin(), notes_.end(), 0.0);
  must_stop_ = failed_ = false;
}

template <class T>
const double* SharedShards<T>::gather_weights(const DataSet<T>& data, const Minibatch& m) {
  for (std::size_t r = 0; r < communicator_.size; ++r) {
    const Range shards = communicator_.shards(n_shards_, r);
    counts_[r] = m.shards[shards.end - 1].end - m.shards[shards.begin].begin;
  }
  const std::size_t end = m.shards[own_.end - 1].end;
  for (std::size_t r = m.shards[own_.begin].begin; r < end; ++r) {
    weights_[r] = data.weights[m.rows(r)];
  }
  failed_ =
      failed_ || !communicator_.gather(communicator_.context, weights_.data(), counts_.data());
  must_stop_ = must_stop_ || failed_;
  return weights_.data();
}

template <class T>
bool SharedShards<T>::finish(const Minibatch& m, T* sum, double* loss, Team& team, unsigned t) {
  if (t == 0 && !failed_) exchange(m, sum, loss);
  team.wait(t);
  const Layer& first = net_.layers().front();
  for (std::size_t k = 0; sparse_ != nullptr && k < own_.size(); ++k) {
    sparse_->clear(t, part(k) + first.weight_offset, first.fan_out);
  }
  return !failed_;
}

template <class T>
void SharedShards<T>::exchange(const Minibatch& m, T* sum, double* loss) {
  for (std::size_t r = 0; r < communicator_.size; ++r) {
    const Range shards = communicator_.shards(n_shards_, r);
    counts_[r] = 0;
    for (std::size_t s = shards.begin; s < shards.end; ++s) counts_[r] += m.shards[s].size() > 0;
  }
  failed_ = !communicator_.sum(
      communicator_.context,
      {parts_.data(), counts_.data(), length_, sizeof(T) == 8, sum, notes_.data(), note_count_});
  must_stop_ = failed_;
  *loss = 0;
  for (std::size_t r = 0; r < communicator_.size; ++r) {
    const Range shards = communicator_.shards(n_shards_, r);
    const double* const notes = notes_.data() + r * note_count_;
    for (std::size_t s = shards.begin; s < shards.end; ++s) {
      if (m.shards[s].size() > 0) *loss += notes[s - shards.begin];
    }
    must_stop_ = must_stop_ || notes[note_count_ - 1] != 0;
  }
}

template class SharedShards<float>;
template class SharedShards<double>;

}  // namespace fastrelu
