// SPDX-License-Identifier: BSD-3-Clause
#include "array_views.h"

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>
#include <pybind11/pybind11.h>

#include <algorithm>

namespace fastrelu::python {
namespace {

template <class T>
struct TypeNumber;
template <>
struct TypeNumber<float> {
  static constexpr int value = NPY_FLOAT;
};
template <>
struct TypeNumber<double> {
  static constexpr int value = NPY_DOUBLE;
};
template <>
struct TypeNumber<std::int64_t> {
  static constexpr int value = NPY_INT64;
};
template <>
struct TypeNumber<std::uint8_t> {
  static constexpr int value = NPY_UINT8;
};

PyArrayObject* as_array(PyObject* object) { return reinterpret_cast<PyArrayObject*>(object); }

std::size_t extent(PyArrayObject* a, int axis) {
  return static_cast<std::size_t>(PyArray_DIM(a, axis));
}

// An exact ndarray of native, aligned T.
template <class T>
bool is_exact(PyObject* object, int flags = NPY_ARRAY_ALIGNED) {
  if (!PyArray_CheckExact(object)) return false;
  PyArrayObject* const a = as_array(object);
  return PyArray_TYPE(a) == TypeNumber<T>::value && PyArray_ISNOTSWAPPED(a) &&
         PyArray_CHKFLAGS(a, flags);
}

// The bytes from the first to past the last value; false for rows in descending order.
struct Bytes {
  const char *begin, *end;
};
bool bytes_of(PyArrayObject* a, Bytes& bytes) {
  bytes.begin = bytes.end = PyArray_BYTES(a);
  for (int i = 0; i < PyArray_NDIM(a); ++i) {
    if (PyArray_DIM(a, i) == 0) return true;
    if (PyArray_STRIDE(a, i) < 0) return false;
    bytes.end += (PyArray_DIM(a, i) - 1) * PyArray_STRIDE(a, i);
  }
  bytes.end += PyArray_ITEMSIZE(a);
  return true;
}
bool disjoint(PyArrayObject* a, PyArrayObject* b) {
  Bytes one{}, other{};
  return bytes_of(a, one) && bytes_of(b, other) &&
         (one.end <= other.begin || other.end <= one.begin);
}

bool rows_contiguous(PyArrayObject* a) {
  const int last = PyArray_NDIM(a) - 1;
  return PyArray_DIM(a, last) <= 1 || PyArray_STRIDE(a, last) == PyArray_ITEMSIZE(a);
}

constexpr int kPlain = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED;

}  // namespace

void import_numpy() {
  if (_import_array() < 0) throw pybind11::error_already_set();
}

bool has_many_values(PyObject* object) {
  constexpr npy_intp kMany = 1 << 16;
  if (!PyArray_CheckExact(object) || PyArray_NDIM(as_array(object)) != 2) return false;
  return PyArray_DIM(as_array(object), 0) * PyArray_DIM(as_array(object), 1) >= kMany;
}

template <class T>
bool view_rows(PyObject* object, std::size_t cols, bool allow_row, RowSource& view, bool& one_row) {
  const bool is_uint8 = is_exact<std::uint8_t>(object);
  if (!is_uint8 && !is_exact<T>(object)) return false;
  PyArrayObject* const a = as_array(object);
  const int axes = PyArray_NDIM(a);
  if ((axes != 2 && !(allow_row && axes == 1)) || extent(a, axes - 1) != cols) return false;
  if (!rows_contiguous(a)) return false;
  one_row = axes == 1;
  const std::size_t rows = one_row ? 1 : extent(a, 0);
  const auto packed = static_cast<std::ptrdiff_t>(cols * (is_uint8 ? 1 : sizeof(T)));
  view = {PyArray_DATA(a), rows, cols, rows <= 1 ? packed : PyArray_STRIDE(a, 0), is_uint8};
  return true;
}

template <class T>
bool view_targets(PyObject* object, std::size_t rows, std::size_t outputs, LossKind kind,
                  Targets<T>& view) {
  const bool labels = takes_labels(kind);
  if (!(labels ? is_exact<std::int64_t>(object, kPlain) : is_exact<T>(object, kPlain)))
    return false;
  PyArrayObject* const a = as_array(object);
  const std::size_t columns = labels ? 1 : outputs;
  const int axes = PyArray_NDIM(a);
  const bool fits = (axes == 1 && columns == 1) || (axes == 2 && extent(a, 1) == columns);
  if (!fits || extent(a, 0) != rows) return false;
  if (labels) {
    view.labels = static_cast<const std::int64_t*>(PyArray_DATA(a));
  } else {
    view.values = static_cast<const T*>(PyArray_DATA(a));
  }
  return true;
}

template <class T>
bool view_output(PyObject* object, const Shape& shape, PyObject* input) {
  if (!is_exact<T>(object, NPY_ARRAY_ALIGNED | NPY_ARRAY_WRITEABLE)) return false;
  PyArrayObject* const a = as_array(object);
  if (PyArray_NDIM(a) != shape.axes) return false;
  for (int i = 0; i < shape.axes; ++i) {
    if (extent(a, i) != shape.size[i]) return false;
  }
  return rows_contiguous(a) && disjoint(a, as_array(input));
}

template <class T>
bool view_plain(PyObject* object, const T*& data, std::size_t& size) {
  if (!is_exact<T>(object, kPlain)) return false;
  data = static_cast<const T*>(PyArray_DATA(as_array(object)));
  size = static_cast<std::size_t>(PyArray_SIZE(as_array(object)));
  return true;
}

template <class T>
bool view_plain(PyObject* object, const T*& data, Shape& shape) {
  std::size_t size = 0;
  if (!view_plain(object, data, size)) return false;
  shape.axes = PyArray_NDIM(as_array(object));
  if (shape.axes < 1 || shape.axes > 2) return false;
  for (int i = 0; i < shape.axes; ++i) shape.size[i] = extent(as_array(object), i);
  return true;
}

template <class T>
PyObject* elementwise_output(PyObject* out, PyObject* input, PyObject* other, T*& data) {
  PyArrayObject* const like = as_array(input);
  if (out == Py_None) {
    PyObject* made =
        PyArray_SimpleNew(PyArray_NDIM(like), PyArray_DIMS(like), TypeNumber<T>::value);
    if (made != nullptr) data = static_cast<T*>(PyArray_DATA(as_array(made)));
    return made;
  }
  if (!is_exact<T>(out, kPlain | NPY_ARRAY_WRITEABLE) || !same_shape(out, input)) return nullptr;
  data = static_cast<T*>(PyArray_DATA(as_array(out)));
  for (PyObject* from : {input, other}) {
    if (from == nullptr || PyArray_DATA(as_array(from)) == data) continue;
    if (!disjoint(as_array(out), as_array(from))) return nullptr;
  }
  Py_INCREF(out);
  return out;
}

bool same_shape(PyObject* array, PyObject* other) {
  PyArrayObject *const a = as_array(array), *const b = as_array(other);
  return PyArray_NDIM(a) == PyArray_NDIM(b) &&
         std::equal(PyArray_DIMS(a), PyArray_DIMS(a) + PyArray_NDIM(a), PyArray_DIMS(b));
}

template <class T>
PyObject* new_array(const Shape& shape, T*& data) {
  const npy_intp size[2] = {static_cast<npy_intp>(shape.size[0]),
                            static_cast<npy_intp>(shape.size[1])};
  PyObject* made = PyArray_SimpleNew(shape.axes, size, TypeNumber<T>::value);
  if (made != nullptr) data = static_cast<T*>(PyArray_DATA(as_array(made)));
  return made;
}

#define FASTRELU_INSTANTIATE(T)                                                              \
  template bool view_rows<T>(PyObject*, std::size_t, bool, RowSource&, bool&);               \
  template bool view_targets<T>(PyObject*, std::size_t, std::size_t, LossKind, Targets<T>&); \
  template bool view_output<T>(PyObject*, const Shape&, PyObject*);                          \
  template bool view_plain<T>(PyObject*, const T*&, std::size_t&);                           \
  template bool view_plain<T>(PyObject*, const T*&, Shape&);                                 \
  template PyObject* elementwise_output<T>(PyObject*, PyObject*, PyObject*, T*&);            \
  template PyObject* new_array<T>(const Shape&, T*&);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)
#undef FASTRELU_INSTANTIATE

}  // namespace fastrelu::python
