// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "dispatch.h"
#include "encoded.h"
#include "quiet_numpy.h"
#include "sparse.h"

namespace fastrelu::python {
namespace {

using python::shape_text;

template <class Size>
std::string shape_text(const Size* shape, py::ssize_t axes) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < axes; ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (axes == 1 ? ",)" : ")");
}
std::string shape_text(const Shape& s) { return shape_text(s.size, s.axes); }

std::string type_name(const py::handle& object) {
  return py::cast<std::string>(py::type::of(object).attr("__name__"));
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
  const QuietNumpy quiet;
  return a.attr("astype")(py::dtype::of<T>(), py::arg("order") = "C");
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

// Whether the rows can be read where they lie.
template <class E>
bool rows_in_place(const py::array& a) {
  const py::ssize_t last = a.ndim() - 1;
  return is_native<E>(a) &&
         (a.shape(last) <= 1 || a.strides(last) == static_cast<py::ssize_t>(sizeof(E)));
}

// Masked values would be read as the numbers under the mask.
void refuse_masked(const py::handle& array, const char* name) {
  const py::module_ masked = py::module_::import("numpy.ma");
  if (!py::isinstance(array, masked.attr("MaskedArray"))) return;
  if (!masked.attr("is_masked")(array).cast<bool>()) return;
  bad_type(name,
           "expected an array of numbers, got a masked array, whose masked values would be "
           "read as numbers; its filled(value) is an array without a mask");
}

}  // namespace

py::array as_real_array(const py::handle& object, const char* name) {
  py::object made;
  if (py::isinstance<py::array>(object)) {
    made = py::reinterpret_borrow<py::object>(object);
    if (!py::type::handle_of(made).is(py::module_::import("numpy").attr("ndarray"))) {
      refuse_masked(made, name);
    }
  } else {
    if (object.is_none()) bad_type(name, "expected an array of numbers, got None");
    const py::module_ numpy = py::module_::import("numpy");
    try {
      const bool dlpack = py::hasattr(object, "__dlpack__") && !py::hasattr(object, "__array__");
      made = numpy.attr(dlpack ? "from_dlpack" : "asarray")(object);
    } catch (py::error_already_set& error) {
      // torch's tensors with a graph raise RuntimeError, DLPack's of other devices BufferError. An
      // array of the user's own may call back, and what it raises then is nothing about its type.
      const bool refused = error.matches(PyExc_ValueError) || error.matches(PyExc_TypeError) ||
                           error.matches(PyExc_BufferError) ||
                           (error.matches(PyExc_RuntimeError) && py::hasattr(object, "__dlpack__"));
      if (!refused) throw;
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

namespace {

// as_rows for what view_rows did not recognise.
template <class T>
Rows convert_rows(const py::handle& object, const char* name, std::size_t cols, bool allow_row) {
  Rows rows;
  py::array a = as_real_array(object, name);
  rows.one_row = allow_row && a.ndim() == 1;
  const py::ssize_t last = a.ndim() - 1;
  if ((a.ndim() != 2 && !rows.one_row) || static_cast<std::size_t>(a.shape(last)) != cols) {
    const std::string c = std::to_string(cols);
    bad_value(name, "expected shape (n, " + c + ")" + (allow_row ? " or (" + c + ",)" : "") +
                        ", got " + shape_text(a));
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
  return rows;
}

bool is_column(const py::array& a, std::size_t rows) {
  return (a.ndim() == 1 || (a.ndim() == 2 && a.shape(1) == 1)) &&
         static_cast<std::size_t>(a.shape(0)) == rows;
}

// One target for each row, which all its outputs have.
template <class T>
TargetArray<T> repeated_target(const py::array& a, std::size_t rows, std::size_t outputs) {
  const py::array one = contiguous<T>(a);
  const T* const from = static_cast<const T*>(one.data());
  py::array_t<T> values({static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(outputs)});
  T* const to = values.mutable_data();
  for (std::size_t r = 0; r < rows; ++r) std::fill_n(to + r * outputs, outputs, from[r]);
  TargetArray<T> target;
  target.view.values = to;
  target.keep = values;
  return target;
}

// Targets of the right shape and dtype that view_targets did not recognise.
template <class T>
TargetArray<T> convert_targets(const py::handle& object, std::size_t rows, std::size_t outputs,
                               LossKind kind) {
  TargetArray<T> target;
  const py::array a = as_real_array(object, "y");
  const std::string n = std::to_string(rows), k = std::to_string(outputs);
  if (takes_labels(kind)) {
    if (a.dtype().kind() == 'f') {
      bad_type("y", std::string(info(kind).name) + " expected integer labels 0.." +
                        std::to_string(outputs - 1) + ", got dtype " +
                        std::string(py::str(static_cast<py::object>(a.dtype()))));
    }
    const bool fits = (a.ndim() == 1 || (a.ndim() == 2 && a.shape(1) == 1)) &&
                      static_cast<std::size_t>(a.shape(0)) == rows;
    if (!fits) bad_value("y", "expected labels of shape (" + n + ",), got " + shape_text(a));
    const py::array labels = contiguous<std::int64_t>(a);
    target.view.labels = static_cast<const std::int64_t*>(labels.data());
    target.keep = labels;
    return target;
  }
  if (info(kind).has_levels && outputs > 1 && is_column(a, rows)) {
    return repeated_target<T>(a, rows, outputs);
  }
  const bool column = outputs == 1 && a.ndim() == 1;
  const bool matrix = a.ndim() == 2 && static_cast<std::size_t>(a.shape(1)) == outputs;
  if ((!column && !matrix) || static_cast<std::size_t>(a.shape(0)) != rows) {
    bad_value("y", "expected shape (" + n + ", " + k + ")" +
                       (outputs == 1 || info(kind).has_levels ? " or (" + n + ",)" : "") +
                       ", got " + shape_text(a));
  }
  const py::array values = contiguous<T>(a);
  target.view.values = static_cast<const T*>(values.data());
  target.keep = values;
  return target;
}

// Raises unless `out`, which view_output did not recognise, can be written to all the same.
template <class T>
void check_output(const py::handle& object, const Shape& shape, const py::handle& input) {
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
}

void require_labels(const std::int64_t* labels, std::size_t rows, std::size_t outputs) {
  for (std::size_t r = 0; r < rows; ++r) {
    if (labels[r] >= 0 && labels[r] < static_cast<std::int64_t>(outputs)) continue;
    bad_value("y", "expected labels 0.." + std::to_string(outputs - 1) + ", got " +
                       std::to_string(labels[r]) + " in row " + std::to_string(r));
  }
}

template <class T>
void require_domain(const T* values, std::size_t rows, std::size_t outputs, const LossInfo& loss) {
  const Domain& domain = loss.domain;
  if (domain.low == -kInfinity && domain.high == kInfinity) return;
  for (std::size_t i = 0; i < rows * outputs; ++i) {
    const T y = values[i];
    if (domain.holds(y)) continue;
    const std::string got = py::str(py::array_t<T>(1, &y)[py::int_(0)]);
    bad_value("y", std::string("expected ") + domain.text + " for " + loss.name + ", got " + got +
                       " in row " + std::to_string(i / outputs) +
                       (outputs > 1 ? ", output " + std::to_string(i % outputs) : "") + " (as " +
                       dtype_name<T>() + ")");
  }
}

}  // namespace

void bad_value(const char* name, const std::string& what) {
  throw py::value_error(std::string(name) + ": " + what);
}
void bad_type(const char* name, const std::string& what) {
  throw py::type_error(std::string(name) + ": " + what);
}
std::string shape_text(const py::array& a) { return shape_text(a.shape(), a.ndim()); }

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

template <class T>
Rows as_rows(const py::handle& object, const char* name, std::size_t cols, bool allow_row,
             bool check_finite) {
  Rows rows;
  if (view_rows<T>(object.ptr(), cols, allow_row, rows.view, rows.one_row)) {
    rows.keep = py::reinterpret_borrow<py::object>(object);
  } else if (is_sparse(object)) {
    return as_sparse_rows<T>(object, name, cols, allow_row, check_finite);
  } else {
    rows = convert_rows<T>(object, name, cols, allow_row);
  }
  if (check_finite) require_finite_rows<T>(rows.view, name);
  return rows;
}

template <class T>
Rows as_rows_of_any_kind(const py::handle& object, const char* name, std::size_t cols,
                         bool allow_row, bool check_finite) {
  if (!py::isinstance<py::array>(object) && is_encoded(object)) {
    return as_encoded_rows<T>(object, name, cols, check_finite);
  }
  return as_rows<T>(object, name, cols, allow_row, check_finite);
}

template <class T>
Contiguous<T> as_contiguous(const py::handle& object, const char* name, const Shape& shape,
                            bool check_finite) {
  Contiguous<T> made;
  Shape got;
  if (view_plain(object.ptr(), made.data, got) && got == shape) {
    made.keep = py::reinterpret_borrow<py::object>(object);
  } else {
    const py::array a = as_real_array(object, name);
    if (shape_text(a) != shape_text(shape)) {
      bad_value(name, "expected shape " + shape_text(shape) + ", got " + shape_text(a));
    }
    const py::array copy = contiguous<T>(a);
    made.data = static_cast<const T*>(copy.data());
    made.keep = copy;
  }
  if (check_finite) require_finite(made.data, shape.count(), name);
  return made;
}

template <class T>
TargetArray<T> as_targets(const py::handle& object, std::size_t rows, std::size_t outputs,
                          LossKind kind, bool check_finite) {
  TargetArray<T> target;
  if (view_targets(object.ptr(), rows, outputs, kind, target.view)) {
    target.keep = py::reinterpret_borrow<py::object>(object);
  } else {
    target = convert_targets<T>(object, rows, outputs, kind);
  }
  const T* const values = target.view.values;
  const std::size_t n = rows * outputs;
  if (takes_labels(kind)) {
    require_labels(target.view.labels, rows, outputs);
    return target;
  }
  if (check_finite) require_finite(values, n, "y");
  require_domain(values, rows, outputs, info(kind));
  return target;
}

template <class T>
WeightArray as_sample_weight(const py::handle& object, std::size_t rows, bool check_finite) {
  if (object.is_none()) return {};
  constexpr const char* name = "sample_weight";
  WeightArray weights = as_contiguous<double>(object, name, Shape(rows), false);
  const double* const w = weights.data;
  double sum = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    if (check_finite && !std::isfinite(static_cast<T>(w[i]))) {
      bad_value(name, "expected finite values, got " + std::to_string(w[i]) + " at element " +
                          std::to_string(i) + " (as " + dtype_name<T>() + ")");
    }
    sum += w[i];
  }
  if (!(sum > 0)) bad_value(name, "expected a positive sum, got " + std::to_string(sum));
  return weights;
}

template <class T>
Output<T> as_output(const py::handle& object, const Shape& shape, const py::handle& input) {
  if (!view_output<T>(object.ptr(), shape, input.ptr())) check_output<T>(object, shape, input);
  const py::array out = py::reinterpret_borrow<py::array>(object);
  Output<T> output{out, static_cast<T*>(const_cast<void*>(out.data())), shape.last()};
  if (shape.axes == 2 && shape.size[0] > 1) {
    output.stride = out.strides(0) / static_cast<py::ssize_t>(sizeof(T));
  }
  return output;
}

template <class T>
void refuse_parameters(const Output<T>& out, const Shape& shape, const T* parameters,
                       std::size_t count) {
  const std::size_t rows = shape.axes == 2 ? shape.size[0] : 1;
  if (rows == 0) return;
  const std::ptrdiff_t last = static_cast<std::ptrdiff_t>(rows - 1) * out.stride;
  const T* const begin = out.data + std::min<std::ptrdiff_t>(last, 0);
  const T* const end = out.data + std::max<std::ptrdiff_t>(last, 0) + shape.last();
  const std::less<const T*> before;
  if (before(begin, parameters + count) && before(parameters, end)) {
    bad_value("out", "expected memory of its own, got a view of the parameters");
  }
}

template <class T>
Output<T> new_output(const Shape& shape) {
  Output<T> output;
  output.array = py::reinterpret_steal<py::object>(new_array<T>(shape, output.data));
  if (!output.array) throw py::error_already_set();
  output.stride = shape.last();
  return output;
}

#define FASTRELU_INSTANTIATE(T)                                                                  \
  template Rows as_rows<T>(const py::handle&, const char*, std::size_t, bool, bool);             \
  template Rows as_rows_of_any_kind<T>(const py::handle&, const char*, std::size_t, bool, bool); \
  template void require_finite_rows<T>(const RowSource&, const char*);                           \
  template Contiguous<T> as_contiguous<T>(const py::handle&, const char*, const Shape&, bool);   \
  template TargetArray<T> as_targets<T>(const py::handle&, std::size_t, std::size_t, LossKind,   \
                                        bool);                                                   \
  template WeightArray as_sample_weight<T>(const py::handle&, std::size_t, bool);                \
  template Output<T> as_output<T>(const py::handle&, const Shape&, const py::handle&);           \
  template void refuse_parameters<T>(const Output<T>&, const Shape&, const T*, std::size_t);     \
  template Output<T> new_output<T>(const Shape&);

FASTRELU_INSTANTIATE(float)
FASTRELU_INSTANTIATE(double)
#undef FASTRELU_INSTANTIATE

}  // namespace fastrelu::python
