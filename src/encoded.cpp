// SPDX-License-Identifier: BSD-3-Clause
#include "encoded.h"

#include <algorithm>
#include <string>

#include "bindings.h"
#include "dispatch.h"
#include "quiet_numpy.h"

namespace fastrelu::python {
namespace {

constexpr std::size_t kWidest = std::size_t{1} << 16;  // positions have 16 bits
constexpr std::size_t kMostInputs = std::size_t{1} << 31;

// A contiguous array of whole numbers of this many axes, as int64.
py::array_t<std::int64_t> whole_numbers(const py::handle& object, const char* name,
                                        py::ssize_t axes) {
  const py::array a = as_real_array(object, name);
  const char kind = a.dtype().kind();
  if (kind == 'f' && a.size() > 0) {
    throw py::type_error(std::string(name) + ": expected whole numbers, got dtype " +
                         std::string(py::str(static_cast<py::object>(a.dtype()))));
  }
  if (a.ndim() != axes) {
    bad_value(name, "expected " + std::to_string(axes) + (axes == 1 ? " axis" : " axes") +
                        ", got shape " + shape_text(a));
  }
  return py::array_t<std::int64_t, kInOrder | py::array::forcecast>(a);
}

void set_runs(PyEncodedRows& made, const py::handle& widths, const py::handle& ramps) {
  const auto width = whole_numbers(widths, "widths", 1);
  const auto ramp = whole_numbers(ramps, "ramps", 1);
  if (ramp.size() != width.size()) {
    bad_value("ramps", "expected one for each of the " + std::to_string(width.size()) +
                           " widths, got " + std::to_string(ramp.size()));
  }
  if (width.size() == 0) bad_value("widths", "expected at least one run, got none");
  made.starts.push_back(0);
  for (py::ssize_t k = 0; k < width.size(); ++k) {
    const std::int64_t w = width.at(k);
    if (w < 1 || static_cast<std::size_t>(w) > kWidest) {
      bad_value("widths", "expected 1 .. " + std::to_string(kWidest) + " inputs, got " +
                              std::to_string(w) + " of run " + std::to_string(k));
    }
    if (ramp.at(k) != 0 && ramp.at(k) != 1) {
      bad_value("ramps", "expected True or False, got " + std::to_string(ramp.at(k)) + " of run " +
                             std::to_string(k));
    }
    made.inputs += static_cast<std::size_t>(w);
    if (made.inputs >= kMostInputs) bad_value("widths", "expected less than 2**31 inputs");
    made.starts.push_back(static_cast<std::uint32_t>(made.inputs));
    made.ramps.push_back(static_cast<std::uint8_t>(ramp.at(k)));
  }
}

std::shared_ptr<const std::vector<std::uint16_t>> checked_positions(const PyEncodedRows& made,
                                                                    const py::handle& object) {
  const std::size_t runs = made.ramps.size();
  const auto given = whole_numbers(object, "positions", 2);
  if (static_cast<std::size_t>(given.shape(1)) != runs) {
    bad_value("positions",
              "expected shape (n, " + std::to_string(runs) + "), got " + shape_text(given));
  }
  const std::int64_t* const from = given.data();
  const auto count = static_cast<std::size_t>(given.size());
  auto positions = std::make_shared<std::vector<std::uint16_t>>(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t k = i % runs;
    const std::int64_t width = made.starts[k + 1] - made.starts[k];
    if (from[i] < 0 || from[i] >= width) {
      bad_value("positions", "expected 0 .. " + std::to_string(width - 1) + " in run " +
                                 std::to_string(k) + ", got " + std::to_string(from[i]) +
                                 " in row " + std::to_string(i / runs));
    }
    (*positions)[i] = static_cast<std::uint16_t>(from[i]);
  }
  return positions;
}

template <class T>
std::shared_ptr<const std::vector<T>> checked_values(const py::array& array, const Shape& shape) {
  const Contiguous<T> from = as_contiguous<T>(array, "values", shape, true);
  return std::make_shared<const std::vector<T>>(from.data, from.data + shape.count());
}

std::unique_ptr<PyEncodedRows> make_encoded_rows(const py::object& widths, const py::object& ramps,
                                                 const py::object& positions,
                                                 const py::object& values) {
  const FpEnvironment environment;
  auto made = std::make_unique<PyEncodedRows>();
  set_runs(*made, widths, ramps);
  made->positions = checked_positions(*made, positions);
  made->rows = made->positions->size() / made->ramps.size();
  const py::array array = as_real_array(values, "values");
  const Shape shape(made->rows, made->ramps.size());
  if (py::isinstance<py::array_t<float>>(array)) {
    made->values = checked_values<float>(array, shape);
  } else {
    made->values = checked_values<double>(array, shape);
  }
  return made;
}

// A view that cannot be written to.
template <class E>
py::array view_of(const std::shared_ptr<const std::vector<E>>& owner,
                  std::vector<py::ssize_t> shape) {
  using Owner = std::shared_ptr<const std::vector<E>>;
  const py::capsule base(new Owner(owner), [](void* held) { delete static_cast<Owner*>(held); });
  py::array_t<E> view(std::move(shape), owner->data(), base);
  view.attr("setflags")(py::arg("write") = false);
  return std::move(view);
}

std::vector<py::ssize_t> table_shape(const PyEncodedRows& x) {
  return {static_cast<py::ssize_t>(x.rows), static_cast<py::ssize_t>(x.ramps.size())};
}

}  // namespace

bool is_encoded(const py::handle& object) { return py::isinstance<PyEncodedRows>(object); }

template <class T>
Rows as_encoded_rows(const py::handle& object, const char* name, std::size_t cols,
                     bool check_finite) {
  const auto& x = object.cast<const PyEncodedRows&>();
  if (x.inputs != cols) {
    bad_value(name, "expected shape (n, " + std::to_string(cols) + "), got (" +
                        std::to_string(x.rows) + ", " + std::to_string(x.inputs) + ") (encoded)");
  }
  Rows rows;
  rows.encoded = std::make_shared<EncodedSource>();
  rows.encoded->runs = x.ramps.size();
  rows.encoded->starts = x.starts.data();
  rows.encoded->ramps = x.ramps.data();
  rows.encoded->positions = x.positions->data();
  rows.keep_places = py::reinterpret_borrow<py::object>(object);
  std::visit(
      [&](const auto& owner) {
        const py::array given = view_of(owner, table_shape(x));
        const Contiguous<T> values =
            as_contiguous<T>(given, name, Shape(x.rows, x.ramps.size()), check_finite);
        rows.encoded->values = values.data;
        rows.keep = values.keep;
      },
      x.values);
  rows.view.rows = x.rows;
  rows.view.cols = cols;
  rows.view.encoded = rows.encoded.get();
  return rows;
}

void bind_encoded(py::module_& m) {
  py::class_<PyEncodedRows> rows(m, "EncodedRows");
  rows.def(py::init(&make_encoded_rows), py::arg("widths"), py::arg("ramps"), py::arg("positions"),
           py::arg("values"))
      .def_property_readonly(
          "widths",
          [](const PyEncodedRows& x) {
            py::array_t<std::int64_t> widths(static_cast<py::ssize_t>(x.ramps.size()));
            for (std::size_t k = 0; k < x.ramps.size(); ++k) {
              widths.mutable_at(static_cast<py::ssize_t>(k)) = x.starts[k + 1] - x.starts[k];
            }
            return widths;
          })
      .def_property_readonly("ramps",
                             [](const PyEncodedRows& x) {
                               py::array_t<bool> ramps(static_cast<py::ssize_t>(x.ramps.size()));
                               std::transform(x.ramps.begin(), x.ramps.end(), ramps.mutable_data(),
                                              [](std::uint8_t ramp) { return ramp != 0; });
                               return ramps;
                             })
      .def_property_readonly(
          "positions", [](const PyEncodedRows& x) { return view_of(x.positions, table_shape(x)); })
      .def_property_readonly(
          "values",
          [](const PyEncodedRows& x) {
            return std::visit([&](const auto& owner) { return view_of(owner, table_shape(x)); },
                              x.values);
          })
      .def_property_readonly(
          "shape", [](const PyEncodedRows& x) { return py::make_tuple(x.rows, x.inputs); });
  construct_once(rows);
}

template Rows as_encoded_rows<float>(const py::handle&, const char*, std::size_t, bool);
template Rows as_encoded_rows<double>(const py::handle&, const char*, std::size_t, bool);

}  // namespace fastrelu::python
