# SPDX-License-Identifier: BSD-3-Clause
"""Who has which rows: the shards of a data set, and the ranks' runs of them."""

from __future__ import annotations

from fastrelu._arguments import whole_number

__all__ = ["rows_of_rank"]


def run_of(count: int, n: int, k: int) -> tuple[int, int]:
    """Return the bounds of the k-th of n runs of a count, sizes as numpy.array_split's."""
    each, longer = divmod(count, n)
    begin = k * each + min(k, longer)
    return begin, begin + each + (k < longer)


def steps_in_epoch(n_rows: int, batch_size: int, n_shards: int) -> int:
    """Return the steps of an epoch of shuffled rows, as `Trainer.steps_in_epoch` does."""
    steps = 0
    for k in range(n_shards):
        begin, end = run_of(n_rows, n_shards, k)
        first, last = run_of(batch_size, n_shards, k)
        steps = max(steps, -(-(end - begin) // (last - first)))
    return steps


def rows_of_rank(n_rows: int, n_shards: int, size: int, rank: int) -> range:
    """Return the rows that a rank has: those of its run of the shards.

    Parameters
    ----------
    n_rows : int
        The number of rows of the whole data set.
    n_shards : int
        The number of shards, at least `size`.
    size : int
        The number of ranks.
    rank : int
        The rank.

    Returns
    -------
    range
        Contiguous rows; empty where the shards have none.

    Examples
    --------
    >>> from fastrelu.distributed import rows_of_rank
    >>> [rows_of_rank(10, n_shards=4, size=2, rank=r) for r in range(2)]
    [range(0, 6), range(6, 10)]
    """
    whole_number("n_rows", n_rows, 0)
    whole_number("size", size, 1)
    whole_number("n_shards", n_shards, size)
    whole_number("rank", rank, 0, size - 1)
    first, end = run_of(n_shards, size, rank)
    return range(run_of(n_rows, n_shards, first)[0], run_of(n_rows, n_shards, end - 1)[1])
