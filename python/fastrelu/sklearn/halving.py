# SPDX-License-Identifier: BSD-3-Clause
"""Successive halving: many candidates for few epochs, and few of them for many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Candidate = dict[str, Any]


@dataclass(frozen=True)
class Rungs:
    """How many candidates are trained for how long, rung after rung.

    Attributes
    ----------
    n_candidates, n_resources : list of int
        Of each rung: its candidates, and what each of them may use.
    n_required, n_possible : int
        Rungs until fewer than `factor` candidates are left; rungs that the resources allow.
    """

    n_candidates: list[int]
    n_resources: list[int]
    n_required: int
    n_possible: int


def rungs(n_candidates: int, most: int, factor: float) -> Rungs:
    """Return the rungs that end with as much of the resource as `most` allows.

    Each keeps the best ``1 / factor`` of its candidates for the next, which gives them `factor`
    times the resource [1]_. The numbers are those of scikit-learn's ``HalvingGridSearchCV`` with
    ``min_resources="exhaust"``.

    References
    ----------
    .. [1] K. Jamieson, A. Talwalkar. Non-stochastic best arm identification and hyperparameter
       optimization. AISTATS 2016.

    Examples
    --------
    >>> from fastrelu.sklearn.halving import rungs
    >>> plan = rungs(12, 200, 3)
    >>> plan.n_candidates, plan.n_resources
    ([12, 4, 2], [22, 66, 198])
    """
    required = 1 + math.floor(math.log(n_candidates, factor))
    least = int(max(1, most // factor ** (required - 1)))
    possible = 1 + math.floor(math.log(most // least, factor))
    counts, resources = [], []
    for k in range(min(required, possible)):
        counts.append(n_candidates)
        resources.append(min(int(factor**k * least), most))
        n_candidates = math.ceil(n_candidates / factor)
    return Rungs(counts, resources, required, possible)


def best(candidates: Sequence[Candidate], scores: Any, count: int) -> list[Candidate]:
    """Return the `count` candidates with the highest scores, the best last; NaN is the worst."""
    order = np.argsort(scores)
    order = np.roll(order, np.count_nonzero(np.isnan(scores)))
    return [candidates[i] for i in order[-count:]]
