// SPDX-License-Identifier: BSD-3-Clause
#include "row_derivatives.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "fp_environment.h"
#include "optimizer.h"
#include "passes.h"
#include "poll.h"
#include "predict.h"
#include "thread_choice.h"

namespace fastrelu {
namespace {

// Rows that a thread takes at once, at most: enough that threads rarely meet at the counter and
// seldom write to one page of the result.
constexpr std::size_t kRowsAtOnce = 16;

// A step of one row after another by one thread, without updates.
template <class T>
class OneRowGradients {
 public:
  OneRowGradients(Network<T>& net, const DataSet<T>& data, const LossOptions& loss)
      : net_(net),
        data_{data.x, data.targets, nullptr},
        optimizer_(OptimizerSpec(OptimizerKind::sgd), net.parameter_count()),
        scales_(net, {}, 0),
        step_(net, optimizer_, scales_, options(loss)) {
    ready_.minibatch.count = 1;
    ready_.minibatch.shards = {Range{0, 1}};
    step_.begin_run(data_, {1, data_.x.rows, false, false, false});
  }

  void write(std::size_t row, T* out) {
    ready_.minibatch.rows = {nullptr, static_cast<Index>(row)};
    step_.begin(ready_, 0.0);
    step_.take(ready_, team_, 0);
    std::copy_n(step_.gradient(), net_.parameter_count(), out);
    step_.clear_gradient();
  }

 private:
  static StepOptions options(const LossOptions& loss) {
    StepOptions made;
    made.loss = loss;
    return made;
  }

  Network<T>& net_;
  const DataSet<T> data_;
  Optimizer<T> optimizer_;
  InputScales<T> scales_;  // none
  Step<T> step_;
  ReadyStep<T> ready_;
  Team team_{1};
};

// Rows [begin, begin + count) of x. `sparse` is where those of a sparse x are described.
RowSource part_of(const RowSource& x, std::size_t begin, std::size_t count, CsrSource& sparse) {
  RowSource part = x;
  part.rows = count;
  if (x.sparse == nullptr) {
    part.data = static_cast<const char*>(x.data) + static_cast<std::ptrdiff_t>(begin) * x.stride;
    return part;
  }
  sparse = *x.sparse;
  const std::size_t size = sparse.wide_pointers ? sizeof(std::int64_t) : sizeof(std::int32_t);
  sparse.pointers = static_cast<const char*>(sparse.pointers) + begin * size;
  part.sparse = &sparse;
  return part;
}

// What an AlignedBuffer of so many elements takes at most.
template <class T>
std::size_t bytes(std::size_t size) {
  using Buffer = AlignedBuffer<T>;
  if (size > (SIZE_MAX / 2 - Buffer::kHugePage) / sizeof(T)) throw std::bad_alloc();
  const std::size_t least = size * sizeof(T) + Buffer::kSlackBytes + 64;
  return least < Buffer::kHugePage ? least : round_up(least, Buffer::kHugePage);
}

// What a forward and a backward pass over so many rows take: Activations, OutputGradients, scratch.
template <class T>
std::size_t pass_bytes(const Network<T>& net, std::size_t rows, unsigned threads) {
  const std::size_t padded = round_up(rows, kPanel<T>);
  std::size_t widths = net.inputs() + 1, by_rows = 0;
  for (const Layer& layer : net.layers()) {
    widths += layer.fan_out + 1;
    by_rows += round_up(layer.fan_out, kPanel<T>);
  }
  const std::size_t activations = bytes<T>(widths * padded);
  return activations * (keeps_derivatives(net) ? 2 : 1) + bytes<T>(by_rows * padded) +
         bytes<T>(2 * (net.widest() + 1) * padded) +
         bytes<T>(round_up(scratch_size(net), 16) * threads);
}

}  // namespace

template <class T>
void per_sample_gradients(Network<T>& net, const DataSet<T>& data, const LossOptions& loss, T* out,
                          std::ptrdiff_t stride, unsigned most_threads) {
  const FpEnvironment environment;
  const std::size_t rows = data.x.rows;
  const double row_work = 3.0 * multiply_adds(net, data.x, 1);
  unsigned n = std::min(most_threads, threads_for(row_work * static_cast<double>(rows)));
  if (n > rows) n = static_cast<unsigned>(rows);
  const std::size_t at_once = std::min(kRowsAtOnce, std::max<std::size_t>(1, rows / (4 * n)));
  // Every thread's memory is taken here, where running out of it can be reported.
  std::vector<std::unique_ptr<OneRowGradients<T>>> workers;
  for (unsigned t = 0; t < n; ++t) {
    workers.push_back(std::make_unique<OneRowGradients<T>>(net, data, loss));
  }
  std::atomic<std::size_t> next{0};
  PassWatch watch;
  run_parallel(n, [&](Team&, unsigned t) {
    const FpEnvironment own_environment;
    for (std::size_t begin; (begin = next.fetch_add(at_once, std::memory_order_relaxed)) < rows;) {
      const std::size_t end = std::min(begin + at_once, rows);
      for (std::size_t r = begin; r < end; ++r) {
        workers[t]->write(r, out + static_cast<std::ptrdiff_t>(r) * stride);
        if (watch.stop(t, row_work)) return;
      }
    }
  });
  watch.throw_if_stopped();
}

template <class T>
std::size_t per_sample_bytes(const Network<T>& net, const RowSource& x) {
  const std::size_t of_gradient = bytes<T>(net.parameter_count()) + 2 * bytes<T>(1);
  if (x.sparse == nullptr) {
    const std::vector<Layer>& layers = net.layers();
    return of_gradient + 2 * bytes<T>(few_rows_workspace<T>(layers.data(), layers.size())) +
           bytes<T>(round_up(scratch_size(net), 16));
  }
  // The lengths of the rows, and by columns what a SparseGradient lists.
  return of_gradient + pass_bytes(net, 1, 1) + x.rows * sizeof(Index) +
         4 * bytes<std::uint64_t>(net.inputs() + 2) + bytes<SparseEntry<T>>(net.inputs());
}

template <class T>
void jacobian(const Network<T>& net, const RowSource& x, std::size_t block_rows, T* out,
              std::ptrdiff_t stride) {
  const FpEnvironment environment;
  const std::size_t outputs = net.outputs(), inputs = net.inputs();
  const std::size_t most = std::min(block_rows, x.rows);
  AlignedBuffer<T> d_out(most * outputs), dx(most * inputs);
  PassWatch watch;  // each pass has its own, which sees nothing where it is short
  for (std::size_t begin = 0; begin < x.rows; begin += most) {
    const std::size_t rows = std::min(most, x.rows - begin);
    CsrSource sparse;
    const RowSource part = part_of(x, begin, rows, sparse);
    const Activations<T> a = forward_cached(net, part);
    for (std::size_t o = 0; o < outputs; ++o) {
      for (std::size_t r = 0; r < rows; ++r) {
        std::fill_n(d_out.data() + r * outputs, outputs, T(0));
        d_out[r * outputs + o] = T(1);
      }
      backward(net, part, a, d_out.data(), static_cast<T*>(nullptr), dx.data());
      for (std::size_t r = 0; r < rows; ++r) {
        T* const to = out + static_cast<std::ptrdiff_t>(begin + r) * stride;
        std::copy_n(dx.data() + r * inputs, inputs, to + o * inputs);
      }
      watch.stop(0, 2.0 * multiply_adds(net, x, rows));
      watch.throw_if_stopped();
    }
  }
}

template <class T>
std::size_t jacobian_bytes(const Network<T>& net, std::size_t block_rows) {
  return pass_bytes(net, block_rows, num_threads()) + bytes<T>(block_rows * net.outputs()) +
         bytes<T>(block_rows * net.inputs()) +
         bytes<T>((net.inputs() + 1) * round_up(block_rows, kPanel<T>));
}

template <class T>
std::size_t jacobian_block(const Network<T>& net, std::size_t rows, std::size_t bytes) {
  std::size_t low = 0, high = std::max<std::size_t>(rows, 1);
  while (low < high) {
    const std::size_t middle = high - (high - low) / 2;
    if (jacobian_bytes(net, middle) <= bytes) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

#define FASTRELU_INSTANTIATE(T)                                                                 \
  template void per_sample_gradients(Network<T>&, const DataSet<T>&, const LossOptions&, T*,    \
                                     std::ptrdiff_t, unsigned);                                 \
  template std::size_t per_sample_bytes(const Network<T>&, const RowSource&);                   \
  template void jacobian(const Network<T>&, const RowSource&, std::size_t, T*, std::ptrdiff_t); \
  template std::size_t jacobian_bytes(const Network<T>&, std::size_t);                          \
  template std::size_t jacobian_block(const Network<T>&, std::size_t, std::size_t);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)

}  // namespace fastrelu
