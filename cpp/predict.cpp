// SPDX-License-Identifier: BSD-3-Clause
#include "predict.h"

#include <algorithm>
#include <atomic>

#include "dispatch.h"
#include "encoded.h"
#include "fp_environment.h"
#include "passes.h"
#include "poll.h"
#include "sparse.h"
#include "thread_choice.h"

namespace fastrelu {
namespace {

// Rows computed together in a pass over many: enough that packing a panel of W is a small part,
// few enough that two layers' activations stay in the L2 cache.
constexpr std::size_t kBlockRows = 192;

template <class T>
T* thread_scratch(std::size_t size) {
  static thread_local AlignedBuffer<T> buffer;
  buffer.reserve(size);
  return buffer.data();
}

// Those of the rows [begin, end) that x has.
RowsAhead block_ahead(const RowSource& x, std::size_t begin, std::size_t end, std::size_t item) {
  RowsAhead a{};
  a.base = static_cast<const char*>(x.data);
  a.stride = x.stride;
  a.row = std::min(begin, x.rows);
  a.end = std::min(end, x.rows);
  a.row_bytes = x.row_bytes(item);
  return a;
}

// An activation that the product of a layer has not applied itself.
template <class T>
void activate_panels(const Layer& layer, const Panels<T>& z, std::size_t count) {
  if (!is_elementwise(layer.activation)) return;
  for (std::size_t p = 0; p < count; ++p) {
    kernels<T>().activate(layer.activation, z.panel(p), nullptr, layer.fan_out * kPanel<T>);
  }
}

// As many blocks for each thread, all of a size.
std::size_t block_rows(std::size_t rows, unsigned threads) {
  const std::size_t turns =
      std::max<std::size_t>(1, (rows + threads * kBlockRows - 1) / (threads * kBlockRows));
  return std::max<std::size_t>(1, (rows + threads * turns - 1) / (threads * turns));
}

// Whether those rows hold finite values alone.
template <class T>
bool are_finite(const RowSource& x, std::size_t first, std::size_t rows) {
  if (x.is_uint8) return true;
  const KernelTable<T>& k = kernels<T>();
  const auto row = [&](std::size_t r) {
    return reinterpret_cast<const T*>(static_cast<const char*>(x.data) +
                                      static_cast<std::ptrdiff_t>(first + r) * x.stride);
  };
  if (x.stride == static_cast<std::ptrdiff_t>(x.cols * sizeof(T))) {
    return k.all_finite(row(0), rows * x.cols);
  }
  std::size_t r = 0;
  while (r < rows && k.all_finite(row(r), x.cols)) ++r;
  return r == rows;
}

// Calls f(first row, rows, panels of the outputs, scratch) for each block of rows of x, on as
// many threads as pay. With `finite` as in predict, which costs little while a block's rows are
// on their way to the nearest caches anyway.
template <class T, class F>
void for_output_blocks(const Network<T>& net, const RowSource& x, bool* finite, F f) {
  const KernelTable<T>& k = kernels<T>();
  const unsigned wanted = threads_for(multiply_adds(net, x, x.rows));
  const std::size_t block = round_up(block_rows(x.rows, wanted), kPanel<T>);
  const std::size_t blocks = (x.rows + block - 1) / block;
  const unsigned n = std::min(wanted, static_cast<unsigned>(std::max<std::size_t>(blocks, 1)));
  const std::vector<std::size_t> widths = activation_widths(net, x);
  const std::size_t widest = *std::max_element(widths.begin(), widths.end());
  const std::size_t width = widest * block, of_layers = round_up(scratch_size(net), 16);
  const std::size_t own = of_layers + encoded_scratch_size<T>(x);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> refused{false};
  PassWatch watch;
  const double block_work = multiply_adds(net, x, block);
  // Every thread's memory is taken here, where running out of it can be reported.
  AlignedBuffer<T> shared;
  const std::size_t each = round_up(2 * width + own, 16);
  T* memory;
  if (n == 1) {
    memory = thread_scratch<T>(each);
  } else {
    shared.reset(each * n);
    memory = shared.data();
  }
  const RowsAhead all = block_ahead(x, 0, block, sizeof(T));
  const auto lines_each =
      static_cast<unsigned>(block * (all.row_bytes / 64 + 1) / forward_tiles(net, block) + 1);
  run_parallel(n, [&](Team&, unsigned t) {
    const FpEnvironment environment;
    T* const mine = memory + each * t;
    T* const scratch = mine + 2 * width;
    for (std::size_t b; (b = next.fetch_add(1, std::memory_order_relaxed)) < blocks;) {
      const std::size_t first = b * block, rows = std::min(block, x.rows - first);
      if (finite != nullptr && !are_finite<T>(x, first, rows)) refused = true;
      if (refused.load(std::memory_order_relaxed)) return;
      Panels<T> in{mine, widest * kPanel<T>, rows};
      Panels<T> out{mine + width, widest * kPanel<T>, rows};
      const RowPicker pick{nullptr, static_cast<Index>(first)};
      // Most likely this thread's next block.
      RowsAhead ahead = block_ahead(x, (b + n) * block, (b + n + 1) * block, sizeof(T));
      ahead.lines_each = lines_each;
      RowsAhead* const next_rows = blocks > n && x.is_dense() ? &ahead : nullptr;
      std::size_t l =
          load_inputs(net, x, pick, in, in, Panels<T>{}, {0, rows}, scratch + of_layers);
      for (; l < net.layers().size(); ++l) {
        const Layer& layer = net.layers()[l];
        const DenseForward<T> d = dense_forward_of(net, l, in, out, scratch, next_rows);
        k.dense_forward(d);
        activate_panels(layer, out, d.panel_end);
        std::swap(in, out);
      }
      f(first, rows, in, scratch);
      if (watch.stop(t, block_work)) return;
    }
  });
  watch.throw_if_stopped();
  if (refused) *finite = false;
}

}  // namespace

template <class T>
void predict(const Network<T>& net, const RowSource& x, T* out, std::ptrdiff_t stride,
             const LossKind* link, bool* finite) {
  const KernelTable<T>& k = kernels<T>();
  if (x.rows == 0) return;
  if (x.rows <= kFewRows && x.is_dense()) {
    if (finite != nullptr && !(*finite = are_finite<T>(x, 0, x.rows))) return;
    FewRowsForward<T> f = few_rows_forward_of(
        net, x, thread_scratch<T>(few_rows_workspace<T>(net.layers().data(), net.layers().size())));
    f.out = out;
    f.stride = stride;
    f.link = link;
    return k.few_rows_forward(f);
  }
  for_output_blocks(
      net, x, finite, [&](std::size_t first, std::size_t rows, const Panels<T>& z, T* scratch) {
        if (link != nullptr) {
          LossArgs<T> f{};
          f.spec.kind = *link;
          f.outputs = net.outputs();
          f.z = read_only(z);
          f.dz = z;
          f.row_end = rows;
          f.scratch = scratch;
          k.predict(f);
        }
        k.store_rows(read_only(z), net.outputs(), out + static_cast<std::ptrdiff_t>(first) * stride,
                     stride, 0, rows);
      });
}

template <class T>
void row_losses(const Network<T>& net, const RowSource& x, const Targets<T>& targets,
                const LossSpec<T>& loss, T* out, T* outputs) {
  const KernelTable<T>& k = kernels<T>();
  for_output_blocks(net, x, nullptr,
                    [&](std::size_t first, std::size_t rows, const Panels<T>& z, T* scratch) {
                      LossArgs<T> f{};
                      f.spec = loss;
                      f.targets = targets;
                      f.outputs = net.outputs();
                      f.z = read_only(z);
                      f.row_loss = out + first;
                      f.first = static_cast<Index>(first);
                      f.row_end = rows;
                      f.scratch = scratch;
                      if (outputs != nullptr) {
                        k.store_rows(f.z, net.outputs(), outputs + first * net.outputs(),
                                     static_cast<std::ptrdiff_t>(net.outputs()), 0, rows);
                      }
                      k.loss(f);
                    });
}

template <class T>
Activations<T> forward_cached(const Network<T>& net, const RowSource& x) {
  Activations<T> a(net, x, x.rows);
  const unsigned n = threads_for(multiply_adds(net, x, x.rows));
  const std::size_t own = round_up(scratch_size(net), 16);
  AlignedBuffer<T> scratch(own * n);
  PassWatch watch;
  const double block_work = multiply_adds(net, x, kBlockRows);
  run_parallel(n, [&](Team& team, unsigned t) {
    const FpEnvironment environment;
    const Range rows = own_rows<T>(x.rows, team.size(), t);
    std::size_t first;  // layer that is not computed yet
    Range block{rows.begin, rows.begin};
    do {
      block.begin = block.end;
      block.end = std::min(block.begin + kBlockRows, rows.end);
      first = load_inputs<T>(net, x, {nullptr, 0}, a[0], a[1], a.derivative(1), block, nullptr);
    } while (!watch.stop(t, block_work) && block.end < rows.end);
    const Worker<T> worker{team, t, scratch.data() + own * t, &watch};
    forward_pass(net, a, x.rows, worker, nullptr, first, nullptr);
  });
  watch.throw_if_stopped();
  return a;
}

template <class T>
void store_outputs(const Network<T>& net, const Activations<T>& a, std::size_t rows, T* out) {
  kernels<T>().store_rows(read_only(a[net.layers().size()]), net.outputs(), out,
                          static_cast<std::ptrdiff_t>(net.outputs()), 0, rows);
}

template <class T>
void backward(const Network<T>& net, const RowSource& x, const Activations<T>& a, const T* d_out,
              T* gradient, T* dx) {
  const KernelTable<T>& k = kernels<T>();
  const std::size_t rows = x.rows;
  const OutputGradients<T> dz(net, rows);
  const PanelStack<T> inputs =
      PanelStack<T>::transposed({dx != nullptr ? net.inputs() : 0}, rows, false);
  const unsigned n = threads_for(2.0 * multiply_adds(net, x, rows));
  const std::size_t own = round_up(scratch_size(net), 16);
  AlignedBuffer<T> scratch(own * n);
  const bool sparse = x.sparse != nullptr && gradient != nullptr;
  SparseGradient<T> first_gradient;
  if (sparse) {
    first_gradient.reserve(x, rows, false, n);
    std::fill_n(gradient, net.inputs() * net.layers().front().fan_out, T(0));
  }
  PassWatch watch;
  const Panels<T> dx_panels = dx != nullptr ? inputs[0] : Panels<T>{};
  const RowSource source{d_out, rows, net.outputs(),
                         static_cast<std::ptrdiff_t>(net.outputs() * sizeof(T)), false};
  run_parallel(n, [&](Team& team, unsigned t) {
    const FpEnvironment environment;
    const Range mine = own_rows<T>(rows, team.size(), t);
    k.load_rows(source, {nullptr, 0}, T(1), dz.of(net.layers().size() - 1), mine.begin, mine.end);
    const Worker<T> worker{team, t, scratch.data() + own * t, &watch};
    backward_data_pass(net, a, dz, dx_panels, rows, worker, nullptr);
    if (dx != nullptr) {
      const auto stride = static_cast<std::ptrdiff_t>(net.inputs());
      k.store_rows(read_only(dx_panels), net.inputs(), dx, stride, mine.begin, mine.end);
      if (net.scale() != T(1)) {
        k.multiply(dx + mine.begin * net.inputs(), net.scale(),
                   (mine.end - mine.begin) * net.inputs());
      }
    }
    team.wait(t);
    const WeightGradients<T> out{gradient, false, nullptr, nullptr, {}};
    if (sparse) {
      first_gradient.begin(1, team.size(), t);
      first_gradient.backward_weights(net, {x.sparse, {nullptr, 0}, rows}, out, dz.by_rows[0], t);
    }
    if (gradient != nullptr) {
      backward_weights_pass(net, a, dz, rows, out, worker, nullptr, sparse ? 1 : 0);
    }
  });
  watch.throw_if_stopped();
}

template <class T>
void linear_relu(const RowSource& x, const T* w, const T* b, std::size_t fan_out, T* out) {
  // One layer whose output is activated, which a user's network never has.
  Network<T> net({x.cols, fan_out}, {Activation::relu}, b != nullptr, T(1));
  std::copy_n(w, x.cols * fan_out, net.parameters());
  if (b != nullptr) std::copy_n(b, fan_out, net.parameters() + x.cols * fan_out);
  predict(static_cast<const Network<T>&>(net), x, out, static_cast<std::ptrdiff_t>(fan_out),
          nullptr);
}

#define FASTRELU_INSTANTIATE(T)                                                                    \
  template void predict(const Network<T>&, const RowSource&, T*, std::ptrdiff_t, const LossKind*,  \
                        bool*);                                                                    \
  template void row_losses(const Network<T>&, const RowSource&, const Targets<T>&,                 \
                           const LossSpec<T>&, T*, T*);                                            \
  template Activations<T> forward_cached(const Network<T>&, const RowSource&);                     \
  template void store_outputs(const Network<T>&, const Activations<T>&, std::size_t, T*);          \
  template void backward(const Network<T>&, const RowSource&, const Activations<T>&, const T*, T*, \
                         T*);                                                                      \
  template void linear_relu(const RowSource&, const T*, const T*, std::size_t, T*);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)

}  // namespace fastrelu
