// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/pybind11.h>

#include <string>

#include "array_views.h"
#include "bindings.h"
#include "dispatch.h"
#include "tuning.h"
#include "without_gil.h"

namespace fastrelu::python {
namespace {

// The old protocols of pickle, which pickle.dumps(object, 0) and object.__reduce__() take, ask
// pybind11's base class for an object, and it ends the process. So each class says that it cannot
// be pickled, unless it (or a class of Python's above it) says how.
void refuse_old_pickles(py::module_& m) {
  const auto refuse = [](const py::object& self) -> py::object {
    throw py::type_error("cannot pickle '" + std::string(Py_TYPE(self.ptr())->tp_name) +
                         "' object");
  };
  for (const auto& [name, value] : m.attr("__dict__").cast<py::dict>()) {
    if (PyType_Check(value.ptr()) == 0 || PyExceptionClass_Check(value.ptr()) != 0) continue;
    if (value.attr("__dict__").contains("__reduce__")) continue;
    value.attr("__reduce__") = py::cpp_function(refuse, py::is_method(value));
  }
}

}  // namespace
}  // namespace fastrelu::python

// pybind11's own beginning of the module waits for ever in a sub-interpreter; see below.
#define PyInit__core PyInit__core_of_the_main_interpreter

// What the bindings keep is guarded by atomics and locks (use_guard.h), none of it by the GIL.
PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The compiled core of fastrelu; use it through the package's own names.";
  fastrelu::python::import_numpy();
  fastrelu::python::prepare_for_exit();
  fastrelu::python::bind_bounds(m);
  fastrelu::python::bind_catalogue(m);
  fastrelu::python::bind_compiled_api(m);
  fastrelu::python::bind_encoded(m);
  fastrelu::python::bind_kernels(m);
  fastrelu::python::bind_network(m);
  fastrelu::python::bind_optimum(m);
  fastrelu::python::bind_segment(m);
  fastrelu::python::bind_hinge_fit(m);
  fastrelu::python::bind_random(m);
  fastrelu::python::bind_standardize(m);
  fastrelu::python::bind_regions(m);
  fastrelu::python::bind_study(m);
  fastrelu::python::bind_threads(m);
  fastrelu::python::bind_trainer(m);
  fastrelu::python::bind_given_epochs(m);
  fastrelu::python::bind_population(m);
  fastrelu::python::bind_row_derivatives(m);
  fastrelu::python::bind_fast_calls(m);
  fastrelu::python::refuse_old_pickles(m);
  m.attr("compiler") = FASTRELU_COMPILER;
}

#undef PyInit__core

extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    PyErr_SetString(PyExc_ImportError,
                    "fastrelu does not work in sub-interpreters: import it in the main one, or use "
                    "processes");
    return nullptr;
  }
  return PyInit__core_of_the_main_interpreter();
}
