// SPDX-License-Identifier: BSD-3-Clause
#include "passes.h"

#include <algorithm>

#include "dispatch.h"
#include "pass_cuts.h"

namespace fastrelu {
namespace {

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
  Relay relay(worker.team, t);
  // Of a layer done already, the units to be dropped alone are left.
  if (first > 0 && drops(dropout, 0)) {
    const Range units{0, net.layers().front().fan_out};
    drop_units(*dropout, 0, a[1], units, own_panels(panel_count<T>(rows), n, t));
  }
  for (std::size_t k = first; k < net.layers().size(); ++k) {
    const Layer& layer = net.layers()[k];
    const Cut cut = unless_few<T>(forward_cut(layer, rows, n), layer.fan_out, rows, n);
    const Part own = own_part<T>(cut, layer.fan_out, rows, n, t);
    DenseForward<T> f = dense_forward_of(net, k, first_rows(a[k], rows), first_rows(a[k + 1], rows),
                                         worker.scratch, ahead);
    f.out_begin = own.units.begin;
    f.out_end = own.units.end;
    relay.begin(cut);
    const double work = multiply_adds(own.units.size() * kPanel<T>, layer.fan_in);
    in_pieces(worker, own.panels, kPiecePanels<T>, work, [&](Range piece) {
      f.panel_begin = piece.begin;
      f.panel_end = piece.end;
      kernels<T>().dense_forward(f);
      activate_part(layer, k, a, {own.units, piece}, dropout);
    });
  }
  relay.end();
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
                             const Worker<T>&, RowsAhead*, std::size_t, const Dropout*);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)

}  // namespace fastrelu
