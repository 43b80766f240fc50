# SPDX-License-Identifier: BSD-3-Clause
"""The data and first parameters that every implementation gets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from benchmarks.nets import Net


def make_data(net: Net, rows: int, dtype: str = "float32"):
    """Return X and y, normal numbers, the same for every implementation."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, net.widths[0]), dtype=np.float32)
    y = rng.standard_normal((rows, net.widths[-1]), dtype=np.float32)
    return X.astype(dtype, copy=False), y.astype(dtype, copy=False)


def make_targets(net: Net, rows: int, dtype: str = "float32"):
    """Return y alone, where a dense X would not fit."""
    return np.random.default_rng(3).standard_normal((rows, net.widths[-1])).astype(dtype)


def make_parameters(net: Net, dtype: str = "float32"):
    """Return weights (fan_in, fan_out) and biases, He's uniform distribution."""
    rng = np.random.default_rng(1)
    weights = [
        rng.uniform(-1, 1, (a, b)).astype(dtype) * np.sqrt(6 / a, dtype=dtype)
        for a, b in pairwise(net.widths)
    ]
    return weights, [np.zeros(b, dtype) for b in net.widths[1:]]


def make_rows(net, rows: int, layout: str, dtype: str = "float32"):
    """Return rows as a contiguous array, as every other row of one, or as bytes."""
    if layout == "uint8":
        return np.random.default_rng(0).integers(0, 256, (rows, net.widths[0]), dtype=np.uint8)
    if layout == "strided":
        return make_data(net, 2 * rows, dtype)[0][::2]
    return make_data(net, rows, dtype)[0]


def make_sparse(net: Net, rows: int, per_row: int, dtype: str = "float32"):
    """Return a CSR matrix with exactly `per_row` entries in each row, spread over the columns."""
    from scipy import sparse

    rng = np.random.default_rng(2)
    edges = np.linspace(0, net.widths[0], per_row + 1).astype(np.int64)
    columns = rng.integers(edges[:-1], edges[1:], (rows, per_row))
    values = rng.standard_normal(rows * per_row).astype(dtype)
    starts = np.arange(0, rows * per_row + 1, per_row)
    return sparse.csr_matrix((values, columns.ravel(), starts), shape=(rows, net.widths[0]))
