# SPDX-License-Identifier: BSD-3-Clause
"""The random split of rows into training, validation and test rows, each class in its share."""

from __future__ import annotations

from collections.abc import Sequence

from . import random


def split(
    seed: int, classes: Sequence[int | None], validation: float, test: float
) -> list[str | None]:
    """Return the part of each row: "train", "validation" or "test"; None for rows left out.

    Every row has a random number, whether it is left out or not. The k-th (from 0) of a class's c
    rows, by increasing number, has the place (k + 1/2) / c; rows at one place are put in the order
    of their numbers, equal numbers in that of the rows. The first rows are tested, those after them
    watched, the others trained on.

    Parameters
    ----------
    seed : int
        The random numbers are drawn from it.
    classes : sequence of int or None
        The class of each row, 0 for all in a regression; None for a row that is left out.
    validation, test : float
        The shares of the rows that are not left out.
    """
    stream = random.Stream(seed, random.MEMBERSHIP)
    numbers = [stream.next() for _ in classes]
    places: dict[int, float] = {}
    for c in {c for c in classes if c is not None}:
        rows = sorted((i for i, own in enumerate(classes) if own == c), key=lambda i: numbers[i])
        places |= {i: (k + 0.5) / len(rows) for k, i in enumerate(rows)}
    order = sorted(places, key=lambda i: (places[i], numbers[i], i))
    n_test, n_validation = (max(2, round(p * len(order))) if p else 0 for p in (test, validation))
    parts: list[str | None] = [None] * len(classes)
    for k, i in enumerate(order):
        ends = n_test, n_test + n_validation
        parts[i] = "test" if k < ends[0] else "validation" if k < ends[1] else "train"
    return parts
