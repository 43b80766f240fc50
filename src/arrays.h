// SPDX-License-Identifier: BSD-3-Clause
// NumPy arrays in, views for the core out. Every check of an array argument is here, with an error
// that names the argument, what came and what was expected. The only include of pybind11/numpy.h.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

#include "array.h"
#include "array_views.h"
#include "loss.h"

namespace fastrelu::python {

namespace py = pybind11;

// Flags of an array_t that only reads: what is not in order and aligned is copied. (NumPy's arrays
// may lie anywhere: those of a message that was unpickled do.)
constexpr int kInOrder = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;

// An array argument; `keep` owns what the view looks at.
struct Rows {
  py::object keep;
  std::shared_ptr<CsrSource> csr;  // of sparse rows: `keep` has the values, `keep_places` the rest
  py::object keep_places;
  std::shared_ptr<EncodedSource> encoded;  // of encoded rows, the same (encoded.h)
  RowSource view;
  bool one_row = false;  // came as (d,)
};

template <class T>
struct TargetArray {
  py::object keep;
  Targets<T> view;
};

template <class T>
struct Contiguous {
  py::object keep;
  const T* data = nullptr;
};

using WeightArray = Contiguous<double>;

template <class T>
struct Output {
  py::object array;
  T* data = nullptr;
  std::ptrdiff_t stride = 0;  // elements from row to row
};

// ValueError or TypeError about the argument of this name: what was expected, and what came.
[[noreturn]] void bad_value(const char* name, const std::string& what);
[[noreturn]] void bad_type(const char* name, const std::string& what);
// As Python writes it: (2, 3).
std::string shape_text(const py::array& a);

// A new array of `count` numbers from `from` on. (pybind11's constructor that copies, and `ensure`,
// do not look at whether NumPy has found the memory.)
template <class T>
py::array_t<T> copied(const T* from, std::size_t count) {
  py::array_t<T> made(static_cast<py::ssize_t>(count));
  std::copy_n(from, count, made.mutable_data());
  return made;
}

// Anything that NumPy can view, as an array of real numbers (bool, int, float).
py::array as_real_array(const py::handle& object, const char* name);

// (n, cols), or (cols,) where `allow_row`, dense or sparse (sparse.h): a view where dtype and rows
// allow it (bytes too), else a copy.
template <class T>
Rows as_rows(const py::handle& object, const char* name, std::size_t cols, bool allow_row,
             bool check_finite);
// The same, or encoded rows.
template <class T>
Rows as_rows_of_any_kind(const py::handle& object, const char* name, std::size_t cols,
                         bool allow_row, bool check_finite);

// Raises if dense rows hold a value that is not finite.
template <class T>
void require_finite_rows(const RowSource& x, const char* name);

// A contiguous copy or view of dtype T with this shape.
template <class T>
Contiguous<T> as_contiguous(const py::handle& object, const char* name, const Shape& shape,
                            bool check_finite);

template <class T>
TargetArray<T> as_targets(const py::handle& object, std::size_t rows, std::size_t outputs,
                          LossKind kind, bool check_finite);

// (rows,) float64 with a positive sum, or None. Finite also in the network's dtype.
template <class T>
WeightArray as_sample_weight(const py::handle& object, std::size_t rows, bool check_finite);

// `object` itself after a check of dtype, shape, order, writability, and overlap with `input`.
template <class T>
Output<T> as_output(const py::handle& object, const Shape& shape, const py::handle& input);

// Raises if what is written to `out` would go over the parameters that it comes from.
template <class T>
void refuse_parameters(const Output<T>& out, const Shape& shape, const T* parameters,
                       std::size_t count);

// Uninitialised.
template <class T>
Output<T> new_output(const Shape& shape);

}  // namespace fastrelu::python
