// SPDX-License-Identifier: BSD-3-Clause
#include "ascent.h"

#include <algorithm>
#include <cmath>

#include "linear_rows.h"
#include "predict.h"

namespace fastrelu {
namespace {

// The steps are the sides of the box, then their halves, quarters, ...; so many of them, and so
// many steps up in all.
constexpr int kHalvings = 16, kSteps = 100;

}  // namespace

template <class T>
void Ascent<T>::values(const double* points, std::size_t rows, std::vector<double>& out) {
  rows_.resize(rows * net_.inputs());
  std::transform(points, points + rows_.size(), rows_.begin(),
                 [](double x) { return static_cast<T>(x); });
  outputs_.resize(rows * net_.outputs());
  RowSource source;
  source.data = rows_.data();
  source.rows = rows;
  source.cols = net_.inputs();
  source.stride = static_cast<std::ptrdiff_t>(net_.inputs() * sizeof(T));
  predict(net_, source, outputs_.data(), static_cast<std::ptrdiff_t>(net_.outputs()), nullptr);
  out.resize(rows);
  for (std::size_t n = 0; n < rows; ++n) {
    double sum = 0, size = 0;
    std::size_t terms = 0;
    bool exact = false;
    for (std::size_t o = 0; o < net_.outputs(); ++o) {
      if (weight_[o] == 0) continue;
      const double term = weight_[o] * static_cast<double>(outputs_[n * net_.outputs() + o]);
      exact = terms++ == 0 && std::fabs(weight_[o]) == 1;
      sum = exact ? term : sum + term;  // of a single output even a zero's sign
      size += std::fabs(term);
    }
    out[n] = exact ? sum : sum - 0x1.1p-52 * static_cast<double>(terms + 1) * size - 1e-300;
  }
}

template <class T>
double Ascent<T>::value(const double* point) {
  values(point, 1, one_);
  return one_[0];
}

// On the piece that x is on; by plain loops, the same bits everywhere.
template <class T>
std::vector<double> Ascent<T>::gradient(const std::vector<double>& x) const {
  const double scale = static_cast<double>(net_.scale());
  std::vector<double> h(x);
  for (double& value : h) value *= scale;
  std::vector<std::vector<double>> slopes;
  for (std::size_t k = 0; k + 1 < net_.layers().size(); ++k) {
    const Layer& layer = net_.layers()[k];
    const double slope = negative_slope<T>(layer.activation);
    h = pre_activations(net_, layer, h, nullptr);
    slopes.emplace_back(h.size());
    for (std::size_t o = 0; o < h.size(); ++o) {
      slopes[k][o] = h[o] > 0 ? 1 : slope;
      h[o] *= slopes[k][o];
    }
  }
  std::vector<double> d(weight_), before;
  for (std::size_t k = net_.layers().size(); k-- > 0;) {
    const Layer& layer = net_.layers()[k];
    const T* weights = net_.parameters() + layer.weight_offset;
    before.assign(layer.fan_in, 0.0);
    for (std::size_t i = 0; i < layer.fan_in; ++i) {
      const T* row = weights + i * layer.fan_out;
      for (std::size_t o = 0; o < layer.fan_out; ++o) {
        before[i] += static_cast<double>(row[o]) * d[o];
      }
      if (k > 0) before[i] *= slopes[k - 1][i];
    }
    std::swap(d, before);
  }
  for (double& value : d) value *= scale;
  return d;
}

template <class T>
void Ascent<T>::climb(const std::vector<double>& lower, const std::vector<double>& upper,
                      std::vector<double>& x, double& value) {
  double share = 1;
  int steps = 0;
  std::vector<double> slope = gradient(x), next(x);
  for (int halvings = 0; halvings < kHalvings && steps < kSteps; ++steps) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double step = share * (upper[i] - lower[i]);
      next[i] = slope[i] > 0   ? std::min(x[i] + step, upper[i])
                : slope[i] < 0 ? std::max(x[i] - step, lower[i])
                               : x[i];
    }
    if (ball_) move_into(ball_, lower, upper, next.data());
    const double there = this->value(next.data());
    if (there > value) {
      value = there;
      x = next;
      slope = gradient(x);
    } else {
      share *= 0.5;
      ++halvings;
    }
  }
}

template class Ascent<float>;
template class Ascent<double>;

}  // namespace fastrelu
