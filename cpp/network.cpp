// SPDX-License-Identifier: BSD-3-Clause
#include "network.h"

#include <algorithm>
#include <cmath>

#include "fp_environment.h"
#include "poll.h"
#include "random.h"

namespace fastrelu {

template <class T>
Network<T>::Network(const std::vector<std::size_t>& sizes,
                    const std::vector<Activation>& activations, bool bias, T scale)
    : bias_(bias), scale_(scale) {
  std::size_t offset = 0;
  for (std::size_t k = 0; k + 1 < sizes.size(); ++k) {
    Layer layer;
    layer.fan_in = sizes[k];
    layer.fan_out = sizes[k + 1];
    layer.activation = k < activations.size() ? activations[k] : Activation::identity;
    layer.weight_offset = offset;
    offset += layer.fan_in * layer.fan_out;
    layer.bias_offset = offset;
    if (bias) offset += layer.fan_out;
    layers_.push_back(layer);
  }
  for (const std::size_t size : sizes) widest_ = std::max(widest_, size);
  parameters_ = std::make_shared<AlignedBuffer<T>>(offset);
}

template <class T>
void Network<T>::initialize(Init init, std::uint64_t seed) {
  const FpEnvironment environment;
  PassWatch watch;
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    const Layer& layer = layers_[k];
    const std::size_t fan = init == Init::he_uniform ? layer.fan_in : layer.fan_in + layer.fan_out;
    const double limit = std::sqrt(6.0 / static_cast<double>(fan));
    RandomStream stream(seed, Purpose::initial_weights, k, 0);
    T* w = parameters() + layer.weight_offset;
    for (std::size_t i = 0; i < layer.fan_in; ++i) {
      for (std::size_t j = 0; j < layer.fan_out; ++j) {
        *w++ = static_cast<T>((2.0 * stream.uniform() - 1.0) * limit);
      }
      // A number takes some nanoseconds, as long as some tens of multiply-adds.
      if (watch.stop(0, 50.0 * static_cast<double>(layer.fan_out))) throw Interrupted();
    }
    if (bias_) std::fill_n(parameters() + layer.bias_offset, layer.fan_out, T(0));
  }
}

template <class T>
std::vector<std::size_t> activation_widths(const Network<T>& net) {
  std::vector<std::size_t> widths{net.inputs()};
  for (const Layer& layer : net.layers()) widths.push_back(layer.fan_out);
  return widths;
}

template <class T>
std::vector<std::size_t> activation_widths(const Network<T>& net, const RowSource& x) {
  std::vector<std::size_t> widths = activation_widths(net);
  if (!x.is_dense()) widths.front() = 0;
  return widths;
}

template <class T>
bool keeps_derivatives(const Network<T>& net) {
  return std::any_of(net.layers().begin(), net.layers().end(),
                     [](const Layer& layer) { return keeps_derivative(layer.activation); });
}

template <class T>
double multiply_adds(const Network<T>& net, const RowSource& x, std::size_t rows) {
  auto each = static_cast<double>(net.parameter_count());
  if (x.sparse != nullptr && x.rows > 0) {
    const auto fan_out = static_cast<double>(net.layers().front().fan_out);
    const double entries = static_cast<double>(stored_entries(x)) / static_cast<double>(x.rows);
    each += (entries - static_cast<double>(net.inputs())) * fan_out;
  }
  if (x.encoded != nullptr) {
    const auto fan_out = static_cast<double>(net.layers().front().fan_out);
    each +=
        (2.0 * static_cast<double>(x.encoded->runs) - static_cast<double>(net.inputs())) * fan_out;
  }
  return each * static_cast<double>(rows);
}

#define FASTRELU_INSTANTIATE(T)                                                             \
  template class Network<T>;                                                                \
  template std::vector<std::size_t> activation_widths(const Network<T>&);                   \
  template std::vector<std::size_t> activation_widths(const Network<T>&, const RowSource&); \
  template bool keeps_derivatives(const Network<T>&);                                       \
  template double multiply_adds(const Network<T>&, const RowSource&, std::size_t);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)
#undef FASTRELU_INSTANTIATE

}  // namespace fastrelu
