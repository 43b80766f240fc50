// SPDX-License-Identifier: BSD-3-Clause
// Numbers of threads: for Python, and by plain C functions for threadpoolctl, which finds them in
// the loaded module by their names (python/fastrelu/_thread_limits.py).
#include "bindings.h"
#include "control_groups.h"
#include "thread_pool.h"

extern "C" {
__attribute__((visibility("default"))) int fastrelu_get_num_threads() {
  return static_cast<int>(fastrelu::reported_threads());
}

__attribute__((visibility("default"))) void fastrelu_set_num_threads(int n) {
  fastrelu::limit_threads(n < 1 ? 1 : static_cast<unsigned>(n));
}
}

namespace fastrelu::python {

void bind_threads(py::module_& m) {
  m.def("num_threads", [] { return num_threads(true); });
  m.def("set_num_threads", &set_num_threads, py::arg("n"));
  m.def("set_thread_limit", &set_thread_limit, py::arg("n"));
  m.def("set_usual_threads", &set_usual_threads, py::arg("n"));
  m.def("quota_cores", &quota_cores, py::arg("root"));
  m.def("memory_limit", &memory_limit, py::arg("root"));
}

}  // namespace fastrelu::python
