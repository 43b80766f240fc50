// SPDX-License-Identifier: BSD-3-Clause
// Sparse matrices in: any of SciPy's, or what looks like one (`tocsr`, then `shape`, `indptr`,
// `indices`, `data`); SciPy itself is not needed.
#pragma once

#include "arrays.h"

namespace fastrelu::python {

bool is_sparse(const py::handle& object);

// As as_rows. Nothing is copied if the values have dtype T, the column indices are int32, and every
// row's are strictly ascending. Else they are cast, and put in order: equal columns of a row are
// added, one after another as stored, in the matrix's dtype.
template <class T>
Rows as_sparse_rows(const py::handle& object, const char* name, std::size_t cols, bool allow_row,
                    bool check_finite);

// The same rows, whose columns and pointers are in memory of their own: nobody can make them point
// outside after they have been looked at. The values are looked at where they were.
Rows with_own_places(const Rows& rows);
// The same rows in memory of its own.
Rows copy_of(const Rows& rows);

}  // namespace fastrelu::python
