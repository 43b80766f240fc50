# SPDX-License-Identifier: BSD-3-Clause
"""Some rows of a fit that its model keeps: what columns do to predictions is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning.column import NOWHERE
from fastrelu.app.data.readers.moments import FARTHEST, moments
from fastrelu.app.data.table import Table
from fastrelu.app.preprocess import PieceInputs
from fastrelu.app.tabular.held import Held
from fastrelu.app.tabular.parted import Parted
from fastrelu.app.tabular.train import Problem
from fastrelu.app.tabular.training_rows import TrainingRows
from fastrelu.network import Network

Array = NDArray[Any]
MOST_ROWS = 1024
REPEATS = 5


@dataclass(frozen=True)
class Sample:
    """Rows that some member has left out, in an order that says nothing.

    Attributes
    ----------
    table : Table
        Their columns, as they were read.
    problem : Problem
        Their targets and weights.
    by : ndarray of bool, (m, members)
        Which members left out each row.
    seed : int
        Of the permutations.
    """

    table: Table
    problem: Problem
    by: NDArray[np.bool_]
    seed: int


def drawn(data: TrainingRows, problem: Problem, held: Held, random: Any) -> Sample:
    """Return at most MOST_ROWS of the rows left out."""
    some = random.permutation(len(held.rows))[:MOST_ROWS]
    rows = held.rows[some]
    return Sample(
        data.collect(rows), problem.take(rows), held.by[some], int(random.randint(2**31 - 1))
    )


def inputs_of(inputs: PieceInputs) -> dict[str, Array]:
    """Return which inputs each column of the fit leads to; none for those that say nothing."""
    places: dict[str, list[int]] = {name: [] for name in inputs.columns}
    widths = [(number.name, number.n_inputs) for number in inputs.numbers]
    widths += [(text.name, text.n_inputs) for text in inputs.texts]
    at = 0
    for name, width in widths:
        places[name] += range(at, at + width)
        at += width
    return {name: np.array(found, np.intp) for name, found in places.items()}


def permutation_losses(
    networks: list[Network], X: Array, places: list[Array], sample: Sample
) -> NDArray[np.float64]:
    """Return how much more is lost where one column's values are shuffled among the rows.

    Parameters
    ----------
    networks : list of Network
        The members; each predicts the rows that it left out.
    X : ndarray, (m, d_in)
        The encoded rows of the sample.
    places : list of ndarray of int
        The inputs of each column.
    sample : Sample
        The rows.

    Returns
    -------
    ndarray of float64, (p,)
        The mean of REPEATS shuffles, as a share of what is lost by saying the same of every row.
    """
    problem, rows = sample.problem, np.arange(len(X))
    taken = [Parted(network, X) for network in networks]

    def loss(sums: list[Array]) -> float:
        total = np.zeros((len(X), len(problem.start)))
        for parted, first, mine in zip(taken, sums, sample.by.T, strict=True):
            if mine.any():
                total[mine] += parted.rest(first[mine])
        outputs = total / sample.by.sum(axis=1, keepdims=True)
        return problem.mean(problem.losses(outputs, rows), rows)

    start = np.broadcast_to(problem.start, (len(X), len(problem.start)))
    nothing = problem.mean(problem.losses(start, rows), rows)
    base, random = loss([parted.first for parted in taken]), np.random.RandomState(sample.seed)
    orders = [random.permutation(len(X)) for _ in range(REPEATS)]
    found = np.zeros(len(places))
    for j, place in enumerate(places):
        if len(place) and nothing > 0:
            own = [parted.part(X, place) for parted in taken]
            for order in orders:
                pairs = zip(taken, own, strict=True)
                shuffled = [parted.first - part + part[order] for parted, part in pairs]
                found[j] += (loss(shuffled) - base) / (REPEATS * nothing)
    return found


def typed(name: str, kind: str, grid: Any) -> Array:
    """Return values that a user names for a column in the type in which it is read."""
    try:
        if kind == "numeric":
            values = np.asarray(grid, np.float64)
        elif kind == "date":
            given = np.asarray(grid)
            if given.dtype.kind != "M":
                given = np.asarray(grid, "datetime64[us]")
            counts = moments(given)
            if (np.abs(counts) > FARTHEST).any():
                raise ValueError("one is more than 290,000 years from 1970")
            values = np.where(np.isnat(given), NOWHERE, counts.view("datetime64[us]"))
        else:
            values = np.array([*grid], object)
            values = np.array(["" if v is None else str(v) for v in values], object)
    except (TypeError, ValueError) as error:
        raise ValueError(f"grid: column {name!r}: expected {_expected(kind)}: {error}") from error
    if values.ndim != 1 or not len(values):
        raise ValueError(f"grid: expected one value or more, (n,), got shape {values.shape}")
    if kind == "numeric" and np.isinf(values).any():
        raise ValueError(f"grid: column {name!r}: expected finite numbers, got {grid!r}")
    return values


def _expected(kind: str) -> str:
    return {"numeric": "numbers", "date": "dates"}.get(kind, "texts")


def usual_grid(inputs: PieceInputs, name: str) -> Array:
    """Return where a column's encoding bends, its categories, or the days between its pieces."""
    for text in inputs.texts:
        if text.name == name:
            return np.array(text.categories, object)
    for number in inputs.numbers:
        if number.name == name:
            bends = number.bends
            if number.part:
                return (bends * 86_400_000_000).astype(np.int64).astype("datetime64[us]")
            return bends
    return np.array([], np.float64)


def encoded_grid(inputs: PieceInputs, table: Table, name: str, grid: Array) -> Array:
    """Return the inputs of one column, (g, inputs of it), for some values of it."""
    like = {key: column[np.zeros(len(grid), np.intp)] for key, column in table.columns.items()}
    rows = Table("grid", len(grid), columns={**like, name: grid})
    return inputs.transform(rows)[:, inputs_of(inputs)[name]]
