// SPDX-License-Identifier: BSD-3-Clause
#include "given_epochs.h"

#include <numeric>
#include <utility>

namespace fastrelu {

void shuffle_as_numpy(RandomWords words, Index* values, std::size_t count) {
  std::uint32_t mask = 0;
  for (std::size_t i = count; i-- > 1;) {
    const auto most = static_cast<std::uint32_t>(i);
    if (mask == 0) {  // all bits below the highest of `most`
      mask = most;
      for (unsigned shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
    } else if (most <= mask / 2) {
      mask /= 2;
    }
    std::uint32_t place = 0;
    do {
      place = words.next(words.state) & mask;
    } while (place > most);
    std::swap(values[i], values[place]);
  }
}

GivenEpochs::GivenEpochs(const Index* rows, std::size_t count, std::size_t batch_size,
                         double penalty, double divisor, RandomWords words)
    : rows_(rows, rows + count),
      batch_size_(batch_size),
      penalty_(penalty),
      divisor_(divisor),
      words_(words) {
  if (words_.next == nullptr) return;
  places_.resize(count);
  before_.resize(count);
}

GivenOrder GivenEpochs::next() {
  if (words_.next != nullptr) {
    std::iota(places_.begin(), places_.end(), Index{0});
    shuffle_as_numpy(words_, places_.data(), places_.size());
    before_.swap(rows_);
    for (std::size_t i = 0; i < places_.size(); ++i) {
      rows_[i] = before_[static_cast<std::size_t>(places_[i])];
    }
  }
  return {rows_.data(), rows_.size(), batch_size_, penalty_};
}

bool GivenEpochs::ends_with(double loss, double penalty, Clock::time_point now) {
  const double mean = (loss / divisor_ + penalty) / static_cast<double>(count());
  return watch.ends_with(mean) || now >= until;
}

}  // namespace fastrelu
