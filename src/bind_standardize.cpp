// SPDX-License-Identifier: BSD-3-Clause
// standardize: columns of NumPy arrays into the rows of one.
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "standardize.h"

namespace fastrelu::python {
namespace {

using Floats = py::array_t<double, kInOrder>;
using Rows64 = py::array_t<Index, kInOrder>;

std::optional<Number> number_type(const py::array& a) {
  if (!a.dtype().attr("isnative").cast<bool>()) return std::nullopt;
  const auto size = a.itemsize();
  switch (a.dtype().kind()) {
    case 'f':
      if (size == 4) return Number::f32;
      if (size == 8) return Number::f64;
      break;
    case 'i':
      if (size == 1) return Number::i8;
      if (size == 2) return Number::i16;
      if (size == 4) return Number::i32;
      if (size == 8) return Number::i64;
      break;
    case 'b':
    case 'u':
      if (size == 1) return Number::u8;
      if (size == 2) return Number::u16;
      if (size == 4) return Number::u32;
      if (size == 8) return Number::u64;
      break;
    default: break;
  }
  return std::nullopt;
}

// Every row asked for has to be in every column.
NumberColumn as_column(const py::handle& object, py::ssize_t rows_needed) {
  if (object.is_none()) return {};
  const auto a = py::reinterpret_borrow<py::array>(object);
  const auto type = number_type(a);
  if (!type || a.ndim() != 1) throw py::type_error("columns: expected arrays of numbers, (n,)");
  if (a.shape(0) < rows_needed) {
    throw py::value_error("columns: expected " + std::to_string(rows_needed) + " rows, got " +
                          std::to_string(a.shape(0)));
  }
  return {a.data(), a.strides(0), *type};
}

py::ssize_t rows_needed(const std::optional<Rows64>& rows, py::ssize_t n) {
  if (!rows) return n;
  if (rows->ndim() != 1 || rows->size() != n)
    throw py::value_error("rows: expected one for each row");
  Index last = -1;
  for (py::ssize_t i = 0; i < n; ++i) {
    if (rows->data()[i] < 0) {
      throw py::value_error("rows: expected numbers >= 0, got " + std::to_string(rows->data()[i]));
    }
    last = std::max(last, rows->data()[i]);
  }
  return static_cast<py::ssize_t>(last + 1);
}

// fill, mean, divisor, indicators: one for each column; out: (n, columns and indicators). Returns
// the number of NaN by column, and whether all outputs are finite.
template <class T>
py::tuple standardize_into(const py::list& columns, const std::optional<Rows64>& rows,
                           const Floats& fill, const Floats& mean, const Floats& divisor,
                           const Rows64& indicators, py::array_t<T>& out) {
  const auto p = static_cast<py::ssize_t>(columns.size());
  if (fill.size() != p || mean.size() != p || divisor.size() != p || indicators.size() != p) {
    throw py::value_error("fill, mean, divisor, indicators: expected a number for each column");
  }
  // An array without rows may have any strides.
  const bool in_order =
      out.ndim() == 2 && out.shape(1) >= p &&
      (out.shape(0) == 0 || (out.strides(1) == static_cast<py::ssize_t>(sizeof(T)) &&
                             out.strides(0) % static_cast<py::ssize_t>(sizeof(T)) == 0));
  if (!in_order) {
    throw py::value_error("out: expected rows of at least one value for each column");
  }
  for (py::ssize_t j = 0; j < p; ++j) {
    if (indicators.data()[j] >= out.shape(1)) {
      throw py::value_error("indicators: expected columns of out, got " +
                            std::to_string(indicators.data()[j]));
    }
  }
  const py::ssize_t needed = rows_needed(rows, out.shape(0));
  std::vector<NumberColumn> views;
  for (const auto& column : columns) views.push_back(as_column(column, needed));
  const Standardize<T> s{views.data(),
                         views.size(),
                         rows ? rows->data() : nullptr,
                         static_cast<std::size_t>(out.shape(0)),
                         fill.data(),
                         mean.data(),
                         divisor.data(),
                         indicators.data(),
                         out.mutable_data(),
                         out.strides(0) / static_cast<py::ssize_t>(sizeof(T))};
  Standardized made;
  {
    const GilReleased release;
    made = standardize(s);
  }
  return py::make_tuple(copied<Index>(made.missing.data(), made.missing.size()), made.finite);
}

template <class T>
void bind(py::module_& m) {
  m.def("standardize", &standardize_into<T>, py::arg("columns"), py::arg("rows").none(true),
        py::arg("fill"), py::arg("mean"), py::arg("divisor"), py::arg("indicators"),
        py::arg("out").noconvert());
}

}  // namespace

void bind_standardize(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace fastrelu::python
