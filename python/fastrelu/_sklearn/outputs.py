# SPDX-License-Identifier: BSD-3-Clause
"""Outputs of a network for any number of rows, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.network import Network

#: Bytes of a chunk of rows, its conversion and its outputs.
CHUNK_BYTES = 2**23


def row_chunks(net: Network, X: Any, whole: bool) -> Iterator[slice]:
    """Return runs of rows whose copies and outputs stay small; one run if nothing is copied."""
    rows: int = X.shape[0]
    if whole and read_in_place(net, X):
        yield slice(0, rows)
        return
    width = sum(net.layer_sizes[:1] + net.layer_sizes[-1:]) * 8
    step = max(1, CHUNK_BYTES // width)
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))


def read_in_place(net: Network, X: Any) -> bool:
    """Whether the core reads X where it lies, without a copy of it."""
    if not isinstance(X, np.ndarray):
        return bool(getattr(X, "format", "") == "csr" and X.dtype == net.dtype)
    in_rows = X.flags.c_contiguous or (X.ndim == 2 and X.strides[1] == X.itemsize)
    return bool(X.dtype in (net.dtype, np.uint8) and in_rows)


def outputs(net: Network, X: Any, link: str) -> NDArray[Any]:
    """Return the network's outputs through the link of the core's loss `link`, (n, d_out)."""
    X = X.tocsr() if getattr(X, "format", "csr") != "csr" else X
    chunks = list(row_chunks(net, X, whole=True))
    if len(chunks) == 1:
        return link_outputs(net, X, link)
    result = np.empty((X.shape[0], net.layer_sizes[-1]), net.dtype)
    for rows in chunks:
        result[rows] = link_outputs(net, X[rows], link)
    return result


def link_outputs(net: Network, X: Any, link: str) -> NDArray[Any]:
    """Return `outputs` of one chunk."""
    X = as_core_rows(X)
    if link == "squared_error":
        return net.forward(X, check_finite=False)
    return net._predict_proba(X, link, False)


def as_core_rows(X: Any) -> Any:
    """Return X as the core takes it."""
    # Until the core takes CSR itself, a (chunk of a) sparse X is made dense here.
    return X.toarray() if hasattr(X, "toarray") else X
