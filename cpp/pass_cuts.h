// SPDX-License-Identifier: BSD-3-Clause
// How the passes (passes.h) share a layer's work between the threads of a team: by rows or by
// features, where they wait for each other, and in which pieces. For passes.cpp and backward.cpp
// alone. Nothing here owns memory; each thread has its own Relay.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "dropout.h"
#include "kernels/kernels.h"
#include "layer.h"
#include "panels.h"
#include "range.h"
#include "thread_pool.h"

namespace fastrelu {

// A pass is cut by the rows of the minibatch or by the features that it computes.
enum class Cut : std::uint8_t { rows, features };

// What one barrier costs, in values that could cross from one core to another meanwhile.
constexpr std::size_t kBarrierValues = 2000;

// Weights are updated by the thread that owns their outputs, so with `n` threads all but 1/n of
// W must come from elsewhere when rows are cut; of the inputs, when features are.
inline Cut forward_cut(const Layer& layer, std::size_t rows, unsigned n) {
  if (n == 1) return Cut::rows;
  if (layer.fan_out < 32 * n) return Cut::rows;
  const std::size_t weights = layer.fan_in * layer.fan_out, inputs = layer.fan_in * rows;
  return inputs + kBarrierValues < weights ? Cut::features : Cut::rows;
}

// The thread that owns inputs of a layer reads all of dZ and its own rows of W, a part of which
// others have updated.
inline Cut backward_cut(const Layer& layer, std::size_t rows, unsigned n) {
  if (n == 1) return Cut::rows;
  if (layer.fan_in < 32 * n) return Cut::rows;
  const std::size_t weights = layer.fan_in * layer.fan_out, gradients = layer.fan_out * rows;
  return gradients + weights / n + kBarrierValues < weights ? Cut::features : Cut::rows;
}

// Fewer panels than threads leave some idle.
template <class T>
Cut unless_few(Cut cut, std::size_t features, std::size_t rows, unsigned n) {
  return panel_count<T>(rows) < n && features >= 32 ? Cut::features : cut;
}

// Runs passes that follow each other, and waits for the other threads between two of them wherever
// one reads what others wrote.
class Relay {
 public:
  Relay(Team& team, unsigned t) : team_(team), t_(t) {}
  void begin(Cut cut) {
    if (cut == Cut::features || last_ == Cut::features) team_.wait(t_);
    last_ = cut;
  }
  void end() { begin(Cut::rows); }

 private:
  Team& team_;
  unsigned t_;
  Cut last_ = Cut::rows;
};

// Whole halves of panels of features, each a cache line of dZ by rows.
template <class T>
Range own_features(std::size_t features, unsigned n, unsigned t) {
  constexpr std::size_t kHalf = kPanel<T> / 2;
  const Range halves = share((features + kHalf - 1) / kHalf, n, t);
  return {std::min(halves.begin * kHalf, features), std::min(halves.end * kHalf, features)};
}

// Units and panels of rows of one layer that a thread works on.
struct Part {
  Range units, panels;
};
template <class T>
Part own_part(Cut cut, std::size_t features, std::size_t rows, unsigned n, unsigned t) {
  const std::size_t panels = panel_count<T>(rows);
  if (cut == Cut::features) return {own_features<T>(features, n, t), {0, panels}};
  return {{0, features}, share(panels, n, t)};
}

inline bool drops(const Dropout* dropout, std::size_t layer) {
  return dropout != nullptr && dropout->threshold(layer) > 0;
}

// Values from unit `unit` on in panel p, or null where there are none.
template <class T>
T* values_at(const Panels<T>& values, std::size_t unit, std::size_t p) {
  return values.data == nullptr ? nullptr : values.at(unit, p);
}
// `A`: Activations.
template <class A>
auto derivative_of(const A& a, std::size_t k, const Layer& layer) -> decltype(a.derivative(k)) {
  if (!keeps_derivative(layer.activation)) return {};
  return a.derivative(k + 1);
}

inline double multiply_adds(std::size_t results, std::size_t terms) {
  return static_cast<double>(results) * static_cast<double>(terms);
}

// f(piece) for the pieces of `mine`, each of about `each` things that take `work` multiply-adds; in
// one piece where nobody watches. `W`: a Worker.
template <class W, class F>
void in_pieces(const W& worker, Range mine, std::size_t each, double work, F f) {
  if (worker.watch == nullptr) return f(mine);
  for (Range piece = mine; piece.begin < mine.end; piece.begin = piece.end) {
    if (worker.watch->stopped()) return;
    piece.end = std::min(piece.begin + each, mine.end);
    f(piece);
    worker.watch->stop(worker.t, work * static_cast<double>(piece.size()));
  }
}

// Panels of rows in a piece: enough that packing a panel of W is a small part.
template <class T>
constexpr std::size_t kPiecePanels = 256 / kPanel<T>;
template <class T>
Panels<T> first_rows(Panels<T> a, std::size_t rows) {
  a.cols = rows;
  return a;
}

}  // namespace fastrelu
