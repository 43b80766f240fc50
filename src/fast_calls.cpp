// SPDX-License-Identifier: BSD-3-Clause
// Calls of a fraction of a microsecond. A FastFunction stands in for a Python function: where a
// call's arguments are the usual ones it goes straight to C++ by CPython's vectorcall protocol; for
// anything else, errors included, it calls the function it stands in for. Name, docstring and
// signature are that function's (functools.update_wrapper), and it binds to instances as one does.
#include <Python.h>
#include <structmember.h>

#include "arrays.h"
#include "bindings.h"
#include "dispatch.h"
#include "predict.h"

namespace fastrelu::python {
namespace {

// Null without an error set: the arguments are not the usual ones, nothing has happened.
using FastPath = PyObject* (*)(PyObject* const* args, Py_ssize_t count, PyObject* keywords);

struct FastFunction {
  PyObject_HEAD vectorcallfunc vectorcall;
  FastPath fast;
  PyObject* general;
  PyObject* dict;
};

FastFunction* as_fast(PyObject* self) { return reinterpret_cast<FastFunction*>(self); }

PyObject* call_fast(PyObject* self, PyObject* const* args, std::size_t flags, PyObject* keywords) {
  PyObject* result = as_fast(self)->fast(args, PyVectorcall_NARGS(flags), keywords);
  if (result != nullptr || PyErr_Occurred() != nullptr) return result;
  return PyObject_Vectorcall(as_fast(self)->general, args, flags, keywords);
}

PyObject* bind_to(PyObject* self, PyObject* instance, PyObject*) {
  if (instance != nullptr) return PyMethod_New(self, instance);
  Py_INCREF(self);
  return self;
}

// pickle and copy treat it as what it is: a global name.
PyObject* reduce(PyObject* self, PyObject*) { return PyObject_GetAttrString(self, "__qualname__"); }

PyObject* represent(PyObject* self) { return PyObject_Repr(as_fast(self)->general); }

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(as_fast(self)->general);
  Py_VISIT(as_fast(self)->dict);
  Py_VISIT(Py_TYPE(self));
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(as_fast(self)->general);
  Py_CLEAR(as_fast(self)->dict);
  return 0;
}

void deallocate(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {{"__reduce__", &reduce, METH_NOARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(FastFunction, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(FastFunction, dict), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
PyGetSetDef attributes[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

template <class F>
void* slot(F* function) {
  return reinterpret_cast<void*>(function);
}

PyType_Slot slots[] = {{Py_tp_call, slot(&PyVectorcall_Call)},
                       {Py_tp_descr_get, slot(&bind_to)},
                       {Py_tp_traverse, slot(&traverse)},
                       {Py_tp_clear, slot(&clear)},
                       {Py_tp_dealloc, slot(&deallocate)},
                       {Py_tp_repr, slot(&represent)},
                       {Py_tp_methods, methods},
                       {Py_tp_members, members},
                       {Py_tp_getset, attributes},
                       {0, nullptr}};
PyType_Spec spec = {"fastrelu._core.FastFunction", sizeof(FastFunction), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                        Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                    slots};

// What this file keeps for the life of the process.
struct {
  PyTypeObject *function, *network, *trainer;
  PyObject* network_call;  // Network.__call__
  PyObject *X, *y, *out, *check_finite, *sample_weight, *core, *optimizer, *learning_rate, *z, *dh,
      *h, *x, *W, *b;
} known;

// The value of each parameter, null where it is not given; false if a call does not fit them.
template <std::size_t N>
bool match(PyObject* const (&names)[N], Py_ssize_t positional, PyObject* const* args,
           Py_ssize_t count, PyObject* keywords, PyObject* (&values)[N]) {
  if (count < 0 || count > positional) return false;
  for (std::size_t i = 0; i < N; ++i) {
    values[i] = static_cast<Py_ssize_t>(i) < count ? args[i] : nullptr;
  }
  const Py_ssize_t more = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
  for (Py_ssize_t k = 0; k < more; ++k) {
    // A call's keywords are interned strings, like these names.
    std::size_t i = 0;
    while (i < N && names[i] != PyTuple_GET_ITEM(keywords, k)) ++i;
    if (i == N || values[i] != nullptr) return false;
    values[i] = args[count + k];
  }
  return true;
}

// f() with its exceptions as Python's.
template <class F>
PyObject* translated(F f) {
  try {
    return f();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc& error) {
    PyErr_SetString(PyExc_MemoryError, error.what());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

// What a pybind11 object holds, by one look at its memory; null leaves unusual ones (made without
// __init__, or of several bound bases) to pybind11.
template <class C>
C* held(PyObject* object, PyTypeObject* type) {
  if (!PyObject_TypeCheck(object, type)) return nullptr;
  const auto* instance = reinterpret_cast<py::detail::instance*>(object);
  return instance->simple_layout && instance->simple_holder_constructed
             ? static_cast<C*>(instance->simple_value_holder[0])
             : nullptr;
}

py::object attribute(PyObject* object, PyObject* name) {
  PyObject* found = PyObject_GetAttr(object, name);
  if (found == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(found);
}

PyObject* or_none(PyObject* value) { return value != nullptr ? value : Py_None; }

PyObject* forward_fast(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  PyObject* v[3];
  if (!match({known.X, known.out, known.check_finite}, 2, args + 1, count - 1, keywords, v)) {
    return nullptr;
  }
  PyNetwork* const net = held<PyNetwork>(args[0], known.network);
  PyObject* const finite = or_none(v[2]);
  if (net == nullptr || v[0] == nullptr || (finite != Py_None && !PyBool_Check(finite))) {
    return nullptr;
  }
  const bool check = finite == Py_None ? net->check_finite.load() : finite == Py_True;
  return translated([&] { return forward(*net, v[0], or_none(v[1]), check).release().ptr(); });
}

// Network's tp_call: a call without the look-up of __call__.
PyObject* call_network(PyObject* self, PyObject* args, PyObject* keywords) {
  if (keywords == nullptr && PyTuple_GET_SIZE(args) == 1) {
    PyObject* const call[2] = {self, PyTuple_GET_ITEM(args, 0)};
    return call_fast(known.network_call, call, 2, nullptr);
  }
  PyObject* const bound = PyMethod_New(known.network_call, self);
  if (bound == nullptr) return nullptr;
  PyObject* const result = PyObject_Call(bound, args, keywords);
  Py_DECREF(bound);
  return result;
}

// Trainer.step with a number as learning rate.
PyObject* step_fast(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  PyObject* v[3];
  if (!match({known.X, known.y, known.sample_weight}, 3, args + 1, count - 1, keywords, v) ||
      v[0] == nullptr || v[1] == nullptr) {
    return nullptr;
  }
  return translated([&]() -> PyObject* {
    const py::object core = attribute(args[0], known.core);
    const py::object finite = attribute(args[0], known.check_finite);
    const py::object rate =
        attribute(attribute(args[0], known.optimizer).ptr(), known.learning_rate);
    PyTrainer* const trainer = held<PyTrainer>(core.ptr(), known.trainer);
    if (trainer == nullptr || !PyBool_Check(finite.ptr())) return nullptr;
    if (is_shared(*trainer)) return nullptr;
    if (!PyFloat_CheckExact(rate.ptr()) && !PyLong_CheckExact(rate.ptr())) return nullptr;
    const double value = PyFloat_AsDouble(rate.ptr());
    if (value == -1.0 && PyErr_Occurred() != nullptr) return nullptr;
    return PyFloat_FromDouble(
        step(*trainer, v[0], v[1], or_none(v[2]), value, finite.ptr() == Py_True));
  });
}

template <class T>
PyObject* relu_of(PyObject* z, PyObject* out) {
  const T* from = nullptr;
  T* to = nullptr;
  std::size_t n = 0;
  if (!view_plain(z, from, n)) return nullptr;
  PyObject* const result = elementwise_output(out, z, nullptr, to);
  if (result == nullptr) return nullptr;
  const FpEnvironment environment;
  const GilReleasedFor release(static_cast<double>(n));
  kernels<T>().relu(from, to, n);
  return result;
}

PyObject* relu_fast(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  PyObject* v[2];
  if (!match({known.z, known.out}, 2, args, count, keywords, v) || v[0] == nullptr) return nullptr;
  PyObject* const out = or_none(v[1]);
  PyObject* const result = relu_of<float>(v[0], out);
  return result != nullptr || PyErr_Occurred() != nullptr ? result : relu_of<double>(v[0], out);
}

template <class T>
PyObject* relu_backward_of(PyObject* dh, PyObject* h, PyObject* out) {
  const T *gradient = nullptr, *activation = nullptr;
  T* to = nullptr;
  std::size_t n = 0;
  if (!view_plain(dh, gradient, n) || !view_plain(h, activation, n)) return nullptr;
  if (!same_shape(dh, h)) return nullptr;
  PyObject* const result = elementwise_output(out, dh, h, to);
  if (result == nullptr) return nullptr;
  const FpEnvironment environment;
  const GilReleasedFor release(static_cast<double>(n));
  kernels<T>().relu_backward(gradient, activation, to, n);
  return result;
}

PyObject* relu_backward_fast(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  PyObject* v[3];
  if (!match({known.dh, known.h, known.out}, 3, args, count, keywords, v)) return nullptr;
  if (v[0] == nullptr || v[1] == nullptr) return nullptr;
  PyObject* const out = or_none(v[2]);
  PyObject* const result = relu_backward_of<float>(v[0], v[1], out);
  if (result != nullptr || PyErr_Occurred() != nullptr) return result;
  return relu_backward_of<double>(v[0], v[1], out);
}

template <class T>
PyObject* linear_relu_of(PyObject* x, PyObject* w, PyObject* b, PyObject* out) {
  const T *rows = nullptr, *weights = nullptr, *bias = nullptr;
  Shape x_shape, w_shape, b_shape;
  if (!view_plain(x, rows, x_shape) || !view_plain(w, weights, w_shape)) return nullptr;
  const auto fan_in = static_cast<std::size_t>(x_shape.last());
  const std::size_t fan_out = w_shape.size[1];
  if (w_shape.axes != 2 || w_shape.size[0] != fan_in || w_shape.count() == 0) return nullptr;
  if (b != Py_None && !(view_plain(b, bias, b_shape) && b_shape == Shape(fan_out))) return nullptr;
  const std::size_t n = x_shape.axes == 1 ? 1 : x_shape.size[0];
  const Shape shape = x_shape.axes == 1 ? Shape(fan_out) : Shape(n, fan_out);
  if (out != Py_None) return nullptr;
  return translated([&] {
    const FpEnvironment environment;
    Output<T> result = new_output<T>(shape);
    const RowSource source{rows, n, fan_in, static_cast<std::ptrdiff_t>(fan_in * sizeof(T)), false};
    without_gil(static_cast<double>(n) * static_cast<double>(w_shape.count()),
                [&] { linear_relu(source, weights, bias, fan_out, result.data); });
    return result.array.release().ptr();
  });
}

PyObject* linear_relu_fast(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  PyObject* v[4];
  if (!match({known.x, known.W, known.b, known.out}, 4, args, count, keywords, v)) return nullptr;
  if (v[0] == nullptr || v[1] == nullptr) return nullptr;
  PyObject *const b = or_none(v[2]), *const out = or_none(v[3]);
  PyObject* const result = linear_relu_of<float>(v[0], v[1], b, out);
  if (result != nullptr || PyErr_Occurred() != nullptr) return result;
  return linear_relu_of<double>(v[0], v[1], b, out);
}

template <FastPath fast>
py::object make_fast(const py::function& general) {
  auto* made = PyObject_GC_New(FastFunction, known.function);
  if (made == nullptr) throw py::error_already_set();
  made->vectorcall = &call_fast;
  made->fast = fast;
  made->general = py::object(general).release().ptr();
  made->dict = nullptr;
  PyObject_GC_Track(reinterpret_cast<PyObject*>(made));
  auto wrapper = py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(made));
  py::module_::import("functools").attr("update_wrapper")(wrapper, general);
  return wrapper;
}

// For the class whose __call__ is a fast forward. The slot is what CPython derives from __call__:
// it derives it anew for a subclass and after an assignment to __call__.
py::type fast_call(const py::type& cls) {
  known.network_call = py::object(cls.attr("__dict__")["__call__"]).release().ptr();
  reinterpret_cast<PyTypeObject*>(cls.ptr())->tp_call = &call_network;
  return cls;
}

PyObject* interned(const char* name) {
  PyObject* made = PyUnicode_InternFromString(name);
  if (made == nullptr) throw py::error_already_set();
  return made;
}

}  // namespace

void bind_fast_calls(py::module_& m) {
  const auto type_named = [&](const char* name) {
    return reinterpret_cast<PyTypeObject*>(py::object(m.attr(name)).release().ptr());
  };
  known.function = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (known.function == nullptr) throw py::error_already_set();
  known.network = type_named("Network");
  known.trainer = type_named("Trainer");
  known.X = interned("X");
  known.y = interned("y");
  known.out = interned("out");
  known.check_finite = interned("check_finite");
  known.sample_weight = interned("sample_weight");
  known.core = interned("_core");
  known.optimizer = interned("optimizer");
  known.learning_rate = interned("learning_rate");
  known.z = interned("z");
  known.dh = interned("dh");
  known.h = interned("h");
  known.x = interned("x");
  known.W = interned("W");
  known.b = interned("b");
  m.def("fast_forward", &make_fast<&forward_fast>, py::arg("general"));
  m.def("fast_step", &make_fast<&step_fast>, py::arg("general"));
  m.def("fast_relu", &make_fast<&relu_fast>, py::arg("general"));
  m.def("fast_relu_backward", &make_fast<&relu_backward_fast>, py::arg("general"));
  m.def("fast_linear_relu", &make_fast<&linear_relu_fast>, py::arg("general"));
  m.def("fast_call", &fast_call, py::arg("cls"));
}

}  // namespace fastrelu::python
