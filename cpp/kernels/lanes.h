// SPDX-License-Identifier: BSD-3-Clause
// A step of several networks at once, one in each lane of a vector ("members"): no lane waits for
// another's chain, and widths waste nothing. Each member's numbers are those of its own step.
//
// Everything is kept with the lanes side by side: weight (i, o) of all members is one vector. The
// members have one number of layers, one loss and one optimizer's rule, the same inputs and
// outputs; hidden widths, rows of a minibatch and the numbers of the optimizer are each member's
// own. Layers are laid out for the widest; what lies beyond a member's width is never used by it.
//
// W of a layer lies in blocks of kLanesOutputs outputs, the last one narrower, each (input, output,
// lane): every pass then reads it as it lies. Behind W lies b, (output, lane).
#pragma once

#include <algorithm>
#include <cstddef>

#include "../array.h"
#include "../catalogue.h"
#include "../loss.h"
#include "../panels.h"

namespace fastrelu {

// The most lanes of any instruction set.
constexpr std::size_t kMostLanes = 16;

constexpr std::size_t kLanesOutputs = 8;

struct LanesLayer {
  std::size_t fan_in, fan_out;                // the widest member's
  std::size_t common_fan_in, common_fan_out;  // the narrowest one's
  std::size_t weight_offset, bias_offset;     // in parameters; times the lanes in values
  Activation activation;

  // Where weight (i, o) lies among the parameters.
  std::size_t weight(std::size_t i, std::size_t o) const {
    const std::size_t block = o / kLanesOutputs, first = block * kLanesOutputs;
    return weight_offset + first * fan_in + i * std::min(kLanesOutputs, fan_out - first) + o -
           first;
  }
};

// Numbers of an update, each member's own (UpdateArgs).
template <class T>
struct LanesUpdate {
  UpdateRule rule = UpdateRule::sgd;
  bool decoupled = false;
  bool decays = false;  // a weight_decay is not 0
  alignas(64) T learning_rate[kMostLanes] = {};
  alignas(64) T weight_decay[kMostLanes] = {};
  alignas(64) T momentum[kMostLanes] = {};
  alignas(64) T beta_1[kMostLanes] = {};
  alignas(64) T beta_2[kMostLanes] = {};
  alignas(64) T c1[kMostLanes] = {};
  alignas(64) T c2[kMostLanes] = {};
  alignas(64) T epsilon[kMostLanes] = {};
};

// A step, minibatches in blocks of `block_rows`. Row r of the minibatch of the member in lane l is
// row rows[r * lanes + l] of x; lanes whose minibatch is shorter (counts) have any valid row there.
template <class T>
struct LanesStep {
  const LanesLayer* layers;
  std::size_t layer_count;
  const T* widths;  // (layer_count + 1, lanes): of A_0 .. A_L
  bool bias;
  T scale;
  const RowSource* x;
  const Index* rows;                // (count, lanes)
  bool same_rows;                   // all lanes have the same
  std::size_t count, common_count;  // the longest and the shortest minibatch
  const T* counts;                  // (lanes,)
  Targets<T> targets;
  LossSpec<T> loss;
  const T* factors;          // (count, lanes)
  T* row_losses;             // (count, lanes)
  T* parameters;             // (parameters, lanes)
  T* gradient;               // the same; needed for more than one block
  T* state;                  // (arrays, parameters, lanes)
  std::size_t state_stride;  // values from one array to the next
  LanesUpdate<T> update;
  std::size_t block_rows;
  T* workspace;  // lanes_workspace values
};

// The sizes of a step's memory, in values for each row of a block and each lane.
struct LanesSizes {
  std::size_t activations = 0;  // A_0 .. A_L
  std::size_t widest = 0;       // of A_1 .. A_L
  std::size_t outputs = 0;
  bool keeps_derivatives = false;

  LanesSizes(const LanesLayer* layers, std::size_t count)
      : activations(layers[0].fan_in), outputs(layers[count - 1].fan_out) {
    for (std::size_t k = 0; k < count; ++k) {
      activations += layers[k].fan_out;
      widest = std::max(widest, layers[k].fan_out);
      keeps_derivatives = keeps_derivatives || keeps_derivative(layers[k].activation);
    }
  }
};

}  // namespace fastrelu
