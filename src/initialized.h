// SPDX-License-Identifier: BSD-3-Clause
// Objects of compiled classes whose __init__ has not been called: made by __new__ alone, or looked
// at by a subclass before super().__init__(). pybind11 gives a function memory that nobody has
// written for them; here they raise. And those whose __init__ is called again, or by several
// threads at once: pybind11 passes over the one in silence, and makes two objects for the other,
// the first of which others may have; here all but the first call raise.
//
// FASTRELU_RAISES_UNLESS_INITIALIZED(Type) stands outside of all namespaces, after the class's
// definition and before the first function that takes one.
#pragma once

#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

namespace fastrelu::python {

template <class C>
class InitializedCaster : public pybind11::detail::type_caster_base<C> {
 public:
  bool load(pybind11::handle source, bool convert) {
    const auto* const type = this->typeinfo;
    if (type != nullptr && source && PyObject_TypeCheck(source.ptr(), type->type)) {
      auto* const object = reinterpret_cast<pybind11::detail::instance*>(source.ptr());
      const auto value = object->get_value_and_holder(type, false);
      if (value.inst == nullptr || value.value_ptr() == nullptr) {
        throw std::runtime_error(std::string(type->type->tp_name) +
                                 ": __init__ has not been called");
      }
    }
    return pybind11::detail::type_caster_base<C>::load(source, convert);
  }
};

// Lets the __init__ that the class has been given succeed once for the life of an object; a second
// call, also one that comes while another thread is in the first, raises RuntimeError. With
// `again_is_nothing`, one that comes later does nothing, as pybind11 has it: the class itself says
// then how often it is made.
void construct_once(pybind11::object type, bool again_is_nothing = false);

}  // namespace fastrelu::python

#define FASTRELU_RAISES_UNLESS_INITIALIZED(Type) \
  template <>                                    \
  class pybind11::detail::type_caster<Type> : public fastrelu::python::InitializedCaster<Type> {}
