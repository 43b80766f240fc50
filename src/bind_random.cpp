// SPDX-License-Identifier: BSD-3-Clause
// Random numbers for Python code that draws as the core does: words and row orders.
#include <pybind11/stl.h>

#include "arrays.h"
#include "bindings.h"
#include "dispatch.h"
#include "random.h"

namespace fastrelu::python {
namespace {

// Words first .. first + count - 1 of the stream of a purpose (index 0, time 0).
py::array_t<std::uint64_t> philox_words(std::uint64_t seed, std::uint64_t purpose,
                                        std::uint64_t first, std::size_t count) {
  // Whole blocks of four words; the numbers asked for are a view into them.
  const auto skip = static_cast<py::ssize_t>(first % 4);
  const std::size_t blocks = (static_cast<std::size_t>(skip) + count + 3) / 4;
  py::array_t<std::uint64_t> words(static_cast<py::ssize_t>(4 * blocks));
  std::uint64_t* const to = words.mutable_data();
  const std::array<std::uint64_t, 4> counter{first / 4, 0, 0, 0};
  const std::array<std::uint64_t, 2> key{seed, purpose};
  {
    const GilReleased release;
    kernels<float>().philox_blocks(counter.data(), key.data(), blocks, to);
  }
  return py::array_t<std::uint64_t>(static_cast<py::ssize_t>(count), to + skip, words);
}

py::array_t<Index> permutation(std::uint64_t seed, std::uint64_t purpose, std::uint64_t index,
                               std::uint64_t time, std::size_t n) {
  py::array_t<Index> order(static_cast<py::ssize_t>(n));
  Index* const to = order.mutable_data();
  without_gil(50.0 * static_cast<double>(n), [&] {
    draw_order(seed, static_cast<Purpose>(purpose), index, time, 0, n, to, thread_poll);
  });
  return order;
}

}  // namespace

void bind_random(py::module_& m) {
  m.def("philox_block", &philox_block, py::arg("counter"), py::arg("key"));
  m.def("philox_words", &philox_words, py::arg("seed"), py::arg("purpose"), py::arg("first"),
        py::arg("count"));
  m.def("permutation", &permutation, py::arg("seed"), py::arg("purpose"), py::arg("index"),
        py::arg("time"), py::arg("n"));
}

}  // namespace fastrelu::python
