# SPDX-License-Identifier: BSD-3-Clause
"""What the two estimators share: one fit from the rows to the members, and their predictions."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
)

from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess import PieceInputs, warnings_of
from fastrelu.app.preprocess.inputs import Seen
from fastrelu.app.tabular.clock import Clock
from fastrelu.app.tabular.explained import Explained
from fastrelu.app.tabular.fit import Observer, Plan, fit_members
from fastrelu.app.tabular.held import Held
from fastrelu.app.tabular.monotone import directions_of, rising_of
from fastrelu.app.tabular.raw import Raw
from fastrelu.app.tabular.recipe import MEMBERS
from fastrelu.app.tabular.rows import further_table, training_table
from fastrelu.app.tabular.sample import drawn
from fastrelu.app.tabular.train import Problem, Trial
from fastrelu.app.tabular.training_rows import Inputs, TrainingRows, WholeRows
from fastrelu.distributed import Communicator, as_communicator
from fastrelu.ensemble import Ensemble
from fastrelu.losses import Loss
from fastrelu.network import Network
from fastrelu.sklearn.threads import thread_limit

Array = NDArray[Any]
BLOCK_ROWS = 8192
CONSTRAINTS: dict[str, list[Any]] = {
    "preset": [StrOptions(set(MEMBERS))],
    "n_members": [Interval(Integral, 1, None, closed="left"), None],
    "time_limit": [Interval(Real, 0, None, closed="neither"), None],
    "random_state": ["random_state"],
    "n_threads": [Interval(Integral, 1, 1024, closed="both"), None],
    "verbose": ["verbose"],
    "monotone": [dict, None],
    "client": [HasMethods(["submit", "scatter"]), None],
    "comm": [HasMethods(["gather"]), None],
}


class _Teller(Observer):
    """Prints what a fit does, if it is to.

    Parameters
    ----------
    verbose : int
        As for the estimators.
    """

    def __init__(self, verbose: int) -> None:
        self.verbose, self.progress = verbose, verbose > 1

    def tell(self, text: str) -> None:
        """Print a line."""
        if self.verbose:
            print(text, flush=True)

    def end(self, number: int, trial: Trial, loss: float) -> None:
        """Print a candidate's loss and epochs."""
        self.tell(f"{trial.candidate}: loss {loss:.5g}, epochs {trial.epochs}")


class BaseTabular(Explained, Raw, BaseEstimator):
    """Not to be used itself; see `TabularClassifier` and `TabularRegressor`."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

    networks_: list[Network]
    inputs_: PieceInputs
    _choice: ColumnChoice
    _loss: Loss
    # Whether weights keep to signs; models that were pickled before it have `monotone` alone.
    _bounded: bool | None = None
    _ranks: Communicator | None = None  # those that make a fit, while they do

    def __init__(
        self,
        preset: str = "default",
        n_members: int | None = None,
        time_limit: float | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: int = 0,
        monotone: Any = None,
        client: Any = None,
        comm: Any = None,
    ) -> None:
        self.preset = preset
        self.n_members = n_members
        self.time_limit = time_limit
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose
        self.monotone = monotone
        self.client = client
        self.comm = comm

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: all but the cluster, or the ranks, that have trained it."""
        state: dict[str, Any] = super().__getstate__()
        return state | {"client": None, "comm": None}

    # What the two classes add

    def _problem(self, y: Any, weight: Array | None, exposure: Array | None) -> Problem:
        raise NotImplementedError

    def _row_weights(self, y: Any, weight: Array | None) -> Array | None:
        """Return the weights of the rows, with what the estimator itself puts on them."""
        return weight

    def _calibrate(self, held: Held, problem: Problem) -> None:
        """Learn from rows left out how far predictions are from targets."""
        raise NotImplementedError

    def _checked_targets(self, y: Any) -> Array:
        raise NotImplementedError

    # Fitting

    def _given(self, X: Any, **parts: Any) -> tuple[Any, ...]:
        """Return what a fit is given: this rank's X, and the parts of all ranks, in their order."""
        self._ranks = as_communicator(self.comm)
        if self._ranks is None:
            return (X, *parts.values())
        from fastrelu.app.tabular.ranks import check_options, parts_of_all

        check_options(self._ranks, self)
        if self.client is not None or self.time_limit is not None:
            raise ValueError(
                "comm: expected None with a client, or with time_limit, as clocks differ between "
                "ranks"
            )
        return (X, *parts_of_all(self._ranks, X, parts).values())

    def _read(self, X: Any) -> tuple[TrainingRows, ColumnChoice]:
        """Return the rows of a fit, and how further rows are to be read."""
        if self._ranks is not None:
            from fastrelu.app.tabular.rank_reading import training_table_of_ranks

            return training_table_of_ranks(self._ranks, self, X)
        table, choice = training_table(self, X)
        return WholeRows(table), choice

    def _fit(self, X: Any, y: Any, sample_weight: Any, exposure: Array | None = None) -> None:
        self._validate_params()
        clock = Clock(self.time_limit)
        data, choice = self._read(X)
        targets = self._checked_targets(y)
        check_consistent_length(np.empty((len(data), 0)), targets)
        if exposure is not None:
            check_consistent_length(np.empty((len(data), 0)), exposure)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(
                sample_weight, np.empty((len(data), 1)), ensure_non_negative=True
            )
            data, targets, weight, exposure = _of_weight(data, targets, weight, exposure)
        own = self._row_weights(targets, weight)
        if own is not None and own is not weight:
            data, targets, weight, exposure = _of_weight(data, targets, own, exposure)
        if len(data) < 2:
            raise ValueError(
                f"X: expected at least 2 rows to train on, got n_samples = {len(data)}"
            )
        problem = self._problem(targets, weight, exposure)
        teller, comm = self._teller(), self._ranks
        self._ranks = None  # is not pickled, nor kept if the fit fails
        with thread_limit(self.n_threads):
            self._train(data, problem, clock, teller, comm)
        self._choice = choice
        teller.tell(
            f"{self.n_members_} members, shrinkage {self.shrinkage_:.3f}, {clock.spent:.1f} s"
        )

    def _train(
        self,
        data: TrainingRows,
        problem: Problem,
        clock: Clock,
        teller: _Teller,
        comm: Communicator | None,
    ) -> None:
        """Try the candidates, keep the best one's members and inputs."""
        random = check_random_state(self.random_state)
        if comm is not None:
            state = comm.broadcast(random.get_state(legacy=False))
            random = np.random.RandomState()
            random.set_state(state)
        directions = directions_of(self.monotone, self._given_names(data.table), data.table)
        rising = rising_of(problem) if directions else []
        if self.client is not None and (directions or clock.limited):
            raise ValueError(
                "client: expected None with monotone or time_limit, whose members are trained "
                f"here, got {self.client!r}"
            )
        plan = Plan(self.preset, self.n_members, directions, rising, self.client)
        try:
            found = fit_members(data, problem, plan, clock, random, teller)
        except DataError as error:
            raise ValueError(str(error)) from error
        self.inputs_ = found.inputs
        self.candidate_ = str(found.best.candidate)
        pairs = zip(found.trials, found.losses, strict=True)
        self.candidates_ = {str(trial.candidate): loss for trial, loss in pairs}
        self.n_epochs_ = found.best.epochs
        self._loss, self._bounded = problem.loss, bool(directions)
        self.shrinkage_ = found.shrinkage
        self.networks_ = found.networks
        self.n_members_ = len(self.networks_)
        self._calibrate(found.held, found.problem)
        self._sample = drawn(found.data, found.problem, found.held, random)
        self._importances = None

    def _given_names(self, table: Table) -> list[str]:
        return list(map(str, getattr(self, "feature_names_in_", table.columns)))

    def _teller(self) -> _Teller:
        leads = self._ranks is None or self._ranks.rank == 0
        return _Teller(int(self.verbose) if leads else 0)

    # Predicting

    def _mean_prediction(self, X: Any) -> NDArray[np.float64]:
        """Return the mean of the members' predictions, (n, K), in the network's unit."""
        check_is_fitted(self)
        table = further_table(self, X, self._choice)
        ensemble = Ensemble(self.networks_, self._loss)
        bounded = self._bounded
        if bounded is None:
            bounded = any(dict(getattr(self, "monotone", None) or {}).values())
        self.inputs_.ordered = bounded
        found: list[Array] = []
        seen: Counter[tuple[str, str]] = Counter()
        with thread_limit(self.n_threads):
            for low in range(0, len(table), BLOCK_ROWS):
                some = table.take(slice(low, low + BLOCK_ROWS))
                found.append(ensemble.predict(self._network_rows(some, seen)))
        far = Counter({key: n for key, n in seen.items() if key[0] == "far value"})
        for text in warnings_of(far):
            warnings.warn(f"X: {text}", UserWarning, stacklevel=4)
        if not found:
            return np.empty((0, self.networks_[0].layer_sizes[-1]))
        return np.concatenate(found)

    def _network_rows(self, table: Table, seen: Seen) -> Inputs:
        return _read(self.inputs_.for_network, table, seen)

    def _encoded_rows(self, table: Table) -> Array:
        return np.asarray(_read(self.inputs_.transform, table, None))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = False
        return tags


def _read(read: Callable[..., Inputs], table: Table, seen: Seen | None) -> Inputs:
    """Return the members' inputs of a table: a column of zeros where there are none."""
    try:
        rows = read(table, None, "float32", seen)
    except DataError as error:
        raise ValueError(str(error)) from error
    return rows if rows.shape[1] else np.zeros((len(table), 1), np.float32)


def _of_weight(
    data: TrainingRows, targets: Array, weight: Array, exposure: Array | None
) -> tuple[TrainingRows, Array, Array, Array | None]:
    """Leave out the rows of weight 0."""
    rows = np.flatnonzero(weight)
    exposure = None if exposure is None else exposure[rows]
    return data.take(rows), targets[rows], weight[rows].astype(np.float64), exposure
