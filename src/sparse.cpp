// SPDX-License-Identifier: BSD-3-Clause
#include "sparse.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "quiet_numpy.h"

namespace fastrelu::python {
namespace {

using Int64Array = py::array_t<std::int64_t, kInOrder>;
// Numbers of 64 bits without a sign, too: beyond the others' range they become negative, which no
// place is.
using WholeNumbers = py::array_t<std::int64_t, kInOrder | py::array::forcecast>;

// Whether pointers into places go back, which SciPy's check asks only where something is stored.
bool descends(const py::object& indptr) {
  const WholeNumbers pointers(indptr);
  return !std::is_sorted(pointers.data(), pointers.data() + pointers.size());
}

// Rows of another format. SciPy believes the places of columns and blocks when it converts them,
// and would write wherever they point: they are looked at first, in an object that shares the
// arrays, since its check replaces them.
py::object as_csr(const py::handle& object, const char* name) {
  const bool is_csr = py::str(py::getattr(object, "format", py::str(""))).equal(py::str("csr"));
  if (is_csr || !py::hasattr(object, "check_format")) return object.attr("tocsr")();
  const std::string damaged = "expected sparse rows as SciPy makes them, got damaged ones: ";
  try {
    const py::object same = py::type::of(object)(
        py::make_tuple(object.attr("data"), object.attr("indices"), object.attr("indptr")),
        py::arg("shape") = object.attr("shape"));
    same.attr("check_format")(true);
    if (descends(object.attr("indptr"))) throw py::value_error("indptr descends");
    return same.attr("tocsr")();
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ValueError)) throw;
    bad_value(name, damaged + std::string(py::str(error.value())));
  } catch (const py::value_error& error) {
    bad_value(name, damaged + error.what());
  }
}

// The parts of a CSR matrix as its object holds them.
struct Parts {
  std::vector<std::size_t> shape;
  std::size_t rows = 0, entries = 0;
  py::array pointers, columns, values;
};

// A one-dimensional array of whole numbers, in int32 if it is that already, else int64.
py::array as_whole_numbers(const py::object& csr, const char* part, const char* name) {
  py::array a = as_real_array(csr.attr(part), name);
  const char kind = a.dtype().kind();
  if (a.ndim() != 1 || (kind != 'i' && kind != 'u')) {
    bad_value(name, std::string("expected ") + part + " of whole numbers in one dimension, got " +
                        std::string(py::str(static_cast<py::object>(a.dtype()))) + " " +
                        shape_text(a));
  }
  using Int32Array = py::array_t<std::int32_t, kInOrder>;
  if (py::isinstance<Int32Array>(a)) return Int32Array(a);
  return WholeNumbers(a);
}

template <class I>
void check_pointers(const I* pointers, const Parts& m, const char* name) {
  const auto most = static_cast<std::size_t>(std::min(m.columns.size(), m.values.size()));
  for (std::size_t r = 0; r <= m.rows; ++r) {
    const I low = r == 0 ? 0 : pointers[r - 1], p = pointers[r];
    if (p < low || static_cast<std::size_t>(p) > most || (r == 0 && p != 0)) {
      bad_value(name, "expected indptr to ascend from 0 to at most the " + std::to_string(most) +
                          " stored entries, got " + std::to_string(p) + " at element " +
                          std::to_string(r));
    }
  }
}

// Whether every row's columns are strictly ascending; all must be inside the matrix.
template <class I, class P>
bool check_columns(const I* columns, const P* pointers, const Parts& m, std::size_t cols,
                   const char* name) {
  bool in_order = true;
  for (std::size_t r = 0; r < m.rows; ++r) {
    I before = -1;
    for (P k = pointers[r]; k < pointers[r + 1]; ++k) {
      const I c = columns[k];
      if (c < 0 || static_cast<std::size_t>(c) >= cols) {
        bad_value(name, "expected column indices 0.." + std::to_string(cols - 1) + ", got " +
                            std::to_string(c) + " in row " + std::to_string(r));
      }
      in_order = in_order && c > before;
      before = c;
    }
  }
  return in_order;
}

template <class F>
decltype(auto) with_integers(const py::array& a, F f) {
  return a.itemsize() == 4 ? f(static_cast<const std::int32_t*>(a.data()))
                           : f(static_cast<const std::int64_t*>(a.data()));
}

// Every row's entries by column (a stable sort), equal columns added in the order stored.
void put_in_order(Parts& m) {
  const py::module_ np = py::module_::import("numpy");
  const py::slice used(py::int_(0), py::int_(m.entries), py::none());
  const py::object lengths = np.attr("diff")(m.pointers);
  const py::object rows = np.attr("repeat")(np.attr("arange")(m.rows), lengths);
  py::object columns = m.columns.attr("__getitem__")(used);
  py::object values = m.values.attr("__getitem__")(used);
  const py::object order = np.attr("lexsort")(py::make_tuple(columns, rows));
  columns = columns.attr("__getitem__")(order);  // `rows` is in order already
  values = values.attr("__getitem__")(order);
  const py::object is_new = np.attr("ones")(m.entries, py::arg("dtype") = "bool");
  const py::slice later(py::int_(1), py::none(), py::none());
  const py::object same_place = np.attr("logical_and")(
      np.attr("equal")(np.attr("diff")(columns), 0), np.attr("equal")(np.attr("diff")(rows), 0));
  is_new.attr("__setitem__")(later, np.attr("logical_not")(same_place));
  const py::object repeated = np.attr("logical_not")(is_new);
  const py::object place = np.attr("subtract")(np.attr("cumsum")(is_new), 1);
  py::object sums = values.attr("__getitem__")(is_new);
  {
    const QuietNumpy quiet;
    np.attr("add").attr("at")(sums, place.attr("__getitem__")(repeated),
                              values.attr("__getitem__")(repeated));
  }
  const py::object counts =
      np.attr("bincount")(rows.attr("__getitem__")(is_new), py::arg("minlength") = m.rows);
  Int64Array pointers(static_cast<py::ssize_t>(m.rows + 1));
  pointers.mutable_at(0) = 0;
  const Int64Array each(counts);
  for (std::size_t r = 0; r < m.rows; ++r) {
    const auto i = static_cast<py::ssize_t>(r);
    pointers.mutable_at(i + 1) = pointers.at(i) + each.at(i);
  }
  m.pointers = pointers;
  m.columns = columns.attr("__getitem__")(is_new);
  m.values = sums;
  m.entries = static_cast<std::size_t>(m.values.size());
}

Parts parts_of(const py::object& csr, const char* name, std::size_t cols, bool allow_row) {
  Parts m;
  for (const py::handle n : py::tuple(csr.attr("shape"))) m.shape.push_back(n.cast<std::size_t>());
  const bool one_row = m.shape.size() == 1 && allow_row;
  if ((m.shape.size() != 2 && !one_row) || m.shape.back() != cols) {
    bad_value(name, "expected shape (n, " + std::to_string(cols) + ")" +
                        (allow_row ? " or (" + std::to_string(cols) + ",)" : "") + ", got " +
                        std::string(py::str(csr.attr("shape"))) + " (sparse)");
  }
  m.rows = one_row ? 1 : m.shape.front();
  m.pointers = as_whole_numbers(csr, "indptr", name);
  m.columns = as_whole_numbers(csr, "indices", name);
  m.values = as_real_array(csr.attr("data"), name);
  if (static_cast<std::size_t>(m.pointers.size()) != m.rows + 1 || m.values.ndim() != 1) {
    bad_value(name, "expected indptr of " + std::to_string(m.rows + 1) +
                        " elements and data in one dimension, got " + shape_text(m.pointers) +
                        " and " + shape_text(m.values));
  }
  const bool in_order = with_integers(m.pointers, [&](auto* pointers) {
    check_pointers(pointers, m, name);
    m.entries = static_cast<std::size_t>(pointers[m.rows]);
    return with_integers(
        m.columns, [&](auto* columns) { return check_columns(columns, pointers, m, cols, name); });
  });
  if (!in_order) put_in_order(m);
  return m;
}

}  // namespace

bool is_sparse(const py::handle& object) {
  return !py::isinstance<py::array>(object) && py::hasattr(object, "tocsr");
}

template <class T>
Rows as_sparse_rows(const py::handle& object, const char* name, std::size_t cols, bool allow_row,
                    bool check_finite) {
  const Parts m = parts_of(as_csr(object, name), name, cols, allow_row);
  Rows rows;
  rows.one_row = m.shape.size() == 1;
  const py::slice used(py::int_(0), py::int_(m.entries), py::none());
  const Contiguous<T> values =
      as_contiguous<T>(m.values.attr("__getitem__")(used), name, Shape(m.entries), check_finite);
  const py::array columns =
      m.columns.attr("astype")("int32", py::arg("order") = "C", py::arg("copy") = false);
  rows.csr = std::make_shared<CsrSource>();
  rows.csr->values = values.data;
  rows.csr->columns = static_cast<const std::int32_t*>(columns.data());
  rows.csr->pointers = m.pointers.data();
  rows.csr->wide_pointers = m.pointers.itemsize() == 8;
  rows.keep = values.keep;
  rows.keep_places = py::make_tuple(columns, m.pointers);
  rows.view.rows = m.rows;
  rows.view.cols = cols;
  rows.view.sparse = rows.csr.get();
  return rows;
}

Rows with_own_places(const Rows& from) {
  Rows rows = from;
  const py::tuple places = from.keep_places;
  const py::array columns = places[0].attr("copy")(), pointers = places[1].attr("copy")();
  rows.csr = std::make_shared<CsrSource>(*from.csr);
  rows.csr->columns = static_cast<const std::int32_t*>(columns.data());
  rows.csr->pointers = pointers.data();
  rows.keep_places = py::make_tuple(columns, pointers);
  rows.view.sparse = rows.csr.get();
  return rows;
}

Rows copy_of(const Rows& from) {
  Rows rows = with_own_places(from);
  const py::array values = from.keep.attr("copy")();
  rows.csr->values = values.data();
  rows.keep = values;
  return rows;
}

template Rows as_sparse_rows<float>(const py::handle&, const char*, std::size_t, bool, bool);
template Rows as_sparse_rows<double>(const py::handle&, const char*, std::size_t, bool, bool);

}  // namespace fastrelu::python
