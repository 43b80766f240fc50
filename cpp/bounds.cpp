// SPDX-License-Identifier: BSD-3-Clause
#include "bounds.h"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "ball.h"
#include "independent_runs.h"
#include "linear_rows.h"
#include "relaxation.h"

namespace fastrelu {
namespace {

// The layers of a network over one box after another, on one thread.
template <class T>
class Passage {
 public:
  Passage(const Network<T>& net, Chains chains)
      : net_(net),
        chains_(chains),
        rounding_(rounding_of<T>(chains)),
        x_(net.inputs()),
        back_(net, x_, layers_) {
    for (const Layer& layer : net.layers()) layers_.emplace_back(layer.fan_out);
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

  // Bounds all layers; the outputs by intervals alone if `tight_outputs` is false.
  void run(const double* lower, const double* upper, const Ball& ball, bool tight_outputs) {
    x_ = scaled_inputs(net_, lower, upper, chains_);
    ball_ = scaled_ball(net_, ball, chains_);
    back_.set_ball(ball ? &ball_ : nullptr, &in_ball_);
    for (std::size_t k = 0; k < layers_.size(); ++k) {
      LayerBounds& layer = layers_[k];
      const Interval& x = k == 0 ? x_ : layers_[k - 1].a;
      propagate(net_, k, x, rounding_, chains_ == Chains::computed, layer);
      const bool last = k + 1 == layers_.size();
      // Of a box the first layer's intervals are as tight as can be.
      if ((k > 0 || ball) && (!last || tight_outputs)) {
        std::vector<std::size_t> units = open_units(layer);
        if (last) {
          units.resize(layer.size.size());
          std::iota(units.begin(), units.end(), std::size_t{0});
        }
        tighten(net_, k, units, chains_, back_, watch_, layer, nullptr);
      }
      activate<T>(negative_slope<T>(net_.layers()[k].activation), rounding_, chains_, layer);
    }
  }

  const LayerBounds& layer(std::size_t k) const { return layers_[k]; }
  const LayerBounds& outputs() const { return layers_.back(); }

  // After run, bounds on sums of outputs, (n, outputs).
  void sums(const std::vector<double>& weight, double* below, double* above) {
    const std::size_t width = net_.outputs(), n = weight.size() / width;
    double bound[kUnitLanes];
    signed_.resize(kUnitLanes * width);
    for (std::size_t at = 0; at < 2 * n; at += kUnitLanes) {
      const std::size_t lanes = std::min(kUnitLanes, 2 * n - at);
      for (std::size_t l = 0; l < lanes; ++l) {
        const double* from = weight.data() + (at + l) / 2 * width;
        const double sign = (at + l) % 2 == 0 ? 1.0 : -1.0;
        for (std::size_t o = 0; o < width; ++o) signed_[l * width + o] = sign * from[o];
      }
      back_.lower_bounds_of_sums(layers_.size() - 1, signed_.data(), lanes, bound);
      for (std::size_t l = 0; l < lanes; ++l) {
        if ((at + l) % 2 == 0) below[(at + l) / 2] = bound[l];
        if ((at + l) % 2 == 1) above[(at + l) / 2] = -bound[l];
      }
    }
  }

 private:
  const Network<T>& net_;
  const Chains chains_;
  const Rounding rounding_;
  Interval x_;
  std::vector<LayerBounds> layers_;
  BackSubstitution<T, kUnitLanes> back_;
  ScaledBall ball_;
  BallBound in_ball_;
  PassWatch watch_;
  Vector signed_;
};

}  // namespace

template <class T>
PreActivationBounds pre_activation_bounds(const Network<T>& net, const double* lower,
                                          const double* upper, Chains chains, const Ball* ball) {
  Passage<T> passage(net, chains);
  passage.run(lower, upper, ball == nullptr ? Ball{} : *ball, true);
  PreActivationBounds out;
  for (std::size_t k = 0; k < net.layers().size(); ++k) {
    const Interval& z = passage.layer(k).z;
    out.lower.insert(out.lower.end(), z.lower.begin(), z.lower.end());
    out.upper.insert(out.upper.end(), z.upper.begin(), z.upper.end());
  }
  return out;
}

template <class T>
void bounds_of_boxes(const Network<T>& net, const Boxes& boxes, const std::vector<double>& sums,
                     Chains chains, double* below, double* above) {
  const std::size_t width = sums.empty() ? net.outputs() : sums.size() / net.outputs();
  const unsigned threads = static_cast<unsigned>(
      std::min<std::size_t>(num_threads(), std::max<std::size_t>(boxes.count, 1)));
  SharedStop stop(thread_poll);
  std::atomic<std::size_t> next{0};
  run_independently(threads, stop, [&](bool is_caller) {
    Passage<T> passage(net, chains);
    for (std::size_t b = next++; b < boxes.count && !stop.stopped(is_caller); b = next++) {
      const std::size_t first = b * net.inputs();
      Ball ball;
      if (boxes.center != nullptr) ball = {boxes.center + first, boxes.radius[b]};
      passage.run(boxes.lower + first, boxes.upper + first, ball, sums.empty());
      if (sums.empty()) {
        const Interval& z = passage.outputs().z;
        std::copy(z.lower.begin(), z.lower.end(), below + b * width);
        std::copy(z.upper.begin(), z.upper.end(), above + b * width);
      } else {
        passage.sums(sums, below + b * width, above + b * width);
      }
    }
  });
  if (stop.is_stopped()) throw Interrupted();
}

#define FASTRELU_INSTANTIATE(T)                                                              \
  template PreActivationBounds pre_activation_bounds(const Network<T>&, const double*,       \
                                                     const double*, Chains, const Ball*);    \
  template void bounds_of_boxes(const Network<T>&, const Boxes&, const std::vector<double>&, \
                                Chains, double*, double*);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)
#undef FASTRELU_INSTANTIATE

}  // namespace fastrelu
