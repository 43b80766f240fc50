// SPDX-License-Identifier: BSD-3-Clause
#include "passes.h"

#include <algorithm>

#include "dispatch.h"

namespace fastrelu {
namespace {

// A pass is cut by the rows of the minibatch or by the features that it computes.
enum class Cut : std::uint8_t { rows, features };

// What one barrier costs, in values that could cross from one core to another meanwhile.
constexpr std::size_t kBarrierValues = 2000;

// Weights are updated by the thread that owns their outputs, so with `n` threads all but 1/n of
// W must come from elsewhere when rows are cut; of the inputs, when features are.
Cut forward_cut(const Layer& layer, std::size_t rows, unsigned n) {
  if (n == 1) return Cut::rows;
  if (layer.fan_out < 32 * n) return Cut::rows;
  const std::size_t weights = layer.fan_in * layer.fan_out, inputs = layer.fan_in * rows;
  return inputs + kBarrierValues < weights ? Cut::features : Cut::rows;
}

// The thread that owns inputs of a layer reads all of dZ and its own rows of W, a part of which
// others have updated.
Cut backward_cut(const Layer& layer, std::size_t rows, unsigned n) {
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

// Whole panels of features.
template <class T>
Range own_features(std::size_t features, unsigned n, unsigned t) {
  const Range panels = share(panel_count<T>(features), n, t);
  return {std::min(panels.begin * kPanel<T>, features), std::min(panels.end * kPanel<T>, features)};
}

template <class T>
void transpose_part(const Panels<T>& dz, const Panels<T>& by_rows, Range features, Range panels,
                    std::size_t rows) {
  if (features.begin == features.end) return;
  Panels<const T> from = read_only(dz);
  from.data += features.begin * kPanel<T>;
  Panels<T> to = by_rows;
  to.data += features.begin / kPanel<T> * to.stride;
  kernels<T>().transpose(from, features.end - features.begin, to, panels.begin * kPanel<T>,
                         std::min(panels.end * kPanel<T>, rows));
}

// Units and panels of rows of one layer that a thread works on.
struct Part {
  Range units, panels;
};

bool drops(const Dropout* dropout, std::size_t layer) {
  return dropout != nullptr && dropout->threshold(layer) > 0;
}

// Values from unit `unit` on in panel p, or null where there are none.
template <class T>
T* values_at(const Panels<T>& values, std::size_t unit, std::size_t p) {
  return values.data == nullptr ? nullptr : values.at(unit, p);
}
template <class T>
Panels<T> derivative_of(const Activations<T>& a, std::size_t k, const Layer& layer) {
  return keeps_derivative(layer.activation) ? a.derivative(k + 1) : Panels<T>{};
}

// The activations that the dense pass leaves, then dropout, on outputs of layer k.
template <class T>
void activate_part(const Layer& layer, std::size_t k, const Activations<T>& a, Part part,
                   const Dropout* dropout) {
  if (is_elementwise(layer.activation)) {
    const Panels<T> derivative = derivative_of(a, k, layer);
    for (std::size_t p = part.panels.begin; p < part.panels.end; ++p) {
      kernels<T>().activate(layer.activation, a[k + 1].at(part.units.begin, p),
                            values_at(derivative, part.units.begin, p),
                            (part.units.end - part.units.begin) * kPanel<T>);
    }
  }
  if (drops(dropout, k)) drop_units(*dropout, k, a[k + 1], part.units, part.panels);
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

double multiply_adds(std::size_t results, std::size_t terms) {
  return static_cast<double>(results) * static_cast<double>(terms);
}

// f(piece) for the pieces of `mine`, each of about `each` things that take `work` multiply-adds; in
// one piece where nobody watches.
template <class T, class F>
void in_pieces(const Worker<T>& worker, Range mine, std::size_t each, double work, F f) {
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
// Units of the weight gradient in a piece.
constexpr std::size_t kPieceUnits = 64;

template <class T>
std::size_t unit_count(const DenseBackwardWeights<T>& f, std::size_t unit) {
  return (f.inputs + unit - 1) / unit * panel_count<T>(f.fan_out);
}
// Few units are not cut evenly: smaller ones are, for shorter tiles. Narrow layers' inputs fill
// vectors.
template <class T>
std::size_t gradient_unit(const DenseBackwardWeights<T>& f, unsigned n) {
  if (n == 1 || unit_count<T>(f, kGradientUnit) >= 6 * n) return kGradientUnit;
  return f.narrow ? 4 * kSmallGradientUnit : kSmallGradientUnit;
}

template <class T>
Panels<T> first_rows(Panels<T> a, std::size_t rows) {
  a.cols = rows;
  return a;
}

}  // namespace

template <class T>
Activations<T>::Activations(const Network<T>& net, const RowSource& x, std::size_t rows)
    : values(PanelStack<T>::transposed(activation_widths(net, x), rows, true)) {
  if (!keeps_derivatives(net)) return;
  std::vector<std::size_t> kept{0};
  for (const Layer& layer : net.layers()) {
    kept.push_back(keeps_derivative(layer.activation) ? layer.fan_out : 0);
  }
  derivatives = PanelStack<T>::transposed(kept, rows, false);
}

template <class T>
OutputGradients<T>::OutputGradients(const Network<T>& net, std::size_t rows) {
  std::vector<std::size_t> widths = activation_widths(net);
  widths.erase(widths.begin());
  const std::size_t widest = *std::max_element(widths.begin(), widths.end());
  std::vector<std::size_t> narrow_widths;
  for (std::size_t k = 0; k < widths.size(); ++k) {
    if (!is_narrow(net.layers()[k], k)) continue;
    narrow_widths.push_back(widths[k]);
    widths[k] = 0;
  }
  in_turn = PanelStack<T>::transposed({widest, widest}, rows, false);
  narrow = PanelStack<T>::transposed(narrow_widths, rows, false);
  by_rows = PanelStack<T>::row_major(widths, rows);
  for (std::size_t k = 0, next = 0; k < widths.size(); ++k) {
    of_layer.push_back(widths[k] == 0 ? narrow[next++] : in_turn[k % 2]);
  }
}

template <class T>
std::size_t load_inputs(const Network<T>& net, const RowSource& x, RowPicker pick,
                        const Panels<T>& a_0, const Panels<T>& a_1, const Panels<T>& derivative_1,
                        Range rows, T* scratch) {
  if (x.is_dense()) {
    kernels<T>().load_rows(x, pick, net.scale(), a_0, rows.begin, rows.end);
    return 0;
  }
  const Layer& layer = net.layers().front();
  const T* const w = net.parameters() + layer.weight_offset;
  const T* const b = net.has_bias() ? net.parameters() + layer.bias_offset : nullptr;
  const bool relu = layer.activation == Activation::relu;
  if (x.sparse != nullptr) {
    kernels<T>().sparse_forward(
        {x.sparse, pick, net.scale(), w, b, layer.fan_out, a_1, relu, rows.begin, rows.end});
  } else {
    kernels<T>().encoded_forward(
        {x.encoded, pick, w, b, layer.fan_out, a_1, relu, rows.begin, rows.end, scratch});
  }
  if (is_elementwise(layer.activation)) {
    for (std::size_t p = rows.begin / kPanel<T>; p * kPanel<T> < rows.end; ++p) {
      kernels<T>().activate(layer.activation, a_1.panel(p), values_at(derivative_1, 0, p),
                            layer.fan_out * kPanel<T>);
    }
  }
  return 1;
}

template <class T>
std::size_t scratch_size(const Network<T>& net) {
  return std::max(dense_scratch<T>(), loss_scratch<T>(net.outputs()));
}

template <class T>
DenseForward<T> dense_forward_of(const Network<T>& net, std::size_t k, const Panels<T>& x,
                                 const Panels<T>& z, T* scratch, RowsAhead* ahead) {
  const Layer& layer = net.layers()[k];
  DenseForward<T> f;
  f.x = read_only(x);
  f.fan_in = layer.fan_in;
  f.fan_out = layer.fan_out;
  f.w = net.parameters() + layer.weight_offset;
  f.b = net.has_bias() ? net.parameters() + layer.bias_offset : nullptr;
  f.z = z;
  f.relu = layer.activation == Activation::relu;
  f.out_begin = 0;
  f.out_end = layer.fan_out;
  f.panel_begin = 0;
  f.panel_end = panel_count<T>(x.cols);
  f.chain_terms = tuning().chain_terms;
  f.scratch = scratch;
  f.ahead = ahead;
  return f;
}

template <class T>
FewRowsForward<T> few_rows_forward_of(const Network<T>& net, const RowSource& x, T* workspace) {
  FewRowsForward<T> f{};
  f.layers = net.layers().data();
  f.layer_count = net.layers().size();
  f.parameters = net.parameters();
  f.bias = net.has_bias();
  f.scale = net.scale();
  f.x = &x;
  f.count = x.rows;
  f.workspace = workspace;
  return f;
}

Range own_panels(std::size_t panels, unsigned n, unsigned t) { return share(panels, n, t); }

template <class T>
void forward_pass(const Network<T>& net, const Activations<T>& a, std::size_t rows,
                  const Worker<T>& worker, RowsAhead* ahead, std::size_t first,
                  const Dropout* dropout) {
  const unsigned n = worker.team.size(), t = worker.t;
  const std::size_t panels = panel_count<T>(rows);
  Relay relay(worker.team, t);
  // Of a layer done already, the units to be dropped alone are left.
  if (first > 0 && drops(dropout, 0)) {
    const Range units{0, net.layers().front().fan_out};
    drop_units(*dropout, 0, a[1], units, own_panels(panels, n, t));
  }
  for (std::size_t k = first; k < net.layers().size(); ++k) {
    const Layer& layer = net.layers()[k];
    const Cut cut = unless_few<T>(forward_cut(layer, rows, n), layer.fan_out, rows, n);
    Range outputs{0, layer.fan_out}, mine{0, panels};
    if (cut == Cut::features) {
      outputs = own_features<T>(layer.fan_out, n, t);
    } else {
      mine = own_panels(panels, n, t);
    }
    DenseForward<T> f = dense_forward_of(net, k, first_rows(a[k], rows), first_rows(a[k + 1], rows),
                                         worker.scratch, ahead);
    f.out_begin = outputs.begin;
    f.out_end = outputs.end;
    relay.begin(cut);
    const double work = multiply_adds(outputs.size() * kPanel<T>, layer.fan_in);
    in_pieces(worker, mine, kPiecePanels<T>, work, [&](Range piece) {
      f.panel_begin = piece.begin;
      f.panel_end = piece.end;
      kernels<T>().dense_forward(f);
      activate_part(layer, k, a, {outputs, piece}, dropout);
    });
  }
  relay.end();
}

template <class T>
void backward_data_pass(const Network<T>& net, const Activations<T>& a,
                        const OutputGradients<T>& dz, const Panels<T>& dx, std::size_t rows,
                        const Worker<T>& worker, const Dropout* dropout) {
  const unsigned n = worker.team.size(), t = worker.t;
  const std::vector<Layer>& layers = net.layers();
  const std::size_t panels = panel_count<T>(rows);
  Relay relay(worker.team, t);
  const auto keep_by_rows = [&](std::size_t k, Range features, Range mine) {
    if (!is_narrow(layers[k], k)) transpose_part(dz.of(k), dz.by_rows[k], features, mine, rows);
  };
  keep_by_rows(layers.size() - 1, {0, layers.back().fan_out}, own_panels(panels, n, t));
  for (std::size_t k = layers.size(); k-- > 0;) {
    if (k == 0 && dx.data == nullptr) break;
    const Layer& layer = layers[k];
    const Cut cut = unless_few<T>(backward_cut(layer, rows, n), layer.fan_in, rows, n);
    Range inputs{0, layer.fan_in}, mine{0, panels};
    if (cut == Cut::features) {
      inputs = own_features<T>(layer.fan_in, n, t);
    } else {
      mine = own_panels(panels, n, t);
    }
    DenseBackwardData<T> f;
    f.dz = read_only(first_rows(dz.of(k), rows));
    f.fan_in = layer.fan_in;
    f.fan_out = layer.fan_out;
    f.w = net.parameters() + layer.weight_offset;
    f.dx = first_rows(k == 0 ? dx : dz.of(k - 1), rows);
    f.gate = {nullptr, 0, 0};
    if (k > 0 && layers[k - 1].activation == Activation::relu) f.gate = read_only(a[k]);
    f.in_begin = inputs.begin;
    f.in_end = inputs.end;
    f.chain_terms = tuning().chain_terms;
    f.scratch = worker.scratch;
    relay.begin(cut);
    const double work = multiply_adds(inputs.size() * kPanel<T>, layer.fan_out);
    in_pieces(worker, mine, kPiecePanels<T>, work, [&](Range piece) {
      f.panel_begin = piece.begin;
      f.panel_end = piece.end;
      kernels<T>().dense_backward_data(f);
      if (k == 0) return;
      activation_backward_part(layers[k - 1], k - 1, a, dz.of(k - 1), {inputs, piece}, dropout);
      keep_by_rows(k - 1, inputs, piece);
    });
  }
  relay.end();
}

template <class T>
void backward_weights_pass(const Network<T>& net, const Activations<T>& a,
                           const OutputGradients<T>& dz, std::size_t rows,
                           const WeightGradients<T>& out, const Worker<T>& worker, RowsAhead* ahead,
                           std::size_t first) {
  const unsigned n = worker.team.size(), t = worker.t;
  for (std::size_t k = net.layers().size(); k-- > first;) {
    const Layer& layer = net.layers()[k];
    const auto at = [&](T* base) { return base == nullptr ? nullptr : base + layer.weight_offset; };
    DenseBackwardWeights<T> f;
    f.x = read_only(a[k]);
    f.narrow = is_narrow(layer, k);
    f.dz = read_only(f.narrow ? dz.of(k) : dz.by_rows[k]);
    f.fan_in = layer.fan_in;
    f.fan_out = layer.fan_out;
    f.inputs = layer.fan_in + (net.has_bias() ? 1 : 0);
    f.rows = rows;
    f.dw = at(out.gradient);
    f.accumulate = out.accumulate;
    f.update = out.update;
    f.w = at(out.parameters);
    f.state = out.state.from(layer.weight_offset);
    f.block_bytes = tuning().gradient_bytes;
    f.unit = gradient_unit<T>(f, n);
    const Range units = share(unit_count<T>(f, f.unit), n, t);
    f.ahead = ahead;
    const double work = multiply_adds(rows * kPanel<T>, f.unit);
    in_pieces(worker, units, kPieceUnits, work, [&](Range piece) {
      f.unit_begin = piece.begin;
      f.unit_end = piece.end;
      kernels<T>().dense_backward_weights(f);
    });
  }
}

#define FASTRELU_INSTANTIATE(T)                                                                 \
  template struct Activations<T>;                                                               \
  template struct OutputGradients<T>;                                                           \
  template std::size_t scratch_size(const Network<T>&);                                         \
  template std::size_t load_inputs(const Network<T>&, const RowSource&, RowPicker,              \
                                   const Panels<T>&, const Panels<T>&, const Panels<T>&, Range, \
                                   T*);                                                         \
  template DenseForward<T> dense_forward_of(const Network<T>&, std::size_t, const Panels<T>&,   \
                                            const Panels<T>&, T*, RowsAhead*);                  \
  template FewRowsForward<T> few_rows_forward_of(const Network<T>&, const RowSource&, T*);      \
  template void forward_pass(const Network<T>&, const Activations<T>&, std::size_t,             \
                             const Worker<T>&, RowsAhead*, std::size_t, const Dropout*);        \
  template void backward_data_pass(const Network<T>&, const Activations<T>&,                    \
                                   const OutputGradients<T>&, const Panels<T>&, std::size_t,    \
                                   const Worker<T>&, const Dropout*);                           \
  template void backward_weights_pass(                                                          \
      const Network<T>&, const Activations<T>&, const OutputGradients<T>&, std::size_t,         \
      const WeightGradients<T>&, const Worker<T>&, RowsAhead*, std::size_t);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)

}  // namespace fastrelu
