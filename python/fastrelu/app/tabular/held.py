# SPDX-License-Identifier: BSD-3-Clause
"""What the members say of the rows that they have not been trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.tabular.train import Inputs, Problem
from fastrelu.ensemble import Ensemble
from fastrelu.network import Network

Array = NDArray[Any]


@dataclass(frozen=True)
class Held:
    """The rows that some member has left out, and the mean prediction of those members.

    Attributes
    ----------
    rows : ndarray of int, (m,)
        Which rows of the fit, ascending.
    predicted : ndarray of float64, (m, K)
        Mean predictions, after the link, as `fastrelu.Ensemble` has them.
    by : ndarray of bool, (m, members)
        Which members left out each row.
    """

    rows: Array
    predicted: NDArray[np.float64]
    by: NDArray[np.bool_]


def held_out(networks: list[Network], left_out: list[Array], X: Inputs, problem: Problem) -> Held:
    """Return what members say of the rows that each has left out.

    Parameters
    ----------
    networks : list of Network
        The members, as they predict.
    left_out : list of ndarray of int
        The rows that each left out.
    X : ndarray or EncodedRows, (n, d_in)
        The encoded rows.
    problem : Problem
        What was learned of them.
    """
    sums = np.zeros((len(X), len(problem.start)))
    by = np.zeros((len(X), len(networks)), bool)
    for k, (network, held) in enumerate(zip(networks, left_out, strict=True)):
        sums[held] += Ensemble([network], problem.loss).predict(X[held])
        by[held, k] = True
    rows = np.flatnonzero(by.any(axis=1))
    return Held(rows, sums[rows] / by[rows].sum(axis=1, keepdims=True), by[rows])
