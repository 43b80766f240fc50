// SPDX-License-Identifier: BSD-3-Clause
// Encoded rows in: fastrelu.EncodedRows, checked once when they are made, and then never changed.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "arrays.h"
#include "initialized.h"
#include "network.h"

namespace fastrelu::python {

// Owns its rows; Python gets views that cannot be written to and keep them alive.
struct PyEncodedRows {
  std::size_t rows = 0, inputs = 0;
  std::vector<std::uint32_t> starts;
  std::vector<std::uint8_t> ramps;
  std::shared_ptr<const std::vector<std::uint16_t>> positions;
  std::variant<std::shared_ptr<const std::vector<float>>,
               std::shared_ptr<const std::vector<double>>>
      values;
};

bool is_encoded(const py::handle& object);

// As as_rows. Nothing is copied if the values have dtype T.
template <class T>
Rows as_encoded_rows(const py::handle& object, const char* name, std::size_t cols,
                     bool check_finite);

// Raises where encoded rows go into a network that scales its inputs: the ones of a ramp are 1.
template <class T>
void require_unscaled(const Rows& rows, const Network<T>& net) {
  if (rows.encoded == nullptr || net.scale() == T(1)) return;
  throw py::value_error("X: expected a network with scale=1 for encoded rows, got scale=" +
                        std::to_string(net.scale()) + "; X.toarray() makes an array");
}

}  // namespace fastrelu::python

FASTRELU_RAISES_UNLESS_INITIALIZED(fastrelu::python::PyEncodedRows);
