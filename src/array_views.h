// SPDX-License-Identifier: BSD-3-Clause
// The common cases of an array argument, recognised by a few loads from NumPy's own structs: an
// exact ndarray of the wanted dtype, native and aligned, its rows contiguous. Each function says
// false for anything else, right or wrong; arrays.h then converts it, or raises an error that names
// the argument. Values are not looked at. The only user of NumPy's C API.
#pragma once

#include <Python.h>

#include "array.h"
#include "loss.h"

namespace fastrelu::python {

// Once, at import. Throws pybind11::error_already_set.
void import_numpy();

// A shape of at most two axes, without a heap allocation.
struct Shape {
  Shape() = default;
  explicit Shape(std::size_t n) : axes(1), size{n, 0} {}
  Shape(std::size_t n, std::size_t m) : axes(2), size{n, m} {}
  bool operator==(const Shape& other) const {
    return axes == other.axes && size[0] == other.size[0] && size[1] == other.size[1];
  }
  std::size_t count() const { return axes == 2 ? size[0] * size[1] : size[0]; }
  std::ptrdiff_t last() const { return static_cast<std::ptrdiff_t>(size[axes - 1]); }

  int axes = 0;
  std::size_t size[2] = {0, 0};
};

// Rows (n, cols), or (cols,) where `allow_row`, of T or bytes.
template <class T>
bool view_rows(PyObject* object, std::size_t cols, bool allow_row, RowSource& view, bool& one_row);

// An exact ndarray of so many values that a look at them all is better left to several threads.
bool has_many_values(PyObject* object);

// Targets of `rows` rows in C order: T, or int64 for a loss of labels.
template <class T>
bool view_targets(PyObject* object, std::size_t rows, std::size_t outputs, LossKind kind,
                  Targets<T>& view);

// A writable array of this shape, its rows contiguous, that does not meet the memory of `input`, an
// array.
template <class T>
bool view_output(PyObject* object, const Shape& shape, PyObject* input);

// An array of any shape in C order; its size, too.
template <class T>
bool view_plain(PyObject* object, const T*& data, std::size_t& size);

// The same with one or two axes.
template <class T>
bool view_plain(PyObject* object, const T*& data, Shape& shape);

// Where a result of `input`'s shape goes, for an elementwise function: a new array without `out`
// (None), or `out` in C order, if it is `input` (or `other`, if not null) itself or meets neither.
// A new reference; null without an error set where `out` is anything else.
template <class T>
PyObject* elementwise_output(PyObject* out, PyObject* input, PyObject* other, T*& data);

bool same_shape(PyObject* array, PyObject* other);

// Uninitialised, in C order; null with an error set.
template <class T>
PyObject* new_array(const Shape& shape, T*& data);

}  // namespace fastrelu::python
