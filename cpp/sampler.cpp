// SPDX-License-Identifier: BSD-3-Clause
#include "sampler.h"

#include <algorithm>

#include "random.h"

namespace fastrelu {

std::size_t Sampler::steps_in_epoch(std::size_t rows, Sampling sampling) const {
  if (sampling != Sampling::shuffle) return (rows + batch_size_ - 1) / batch_size_;
  std::size_t steps = 0;
  for (std::size_t s = 0; s < n_shards_; ++s) {
    const std::size_t each = shard_of(batch_size_, n_shards_, s).size();
    steps = std::max(steps, (shard_of(rows, n_shards_, s).size() + each - 1) / each);
  }
  return steps;
}

void Sampler::begin(Way way, std::size_t rows, std::size_t batch, std::size_t steps,
                    std::size_t place) {
  way_ = way;
  order_ = {};
  subset_ = {};
  epoch_ = 0;
  rows_ = rows;
  first_ = static_cast<Index>(rows_of(own_.begin).begin);
  batch_ = std::min(batch, rows);
  steps_ = steps;
  place_ = place;
  repeats_ = way == Way::with_replacement;
  if (way == Way::in_order) return;
  drawn_.reserve(2 * batch_);
  if (way != Way::shards_in_order) grouped_.reserve(2 * batch_);
  if (way == Way::subset) taken_.reserve(rows);
}

std::size_t Sampler::most_own_rows() const {
  if (own_.size() == n_shards_ || way_ == Way::subset || way_ == Way::with_replacement) {
    return batch_;
  }
  return shard_of(batch_, n_shards_, own_.end - 1).end -
         shard_of(batch_, n_shards_, own_.begin).begin;
}

void Sampler::begin_whole(std::size_t rows) {
  begin(Way::in_order, rows, rows, 1, 0);
  order_ = {nullptr, rows, rows, 0};
}

void Sampler::begin_order(const GivenOrder& order) {
  const std::size_t steps = (order.count + order.batch_size - 1) / order.batch_size;
  begin(Way::in_order, order.count, order.batch_size, steps, 0);
  order_ = order;
  repeats_ = order.rows != nullptr;
}

void Sampler::begin_epoch(Sampling sampling, std::size_t rows, std::uint64_t epoch,
                          std::size_t place, Subset subset, const Sampler* like) {
  const Way shuffled = n_shards_ == 1 ? Way::in_order : Way::shards_in_order;
  const Way drawn = sampling == Sampling::subset ? Way::subset : Way::with_replacement;
  const bool shuffles = sampling == Sampling::shuffle;
  begin(shuffles ? shuffled : drawn, rows, batch_size_, steps_in_epoch(rows, sampling), place);
  subset_ = subset;
  epoch_ = epoch;
  repeats_ = repeats_ || subset.rows != nullptr;
  if (!shuffles) return;
  shuffled_.reserve(rows_of(own_.end - 1).end - rows_of(own_.begin).begin);
  if (like != nullptr) {
    std::copy_n(like->shuffled_.data(), rows, shuffled_.data());
  } else {
    shuffle();
  }
  order_ = {shuffled_.data(), rows, batch_size_, 0};
}

bool Sampler::has_order(std::uint64_t seed, std::uint64_t epoch, std::size_t rows,
                        Subset subset) const {
  return epoch_ != 0 && epoch_ == epoch && way_ == Way::in_order && seed_ == seed &&
         rows_ == rows && subset_.rows == subset.rows;
}

bool Sampler::is_like(const Sampler& other) const {
  return batch_size_ == other.batch_size_ && way_ == Way::in_order &&
         other.has_order(seed_, epoch_, rows_, subset_);
}

// Every shard's rows in an order of their own, shard after shard.
void Sampler::shuffle() {
  std::size_t count = 0;
  for (std::size_t s = own_.begin; s < own_.end; ++s) {
    const Range r = rows_of(s);
    draw_order(seed_, Purpose::row_order, s, epoch_, static_cast<Index>(r.begin) - first_, r.size(),
               shuffled_.data() + count);
    count += r.size();
  }
  subset_.pick(shuffled_.data(), count);
}

void Sampler::next(std::uint64_t step, Minibatch& m) {
  m.penalty = order_.penalty;
  if (way_ == Way::in_order) {
    cut(m);
  } else {
    m.ahead_count = 0;
    const std::size_t half = turn_ * batch_;
    turn_ ^= 1;
    if (way_ == Way::shards_in_order) {
      cut_shards(drawn_.data() + half, m);
    } else {
      draw(step, drawn_.data() + half, grouped_.data() + half, m);
    }
  }
  ++place_;
}

// A run of the order; of all rows as they lie, cut into shards as the data set is.
void Sampler::cut(Minibatch& m) const {
  const RowPicker rows{order_.rows, -first_};
  const std::size_t begin = place_ * order_.batch_size;
  const std::size_t end = std::min(begin + order_.batch_size, order_.count);
  m.rows = rows.from(begin);
  m.count = end - begin;
  m.ahead = rows.from(end);
  m.ahead_count = std::min(order_.batch_size, order_.count - end);
  for (std::size_t s = 0; s < n_shards_; ++s) m.shards[s] = shard_of(m.count, n_shards_, s);
}

// Each shard's share of the batch from its own order; one that has run out gives none.
void Sampler::cut_shards(Index* rows, Minibatch& m) const {
  std::size_t count = 0;
  for (std::size_t s = 0; s < n_shards_; ++s) {
    const Range all = rows_of(s);
    const std::size_t each = shard_of(batch_size_, n_shards_, s).size();
    const std::size_t begin = std::min(all.begin + place_ * each, all.end);
    const std::size_t end = std::min(begin + each, all.end);
    m.shards[s] = {count, count + end - begin};
    if (s >= own_.begin && s < own_.end) {
      const Index* const own = shuffled_.data() - first_;
      std::copy(own + begin, own + end, rows + count);
    }
    count += end - begin;
  }
  m.rows = {rows, 0};
  m.count = count;
}

// Rows drawn from all, then grouped by shard, in the order of the draw inside each.
void Sampler::draw(std::uint64_t step, Index* drawn, Index* grouped, Minibatch& m) {
  m.count = batch_;
  if (way_ == Way::subset) {
    draw_subset(seed_, step, rows_, m.count, drawn, taken_.data());
  } else {
    draw_with_replacement(seed_, step, rows_, m.count, drawn);
  }
  std::size_t count = 0;
  for (std::size_t s = 0; s < n_shards_; ++s) {
    const Range all = rows_of(s);
    const std::size_t begin = count;
    for (std::size_t r = 0; r < m.count; ++r) {
      const auto row = static_cast<std::size_t>(drawn[r]);
      if (row >= all.begin && row < all.end) grouped[count++] = drawn[r] - first_;
    }
    m.shards[s] = {begin, count};
  }
  subset_.pick(grouped, count);
  m.rows = {grouped, 0};
}

}  // namespace fastrelu
