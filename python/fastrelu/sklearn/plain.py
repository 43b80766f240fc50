# SPDX-License-Identifier: BSD-3-Clause
"""Input that needs no conversion: a look at it takes less time than scikit-learn's checks.

Their messages and conversions are for everything else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from sklearn.utils.validation import validate_data

from fastrelu._arguments import check_places


def is_plain(X: Any) -> bool:
    """Return whether X is a 2-D array of float32 or float64, not empty."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype.char in "fd"
        and X.dtype.isnative
        and X.size > 0
    )


def is_plain_csr(X: Any) -> bool:
    """Return whether X is one of SciPy's CSR matrices, of float32 or float64, not empty."""
    return (
        type(X) in (csr_array, csr_matrix)
        and X.ndim == 2
        and X.dtype.char in "fd"
        and X.dtype.isnative
        and min(X.shape) > 0
        and len(X.data) == X.nnz  # scikit-learn looks at what is stored beyond it, too
    )


def are_plain_rows(X: Any) -> bool:
    """Return whether X is a 2-D array of finite float32 or float64, not empty."""
    return is_plain(X) and is_finite(X)


def is_finite(X: NDArray[Any]) -> bool:
    """Return whether all values of X are finite; mostly their sum is, and needs no array."""
    with np.errstate(all="ignore"):
        total = X.sum()
    return bool(np.isfinite(total)) or bool(np.isfinite(X).all())


def are_plain_labels(y: Any) -> bool:
    """Return whether y is a 1-D array of booleans, integers or text, not empty."""
    return type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "biuU" and len(y) > 0


def are_plain_values(y: Any) -> bool:
    """Return whether y is a 1-D array of finite float32 or float64, not empty."""
    return type(y) is np.ndarray and y.ndim == 1 and are_plain_rows(y[:, np.newaxis])


def checked_rows(estimator: Any, X: Any) -> Any:
    """Return rows to predict for as scikit-learn's ``validate_data`` does."""
    check_places(X)
    options: dict[str, Any] = {"accept_sparse": ["csr", "csc"]}
    if are_plain_rows(X):
        options = {"skip_check_array": True}
    return validate_data(estimator, X, reset=False, **options)


def checked_data(estimator: Any, X: Any, y: Any, plain_y: bool, **options: Any) -> tuple[Any, Any]:
    """Return rows and their targets as scikit-learn's ``validate_data`` does.

    Parameters
    ----------
    estimator : estimator
        What they are for.
    X, y : array_like or sparse matrix
        Rows and targets.
    plain_y : bool
        Whether the targets need no conversion.
    **options
        Of ``validate_data``.
    """
    check_places(X)
    check_places(y)  # targets of several outputs may be sparse
    if plain_y and are_plain_rows(X) and len(X) == len(y):
        validate_data(estimator, X, y, reset=options["reset"], skip_check_array=True)
        return X, y
    X, y = validate_data(
        estimator, X, y, accept_sparse=["csr", "csc"], multi_output=True,
        dtype=(np.float64, np.float32), **options,
    )  # fmt: skip
    return X, y
