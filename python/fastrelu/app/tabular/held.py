# SPDX-License-Identifier: BSD-3-Clause
"""What the members say of the rows that they have not been trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.tabular.train import Problem
from fastrelu.app.tabular.training_rows import TrainingInputs
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


def held_out(
    networks: list[Network], left_out: list[Array], X: TrainingInputs, problem: Problem
) -> Held:
    """Return what members say of the rows that each has left out.

    Parameters
    ----------
    networks : list of Network
        The members, as they predict.
    left_out : list of ndarray of int
        The rows that each left out.
    X : TrainingInputs
        The encoded rows.
    problem : Problem
        What was learned of them.
    """
    n_rows = len(problem.y)
    sums = np.zeros((n_rows, len(problem.start)))
    by = np.zeros((n_rows, len(networks)), bool)
    predicting = [Ensemble([network], problem.loss).predict for network in networks]
    predicted = X.outputs(predicting, left_out)
    for k, (held, of_held) in enumerate(zip(left_out, predicted, strict=True)):
        sums[held] += of_held
        by[held, k] = True
    rows = np.flatnonzero(by.any(axis=1))
    return Held(rows, sums[rows] / by[rows].sum(axis=1, keepdims=True), by[rows])
