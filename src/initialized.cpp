// SPDX-License-Identifier: BSD-3-Clause
#include "initialized.h"

#include <algorithm>
#include <mutex>
#include <vector>

namespace fastrelu::python {
namespace {

namespace py = pybind11;

// The objects on which an __init__ runs, of all threads. A lock for the table alone: Python code
// runs in an __init__, and with it other threads.
std::mutex table_mutex;
std::vector<PyObject*> in_construction;

bool is_made(py::handle self, const py::detail::type_info* type) {
  auto* const object = reinterpret_cast<py::detail::instance*>(self.ptr());
  const auto value = object->get_value_and_holder(type, false);
  return value.inst != nullptr && value.value_ptr() != nullptr;
}

class Construction {
 public:
  Construction(py::handle self, const py::detail::type_info* type, bool may_be_made) : self_(self) {
    const std::lock_guard<std::mutex> lock(table_mutex);
    const auto found = std::find(in_construction.begin(), in_construction.end(), self.ptr());
    if (found != in_construction.end() || (!may_be_made && is_made(self, type))) {
      throw std::runtime_error(std::string(type->type->tp_name) +
                               ": __init__ has been called already");
    }
    in_construction.push_back(self.ptr());
  }
  ~Construction() {
    const std::lock_guard<std::mutex> lock(table_mutex);
    in_construction.erase(std::find(in_construction.begin(), in_construction.end(), self_.ptr()));
  }
  Construction(const Construction&) = delete;
  Construction& operator=(const Construction&) = delete;

 private:
  const py::handle self_;
};

}  // namespace

void construct_once(py::object type, bool again_is_nothing) {
  const auto* const info = py::detail::get_type_info(reinterpret_cast<PyTypeObject*>(type.ptr()));
  const py::object construct = type.attr("__init__");
  // Not by the name __init__: what pybind11 finds under it, it takes for a construction itself.
  type.attr("__init__") = py::cpp_function(
      [=](const py::object& self, const py::args& args, const py::kwargs& keywords) {
        if (PyObject_TypeCheck(self.ptr(), info->type) == 0) {
          construct(self, *args, **keywords);  // which says what is wrong
          return;
        }
        const Construction only(self, info, again_is_nothing);
        construct(self, *args, **keywords);
      },
      py::is_method(type));
}

}  // namespace fastrelu::python
