# SPDX-License-Identifier: BSD-3-Clause
"""Work on the columns of rows that ranks share: each column meets on one rank, a few at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fastrelu.distributed import Communicator

T = TypeVar("T")
CELLS = 1 << 20  # of the columns that a rank has of all ranks at once, about


def by_column(
    comm: Communicator,
    count: int,
    n_rows: int,
    part: Callable[[int], Any],
    work: Callable[[int, list[Any]], Sequence[T]],
) -> list[T]:
    """Have the parts that ranks have of each column worked on together.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    count, n_rows : int
        How many columns there are, and rows of all ranks.
    part : callable
        Returns this rank's part of a column, by its number.
    work : callable
        Given a column's number and its parts, in the order of ranks, returns what each rank gets.

    Returns
    -------
    list
        What this rank gets of each column.

    Raises
    ------
    Exception
        What one of them has raised for the first column for which one has: the same on every rank.
    """
    found: list[T] = []
    step = comm.size * max(1, CELLS // max(1, n_rows))
    for low in range(0, count, step):
        columns = range(low, min(low + step, count))
        shares = [columns[rank :: comm.size] for rank in range(comm.size)]
        parts = comm.trade([[_tried(part, j) for j in share] for share in shares])
        answers = [
            _worked(comm.size, work, j, [of_rank[k] for of_rank in parts])
            for k, j in enumerate(shares[comm.rank])
        ]
        del parts
        back = comm.trade([[answer[rank] for answer in answers] for rank in range(comm.size)])
        for k in range(len(columns)):
            answer = back[k % comm.size][k // comm.size]
            if isinstance(answer, _Failed):
                raise copy.copy(answer.error)
            found.append(answer)
    return found


class _Failed:
    """An error on its way to all ranks."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _tried(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        return _Failed(error)


def _worked(
    size: int, work: Callable[[int, list[Any]], Sequence[Any]], column: int, parts: list[Any]
) -> Sequence[Any]:
    """Return what each rank gets of a column, or the error that all get."""
    failed = [each for each in parts if isinstance(each, _Failed)]
    answers = failed[0] if failed else _tried(work, column, parts)
    return [answers] * size if isinstance(answers, _Failed) else answers
