// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/pybind11.h>

#include "array_views.h"
#include "bindings.h"
#include "dispatch.h"
#include "without_gil.h"

// pybind11's own beginning of the module waits for ever in a sub-interpreter; see below.
#define PyInit__core PyInit__core_of_the_main_interpreter

PYBIND11_MODULE(_core, m) {
  m.doc() = "The compiled core of fastrelu; use it through the package's own names.";
  fastrelu::select_isa_from_environment();
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
