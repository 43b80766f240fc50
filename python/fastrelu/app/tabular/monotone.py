# SPDX-License-Identifier: BSD-3-Clause
"""Networks that rise, or fall, with some columns for certain, by the signs of their weights.

Every unit is given a direction, 1, -1 or 0: it may only rise with the constrained columns (in the
sense that the user gave), only fall, or must not see them. A weight from a unit of direction a to
one of direction b then has the sign of a * b; it is 0 from a constrained unit to one that must not
see them, and free from one that does not. All inputs of a number rise with it, and ReLUs rise, so
that outputs of direction 1 rise with the constrained columns whatever the other inputs are. It
holds in floating point, too, as sums in a fixed order of terms that rise, each rounded, rise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.table import Table, kind_of
from fastrelu.app.preprocess import PieceInputs
from fastrelu.app.tabular.named import column_named
from fastrelu.history import Callback, EpochRecord, History
from fastrelu.network import Network
from fastrelu.population import Population

if TYPE_CHECKING:
    from fastrelu.app.tabular.clock import Clock
    from fastrelu.app.tabular.recipe import Candidate
    from fastrelu.app.tabular.train import Problem
    from fastrelu.app.tabular.training_rows import TrainingInputs

Array = NDArray[Any]
#: Directions of hidden units, in turn; the last two do not see the constrained columns.
TURNS = (1, -1, 1, -1, 1, -1, 0, 0)


def directions_of(monotone: Any, names: list[str], table: Table) -> dict[str, int]:
    """Return the direction of each constrained column of a table.

    Parameters
    ----------
    monotone : mapping, or None
        1, -1 or 0 for names of columns, or their places.
    names : list of str
        What the user calls the columns.
    table : Table
        The rows of a fit.

    Raises
    ------
    ValueError
        If there is no such column, it is no number, or a direction is none.
    """
    columns = list(table.columns)
    found: dict[str, int] = {}
    for key, direction in ({} if monotone is None else dict(monotone)).items():
        column = column_named("monotone", key, names, columns)
        if direction not in (-1, 0, 1):
            raise ValueError(f"monotone: column {key!r}: expected 1, -1 or 0, got {direction!r}")
        if column in found:
            raise ValueError(f"monotone: column {key!r} is named twice")
        if kind_of(table.columns[column]) != "numeric":
            raise ValueError(
                f"monotone: column {key!r}: expected numbers, got {kind_of(table.columns[column])}s"
            )
        found[column] = int(direction)
    return {column: direction for column, direction in found.items() if direction}


def rising_of(problem: Problem) -> list[int]:
    """Return the direction of each output where a column of direction 1 rises.

    Raises
    ------
    ValueError
        If there are more than two classes.
    """
    count = len(problem.start)
    if not problem.loss.info.domain.labels:
        return [1] * count
    if count != 2:
        raise ValueError(
            f"monotone: expected two classes, got {count}: probabilities of more have no order"
        )
    return [-1, 1]


class Bounds:
    """What the weights of a network must lie between.

    Parameters
    ----------
    inputs : PieceInputs
        What the network reads.
    directions : dict of str to int
        Of the constrained columns.
    hidden : sequence of int
        The widths of the hidden layers.
    outputs : sequence of int
        The direction of each output.
    """

    def __init__(
        self,
        inputs: PieceInputs,
        directions: dict[str, int],
        hidden: Sequence[int],
        outputs: Sequence[int],
    ) -> None:
        before = np.zeros(max(1, inputs.n_inputs), np.int64)
        at = 0
        for number in inputs.numbers:  # not the indicator: that a value is missing has no order
            end = at + number.n_inputs
            before[at : end - number.indicator] = directions.get(number.name, 0)
            at = end
        turns = TURNS if (before == 0).any() else TURNS[:2]
        layers = [np.resize(np.array(turns), width) for width in hidden]
        self.low: list[Array] = []
        self.high: list[Array] = []
        for after in [*layers, np.array(outputs)]:
            product = np.outer(before, after)
            unseen = (before != 0)[:, None] & (after == 0)
            self.low.append(np.where((product > 0) | unseen, 0.0, -np.inf).astype(np.float32))
            self.high.append(np.where((product < 0) | unseen, 0.0, np.inf).astype(np.float32))
            before = after

    def begin(self, network: Network) -> None:
        """Turn the signs of weights as they must be."""
        for W, low, high in zip(network.weights, self.low, self.high, strict=True):
            W[...] = np.where((W < low) | (W > high), -W, W).clip(low, high)

    def keep(self, network: Network) -> None:
        """Put weights that have left their bounds back on them."""
        for W, low, high in zip(network.weights, self.low, self.high, strict=True):
            np.clip(W, low, high, out=W)

    def hold(self, network: Network) -> bool:
        """Whether all weights lie within."""
        each = zip(network.weights, self.low, self.high, strict=True)
        return all(bool(((low <= W) & (high >= W)).all()) for W, low, high in each)


def fit_within(
    population: Population,
    bounds: Bounds,
    X: TrainingInputs,
    problem: Problem,
    left_out: list[Array],
    candidate: Candidate,
    clock: Clock,
    calls: Sequence[Callback] = (),
) -> tuple[list[int], list[History]]:
    """Train members within bounds, and return the epoch whose weights each has, and all epochs.

    After each epoch the weights are put back into the bounds, and the member so made is evaluated
    on the rows that it left out: what is chosen is what is kept.
    """
    members = population.members
    best = [math.inf] * len(members)
    kept: list[Array] = [member.network.parameters.copy() for member in members]
    epochs = [0] * len(members)
    histories = [History(metric=problem.loss.info.metric) for _ in members]
    for member in members:
        bounds.begin(member.network)
    for epoch in range(1, candidate.epochs + 1):
        began = clock.spent
        X.fit(population, problem.y, 1, sample_weight=problem.weight)
        going = [k for k, member in enumerate(members) if member.epochs != 0]
        for k in going:
            bounds.keep(members[k].network)
        outputs = X.outputs([members[k].network for k in going], [left_out[k] for k in going])
        for k, of_held in zip(going, outputs, strict=True):
            member, held = members[k], left_out[k]
            loss = problem.mean(problem.losses(of_held, held), held)
            record = _record(epoch, member.course.history, loss)
            histories[k].append(record)
            for call in calls:
                call(member, record)
            if loss < best[k]:
                best[k], epochs[k] = loss, epoch
                kept[k] = member.network.parameters.copy()
            elif epoch - epochs[k] >= candidate.patience:
                member.epochs = 0
        seconds = clock.spent - began
        if all(member.epochs == 0 for member in members) or clock.left < seconds:
            break
    for member, parameters in zip(members, kept, strict=True):
        member.network.parameters[:] = parameters
        bounds.keep(member.network)
    return epochs, histories


def _record(epoch: int, last: History, val_loss: float) -> EpochRecord:
    """Return an epoch's record; `last` has that of the fit of this one epoch."""
    return EpochRecord(
        epoch=epoch,
        loss=last.loss[-1],
        val_loss=val_loss,
        learning_rate=last.learning_rate[-1],
        seconds=last.seconds[-1],
        rows_per_second=last.rows_per_second[-1],
    )
