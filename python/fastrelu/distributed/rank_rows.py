# SPDX-License-Identifier: BSD-3-Clause
"""Rows of inputs that ranks have a part of each, and how one of them gets some of another's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.distributed.communicator import (
    Communicator,
    as_communicator,
    require_same,
    together,
    traded,
)
from fastrelu.distributed.threads import ThreadCommunicator
from fastrelu.encoded import EncodedRows

__all__ = ["RankRows"]

Numbers = NDArray[np.int64]
Inputs = NDArray[Any] | EncodedRows


class RankRows:
    """Rows of inputs of which each rank has its own, numbered in the order of ranks.

    Making it is collective: every rank does so at once.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm or Communicator
        The ranks.
    X : EncodedRows or ndarray, (own rows, d_in)
        The rows of this rank; none is an array of shape (0, d_in). Do not change them while it is
        in use.

    Attributes
    ----------
    comm : Communicator
        The ranks.
    X : EncodedRows or ndarray
        The rows of this rank.
    ends : ndarray of int64, (ranks,)
        The number behind each rank's last row.

    Raises
    ------
    TypeError, ValueError
        If the rows are no finite numbers, or differ between ranks in more than their number. On the
        other ranks it may be a `RankError`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu.distributed import RankRows, run_threads
    >>> def made(comm):
    ...     rows = RankRows(comm, np.zeros((2 + comm.rank, 3)))
    ...     return len(rows), rows.n_inputs, rows.ends.tolist()
    >>> run_threads(2, made)
    [(5, 3, [2, 5]), (5, 3, [2, 5])]
    """

    def __init__(self, comm: Any, X: Any) -> None:
        found = as_communicator(comm)
        self.comm: Communicator = found or ThreadCommunicator(
            0, threading.Barrier(1), [None], 0
        )  # one alone
        with together(self.comm, (TypeError, ValueError)):
            self.X: Inputs = _checked(X)
        about = ["an array", self.X.shape[1], str(_arrays(self.X)[-1].dtype)]
        if isinstance(self.X, EncodedRows):
            about = ["encoded", self.X.widths.tolist(), self.X.ramps.tolist(), about[-1]]
        require_same(self.comm, {"X": about})
        self.ends: Numbers = np.cumsum(self.comm.gather(len(self.X)), dtype=np.int64)

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def n_inputs(self) -> int:
        """The number of inputs of a row."""
        return int(self.X.shape[1])

    @property
    def _row_bytes(self) -> int:
        return sum(part.dtype.itemsize * part.shape[1] for part in _arrays(self.X))

    def own(self, rows: Numbers) -> Numbers:
        """Return which of some rows are this rank's.

        Parameters
        ----------
        rows : ndarray of int, (m,)
            Numbers of rows.

        Returns
        -------
        ndarray of int
            Their places in `X`, in the order of `rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu.distributed import RankRows, run_threads
        >>> def owned(comm):
        ...     return RankRows(comm, np.zeros((2, 1))).own(np.array([3, 0, 2])).tolist()
        >>> run_threads(2, owned)
        [[0], [1, 0]]
        """
        end = int(self.ends[self.comm.rank])
        begin = end - len(self.X)
        return rows[(rows >= begin) & (rows < end)] - begin

    def _exchange(self, wants: Callable[[list[Inputs]], Sequence[Numbers]]) -> None:
        """Give other ranks the rows that they want, and get those that this one does.

        All ranks call it at once; it returns when no rank wants any more. `wants`, given the rows
        that were wanted, each in its order, and none at first, returns the numbers of the rows
        wanted next, any number of times. What it raises is raised on every rank.
        """
        owners: list[Numbers] = []
        got: list[list[Any]] = []

        def ask() -> list[list[Numbers]]:
            given = [[of_rank[k] for of_rank in got] for k in range(len(owners))]
            before = [self._joined(*each) for each in zip(owners, given, strict=True)]
            wanted = wants(before)
            owners[:] = [np.searchsorted(self.ends, rows, side="right") for rows in wanted]
            pairs = list(zip(wanted, owners, strict=True))
            begins = self.ends - np.diff(self.ends, prepend=0)
            return [
                [rows[owner == rank] - begins[rank] for rows, owner in pairs]
                for rank in range(self.comm.size)
            ]

        while any(asked := traded(self.comm, ask)):
            got[:] = traded(self.comm, partial(self._taken, asked))

    def _taken(self, asked: Sequence[Sequence[Numbers]]) -> list[list[tuple[NDArray[Any], ...]]]:
        """Return what each rank has asked for."""
        return [
            [tuple(part[rows] for part in _arrays(self.X)) for rows in of_rank] for of_rank in asked
        ]

    def _joined(self, owner: Numbers, given: Sequence[Sequence[NDArray[Any]]]) -> Inputs:
        """Return rows of which each rank has given some, in the order in which they were wanted."""
        arrays = [np.empty((len(owner), each.shape[1]), each.dtype) for each in _arrays(self.X)]
        for rank, parts in enumerate(given):
            mine = owner == rank
            for array, part in zip(arrays, parts, strict=True):
                array[mine] = part
        if isinstance(self.X, EncodedRows):
            return EncodedRows(self.X.widths, self.X.ramps, *arrays)
        return arrays[0]


def _checked(X: Any) -> Inputs:
    """Return the rows of a rank, if they are finite numbers."""
    if isinstance(X, EncodedRows):
        return X
    array = np.asarray(X)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise ValueError(
            "X: expected encoded rows, or an array of numbers of shape (own rows, d_in), got "
            f"{array.dtype} of shape {array.shape}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise ValueError(f"X: row {row + 1} of this rank: expected finite numbers, got others")
    return array


def _arrays(X: Inputs) -> tuple[NDArray[Any], ...]:
    """Return what says all of some rows, row by row."""
    return (X.positions, X.values) if isinstance(X, EncodedRows) else (X,)
