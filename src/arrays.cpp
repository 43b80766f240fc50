// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.h"

#include <cmath>
#include <vector>

#include "dispatch.h"

namespace fastrelu::python {
namespace {

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::string type_name(const py::handle& object) {
  return py::cast<std::string>(py::type::of(object).attr("__name__"));
}

[[noreturn]] void bad_value(const char* name, const std::string& what) {
  throw py::value_error(std::string(name) + ": " + what);
}
[[noreturn]] void bad_type(const char* name, const std::string& what) {
  throw py::type_error(std::string(name) + ": " + what);
}

template <class T>
const char* dtype_name() {
  return sizeof(T) == 4 ? "float32" : "float64";
}

bool is_aligned(const py::array& a, std::size_t to) {
  bool aligned = reinterpret_cast<std::uintptr_t>(a.data()) % to == 0;
  for (py::ssize_t i = 0; i < a.ndim(); ++i) {
    aligned = aligned && (a.shape(i) <= 1 || a.strides(i) % static_cast<py::ssize_t>(to) == 0);
  }
  return aligned;
}

// dtype T in this machine's byte order (py::dtype equality sees byte order).
template <class T>
bool is_native(const py::array& a) {
  return py::isinstance<py::array_t<T>>(a) && is_aligned(a, alignof(T));
}

// A contiguous native copy of dtype T; a cast that overflows gives inf without a warning.
template <class T>
py::array cast_array(const py::array& a) {
  const py::object quiet = py::module_::import("numpy").attr("errstate")(py::arg("all") = "ignore");
  quiet.attr("__enter__")();
  py::array copy = a.attr("astype")(py::dtype::of<T>(), py::arg("order") = "C");
  quiet.attr("__exit__")(py::none(), py::none(), py::none());
  return copy;
}

template <class T>
py::array contiguous(const py::array& a) {
  const bool in_order = (a.flags() & py::array::c_style) != 0;
  return is_native<T>(a) && in_order ? a : cast_array<T>(a);
}

template <class T>
void require_finite(const T* data, std::size_t n, const char* name) {
  if (kernels<T>().all_finite(data, n)) return;
  std::size_t i = 0;
  while (i < n && std::isfinite(data[i])) ++i;
  bad_value(name, "expected finite values, got " + std::to_string(data[i]) + " at element " +
                      std::to_string(i) + " (as " + dtype_name<T>() + ")");
}

template <class T>
void require_finite_rows(const RowSource& x, const char* name) {
  if (x.is_uint8) return;
  const char* row = static_cast<const char*>(x.data);
  if (x.stride == static_cast<std::ptrdiff_t>(x.cols * sizeof(T))) {
    require_finite(static_cast<const T*>(x.data), x.rows * x.cols, name);
    return;
  }
  for (std::size_t r = 0; r < x.rows; ++r, row += x.stride) {
    require_finite(reinterpret_cast<const T*>(row), x.cols, name);
  }
}

// Whether the rows can be read where they lie.
template <class E>
bool rows_in_place(const py::array& a) {
  const py::ssize_t last = a.ndim() - 1;
  return is_native<E>(a) &&
         (a.shape(last) <= 1 || a.strides(last) == static_cast<py::ssize_t>(sizeof(E)));
}

template <class T>
void require_range(const py::array& y, double low, double high, const char* expected) {
  const T* values = static_cast<const T*>(y.data());
  for (py::ssize_t i = 0; i < y.size(); ++i) {
    if (values[i] < low || values[i] > high) {
      bad_value("y", std::string("expected ") + expected + ", got " + std::to_string(values[i]) +
                         " at element " + std::to_string(i));
    }
  }
}

}  // namespace

std::string shape_text(const py::array& a) {
  return shape_text(std::vector<std::size_t>(a.shape(), a.shape() + a.ndim()));
}

py::array as_real_array(const py::handle& object, const char* name) {
  py::object made;
  if (py::isinstance<py::array>(object)) {
    made = py::reinterpret_borrow<py::object>(object);
  } else {
    if (object.is_none()) bad_type(name, "expected an array of numbers, got None");
    const py::module_ numpy = py::module_::import("numpy");
    try {
      const bool dlpack = py::hasattr(object, "__dlpack__") && !py::hasattr(object, "__array__");
      made = numpy.attr(dlpack ? "from_dlpack" : "asarray")(object);
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_ValueError) && !error.matches(PyExc_TypeError)) throw;
      bad_type(name, "expected an array of numbers, got " + type_name(object) + " (" +
                         std::string(py::str(error.value())) + ")");
    }
  }
  const py::array a = py::reinterpret_borrow<py::array>(made);
  const char kind = a.dtype().kind();
  if (kind != 'f' && kind != 'i' && kind != 'u' && kind != 'b') {
    bad_type(name, "expected real numbers, got dtype " +
                       std::string(py::str(static_cast<py::object>(a.dtype()))) + " from " +
                       type_name(object));
  }
  return a;
}

template <class T>
Rows as_rows(const py::handle& object, const char* name, std::size_t cols, bool allow_row,
             bool check_finite) {
  Rows rows;
  py::array a = as_real_array(object, name);
  rows.one_row = allow_row && a.ndim() == 1;
  const std::string expected = "expected shape (n, " + std::to_string(cols) + ")" +
                               (allow_row ? " or (" + std::to_string(cols) + ",)" : "");
  if (a.ndim() != 2 && !rows.one_row) bad_value(name, expected + ", got " + shape_text(a));
  const py::ssize_t last = a.ndim() - 1;
  if (static_cast<std::size_t>(a.shape(last)) != cols) {
    bad_value(name, expected + ", got " + shape_text(a));
  }
  rows.view.is_uint8 = rows_in_place<std::uint8_t>(a);
  if (!rows.view.is_uint8 && !rows_in_place<T>(a)) a = cast_array<T>(a);
  rows.view.data = a.data();
  rows.view.rows = rows.one_row ? 1 : static_cast<std::size_t>(a.shape(0));
  rows.view.cols = cols;
  const std::size_t item = rows.view.is_uint8 ? 1 : sizeof(T);
  rows.view.stride =
      rows.one_row || a.shape(0) <= 1 ? static_cast<std::ptrdiff_t>(cols * item) : a.strides(0);
  rows.keep = std::move(a);
  if (check_finite) require_finite_rows<T>(rows.view, name);
  return rows;
}

template <class T>
py::array as_contiguous(const py::handle& object, const char* name,
                        const std::vector<std::size_t>& shape, bool check_finite) {
  const py::array a = as_real_array(object, name);
  if (shape_text(a) != shape_text(shape)) {
    bad_value(name, "expected shape " + shape_text(shape) + ", got " + shape_text(a));
  }
  py::array made = contiguous<T>(a);
  if (check_finite) {
    require_finite(static_cast<const T*>(made.data()), static_cast<std::size_t>(made.size()), name);
  }
  return made;
}

template <class T>
TargetArray<T> as_targets(const py::handle& object, std::size_t rows, std::size_t outputs,
                          LossKind kind, bool check_finite) {
  TargetArray<T> target;
  const py::array a = as_real_array(object, "y");
  const std::string n = std::to_string(rows), k = std::to_string(outputs);
  if (kind == LossKind::cross_entropy) {
    if (a.dtype().kind() == 'f') {
      bad_type("y", "cross_entropy expected integer labels 0.." + std::to_string(outputs - 1) +
                        ", got dtype " + std::string(py::str(static_cast<py::object>(a.dtype()))));
    }
    const bool fits = (a.ndim() == 1 || (a.ndim() == 2 && a.shape(1) == 1)) &&
                      static_cast<std::size_t>(a.shape(0)) == rows;
    if (!fits) bad_value("y", "expected labels of shape (" + n + ",), got " + shape_text(a));
    target.keep = contiguous<std::int64_t>(a);
    target.view.labels = static_cast<const std::int64_t*>(target.keep.data());
    for (std::size_t r = 0; r < rows; ++r) {
      const std::int64_t label = target.view.labels[r];
      if (label < 0 || label >= static_cast<std::int64_t>(outputs)) {
        bad_value("y", "expected labels 0.." + std::to_string(outputs - 1) + ", got " +
                           std::to_string(label) + " in row " + std::to_string(r));
      }
    }
    return target;
  }
  const bool column = outputs == 1 && a.ndim() == 1;
  const bool matrix = a.ndim() == 2 && static_cast<std::size_t>(a.shape(1)) == outputs;
  if ((!column && !matrix) || static_cast<std::size_t>(a.shape(0)) != rows) {
    bad_value("y", "expected shape (" + n + ", " + k + ")" +
                       (outputs == 1 ? " or (" + n + ",)" : "") + ", got " + shape_text(a));
  }
  target.keep = contiguous<T>(a);
  target.view.values = static_cast<const T*>(target.keep.data());
  if (check_finite) require_finite(target.view.values, rows * outputs, "y");
  if (kind == LossKind::binary_cross_entropy)
    require_range<T>(target.keep, 0, 1, "targets in [0, 1]");
  if (kind == LossKind::poisson) require_range<T>(target.keep, 0, INFINITY, "targets >= 0");
  return target;
}

template <class T>
WeightArray as_sample_weight(const py::handle& object, std::size_t rows, bool check_finite) {
  if (object.is_none()) return {};
  constexpr const char* name = "sample_weight";
  py::array a = as_contiguous<double>(object, name, {rows}, false);
  const double* w = static_cast<const double*>(a.data());
  double sum = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    if (check_finite && !std::isfinite(static_cast<T>(w[i]))) {
      bad_value(name, "expected finite values, got " + std::to_string(w[i]) + " at element " +
                          std::to_string(i) + " (as " + dtype_name<T>() + ")");
    }
    sum += w[i];
  }
  if (!(sum > 0)) bad_value(name, "expected a positive sum, got " + std::to_string(sum));
  return {a, w};
}

template <class T>
py::array as_output(const py::handle& object, const std::vector<std::size_t>& shape,
                    const py::array& input) {
  if (!py::isinstance<py::array>(object)) {
    bad_type("out", "expected a NumPy array, got " + type_name(object));
  }
  const py::array out = py::reinterpret_borrow<py::array>(object);
  if (!is_native<T>(out)) {
    bad_type("out", std::string("expected aligned native dtype ") + dtype_name<T>() + ", got " +
                        std::string(py::str(static_cast<py::object>(out.dtype()))));
  }
  if (shape_text(out) != shape_text(shape)) {
    bad_value("out", "expected shape " + shape_text(shape) + ", got " + shape_text(out));
  }
  const py::ssize_t last = out.ndim() - 1;
  if (last >= 0 && out.shape(last) > 1 &&
      out.strides(last) != static_cast<py::ssize_t>(sizeof(T))) {
    bad_value("out", "expected the values of a row side by side, got a strided array");
  }
  if (!out.writeable()) bad_value("out", "expected a writable array, got a read-only one");
  const py::object overlap = py::module_::import("numpy").attr("may_share_memory")(out, input);
  if (overlap.cast<bool>()) bad_value("out", "expected no overlap with the input");
  return out;
}

#define FASTRELU_INSTANTIATE(T)                                                                \
  template Rows as_rows<T>(const py::handle&, const char*, std::size_t, bool, bool);           \
  template py::array as_contiguous<T>(const py::handle&, const char*,                          \
                                      const std::vector<std::size_t>&, bool);                  \
  template TargetArray<T> as_targets<T>(const py::handle&, std::size_t, std::size_t, LossKind, \
                                        bool);                                                 \
  template WeightArray as_sample_weight<T>(const py::handle&, std::size_t, bool);              \
  template py::array as_output<T>(const py::handle&, const std::vector<std::size_t>&,          \
                                  const py::array&);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)

}  // namespace fastrelu::python
