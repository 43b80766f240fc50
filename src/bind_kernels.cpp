// SPDX-License-Identifier: BSD-3-Clause
// relu, relu_backward, linear_relu, the elementary functions, and the settings.
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "dispatch.h"
#include "elementary_check.h"
#include "predict.h"
#include "tuning.h"

namespace fastrelu::python {
namespace {

// The package's relu and relu_backward check their arguments; here arrays are contiguous and equal
// in size and dtype.
template <class T>
void bind_elementwise(py::module_& m) {
  using Array = py::array_t<T, py::array::c_style>;
  m.def(
      "relu",
      [](const Array& z, Array& out) {
        const FpEnvironment environment;
        const T* from = z.data();
        T* to = out.mutable_data();
        const auto n = static_cast<std::size_t>(z.size());
        const GilReleased release;
        kernels<T>().relu(from, to, n);
      },
      py::arg("z").noconvert(), py::arg("out").noconvert());
  m.def(
      "relu_backward",
      [](const Array& dh, const Array& h, Array& out) {
        const FpEnvironment environment;
        const T *d = dh.data(), *a = h.data();
        T* to = out.mutable_data();
        const auto n = static_cast<std::size_t>(dh.size());
        const GilReleased release;
        kernels<T>().relu_backward(d, a, to, n);
      },
      py::arg("dh").noconvert(), py::arg("h").noconvert(), py::arg("out").noconvert());
  m.def(
      "linear_relu",
      [](const Array& x, const Array& w, const py::object& b, Array& out) {
        const FpEnvironment environment;
        const auto rows = static_cast<std::size_t>(x.shape(0));
        const auto fan_in = static_cast<std::size_t>(w.shape(0));
        const auto fan_out = static_cast<std::size_t>(w.shape(1));
        const RowSource source{x.data(), rows, fan_in,
                               static_cast<std::ptrdiff_t>(fan_in * sizeof(T)), false};
        const T* bias = b.is_none() ? nullptr : py::cast<Array>(b).data();
        const T* weights = w.data();
        T* to = out.mutable_data();
        without_gil([&] { linear_relu(source, weights, bias, fan_out, to); });
      },
      py::arg("x").noconvert(), py::arg("W").noconvert(), py::arg("b"), py::arg("out").noconvert());
}

// What tests alone call.
template <class T>
void bind_checks(py::module_& m) {
  using Array = py::array_t<T, py::array::c_style>;
  m.def(
      "elementary",
      [](const std::string& name, const Array& x) {
        const FpEnvironment environment;
        const KernelTable<T>& k = kernels<T>();
        Array out(x.size());
        const auto f = name == "exp"     ? k.exp
                       : name == "log"   ? k.log
                       : name == "log1p" ? k.log1p
                       : name == "tanh"  ? k.tanh
                                         : nullptr;
        if (f == nullptr)
          throw py::value_error("name: expected exp, log, log1p or tanh, got " + name);
        f(x.data(), out.mutable_data(), static_cast<std::size_t>(x.size()));
        return out;
      },
      py::arg("name"), py::arg("x").noconvert());
  m.def(
      "exact_fma",
      [](const Array& a, const Array& b, const Array& c) {
        const FpEnvironment environment;
        Array out(a.size());
        emulated_fma(a.data(), b.data(), c.data(), out.mutable_data(),
                     static_cast<std::size_t>(a.size()));
        return out;
      },
      py::arg("a").noconvert(), py::arg("b").noconvert(), py::arg("c").noconvert());
}

// `with DefaultFloatingPoint():` gives Python code the default floating-point state.
// The state is the thread's, so that a scope is one thread's, too.
class FloatingPointScope {
 public:
  void enter() {
    guard_.begin("a scope");
    environment_.emplace();
  }
  void exit(const py::args&) {
    if (!guard_.is_held_here()) throw std::runtime_error("DefaultFloatingPoint: not entered here");
    environment_.reset();
    guard_.end();
  }

 private:
  WorkGuard guard_{"DefaultFloatingPoint"};
  std::optional<FpEnvironment> environment_;
};

}  // namespace
}  // namespace fastrelu::python

FASTRELU_RAISES_UNLESS_INITIALIZED(fastrelu::python::FloatingPointScope);

namespace fastrelu::python {

void bind_kernels(py::module_& m) {
  bind_elementwise<float>(m);
  bind_elementwise<double>(m);
  bind_checks<float>(m);
  bind_checks<double>(m);
  py::class_<FloatingPointScope> scope(m, "DefaultFloatingPoint");
  scope.def(py::init<>())
      .def("__enter__", &FloatingPointScope::enter)
      .def("__exit__", &FloatingPointScope::exit);
  construct_once(scope);
  m.def("compiled_isas", &compiled_isas);
  m.def("available_isas", &available_isas);
  m.def("active_isa", &active_isa);
  m.def("set_isa", &select_isa, py::arg("name"));
  m.def("tuning", &tuning_text);
  m.def("set_tuning", &set_tuning, py::arg("wanted"));
  // Apart from the import, in which an exception becomes an ImportError whatever it was.
  m.def("read_environment", [] {
    select_isa_from_environment();
    set_tuning_from_environment();
  });
}

}  // namespace fastrelu::python
