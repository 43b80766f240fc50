# SPDX-License-Identifier: BSD-3-Clause
"""What a trainer does where several processes share its rows; they are met when it is asked to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrelu import _core
from fastrelu._arguments import check_places
from fastrelu.history import Callback, EpochRecord, call_callbacks

if TYPE_CHECKING:
    from fastrelu.distributed.communicator import Communicator
    from fastrelu.epoch import EpochMethods
    from fastrelu.trainer import Trainer


def communicator(comm: Any, n_shards: Any) -> Communicator | None:
    """Return what the user has given as `comm`, if there are enough shards for its ranks."""
    from fastrelu.distributed.communicator import as_communicator

    found = as_communicator(comm)
    if found is not None and isinstance(n_shards, int) and n_shards < found.size:
        raise ValueError(
            f"n_shards: expected at least {found.size}, one for each rank of comm, got {n_shards}; "
            "the same n_shards gives the same bits with any number of ranks"
        )
    return found


def ranks_of_members(comm: Any, calls: Any, checkpoint: Any, client: Any) -> Communicator | None:
    """Return what the user has given as `comm` of a population, if it fits the rest."""
    if comm is None:
        return None
    from fastrelu.distributed.communicator import as_communicator

    for name, given in (("callbacks", calls), ("checkpoint", checkpoint), ("client", client)):
        if given:
            raise ValueError(f"{name}: expected none with comm, whose ranks share the members")
    return as_communicator(comm)


def begin(trainer: Trainer, comm: Communicator) -> None:
    """Compare the ranks' trainers, and give all of them the parameters of rank 0's network."""
    from fastrelu import model_file
    from fastrelu._version import __version__
    from fastrelu.checkpoint import _settings_of
    from fastrelu.distributed.communicator import require_same

    _, network = model_file.network_content(trainer.network)
    settings = {"version of fastrelu": __version__, **network, **_settings_of(trainer)}
    settings["reduction"] = getattr(comm, "reduction", "in_order")
    settings["segment_bytes"] = getattr(comm, "segment_bytes", 0)
    require_same(comm, settings)
    parameters = comm.broadcast(trainer.network.parameters.copy())
    trainer.network.parameters[...] = parameters


def own_rows(comm: Communicator | None, n_rows: int, n_shards: int) -> range:
    """Return the rows that this process has."""
    if comm is None:
        return range(n_rows)
    from fastrelu.distributed.shares import rows_of_rank

    return rows_of_rank(n_rows, n_shards, comm.size, comm.rank)


def data(
    trainer: EpochMethods, comm: Communicator, X: Any, y: Any, sample_weight: Any, finite: bool
) -> _core.DataSet:
    """Return the rows of this process as a part of the data set of all.

    Rows that are in the shards of another rank move there.

    Raises
    ------
    ValueError
        On all ranks, if the shards of one have none.
    """
    from fastrelu.distributed.communicator import together

    with together(comm, (TypeError, ValueError)):
        shape: tuple[int, ...] = getattr(X, "shape", ())
        empty = shape[:1] == (0,)  # a rank may get its rows from others alone
        own = 0 if empty else trainer._core.data(X, y, sample_weight, finite).rows
    counts = comm.gather(own)
    weighted = comm.gather(sample_weight is not None)
    if len(set(weighted)) > 1:
        raise ValueError(
            "sample_weight: expected weights on every rank or on none, got them on ranks "
            f"{[rank for rank, has in enumerate(weighted) if has]} of {comm.size}"
        )
    runs = _runs_of_ranks(trainer, comm, sum(counts))
    if [len(run) for run in runs] != counts:
        with together(comm, (TypeError, ValueError)):
            parts = [None if each is None else _sliceable(each) for each in (X, y, sample_weight)]
        X, y, sample_weight = (_moved(comm, each, counts, runs) for each in parts)
    return trainer._core.data(X, y, sample_weight, False, sum(counts))


def _runs_of_ranks(trainer: EpochMethods, comm: Communicator, n: int) -> list[range]:
    """Return the rows of each rank's shards; ValueError where one has none."""
    from fastrelu.distributed.shares import rows_of_rank

    runs = [rows_of_rank(n, trainer.n_shards, comm.size, rank) for rank in range(comm.size)]
    for rank, run in enumerate(runs):
        if not run:
            raise ValueError(
                f"X: expected a row or more in the shards of each rank, got {n} rows in "
                f"{trainer.n_shards} shards, of which rank {rank} of {comm.size} has none"
            )
    return runs


def _sliceable(part: Any) -> Any:
    """Return an array or a matrix of which rows can be taken and put together."""
    if hasattr(part, "tocsr"):
        check_places(part)
        return part.tocsr()
    if hasattr(part, "ramps"):
        raise ValueError(
            "X: expected encoded rows to be those of the rank's own shards (own_rows), as they "
            "cannot be put together, got others"
        )
    return np.asarray(part)


def _moved(comm: Communicator, part: Any, counts: list[int], runs: list[range]) -> Any:
    """Return the rows of this rank's run, from the ranks that have them; each had some in turn."""
    if part is None:
        return None
    first = sum(counts[: comm.rank])
    given = []
    for run in runs:
        begin, end = max(run.start - first, 0), min(run.stop - first, counts[comm.rank])
        given.append(part[begin : max(begin, end)])
    got = comm.trade(given)
    if hasattr(part, "tocsr"):
        from scipy.sparse import vstack

        return vstack(got, format="csr")
    return np.concatenate(got)


@contextmanager
def same_fit(comm: Communicator, what: Mapping[str, Any]) -> Iterator[None]:
    """Raise on every rank what the body raises on one, and unless all are asked for the same."""
    from fastrelu.distributed.communicator import require_same, together

    with together(comm, (TypeError, ValueError)):
        yield
    require_same(comm, what)


def call_callbacks_of_ranks(
    comm: Communicator | None, callbacks: Sequence[Callback], owner: Any, record: EpochRecord
) -> bool:
    """Return whether one on any rank asks to stop; what one raises on a rank is told on all."""
    if comm is None:
        return call_callbacks(callbacks, owner, record)
    from fastrelu.distributed.communicator import traded

    # Not a lambda, whose variables would be made as cells at each call, also without `comm`.
    return any(traded(comm, partial(_answers, comm.size, callbacks, owner, record)))


def _answers(n: int, callbacks: Sequence[Callback], owner: Any, record: EpochRecord) -> list[bool]:
    """Return for each of `n` ranks whether a callback of this one asks to stop."""
    return [call_callbacks(callbacks, owner, record)] * n
