// SPDX-License-Identifier: BSD-3-Clause
// What a step is made from: the rows of one minibatch, in shards, and their factors,
//
//   factor[r] = T(w[r] / (K * sw)),  sw the sum of the minibatch's weights (docs/arithmetic.md)
//
// with K the outputs where the loss averages over them, else 1. A DataSet and a Minibatch's rows
// are views that own nothing; RowFactors owns the factors. One thread at a time writes them, any
// number may read them then.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "array.h"
#include "loss.h"
#include "range.h"

namespace fastrelu {

template <class T>
struct DataSet {
  RowSource x;
  Targets<T> targets;
  const double* weights = nullptr;  // (rows,), or null
  // Of all processes that share the data set (communicator.h); 0: x has them all.
  std::size_t all_rows = 0;

  std::size_t rows() const { return all_rows != 0 ? all_rows : x.rows; }
};

struct Minibatch {
  RowPicker rows;  // of the data set
  std::size_t count = 0;
  std::vector<Range> shards;  // runs of 0 .. count - 1, one a shard; some may be empty
  // Alpha of scikit-learn's penalty: alpha / 2 times the squared norm of the weights, over the sum
  // of the rows' weights.
  double penalty = 0;
  RowPicker ahead;  // the rows of the minibatch after it, as far as known
  std::size_t ahead_count = 0;
};

// The factors of rows of equal weights, and that of a row of weight w. `sum`: of the weights.
template <class T>
T equal_factor(double outputs, double sum) {
  return static_cast<T>(1.0 / (outputs * sum));
}
template <class T>
T row_factor(double w, double outputs, double sum) {
  return sum == 0 ? T(0) : static_cast<T>(w / (outputs * sum));
}

template <class T>
class RowFactors {
 public:
  // Room for those of so many rows.
  void reserve(std::size_t rows) {
    if (rows > values_.size()) equal_ = 0;  // they move
    values_.reserve(rows);
  }

  // Those of the minibatch's rows; returns the sum of their weights. `outputs` is always the same.
  double set(const DataSet<T>& data, const Minibatch& m, double outputs) {
    if (data.weights == nullptr) {
      const auto sum = static_cast<double>(m.count);
      if (equal_ != m.count) {
        std::fill_n(values_.data(), m.count, equal_factor<T>(outputs, sum));
        equal_ = m.count;
      }
      return sum;
    }
    return set(m.count, outputs, [&](std::size_t r) { return data.weights[m.rows(r)]; });
  }
  // Those of `count` rows with the weights weight(0), weight(1), ...
  template <class F>
  double set(std::size_t count, double outputs, F weight) {
    double sum = 0;
    for (std::size_t r = 0; r < count; ++r) sum += weight(r);
    for (std::size_t r = 0; r < count; ++r) values_[r] = row_factor<T>(weight(r), outputs, sum);
    equal_ = 0;
    return sum;
  }

  const T* data() const { return values_.data(); }

 private:
  AlignedBuffer<T> values_;
  std::size_t equal_ = 0;  // so many are those of equal weights
};

}  // namespace fastrelu
