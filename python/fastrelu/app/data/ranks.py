# SPDX-License-Identifier: BSD-3-Clause
"""The first rows of an order that is never written down: exact, in bounded memory.

Rows have a group, a key and a tie-breaker, and come block by block, as often as they are asked for.
Sorting them would take memory for all; here histograms narrow down where the wanted ranks lie, pass
after pass, until what is left is small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Keys = NDArray[np.uint64]
#: Rows: the group of each, its key, and a number of its own that decides between equal keys.
Block = tuple[NDArray[np.integer], Keys, Keys]
Blocks = Callable[[], Iterator[Block]]

KEPT = 1 << 18  # rows, and counters, that may be in memory at once
WORD = 64  # bits of a key


def nth_smallest(
    blocks: Blocks, counts: Integers, groups: Integers, ranks: Integers
) -> tuple[Keys, Keys]:
    """Return which rows have given ranks in their groups.

    Parameters
    ----------
    blocks : callable
        Yields all rows, the same at each call.
    counts : ndarray of int64, (n_groups,)
        Rows of each group.
    groups, ranks : ndarray of int64, (q,)
        What is wanted: the rank in the group, from 0 and below the group's count.

    Returns
    -------
    keys, ties : ndarray of uint64, (q,)
        The rows found, by increasing key and then increasing tie-breaker.
    """
    if not len(groups):
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    search = _Search(counts, groups, ranks)
    while search.inside.sum() > KEPT and not search.exhausted:
        search.narrow(blocks)
    return search.collect(blocks)


class _Search:
    """Where each wanted row lies: its key, or its tie-breaker once the key is known, in a range."""

    def __init__(self, counts: Integers, groups: Integers, ranks: Integers) -> None:
        q = len(groups)
        self.ranks, self.below, self.inside = ranks, np.zeros(q, np.int64), counts[groups].copy()
        self.low = np.zeros(q, np.uint64)
        self.width = np.full(q, WORD)  # bits of the range
        self.key, self.has_key = np.zeros(q, np.uint64), np.zeros(q, bool)
        self.bits = min(max(2, KEPT // q).bit_length() - 1, 16)
        # A group may be asked for several ranks: one table from group to query for each.
        self.tables: list[Integers] = []
        times = np.zeros(len(counts), np.int64)
        for k, group in enumerate(groups.tolist()):
            if times[group] == len(self.tables):
                self.tables.append(np.full(len(counts), -1))
            self.tables[times[group]][group] = k
            times[group] += 1

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left to narrow down."""
        return bool((self.has_key & (self.width == 0)).all())

    def _within(self, block: Block) -> Iterator[tuple[Integers, Keys, Keys, Keys]]:
        """Yield queries and the rows in their ranges: key, tie-breaker, place in the range."""
        groups, keys, ties = block
        last = np.array([(1 << int(w)) - 1 for w in self.width], np.uint64)
        for table in self.tables:
            query = table[groups]
            some = np.flatnonzero(query >= 0)
            q, key, tie = query[some], keys[some], ties[some]
            known = self.has_key[q]
            place = np.where(known, tie, key) - self.low[q]
            inside = (place <= last[q]) & (~known | (key == self.key[q]))
            yield q[inside], key[inside], tie[inside], place[inside]

    def narrow(self, blocks: Blocks) -> None:
        """Count the rows of each part of the ranges; go on with the parts that are wanted."""
        bits = np.minimum(self.bits, self.width)
        shift = (self.width - bits).astype(np.uint64)
        n, size = len(self.ranks), 1 << self.bits
        counts = np.zeros(n * size, np.int64)
        for block in blocks():
            for q, _, _, place in self._within(block):
                part = (place >> shift[q]).astype(np.int64)
                counts += np.bincount(q * size + part, minlength=n * size)
        table = counts.reshape(n, size)
        upto = self.below[:, None] + table.cumsum(axis=1)
        part = (upto <= self.ranks[:, None]).sum(axis=1)
        every = np.arange(n)
        self.inside = table[every, part]
        self.below = upto[every, part] - self.inside
        self.low += part.astype(np.uint64) << shift
        self.width = self.width - bits
        found = (self.width == 0) & ~self.has_key
        self.key[found], self.has_key[found] = self.low[found], True
        self.low[found], self.width[found] = 0, WORD

    def collect(self, blocks: Blocks) -> tuple[Keys, Keys]:
        """Sort the rows that are left in the ranges, and return those wanted."""
        kept = [rows for block in blocks() for rows in self._within(block)]
        q, key, tie = (np.concatenate([rows[k] for rows in kept]) for k in range(3))
        order = np.lexsort((tie, key, q))
        begins = np.searchsorted(q[order], np.arange(len(self.ranks)))
        wanted = order[begins + self.ranks - self.below]
        return key[wanted], tie[wanted]


def first_of_each(counts: Integers, n: int) -> tuple[Integers, NDArray[np.bool_]]:
    """Return how many rows of each group are among the first n of a stratified order.

    In that order the k-th of a group's c rows (k from 0) has the place (k + 1/2) / c, so that every
    stretch has its share of each group.

    Returns
    -------
    sure : ndarray of int64, (n_groups,)
        Rows of each group whose place is before that of the n-th row.
    tied : ndarray of bool, (n_groups,)
        Which groups have one more row, at that very place: n minus the sum of `sure` of these rows
        are among the first n.
    """
    if n == 0:
        return np.zeros_like(counts), np.zeros(len(counts), bool)
    # The bits of positive numbers are in the numbers' order.
    low, high = 0, int(np.float64(1.0).view(np.int64))
    while low < high:
        middle = (low + high) // 2
        if _places(counts, float(np.int64(middle).view(np.float64)), True).sum() >= n:
            high = middle
        else:
            low = middle + 1
    at = float(np.int64(low).view(np.float64))
    sure = _places(counts, at, False)
    return sure, _places(counts, at, True) > sure


def _places(counts: Integers, place: float, inclusive: bool) -> Integers:
    """Return how many places (k + 1/2) / c of each group are below a place, or up to it."""
    guess = np.floor(place * counts - 0.5).astype(np.int64)
    number = np.zeros_like(counts)
    for away in range(-2, 3):  # the guess may be off by its rounding
        k = guess + away
        there = (k >= 0) & (k < counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = (k + 0.5) / counts
        there &= (each <= place) if inclusive else (each < place)
        number = np.where(there, k + 1, number)
    return np.where(guess - 2 >= counts, counts, number)
