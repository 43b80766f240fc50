// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/pybind11.h>

#include "array_views.h"
#include "bindings.h"
#include "dispatch.h"
#include "without_gil.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The compiled core of fastrelu; use it through the package's own names.";
  fastrelu::select_isa_from_environment();
  fastrelu::python::import_numpy();
  fastrelu::python::prepare_for_exit();
  fastrelu::python::bind_bounds(m);
  fastrelu::python::bind_catalogue(m);
  fastrelu::python::bind_kernels(m);
  fastrelu::python::bind_network(m);
  fastrelu::python::bind_segment(m);
  fastrelu::python::bind_hinge_fit(m);
  fastrelu::python::bind_random(m);
  fastrelu::python::bind_standardize(m);
  fastrelu::python::bind_regions(m);
  fastrelu::python::bind_study(m);
  fastrelu::python::bind_trainer(m);
  fastrelu::python::bind_population(m);
  fastrelu::python::bind_row_derivatives(m);
  fastrelu::python::bind_fast_calls(m);
  m.attr("compiler") = FASTRELU_COMPILER;
}
