# SPDX-License-Identifier: BSD-3-Clause
"""Local steps: ranks train on their own rows and now and then average; not one process's bits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrelu._arguments import whole_number
from fastrelu.distributed.communicator import (
    Communicator,
    as_communicator,
    require_same,
    together,
)
from fastrelu.history import EpochRecord, History
from fastrelu.random import Purpose, permutation

if TYPE_CHECKING:
    from fastrelu.trainer import Trainer

__all__ = ["fit_local_steps"]


def fit_local_steps(
    trainer: Trainer,
    X: Any,
    y: Any,
    epochs: int = 1,
    *,
    comm: Any,
    sync_every: int,
    sample_weight: Any = None,
) -> History:
    """Train each rank's copy of a network on the rank's own rows, averaged every so many steps.

    This is another algorithm than `Trainer.fit`, known as local SGD or federated averaging: it
    exchanges parameters every `sync_every` steps instead of gradients at each, and its result
    depends on the number of ranks and on `sync_every`. For given ones, rows and seeds it is
    deterministic, on any number of threads and any instruction set.

    Parameters
    ----------
    trainer : Trainer
        Made without `comm`, with the same options on every rank; all begin with rank 0's
        parameters. In the end all are the same, the optimizer's state included. It counts rounds,
        of `sync_every` steps each, as its epochs.
    X : ndarray or CSR matrix, (n, d_in)
        This rank's rows; every rank has one at least, and may have another number of them.
    y : ndarray
        Their targets, as for `Trainer.fit`.
    epochs : int
        How often each rank passes over its rows.
    comm : mpi4py.MPI.Comm or Communicator
        The ranks.
    sync_every : int
        Steps between two averages, >= 1.
    sample_weight : ndarray, (n,), optional
        Weights of the rows, on every rank or on none.

    Returns
    -------
    History
        The same on every rank. An epoch's loss is the mean over the steps of all ranks, each of
        the parameters that its rank had.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit.
    DivergenceError, RankError
        If a loss is no longer finite, here or on another rank.

    Notes
    -----
    An epoch of rank r visits its rows in the order that `Trainer` gives shard r in the epoch. Each
    `sync_every * batch_size` of them are a round: one epoch of `trainer.fit`, which shuffles
    them again. After it the parameters, and each number of the optimizer's state, become the sum
    over the ranks that had rows, in their order, of T(rows / rows of all) times the rank's
    number, each product and sum rounded to the network's dtype T. Ranks whose rows are used up
    wait for the others' next epoch.

    References
    ----------
    McMahan et al. (2017), Communication-efficient learning of deep networks from decentralized
    data. Stich (2019), Local SGD converges fast and communicates little.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> from fastrelu.distributed import fit_local_steps, run_threads
    >>> X = np.random.default_rng(0).normal(size=(2, 100, 3))
    >>> def train(comm):
    ...     rows = X[comm.rank]
    ...     trainer = fastrelu.Trainer(fastrelu.Network([3, 8, 1], seed=0), batch_size=10)
    ...     history = fit_local_steps(trainer, rows, rows[:, 0], 3, comm=comm, sync_every=4)
    ...     return trainer.network.parameters.tobytes(), history.loss
    >>> one, other = run_threads(2, train)
    >>> one == other
    True
    """
    epochs, every = whole_number("epochs", epochs, 0), whole_number("sync_every", sync_every, 1)
    if trainer.comm is not None:
        raise ValueError("trainer: expected one without comm, which exchanges gradients, got one")
    ranks = as_communicator(comm)
    if ranks is not None:
        _begin(ranks, trainer, epochs, every, sample_weight)
    history = History(metric=trainer.loss.info.metric)
    for number in range(1, epochs + 1):
        history.append(_epoch(ranks, trainer, (X, y, sample_weight), number, every))
    return history


def _begin(
    comm: Communicator, trainer: Trainer, epochs: int, sync_every: int, sample_weight: Any
) -> None:
    """Compare the ranks' arguments, and give all of them rank 0's parameters and state."""
    from fastrelu import _shared

    weighted = sample_weight is not None
    require_same(
        comm, {"epochs": epochs, "sync_every": sync_every, "sample_weight given": weighted}
    )
    _shared.begin(trainer, comm)
    arrays, state = comm.broadcast(
        ([array.copy() for array in trainer._core.optimizer_arrays], trainer._core.state)
    )
    trainer._core.optimizer_arrays = arrays
    trainer._core.state = state


def _epoch(
    comm: Communicator | None, trainer: Trainer, rows: tuple[Any, Any, Any], number: int, every: int
) -> EpochRecord:
    """Make the rounds of an epoch, and return its record."""
    began = time.perf_counter()
    rank = 0 if comm is None else comm.rank
    n, each = len(rows[1]), every * trainer.batch_size
    most = n if comm is None else max(comm.gather(n))
    order = permutation(trainer.seed, Purpose.ROW_ORDER, rank, number, n)
    losses, seen = 0.0, 0
    for first in range(0, most, each):
        some = order[first : first + each]
        before = seen
        if comm is None:
            losses += _round(trainer, rows, some)
            seen += len(some)
            continue
        with together(comm, (Exception,)):
            loss = _round(trainer, rows, some) if len(some) else 0.0
        for other, more in comm.gather((loss, len(some))):
            losses, seen = losses + other, seen + more
        _average(comm, trainer, len(some) / (seen - before))
    seconds = time.perf_counter() - began
    rate = trainer.optimizer.learning_rate
    return EpochRecord(
        epoch=number,
        loss=losses / seen if seen else 0.0,
        learning_rate=rate(trainer.n_steps) if callable(rate) else rate,
        seconds=seconds,
        rows_per_second=seen / max(seconds, 1e-9),
    )


def _round(trainer: Trainer, rows: tuple[Any, Any, Any], some: Any) -> float:
    """Train on some of this rank's rows, and return the sum of their losses."""
    X, y, weight = rows
    weights = None if weight is None else weight[some]
    return trainer.fit(X[some], y[some], 1, sample_weight=weights).loss[-1] * len(some)


def _average(comm: Communicator, trainer: Trainer, share: float) -> None:
    """Give all ranks the mean of their parameters and of the optimizer's state."""
    core, net = trainer._core, trainer.network
    numbers = [net.parameters, *core.optimizer_arrays]
    if trainer.input_scale_rate:
        numbers.append(core.input_scales)
    flat = np.concatenate([part.reshape(-1) for part in numbers])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        parts = (flat * flat.dtype.type(share))[None] if share else flat[None][:0]
        counts, total = [int(has) for has in comm.gather(share > 0)], np.empty_like(flat)
        comm.sum_in_order(parts, counts, total, np.zeros((comm.size, 1)))
    ends = np.cumsum([part.size for part in numbers])
    means = [
        total[end - part.size : end].reshape(part.shape)
        for end, part in zip(ends, numbers, strict=True)
    ]
    net.parameters[...] = means[0]
    core.optimizer_arrays = means[1 : 1 + len(core.optimizer_arrays)]
    if trainer.input_scale_rate:
        core.input_scales = means[-1]
    # A rank without rows in this round has taken no step of it.
    core.state = max(comm.gather(core.state), key=lambda state: int(state["step"]))
