# SPDX-License-Identifier: BSD-3-Clause
"""Members that the ranks of a communicator share: each trains some of them, all then have all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastrelu._members.member import Member
from fastrelu._members.workers import adopt, back, cut, rates_of, result
from fastrelu._version import __version__
from fastrelu.distributed.communicator import Communicator, require_same

__all__ = ["run_on_ranks"]


def run_on_ranks(
    comm: Communicator,
    members: Sequence[Member],
    n_rows: int,
    epochs: int,
    train: Callable[[Sequence[Member]], None],
) -> None:
    """Train members, each on one rank, and give all ranks what they have become.

    Parameters
    ----------
    comm : Communicator
        The ranks; each has all members, begun.
    members : sequence of Member
        Those to train; they change.
    n_rows, epochs : int
        Of the fit.
    train : callable
        Trains those of this rank, of which there may be none. It is collective: it raises an error
        on every rank or on none.

    Raises
    ------
    ValueError
        On all ranks, if they have not the same task.
    RankError
        If the training of another rank has failed.
    """
    sizes = [list(member.network.layer_sizes) for member in members]
    require_same(
        comm,
        {"version of fastrelu": __version__, "members": sizes, "rows": n_rows, "epochs": epochs},
    )
    parts = cut(members, comm.size, n_rows, epochs)
    own = parts[comm.rank] if comm.rank < len(parts) else []
    train(own)
    found = comm.gather(result(own))
    for rank, part in enumerate(parts):
        if rank != comm.rank:
            for member, other in zip(part, back(found[rank], rates_of(part)), strict=True):
                adopt(member, other)
