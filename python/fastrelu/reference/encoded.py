# SPDX-License-Identifier: BSD-3-Clause
"""Encoded rows: the first layer over runs of inputs, by sums of weights instead of by inputs.

A row has one position p and one value in each run: the input at p is the value, those behind it
are 0, and those before it are 1 in a ramp, 0 elsewhere. A ramp's ones cost one addition in all: of
the sum of their weights, which every row with this position shares.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fma import fma

Array = NDArray[Any]


class EncodedRows:
    """Rows by runs of inputs.

    Parameters
    ----------
    starts : list of int
        The first input of each run, and the number of inputs.
    ramps : list of bool
        Whether each run is a ramp.
    positions : ndarray of int, (n, n_runs)
        The position of each row in each run.
    values : ndarray, (n, n_runs)
        The values of the inputs there.
    """

    def __init__(
        self, starts: list[int], ramps: list[bool], positions: Array, values: Array
    ) -> None:
        self.starts, self.ramps, self.positions, self.values = starts, ramps, positions, values
        self.shape = (len(positions), starts[-1])
        self.ndim = 2

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, chosen: Array) -> EncodedRows:
        """Return the chosen rows, in the order given."""
        return EncodedRows(self.starts, self.ramps, self.positions[chosen], self.values[chosen])

    def in_dtype(self, dtype: np.dtype[Any]) -> EncodedRows:
        """Return the rows with values in this dtype."""
        with np.errstate(all="ignore"):
            values = self.values.astype(dtype)
        return EncodedRows(self.starts, self.ramps, self.positions, values)


def is_encoded(X: Any) -> bool:
    """Whether X is what `of_rows` takes."""
    return hasattr(X, "ramps") and hasattr(X, "positions")


def of_rows(X: Any) -> EncodedRows:
    """Return encoded rows as `EncodedRows` of the reference: also what has their `widths`."""
    if isinstance(X, EncodedRows):
        return X
    starts = [0, *np.cumsum(X.widths).tolist()]
    return EncodedRows(starts, X.ramps.tolist(), X.positions.astype(int), X.values)


@np.errstate(all="ignore")
def ramp_sums(W: Array) -> Array:
    """Return the sum of the weights before each input of a ramp, of which W are the weights."""
    sums = np.zeros_like(W)
    for u in range(1, len(W)):
        sums[u] = sums[u - 1] + W[u - 1]
    return sums


def linear(x: EncodedRows, W: Array, b: Array | None = None) -> Array:
    """Return z = x W + b: for each row and unit a chain over the runs, from the bias."""
    z = np.zeros((len(x), W.shape[1]), dtype=W.dtype)
    if b is not None:
        z[:] = b
    for k, ramp in enumerate(x.ramps):
        own = W[x.starts[k] : x.starts[k + 1]]
        at = x.positions[:, k]
        if ramp:
            with np.errstate(all="ignore"):
                z = z + ramp_sums(own)[at]
        z = fma(x.values[:, k, np.newaxis], own[at], z)
    return z


@np.errstate(all="ignore")
def linear_backward_weights(x: EncodedRows, dz: Array) -> Array:
    """Return dW = x^T dz: for each weight chains over the rows there, then over later inputs."""
    dW = np.zeros((x.shape[1], dz.shape[1]), dtype=dz.dtype)
    ones = np.zeros_like(dW)  # S: dz of the rows at each input, added together
    for k, ramp in enumerate(x.ramps):
        for n in range(len(x)):
            i = x.starts[k] + x.positions[n, k]
            dW[i] = fma(x.values[n, k], dz[n], dW[i])
            ones[i] = ones[i] + dz[n]
        if ramp:
            later = np.zeros_like(dz, shape=dz.shape[1:])
            for i in range(x.starts[k + 1] - 1, x.starts[k] - 1, -1):
                dW[i] = dW[i] + later
                later = later + ones[i]
    return dW
