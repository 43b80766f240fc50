# SPDX-License-Identifier: BSD-3-Clause
"""Examples that are asked for again and again, kept in a file without a name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.stream.ready import ReadyRows
from fastrelu.app.preprocess import BATCH_ROWS, Examples

NAMES = [each.name for each in fields(Examples) if each.name != "more"]


class KeptExamples:
    """Examples, in their order; read again in pieces of batches of `BATCH_ROWS`.

    Parameters
    ----------
    n_rows : int
        How many there are.
    """

    def __init__(self, n_rows: int) -> None:
        self._counts = np.array([n_rows])
        self._rows: ReadyRows | None = None
        self._like: Examples | None = None  # of whose dtypes and widths all are

    @property
    def complete(self) -> bool:
        """Whether all examples are kept; if not, they have to be made again."""
        return self._rows is not None and self._rows.holds(0)

    def put(self, at: int, some: Examples) -> None:
        """Keep examples that follow those kept before, from the one of number `at`."""
        if self._rows is None:
            self._rows = ReadyRows(self._counts, _arrays(some))
            self._like = some.take(slice(0, 0))
        self._rows.put(0, at, _arrays(some))

    def pieces(self, rows: int) -> Iterator[Examples]:
        """Yield all examples, some rows at a time; only if they are complete."""
        assert self._rows is not None and self._like is not None
        n = int(self._counts[0])
        at = 0
        while at < n:
            some = _empty(self._like, min(rows, BATCH_ROWS - at % BATCH_ROWS, n - at))
            self._rows.read(0, at, _arrays(some))
            yield some
            at += len(some)


def _arrays(examples: Examples) -> list[NDArray[Any]]:
    every = [getattr(examples, name) for name in NAMES]
    return [np.ascontiguousarray(values) for values in every if values is not None]


def _empty(like: Examples, n: int) -> Examples:
    def empty(values: Any) -> Any:
        return None if values is None else np.empty((n, *values.shape[1:]), values.dtype)

    return Examples(*(empty(getattr(like, name)) for name in NAMES))
