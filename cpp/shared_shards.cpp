// SPDX-License-Identifier: BSD-3-Clause
#include "shared_shards.h"

#include <algorithm>

#include "passes.h"

namespace fastrelu {
namespace {

// Cuts between the rows of the layers' dW, so that runs of rows fill the kernels' units.
constexpr std::size_t kRows = 2 * kGradientUnit;

// Where segments of `least` numbers or more begin, descending to 0, whose segment may be shorter.
template <class T>
std::vector<std::size_t> segments_of(const Network<T>& net, std::size_t least) {
  std::vector<std::size_t> begins;
  std::size_t end = net.parameter_count();
  for (std::size_t k = net.layers().size(); k-- > 0;) {
    const Layer& layer = net.layers()[k];
    const std::size_t rows = dw_rows(net, k);
    const std::size_t each = round_up((least + layer.fan_out - 1) / layer.fan_out, kRows);
    for (std::size_t row = (rows - 1) / each * each;; row -= each) {
      const std::size_t begin = layer.weight_offset + row * layer.fan_out;
      if (end - begin >= least) begins.push_back(end = begin);
      if (row == 0) break;
    }
  }
  if (begins.empty() || begins.back() != 0) begins.push_back(0);
  return begins;
}

}  // namespace

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
  const std::size_t least = communicator_.segment_bytes / sizeof(T);
  if (communicator_.segment_bytes > 0) {
    segments_ = segments_of(net, std::max<std::size_t>(least, 1));
  } else {
    segments_ = {0};
  }
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
  left_ = length_;
  next_ = 0;
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
void SharedShards<T>::count_parts(const Minibatch& m) {
  for (std::size_t r = 0; r < communicator_.size; ++r) {
    const Range shards = communicator_.shards(n_shards_, r);
    counts_[r] = 0;
    for (std::size_t s = shards.begin; s < shards.end; ++s) counts_[r] += m.shards[s].size() > 0;
  }
}

template <class T>
SumInOrder SharedShards<T>::segment(std::size_t begin, std::size_t end, T* sum) const {
  return {parts_.data() + begin, length_,     counts_.data(), end - begin,
          sizeof(T) == 8,        sum + begin, nullptr,        0};
}

template <class T>
void SharedShards<T>::ready(const Minibatch& m, T* sum, std::size_t from) {
  if (next_ == 0) count_parts(m);
  for (; next_ + 1 < segments_.size() && segments_[next_] >= from && !failed_; ++next_) {
    const std::size_t begin = segments_[next_];
    failed_ = !communicator_.begin(communicator_.context, segment(begin, left_, sum));
    left_ = begin;
  }
}

template <class T>
void SharedShards<T>::exchange(const Minibatch& m, T* sum, double* loss) {
  ready(m, sum, 0);
  if (!failed_) {
    SumInOrder last = segment(0, left_, sum);
    last.notes = notes_.data();
    last.note_count = note_count_;
    failed_ = !communicator_.sum(communicator_.context, last);
  }
  left_ = length_;
  next_ = 0;
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
