# SPDX-License-Identifier: BSD-3-Clause
"""Outputs of a network for any number of rows, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu._catalogue import LOSSES
from fastrelu.network import Network

#: Bytes of a chunk of rows, its conversion and its outputs.
CHUNK_BYTES = 2**23


def row_chunks(net: Network, X: Any, whole: bool) -> Iterator[Any]:
    """Return runs of rows of X (CSR if sparse) whose copies and outputs stay small.

    One run, X itself, if it is small, or if `whole` and nothing of it need be copied.
    """
    rows: int = X.shape[0]
    in_place = read_in_place(net, X)
    values = float(net.layer_sizes[-1])
    if not in_place:
        values += X.nnz / max(rows, 1) if is_sparse(X) else net.layer_sizes[0]
    step = max(1, int(CHUNK_BYTES / (8 * values)))
    if rows <= step or (whole and in_place):
        yield X
        return
    for begin in range(0, rows, step):
        yield X[begin : begin + step]


def is_sparse(X: Any) -> bool:
    """Whether X is one of SciPy's matrices."""
    return hasattr(X, "tocsr")


def as_csr(X: Any) -> Any:
    """Return X itself, or as CSR if it is sparse."""
    return X.tocsr() if is_sparse(X) else X


def read_in_place(net: Network, X: Any) -> bool:
    """Whether the core reads X where it lies, without a copy of it."""
    if is_sparse(X):
        return bool(X.dtype == net.dtype and X.indices.dtype == np.int32)
    in_rows = X.flags.c_contiguous or (X.ndim == 2 and X.strides[1] == X.itemsize)
    return bool(X.dtype in (net.dtype, np.uint8) and in_rows)


def outputs(net: Network, X: Any, link: str) -> NDArray[Any]:
    """Return the network's outputs through the inverse link of the core's loss `link`."""
    X = as_csr(X)
    result: NDArray[Any] | None = None
    at = 0
    for rows in row_chunks(net, X, whole=True):
        part = link_outputs(net, rows, link)
        if rows is X:
            return part
        if result is None:
            result = np.empty((X.shape[0], part.shape[1]), net.dtype)
        result[at : at + len(part)] = part
        at += len(part)
    assert result is not None
    return result


def link_outputs(net: Network, X: Any, link: str, check_finite: bool = False) -> NDArray[Any]:
    """Return `outputs` of one chunk."""
    if LOSSES[link].link == "identity":
        return net.forward(X, check_finite=check_finite)
    return net._predict_proba(X, link, check_finite)
