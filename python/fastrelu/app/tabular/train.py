# SPDX-License-Identifier: BSD-3-Clause
"""Train the members of a candidate, each with a fold left out, and say how good they are there."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import elementary, get_num_threads
from fastrelu.app.errors import CheckpointError
from fastrelu.app.tabular.clock import Clock, Turns
from fastrelu.app.tabular.monotone import Bounds, fit_within
from fastrelu.app.tabular.recipe import FOLDS, Candidate
from fastrelu.app.tabular.training_rows import TrainingInputs
from fastrelu.history import Callback, History
from fastrelu.losses import Expectile, Loss, Quantile
from fastrelu.network import Network
from fastrelu.optimizers import AdamW
from fastrelu.population import Member, Population

Array = NDArray[Any]


@dataclass(frozen=True)
class Problem:
    """What is to be learned, in the network's terms.

    Attributes
    ----------
    loss : Loss
        The loss.
    y : ndarray, (n,) of int64 or (n, K) of float64
        Labels from 0 on, or targets in the unit that networks learn in.
    weight : ndarray of float64, (n,), or None
        The rows' weights.
    start : ndarray of float64, (K,)
        The outputs of a model that knows nothing: the classes' logarithmic shares, or zeros.
    exposure : ndarray of float64, (n,), or None
        What the mean of each row was multiplied by, before y was divided by it.
    """

    loss: Loss
    y: Array
    weight: Array | None
    start: NDArray[np.float64]
    exposure: Array | None = None

    def losses(self, outputs: Array, rows: Array) -> NDArray[np.float64]:
        """Return the loss of each of some rows for a network's outputs, (rows, K)."""
        y = self.y[rows]
        if self.loss.info.link == "log":
            return np.asarray(self.loss.deviance(y, elementary.exp(outputs)).sum(axis=1))
        if self.loss.name != "cross_entropy":
            return np.asarray(_of_residuals(self.loss, outputs - y).mean(axis=1))
        top = outputs.max(axis=1)
        own = outputs[np.arange(len(y)), y]
        others = elementary.exp(outputs - top[:, None]).sum(axis=1)
        return np.asarray(top - own + elementary.log(others))

    def take(self, rows: Array) -> Problem:
        """Return what is to be learned of these rows."""
        weight = None if self.weight is None else self.weight[rows]
        exposure = None if self.exposure is None else self.exposure[rows]
        return replace(self, y=self.y[rows], weight=weight, exposure=exposure)

    def mean(self, values: Array, rows: Array) -> float:
        """Return the weighted mean over some rows."""
        return float(np.average(values, weights=None if self.weight is None else self.weight[rows]))


def _of_residuals(loss: Loss, r: Array) -> Array:
    """Return the loss of each residual, output less target."""
    if loss.name == "squared_error":
        return np.asarray(r**2 / 2)
    if isinstance(loss, Expectile):
        return np.asarray(np.where(r > 0, 1.0 - loss.tau, loss.tau) * r**2)
    if isinstance(loss, Quantile):
        return np.asarray(np.where(r > 0, (1.0 - loss.quantile) * r, -loss.quantile * r))
    return np.abs(r)  # absolute_error


@dataclass
class Trial:
    """The members of a candidate, trained.

    Attributes
    ----------
    networks : list of Network
        The members.
    rows : ndarray of int, (m,)
        The rows that some member has not been trained on.
    outputs : ndarray of float64, (m, K)
        The mean outputs of those members for them.
    epochs : list of int
        The epoch whose weights each member has.
    histories : list of History
        The course of each member.
    """

    candidate: Candidate
    networks: list[Network]
    rows: Array
    outputs: NDArray[np.float64]
    epochs: list[int]
    histories: list[History] = field(default_factory=list)


def folds(strata: Array | None, n_rows: int, n_members: int, random: Any) -> list[Array]:
    """Return the rows that each member leaves out: all folds of one shuffle, then of the next.

    Every class has its share in each fold.
    """
    count = min(FOLDS, n_rows)
    found: list[Array] = []
    while len(found) < n_members:
        order = random.permutation(n_rows)
        if strata is not None:
            order = order[np.argsort(strata[order], kind="stable")]
        found += [np.sort(order[k::count]) for k in range(count)]
    return found[:n_members]


class Training:
    """Trains candidates, all on the same folds from the same seeds."""

    def __init__(
        self,
        problem: Problem,
        left_out: list[Array],
        seeds: list[int],
        clock: Clock,
        progress: bool,
        checkpoint_seconds: float = 60.0,
        client: Any = None,
    ) -> None:
        self.problem, self.left_out, self.seeds = problem, left_out, seeds
        self.clock, self.progress = clock, progress
        self.checkpoint_seconds, self.client = checkpoint_seconds, client
        self.n_rows = len(problem.y)

    def run(
        self,
        X: TrainingInputs,
        candidate: Candidate,
        bounds: Bounds | None = None,
        calls: tuple[Callback, ...] = (),
        checkpoint: Path | None = None,
    ) -> Trial:
        """Return the trained members of a candidate, their weights within bounds.

        Parameters
        ----------
        X : TrainingInputs
            The encoded rows.
        candidate : Candidate
            How they are made and trained.
        bounds : Bounds, optional
            What their weights are kept between.
        calls : tuple of callables
            Called after each epoch of each member, as for `Population.fit`, without bounds.
        checkpoint : Path, optional
            Where the members are saved now and then, at the end, and when an exception ends the
            fit; if they are there already, they go on from there, to the same bits. Not with
            bounds.
        """
        problem = self.problem
        configs: list[dict[str, Any]] = []
        for held, seed in zip(self.left_out, self.seeds, strict=True):
            inside = np.ones(self.n_rows, bool)
            inside[held] = False
            rows = np.flatnonzero(inside)
            config = self._config(X, candidate, seed)
            watched = {"validation_rows": held} if bounds is None else {}
            configs.append({**config, "rows": rows, **watched})
        population = None if bounds is not None else self._gone_on(checkpoint, configs)
        if population is None:
            population = self._population(configs)
        if bounds is None:
            epochs = self._fit(population, X, candidate, calls, checkpoint)
            histories = [member.course.history for member in population.members]
        else:
            epochs, histories = fit_within(
                population, bounds, X, problem, self.left_out, candidate, self.clock, calls
            )
        sums = np.zeros((self.n_rows, len(problem.start)))
        times = np.zeros(self.n_rows, np.int64)
        outputs = X.outputs(population.networks, self.left_out)
        for held, of_held in zip(self.left_out, outputs, strict=True):
            sums[held] += of_held
            times[held] += 1
        rows = np.flatnonzero(times)
        return Trial(
            candidate,
            population.networks,
            rows,
            sums[rows] / times[rows, None],
            epochs,
            histories,
        )

    def _fit(
        self,
        population: Population,
        X: TrainingInputs,
        candidate: Candidate,
        calls: tuple[Callback, ...],
        checkpoint: Path | None,
    ) -> list[int]:
        """Train members until they are no better, and return the epoch of each that was best."""
        if self.clock.limited:
            calls += (Turns(self.clock.end, len(population), get_num_threads()),)
        histories = [member.course.history for member in population.members]
        if self.client is not None:
            calls = ()  # workers tell of whole members alone
        here: dict[str, Any] = {}
        if X.whole:
            here = {
                "callbacks": calls, "client": self.client,
                "checkpoint": checkpoint, "checkpoint_seconds": self.checkpoint_seconds,
            }  # fmt: skip
        if not _ended(population):
            try:
                histories = X.fit(
                    population, self.problem.y, candidate.epochs, patience=candidate.patience,
                    sample_weight=self.problem.weight, progress=self.progress, **here,
                )  # fmt: skip
            except BaseException:  # a signal, above all: the next fit goes on from here
                if checkpoint is not None:
                    population.save_checkpoint(checkpoint)
                raise
        return [int(np.argmin(h.val_loss)) + 1 if h.val_loss else 0 for h in histories]

    def _gone_on(self, checkpoint: Path | None, configs: list[dict[str, Any]]) -> Population | None:
        """Return the members of a checkpoint, if there is one; name those that get one.

        The names tell the members from those of other targets, which may have the same folds.
        """
        if checkpoint is None:
            return None
        learned = hashlib.blake2b(self.problem.y.tobytes(), digest_size=8)
        for k, config in enumerate(configs):
            config["name"] = f"{learned.hexdigest()}-{k}"
        if not checkpoint.exists():
            return None
        population = Population.from_checkpoint(checkpoint)
        _require_own(checkpoint, population, configs)
        return population

    def _config(self, X: TrainingInputs, candidate: Candidate, seed: int) -> dict[str, Any]:
        return {
            "layer_sizes": [X.n_inputs, *candidate.hidden, len(self.problem.start)],
            "loss": self.problem.loss,
            "optimizer": AdamW(candidate.learning_rate, weight_decay=candidate.weight_decay),
            "batch_size": candidate.batch_size,
            "input_scale_rate": candidate.input_scale_rate,
            "seed": seed,
            "shuffle_seed": seed,
        }

    def _population(self, configs: list[dict[str, Any]]) -> Population:
        """Return the members as they begin: all say what one says that knows nothing."""
        population = Population(configs)
        for network in population.networks:
            network.weights[-1][...] = 0
            network.biases[-1][...] = self.problem.start
        return population

    def epoch_seconds(self, X: TrainingInputs, n_rows: int, candidate: Candidate) -> float:
        """Return the seconds of one epoch of one member for each row, measured on so many."""
        rows = np.arange(n_rows)
        pilot = self._population([{**self._config(X, candidate, 0), "rows": rows}])
        began = time.perf_counter()
        X.fit(pilot, self.problem.y[rows], 1)
        return (time.perf_counter() - began) / n_rows


def _require_own(path: Path, population: Population, configs: list[dict[str, Any]]) -> None:
    """Refuse a checkpoint of another candidate's members, or of another run's."""
    found, own = population.members, Population(configs).members
    fits = len(found) == len(own) and all(
        was.name in ("", now.name) and _told(was) == _told(now)  # earlier versions gave no names
        for was, now in zip(found, own, strict=True)
    )
    if not fits:
        raise CheckpointError(
            f"{path}: the checkpoint does not fit: it is of another candidate, or of another run; "
            "put back the one that was here, or remove it, and these members start from their "
            "beginning"
        )


def _told(member: Member) -> tuple[Any, ...]:
    """Return what a member was made with, to be compared with another's."""
    trainer, rows = member.trainer, (member.rows, member.validation_rows)
    return (
        member.network.layer_sizes, repr(trainer.loss), repr(trainer.optimizer),
        trainer.batch_size, trainer.seed, trainer.input_scale_rate, member.sampling,
        *(None if each is None else each.tobytes() for each in rows),
    )  # fmt: skip


def _ended(population: Population) -> bool:
    """Whether a population, from a checkpoint, has finished its fit."""
    return all(
        member.diverged is not None
        or (member.epochs_left == 0 and len(member.course.history) and member.course.best is None)
        for member in population.members
    )


def shrink(problem: Problem, trial: Trial) -> float:
    """Return a factor in [0, 1] of what members say beyond what one says that knows nothing.

    It is the factor that is best on the rows left out, times how surely the members are better
    there: 1 - 2 (standard error / gain)^2, or 0 if that is negative. The 2 makes up for the epochs
    and the candidate, which were chosen on the same rows.
    """
    rows, start = trial.rows, problem.start
    beyond = trial.outputs - start
    nothing = problem.losses(np.broadcast_to(start, beyond.shape), rows)

    def at(factor: float) -> NDArray[np.float64]:
        return problem.losses(start + factor * beyond, rows)

    low, high = 0.0, 1.0
    for _ in range(12):  # the loss is convex in the factor
        third = (high - low) / 3
        if problem.mean(at(low + third), rows) <= problem.mean(at(high - third), rows):
            high -= third
        else:
            low += third
    factor = 1.0 if high == 1.0 else (low + high) / 2
    gains = nothing - at(factor)
    gain = problem.mean(gains, rows)
    if gain <= 0:
        return 0.0
    weight = np.ones(len(rows)) if problem.weight is None else problem.weight[rows]
    error = math.sqrt(float((weight**2 * (gains - gain) ** 2).sum())) / float(weight.sum())
    sure = max(0.0, 1.0 - 2 * (error / gain) ** 2)
    return round(256 * factor * sure) / 256


def shrunk(network: Network, factor: float, start: NDArray[np.float64]) -> Network:
    """Return a network whose outputs are start + factor * (those of `network` - start)."""
    made = network.copy()
    made.weights[-1][...] *= factor
    made.biases[-1][...] = factor * made.biases[-1] + (1 - factor) * start
    return made


def best_of(problem: Problem, trials: list[Trial]) -> tuple[Trial, list[float]]:
    """Return the trial with the lowest loss on rows that all have left out, and all losses."""
    losses = [problem.mean(problem.losses(t.outputs, t.rows), t.rows) for t in trials]
    return trials[int(np.argmin(losses))], losses
