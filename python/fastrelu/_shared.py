# SPDX-License-Identifier: BSD-3-Clause
"""What a trainer does where several processes share its rows; they are met when it is asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastrelu import _core

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


def begin(trainer: Trainer, comm: Communicator) -> None:
    """Compare the ranks' trainers, and give all of them the parameters of rank 0's network."""
    from fastrelu import model_file
    from fastrelu._version import __version__
    from fastrelu.checkpoint import _settings_of
    from fastrelu.distributed.communicator import require_same

    _, network = model_file.network_content(trainer.network)
    settings = {"version of fastrelu": __version__, **network, **_settings_of(trainer)}
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

    Raises
    ------
    ValueError
        On all ranks, if one has none, or other rows than its shards'.
    """
    from fastrelu.distributed.communicator import together

    counts: list[int] = []
    with together(comm, (TypeError, ValueError)):
        own = trainer._core.data(X, y, sample_weight, finite)
    counts = comm.gather(own.rows)
    weighted = comm.gather(sample_weight is not None)
    if len(set(weighted)) > 1:
        raise ValueError(
            "sample_weight: expected weights on every rank or on none, got them on ranks "
            f"{[rank for rank, has in enumerate(weighted) if has]} of {comm.size}"
        )
    _require_shards(trainer, comm, counts)
    return trainer._core.data(X, y, sample_weight, False, sum(counts))


def _require_shards(trainer: EpochMethods, comm: Communicator, counts: list[int]) -> None:
    from fastrelu.distributed.shares import rows_of_rank

    n = sum(counts)
    for rank, count in enumerate(counts):
        rows = rows_of_rank(n, trainer.n_shards, comm.size, rank)
        if not rows:
            raise ValueError(
                f"X: expected a row or more in the shards of each rank, got {n} rows in "
                f"{trainer.n_shards} shards, of which rank {rank} of {comm.size} has none"
            )
        if count != len(rows):
            raise ValueError(
                f"X: expected the {len(rows)} rows {rows.start} to {rows.stop - 1} of all {n} on "
                f"rank {rank} of {comm.size} (own_rows says which), got {count} rows"
            )


def any_rank(comm: Communicator | None, value: bool) -> bool:
    """Return whether it is so on one of the ranks."""
    return value if comm is None else any(comm.gather(value))
