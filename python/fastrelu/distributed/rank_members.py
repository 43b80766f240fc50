# SPDX-License-Identifier: BSD-3-Clause
"""Members trained on rows that no rank has all of: each gets the rows of its next steps in time.

The order of an epoch is a function of the member's seed and the epoch's number, so that a rank
knows which rows its members need next. They come block by block from the ranks that have them; a
block may end after any step, and changes no bit. Ranks without members left only give. Rows that
fit in one block come once, and are kept while the member trains.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core, get_num_threads, random, set_thread_limit
from fastrelu._arguments import whole_number
from fastrelu._members.member import Member, State, check_rows
from fastrelu._members.progress import MembersProgress
from fastrelu._members.run import Part
from fastrelu._steps import end_run, take_block
from fastrelu.data_set import DataSet, LossSums
from fastrelu.distributed.communicator import together
from fastrelu.distributed.rank_rows import Inputs, Numbers, RankRows
from fastrelu.divergence import DivergenceError
from fastrelu.history import History, Metric
from fastrelu.network import Network
from fastrelu.threads import Threads
from fastrelu.trainer import Trainer

if TYPE_CHECKING:
    from fastrelu.population import Population

__all__ = ["fit_rank_rows"]

#: What a block takes, about; but there are rows enough that its steps cost more than its coming.
BLOCK_BYTES, FEWEST_ROWS, MOST_ROWS = 4 << 20, 4096, 1 << 16

Wants = Generator[Numbers, Inputs, None]


def fit_rank_rows(
    population: Population,
    rows: RankRows,
    y: ArrayLike,
    epochs: int = 10,
    *,
    sample_weight: ArrayLike | None = None,
    patience: int | None = None,
    progress: bool = False,
) -> list[History]:
    """Train a population on rows of which each rank has its own; no rank needs all of them.

    The ranks share the members, as `Population.fit` with `comm` does, and end with the same bits.
    The rank that trains a member gets the rows of its next steps, a block at a time, from the ranks
    that have them. All ranks make this call.

    Parameters
    ----------
    population : Population
        The same on every rank, of members with one shard that shuffle their rows, which are
        numbered in the order of ranks. Their rows have no weights of their own.
    rows : RankRows
        The rows of inputs.
    y : ndarray
        The targets of the rows of all ranks, on every rank.
    epochs, patience, progress
        As for `Population.fit`.
    sample_weight : ndarray, (n,), optional
        The weights of the rows of all ranks, on every rank.

    Returns
    -------
    list of History
        The course of each member, over this fit.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit. On the other ranks it is a `RankError`.
    RankError
        If the training of another rank has failed, or was interrupted. The members are then in the
        middle of an epoch.

    Warns
    -----
    RuntimeWarning
        If members have diverged, as for `Population.fit`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> from fastrelu.distributed import RankRows, fit_rank_rows, run_threads
    >>> X = np.random.default_rng(0).normal(size=(90, 2)).astype("float32")
    >>> y = np.abs(X[:, 0])
    >>> configs = [{"layer_sizes": [2, 4, 1], "seed": s, "shuffle_seed": s} for s in range(3)]
    >>> def fit(comm):
    ...     own = X[30 * comm.rank : 30 * comm.rank + 30]
    ...     population = fastrelu.Population(configs)
    ...     fit_rank_rows(population, RankRows(comm, own), y, epochs=5)
    ...     return population.networks[2].parameters.tobytes()
    >>> alone = fastrelu.Population(configs)
    >>> histories = alone.fit(X, y, epochs=5)
    >>> run_threads(3, fit) == 3 * [alone.networks[2].parameters.tobytes()]
    True
    """
    from fastrelu._members.ranks import run_on_ranks

    comm, members = rows.comm, population.members
    with population._alone(), _core.DefaultFloatingPoint():
        with together(comm, (TypeError, ValueError)):
            epochs = whole_number("epochs", epochs, 0)
            patience = None if patience is None else whole_number("patience", patience, 1)
            runs = _runs(population, rows, y, sample_weight, patience)
        for run in runs.values():
            run.begin(epochs, False)
        left = [member for member in members if member.epochs_left > 0]

        def train(own: Sequence[Member]) -> None:
            _train([runs[member.index] for member in own], rows, progress and comm.rank == 0)

        if left:
            run_on_ranks(comm, left, len(rows), epochs, train)
    population._warn_of_divergence()
    return [member.course.history for member in members]


def _runs(
    population: Population, rows: RankRows, y: Any, weight: Any, patience: int | None
) -> dict[int, FetchedRun]:
    """Return the parts of all members in a fit, by their numbers, if they can take part."""
    found, targets = {}, {}
    weight = None if weight is None else np.ascontiguousarray(weight, np.float64)
    for member in population.members:
        trainer = member.trainer
        key = (repr(trainer.loss), trainer.network.dtype, trainer.network.layer_sizes[-1])
        if trainer.n_shards != 1 or trainer.epoch_open or member.sampling != "shuffle":
            raise ValueError(
                f"{member}: expected n_shards=1, sampling='shuffle' and no open epoch, for rows of "
                f"ranks, got {trainer.n_shards}, {member.sampling!r} and {trainer.epoch_open}"
            )
        if member.sample_weight is not None:
            raise ValueError(f"{member}: sample_weight: expected none for rows of ranks, got some")
        if trainer.network.layer_sizes[0] != rows.n_inputs:
            raise ValueError(
                f"{member}: expected a network of {rows.n_inputs} inputs, as the rows have, got "
                f"{trainer.network.layer_sizes[0]}"
            )
        check_rows(member, len(rows))
        population._check_patience(member, patience, None)
        try:
            if key not in targets:
                targets[key] = _targets(trainer, len(rows), y, weight)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{member}: {error}") from error
        found[member.index] = FetchedRun(member, rows, targets[key], weight, patience)
    return found


def _targets(trainer: Trainer, n_rows: int, y: Any, weight: Any) -> NDArray[Any]:
    """Return the targets of all rows as the core takes them, after a look at each."""
    labels = trainer.loss.info.domain.labels
    array: NDArray[Any] = np.asarray(y)
    if not (labels and array.dtype.kind == "f"):  # which are looked at as they are
        with np.errstate(over="ignore"):  # an infinity is refused by name
            array = np.ascontiguousarray(array, np.int64 if labels else trainer.network.dtype)
    outputs = trainer.network.layer_sizes[-1]
    alike = Trainer(Network([1, outputs], dtype=trainer.network.dtype), loss=trainer.loss)
    alike.prepare(np.zeros((n_rows, 1)), array, weight)
    return array


class FetchedRun(Part):
    """A member's part in a fit on rows that come when it asks for them."""

    def __init__(
        self,
        member: Member,
        rows: RankRows,
        y: NDArray[Any],
        weight: NDArray[np.float64] | None,
        patience: int | None,
    ) -> None:
        self._rows = np.arange(len(rows)) if member.rows is None else member.rows
        super().__init__(member, len(self._rows), patience)
        self._y, self._weight = y, weight
        batch = member.trainer.batch_size
        most = min(max(BLOCK_BYTES // rows._row_bytes, FEWEST_ROWS), MOST_ROWS)
        self._block_rows = max(1, most // batch) * batch
        self._training: DataSet | None = None  # rows that fit in a block come once
        self._validation: DataSet | None = None
        self._judged: tuple[float, float] | None = None
        self._metric: Metric | None = None
        self.stop = threading.Event()  # ends it after an epoch

    def evaluated(self) -> tuple[float, float] | None:
        """Return the loss and metric on the validation rows, which have come."""
        return self._judged

    def steps(self) -> Wants:
        """Train the member to its end: yields the rows that it needs, and is sent them."""
        trainer = self.member.trainer
        trainer._core.forget_kept()
        ended = self.member.epochs_left == 0
        try:
            while not ended and not self.stop.is_set():
                began = time.perf_counter()
                rate = yield from self._epoch()
                yield from self._judge()
                loss = trainer.epoch_loss
                ended = self.after_epoch(loss, rate, time.perf_counter() - began)
            end_run(trainer._core)
        except DivergenceError as error:
            self.end_diverged(error)

    def _epoch(self) -> Generator[Numbers, Inputs, float]:
        """Take the steps of an epoch, and return the last one's learning rate."""
        trainer, n = self.member.trainer, len(self._rows)
        epoch = trainer.n_epochs + 1
        order = random.permutation(trainer.seed, random.Purpose.ROW_ORDER, 0, epoch, n)
        if n <= self._block_rows:
            if self._training is None:
                self._training = self._prepared((yield self._rows), self._rows)
            return self._taken(self._training, order)
        # The core goes back to the beginning of a block, and is to go back to that of the epoch, as
        # where epochs are whole (and of more rows than FEWEST_ROWS).
        kept = State.of(trainer)
        rate = 0.0
        for rows in self._blocks(self._rows[order]):
            data = self._prepared((yield rows), rows)
            try:
                rate = self._taken(data, np.arange(len(rows)))
            except DivergenceError:
                kept.put_into(trainer)
                raise
        return rate

    def _taken(self, data: DataSet, order: Numbers) -> float:
        """Take the steps of a block, and return the last one's learning rate."""
        rates = take_block(self.member.trainer, data.core, order, len(self._rows), None)
        assert rates is not None  # nobody stops it
        return float(rates[-1])

    def _judge(self) -> Wants:
        """Evaluate the member on its validation rows."""
        trainer, held = self.member.trainer, self.member.validation_rows
        if held is None:
            return
        if self._metric is None:
            self._metric = Metric(trainer.loss, *self._targets(held))
        sums, outputs = LossSums(), []
        for rows in self._blocks(held):
            data = self._validation or self._prepared((yield rows), rows)
            if len(held) <= self._block_rows:
                self._validation = data
            outputs.append(trainer.add_losses(data, sums))
        self._judged = sums.loss, self._metric(np.concatenate(outputs))

    def _blocks(self, rows: Numbers) -> Iterator[Numbers]:
        for begin in range(0, len(rows), self._block_rows):
            yield rows[begin : begin + self._block_rows]

    def _prepared(self, X: Inputs, rows: Numbers) -> DataSet:
        """Return rows that have come, with their targets and weights."""
        return self.member.trainer._prepared(X, *self._targets(rows), False)

    def _targets(self, rows: Numbers) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        return self._y[rows], None if self._weight is None else self._weight[rows]


def _train(runs: Sequence[FetchedRun], rows: RankRows, progress: bool) -> None:
    """Train members, and give other ranks their rows until all have ended."""
    members = [run.member for run in runs]
    epochs = sum(member.epochs_left for member in members)
    bar = MembersProgress(members, epochs) if progress and members else None
    going = [run.steps() for run in runs]

    def tell(say: Callable[[int, int], None]) -> None:
        left = [member.epochs_left for member in members]
        say(epochs - sum(left), left.count(0))

    def wants(at_once: Callable[..., Iterator[Any]], got: list[Inputs]) -> list[Numbers]:
        if bar is not None:
            tell(bar)
        try:
            wanted = list(at_once(_go_on, going, got or [None] * len(going)))
        except BaseException:  # of one member, or a signal: threads are not to go on
            for run in runs:
                run.stop.set()
            raise
        going[:] = [steps for steps, some in zip(going, wanted, strict=True) if some is not None]
        return [some for some in wanted if some is not None]

    try:
        with _at_once(len(runs)) as at_once:
            rows._exchange(partial(wants, at_once))
    finally:
        if bar is not None:
            tell(bar.close)


def _go_on(steps: Wants, X: Inputs | None) -> Numbers | None:
    """Give a member the rows that it has asked for; return those that it asks for next."""
    with _core.DefaultFloatingPoint():
        try:
            return next(steps) if X is None else steps.send(X)
        except StopIteration:
            return None


@contextmanager
def _at_once(count: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield what maps a function over so many members: each in a thread, if there are some."""
    threads = min(count, get_num_threads())
    if threads < 2:
        yield map
        return
    with Threads(threads, partial(set_thread_limit, 1)) as pool:
        yield pool.map
