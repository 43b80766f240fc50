// SPDX-License-Identifier: BSD-3-Clause
// The backward passes (passes.h).
#include <algorithm>

#include "dispatch.h"
#include "pass_cuts.h"
#include "passes.h"

namespace fastrelu {
namespace {

template <class T>
void transpose_part(const Panels<T>& dz, const Panels<T>& by_rows, Range features, Range panels,
                    std::size_t rows) {
  while (features.begin < features.end) {
    // Up to a panel's end, where they begin inside of one.
    const std::size_t inside = features.begin % kPanel<T>;
    const std::size_t end =
        inside == 0 ? features.end : std::min(features.end, features.begin - inside + kPanel<T>);
    Panels<const T> from = read_only(dz);
    from.data += features.begin * kPanel<T>;
    Panels<T> to = by_rows;
    to.data += features.begin / kPanel<T> * to.stride + inside;
    kernels<T>().transpose(from, end - features.begin, to, panels.begin * kPanel<T>,
                           std::min(panels.end * kPanel<T>, rows));
    features.begin = end;
  }
}

// The gradient to layer k's (dropped) activations, masked as these are. relu's gate has been
// applied already, and left +0 where a unit was dropped, so that no mask need be drawn.
template <class T>
void drop_gradient(const Layer& layer, std::size_t k, const Panels<T>& dz, Part part,
                   const Dropout& dropout) {
  if (layer.activation != Activation::relu) {
    return drop_units(dropout, k, dz, part.units, part.panels);
  }
  for (std::size_t p = part.panels.begin; p < part.panels.end; ++p) {
    kernels<T>().multiply(dz.at(part.units.begin, p), static_cast<T>(dropout.scale(k)),
                          part.units.size() * kPanel<T>);
  }
}

// That gradient becomes the one to the pre-activations.
template <class T>
void activation_backward_part(const Layer& layer, std::size_t k, const Activations<T>& a,
                              const Panels<T>& dz, Part part, const Dropout* dropout) {
  if (drops(dropout, k)) drop_gradient(layer, k, dz, part, *dropout);
  if (!is_elementwise(layer.activation)) return;
  const T unscale = static_cast<T>(dropout != nullptr ? dropout->kept(k) : 1.0);
  const Panels<T> derivative = derivative_of(a, k, layer);
  for (std::size_t p = part.panels.begin; p < part.panels.end; ++p) {
    kernels<T>().activation_backward(layer.activation, a[k + 1].at(part.units.begin, p),
                                     values_at(derivative, part.units.begin, p), unscale,
                                     dz.at(part.units.begin, p),
                                     (part.units.end - part.units.begin) * kPanel<T>);
  }
}

// Units of the weight gradient in a piece, and in one that is handed on: the second thread waits
// for the first such piece.
constexpr std::size_t kPieceUnits = 64, kUnitsHandedOn = 12;

template <class T>
std::size_t unit_count(const DenseBackwardWeights<T>& f, std::size_t unit) {
  return (f.inputs + unit - 1) / unit * panel_count<T>(f.fan_out);
}
// Few units are not cut evenly: smaller ones are, for shorter tiles. Narrow layers' inputs fill
// vectors.
template <class T>
std::size_t gradient_unit(const DenseBackwardWeights<T>& f, unsigned n) {
  if (n == 1 || unit_count<T>(f, kGradientUnit) >= 24 * n) return kGradientUnit;
  return f.narrow ? 4 * kSmallGradientUnit : kSmallGradientUnit;
}

// Thread t's of n shares of the units, which lie panel by panel of outputs: as much work for each.
// A last panel of fewer outputs takes as many quarters of a whole one's work as they begin.
template <class T>
Range own_units(const DenseBackwardWeights<T>& f, unsigned n, unsigned t) {
  constexpr std::size_t kWhole = 4, kQuarter = kPanel<T> / kWhole;
  const std::size_t runs = unit_count<T>(f, f.unit) / panel_count<T>(f.fan_out);
  const std::size_t whole_panels = f.fan_out / kPanel<T>, rest = f.fan_out % kPanel<T>;
  const std::size_t last = (rest + kQuarter - 1) / kQuarter;
  const std::size_t before_last = kWhole * runs * whole_panels;
  const Range work = share(before_last + last * runs, n, t);
  const auto unit_at = [&](std::size_t done) {
    if (done <= before_last) return done / kWhole;
    return runs * whole_panels + (done - before_last) / last;
  };
  return {unit_at(work.begin), unit_at(work.end)};
}

// dZ of layer k by rows where its weight gradient reads that, of these features.
template <class T>
void keep_by_rows(const Network<T>& net, const OutputGradients<T>& dz, std::size_t k,
                  Range features, Range panels, std::size_t rows) {
  if (is_narrow(net.layers()[k], k)) return;
  transpose_part(dz.of(k), dz.by_rows[k], features, panels, rows);
}
template <class T>
void keep_last_by_rows(const Network<T>& net, const OutputGradients<T>& dz, std::size_t rows,
                       const Worker<T>& worker) {
  const Range mine = own_panels(panel_count<T>(rows), worker.team.size(), worker.t);
  const std::size_t last = net.layers().size() - 1;
  keep_by_rows(net, dz, last, {0, net.layers()[last].fan_out}, mine, rows);
}

// dZ of layer k - 1 from that of layer k; of the first layer dX.
template <class T>
void backward_data_layer(const Network<T>& net, std::size_t k, const Activations<T>& a,
                         const OutputGradients<T>& dz, const Panels<T>& dx, std::size_t rows,
                         const Worker<T>& worker, const Dropout* dropout, Relay& relay) {
  const unsigned n = worker.team.size(), t = worker.t;
  const std::vector<Layer>& layers = net.layers();
  const Layer& layer = layers[k];
  const Cut cut = unless_few<T>(backward_cut(layer, rows, n), layer.fan_in, rows, n);
  const Part own = own_part<T>(cut, layer.fan_in, rows, n, t);
  DenseBackwardData<T> f;
  f.dz = read_only(first_rows(dz.of(k), rows));
  f.fan_in = layer.fan_in;
  f.fan_out = layer.fan_out;
  f.w = net.parameters() + layer.weight_offset;
  f.dx = first_rows(k == 0 ? dx : dz.of(k - 1), rows);
  f.gate = {nullptr, 0, 0};
  if (k > 0 && layers[k - 1].activation == Activation::relu) f.gate = read_only(a[k]);
  f.in_begin = own.units.begin;
  f.in_end = own.units.end;
  f.chain_terms = tuning().chain_terms;
  f.scratch = worker.scratch;
  relay.begin(cut);
  const double work = multiply_adds(own.units.size() * kPanel<T>, layer.fan_out);
  in_pieces(worker, own.panels, kPiecePanels<T>, work, [&](Range piece) {
    f.panel_begin = piece.begin;
    f.panel_end = piece.end;
    kernels<T>().dense_backward_data(f);
    if (k == 0) return;
    const Part part{own.units, piece};
    activation_backward_part(layers[k - 1], k - 1, a, dz.of(k - 1), part, dropout);
    keep_by_rows(net, dz, k - 1, part.units, part.panels, rows);
  });
}

// The rows [inputs.begin, inputs.end) of layer k's dW, whose last is db; all units of them.
template <class T>
DenseBackwardWeights<T> dense_backward_weights_of(const Network<T>& net, std::size_t k,
                                                  Range inputs, const Activations<T>& a,
                                                  const OutputGradients<T>& dz, std::size_t rows,
                                                  const WeightGradients<T>& out, unsigned n,
                                                  RowsAhead* ahead) {
  const Layer& layer = net.layers()[k];
  const std::size_t first = layer.weight_offset + inputs.begin * layer.fan_out;
  const auto at = [&](T* base) { return base == nullptr ? nullptr : base + first; };
  DenseBackwardWeights<T> f;
  f.x = read_only(a[k]);
  f.x.data += inputs.begin * kPanel<T>;
  f.narrow = is_narrow(layer, k);
  f.dz = read_only(f.narrow ? dz.of(k) : dz.by_rows[k]);
  f.fan_in = std::min(layer.fan_in, inputs.end) - inputs.begin;
  f.fan_out = layer.fan_out;
  f.inputs = inputs.size();
  f.rows = rows;
  f.dw = at(out.gradient);
  f.accumulate = out.accumulate;
  f.update = out.update;
  f.w = at(out.parameters);
  f.state = out.state.from(first);
  f.block_bytes = tuning().gradient_bytes;
  f.unit = gradient_unit<T>(f, n);
  f.unit_begin = 0;
  f.unit_end = unit_count<T>(f, f.unit);
  f.ahead = ahead;
  return f;
}

// This thread's part of them.
template <class T>
void backward_weights_layer(const Network<T>& net, std::size_t k, Range inputs,
                            const Activations<T>& a, const OutputGradients<T>& dz, std::size_t rows,
                            const WeightGradients<T>& out, const Worker<T>& worker,
                            RowsAhead* ahead) {
  const unsigned n = worker.team.size(), t = worker.t;
  DenseBackwardWeights<T> f = dense_backward_weights_of(net, k, inputs, a, dz, rows, out, n, ahead);
  const Range units = own_units(f, n, t);
  const double work = multiply_adds(rows * kPanel<T>, f.unit);
  in_pieces(worker, units, kPieceUnits, work, [&](Range piece) {
    f.unit_begin = piece.begin;
    f.unit_end = piece.end;
    kernels<T>().dense_backward_weights(f);
  });
}

// The same of all of them, in the pieces that `taker` takes, the last one first.
template <class T>
void backward_weights_in_pieces(const Network<T>& net, std::size_t k, const Activations<T>& a,
                                const OutputGradients<T>& dz, std::size_t rows,
                                const WeightGradients<T>& out, const Worker<T>& worker,
                                RowsAhead* ahead, const GradientTaker& taker) {
  const Layer& layer = net.layers()[k];
  std::size_t end = dw_rows(net, k);
  while (end > 0) {
    const std::size_t from = taker.begin_before(layer.weight_offset + end * layer.fan_out);
    const bool inside = from >= layer.weight_offset;
    const std::size_t begin = inside ? (from - layer.weight_offset) / layer.fan_out : 0;
    backward_weights_layer(net, k, {begin, end}, a, dz, rows, out, worker, ahead);
    if (inside) {
      worker.team.wait(worker.t);
      if (worker.t == 0) taker.take(taker.context, from);
    }
    end = begin;
  }
}

}  // namespace

template <class T>
void backward_data_pass(const Network<T>& net, const Activations<T>& a,
                        const OutputGradients<T>& dz, const Panels<T>& dx, std::size_t rows,
                        const Worker<T>& worker, const Dropout* dropout) {
  Relay relay(worker.team, worker.t);
  keep_last_by_rows(net, dz, rows, worker);
  for (std::size_t k = net.layers().size(); k-- > 0;) {
    if (k == 0 && dx.data == nullptr) break;
    backward_data_layer(net, k, a, dz, dx, rows, worker, dropout, relay);
  }
  relay.end();
}

template <class T>
void backward_weights_pass(const Network<T>& net, const Activations<T>& a,
                           const OutputGradients<T>& dz, std::size_t rows,
                           const WeightGradients<T>& out, const Worker<T>& worker, RowsAhead* ahead,
                           std::size_t first) {
  for (std::size_t k = net.layers().size(); k-- > first;) {
    backward_weights_layer(net, k, {0, dw_rows(net, k)}, a, dz, rows, out, worker, ahead);
  }
}

template <class T>
bool hands_on_gradients(const Network<T>& net, std::size_t rows, unsigned n) {
  if (n != 2 || panel_count<T>(rows) < n) return false;
  // What is handed on comes back as weights. Otherwise, half of the rows' activations cross, and
  // half of dZ of half of the outputs.
  return std::all_of(net.layers().begin(), net.layers().end(), [&](const Layer& layer) {
    return layer.fan_in * layer.fan_out < rows * (layer.fan_in / 2 + layer.fan_out / 4);
  });
}

template <class T>
void backward_weights_handed_on(const Network<T>& net, const Activations<T>& a,
                                const OutputGradients<T>& dz, std::size_t rows,
                                const WeightGradients<T>& out, const Worker<T>& worker,
                                RowsAhead* ahead) {
  const bool first = worker.t == 0;
  const Range panels = own_panels(panel_count<T>(rows), 2, worker.t);
  const Range mine = own_rows<T>(rows, 2, worker.t);
  WeightGradients<T> own = out;
  if (own.gradient == nullptr) own.gradient = out.handed_on;
  if (first) {
    own.update = nullptr;
  } else {
    own.accumulate = true;
    worker.team.signal(1);
  }
  for (std::size_t k = net.layers().size(); k-- > 0;) {
    const Range inputs{0, dw_rows(net, k)};
    DenseBackwardWeights<T> f =
        dense_backward_weights_of(net, k, inputs, a, dz, mine.size(), own, 2, ahead);
    f.x.data += panels.begin * f.x.stride;
    f.dz.data += f.narrow ? panels.begin * f.dz.stride : mine.begin * kPanel<T>;
    const std::size_t end = f.unit_end;
    for (f.unit_begin = 0; f.unit_begin < end; f.unit_begin = f.unit_end) {
      f.unit_end = std::min(f.unit_begin + kUnitsHandedOn, end);
      if (!first) worker.team.take(1);
      kernels<T>().dense_backward_weights(f);
      if (first) worker.team.signal(0);
    }
  }
  if (first) worker.team.take(0);
}

template <class T>
void backward_pass_by_layer(const Network<T>& net, const Activations<T>& a,
                            const OutputGradients<T>& dz, std::size_t rows,
                            const WeightGradients<T>& out, const Worker<T>& worker,
                            RowsAhead* ahead, std::size_t first, const Dropout* dropout,
                            const GradientTaker& taker) {
  keep_last_by_rows(net, dz, rows, worker);
  for (std::size_t k = net.layers().size(); k-- > first;) {
    worker.team.wait(worker.t);  // dZ of all rows is there
    backward_weights_in_pieces(net, k, a, dz, rows, out, worker, ahead, taker);
    if (k == 0) return;
    Relay relay(worker.team, worker.t);
    backward_data_layer(net, k, a, dz, Panels<T>{}, rows, worker, dropout, relay);
    relay.end();
  }
  worker.team.wait(worker.t);
}

#define FASTRELU_INSTANTIATE(T)                                                                 \
  template void backward_data_pass(const Network<T>&, const Activations<T>&,                    \
                                   const OutputGradients<T>&, const Panels<T>&, std::size_t,    \
                                   const Worker<T>&, const Dropout*);                           \
  template void backward_weights_pass(                                                          \
      const Network<T>&, const Activations<T>&, const OutputGradients<T>&, std::size_t,         \
      const WeightGradients<T>&, const Worker<T>&, RowsAhead*, std::size_t);                    \
  template bool hands_on_gradients(const Network<T>&, std::size_t, unsigned);                   \
  template void backward_weights_handed_on(                                                     \
      const Network<T>&, const Activations<T>&, const OutputGradients<T>&, std::size_t,         \
      const WeightGradients<T>&, const Worker<T>&, RowsAhead*);                                 \
  template void backward_pass_by_layer(const Network<T>&, const Activations<T>&,                \
                                       const OutputGradients<T>&, std::size_t,                  \
                                       const WeightGradients<T>&, const Worker<T>&, RowsAhead*, \
                                       std::size_t, const Dropout*, const GradientTaker&);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)

}  // namespace fastrelu
