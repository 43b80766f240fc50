# SPDX-License-Identifier: BSD-3-Clause
"""The recipe: from a table and what is to be learned of it to members that predict together.

It is what the estimators and ``fastrelu train`` share: whoever calls it has read the rows, and says
what the targets are; it tries the candidates, keeps the best one's members, and says how far their
word is borne out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import get_num_threads
from fastrelu.app.preprocess import PieceInputs
from fastrelu.app.tabular.clock import Clock, affordable
from fastrelu.app.tabular.held import Held, held_out
from fastrelu.app.tabular.monotone import Bounds
from fastrelu.app.tabular.recipe import MEMBERS, Candidate, candidates, piece_options
from fastrelu.app.tabular.train import (
    Problem,
    Training,
    Trial,
    best_of,
    folds,
    shrink,
    shrunk,
)
from fastrelu.app.tabular.training_rows import TrainingInputs, TrainingRows
from fastrelu.history import EpochRecord
from fastrelu.network import Network
from fastrelu.population import Member

Array = NDArray[Any]
PILOT_ROWS = 2048


class Observer:
    """Told how a fit goes on; this one tells nobody."""

    #: Whether the members' progress is shown on standard error.
    progress = False
    #: The seconds between two savings of a candidate's members.
    checkpoint_seconds = 60.0

    def tell(self, text: str) -> None:
        """Note a line about what is done."""

    def begin(self, number: int, count: int, candidate: Candidate, members: int) -> None:
        """Note that candidate `number` of `count`, from 0 on, begins."""

    def epoch(self, member: Member, record: EpochRecord) -> None:
        """Note an epoch of a member; called by any thread, one at a time."""

    def end(self, number: int, trial: Trial, loss: float) -> None:
        """Note that a candidate is trained, and its loss on the rows left out."""

    def checkpoint(self, number: int) -> Path | None:
        """Return where a candidate's members are saved while they train; None for nowhere."""
        return None


@dataclass(frozen=True)
class Plan:
    """What a fit is asked for.

    Attributes
    ----------
    preset : {"fast", "default", "best"}
        How much is tried.
    n_members : int or None
        Instead of the preset's number.
    directions : dict of str to int
        1 or -1 for the columns with which predictions only rise, or only fall.
    rising : list of int
        The direction of each output where a column of direction 1 rises; needed with `directions`.
    client : distributed.Client or None
        The Dask cluster whose workers train the members; without `directions` and a limit of time.
    """

    preset: str = "default"
    n_members: int | None = None
    directions: dict[str, int] = field(default_factory=dict)
    rising: list[int] = field(default_factory=list)
    client: Any = None

    @property
    def members(self) -> int:
        """How many members there are."""
        return self.n_members or MEMBERS[self.preset]


@dataclass(frozen=True)
class Fitted:
    """What a fit has found.

    Attributes
    ----------
    data, problem : TrainingRows, Problem
        The rows that were trained on: all, or those that a limit of time has left.
    rows : ndarray of int
        Which of the rows given they are.
    inputs : PieceInputs
        What turns columns into the networks' inputs.
    networks : list of Network
        The members, as they predict.
    best : Trial
        The candidate that was chosen, before it was shrunk.
    trials : list of Trial
        All that were tried.
    losses : list of float
        The loss of each on the rows left out.
    shrinkage : float
        The factor, 0 to 1, of what members say beyond what one says that knows nothing.
    held : Held
        What the members say of the rows that each left out.
    left_out : list of ndarray of int
        Those rows, by their places in `data`.
    """

    data: TrainingRows
    problem: Problem
    rows: Array
    inputs: PieceInputs
    networks: list[Network]
    best: Trial
    trials: list[Trial]
    losses: list[float]
    shrinkage: float
    held: Held
    left_out: list[Array]


def fit_members(
    data: TrainingRows,
    problem: Problem,
    plan: Plan,
    clock: Clock,
    random: Any,
    observer: Observer,
) -> Fitted:
    """Try the candidates, and return the best one's members and inputs.

    Parameters
    ----------
    data : TrainingRows
        The rows to train on.
    problem : Problem
        What is to be learned of them.
    plan : Plan
        What is asked for.
    clock : Clock
        The time that it may take.
    random : RandomState
        Of the folds and the members' seeds; more is drawn from it alone after this.
    observer : Observer
        Told how it goes on.

    Raises
    ------
    DataError
        If a column is infinite, or the inputs are too many.
    """
    count = plan.members
    tried = candidates(plan.preset, len(data), len(data.table.columns))
    if plan.directions:  # weights are kept within bounds, which products with factors would leave
        tried = list(dict.fromkeys(replace(each, input_scale_rate=0.0) for each in tried))
    rows: Array = np.arange(len(data))
    if clock.limited:
        left, count = _within_time(data, problem, tried[0], clock, count, observer)
        if left < len(data):
            rows = np.sort(random.permutation(len(data))[:left])
            data, problem = data.take(rows), problem.take(rows)
    strata = problem.y if problem.loss.info.domain.labels else None
    left_out = folds(strata, len(data), count, random)
    seeds = random.randint(2**31 - 1, size=count).tolist()
    training = Training(
        problem, left_out, seeds, clock, observer.progress, observer.checkpoint_seconds,
        plan.client,
    )  # fmt: skip
    trials: list[Trial] = []
    fitted: dict[int, tuple[PieceInputs, TrainingInputs]] = {}
    longest = 0.0
    for number, candidate in enumerate(tried):
        began = clock.spent
        if trials and clock.left < longest:
            observer.tell("time_limit: no further candidates")
            break
        observer.begin(number, len(tried), candidate, count)
        if candidate.pieces not in fitted:
            fitted[candidate.pieces] = _encoded(data, candidate, observer)
        inputs, X = fitted[candidate.pieces]
        bounds = None
        if plan.directions:
            bounds = Bounds(inputs, plan.directions, candidate.hidden, plan.rising)
        trials.append(
            training.run(X, candidate, bounds, (observer.epoch,), observer.checkpoint(number))
        )
        loss = best_of(problem, trials[-1:])[1][0]
        observer.end(number, trials[-1], loss)
        longest = max(longest, clock.spent - began)
    best, losses = best_of(problem, trials)
    inputs, X = fitted[best.candidate.pieces]
    inputs.ordered = bool(plan.directions)
    factor = shrink(problem, best)
    networks = [shrunk(net, factor, problem.start) for net in best.networks]
    held = held_out(networks, left_out, X, problem)
    return Fitted(
        data, problem, rows, inputs, networks, best, trials, losses, factor, held, left_out
    )


def _within_time(
    data: TrainingRows,
    problem: Problem,
    candidate: Candidate,
    clock: Clock,
    count: int,
    observer: Observer,
) -> tuple[int, int]:
    """Return how many rows and members a limit of time leaves, by a measured epoch."""
    some = data.take(np.arange(min(PILOT_ROWS, len(data))))
    began = clock.spent
    X = _encoded(some, candidate, observer)[1]
    encoding = (clock.spent - began) / len(some)
    pilot = Training(problem, [], [], clock, False)
    epoch = pilot.epoch_seconds(X, len(some), candidate)
    n_threads = get_num_threads()
    rows, left = affordable(clock.left, len(data), count, n_threads, encoding, epoch)
    if (rows, left) != (len(data), count):
        observer.tell(f"time_limit: {left} of {count} members, {rows} of {len(data)} rows")
    return rows, left


def _encoded(
    data: TrainingRows, candidate: Candidate, observer: Observer
) -> tuple[PieceInputs, TrainingInputs]:
    inputs = data.fit_pieces(piece_options(candidate, len(data)))
    columns = len(data.table.columns)
    observer.tell(f"{len(data)} rows, {columns} columns, {inputs.n_inputs} inputs")
    return inputs, data.encoded(inputs)
