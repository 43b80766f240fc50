# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a source as a network learns them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.split import NUMBER, PARTS, Rows, Split, rows_of
from fastrelu.app.data.stream.source import Source, numbered
from fastrelu.app.data.table import Table
from fastrelu.app.preprocess import BATCH_ROWS, Examples, Inputs, Target
from fastrelu.app.preprocess.inputs import Seen
from fastrelu.losses import Loss

CHECKED_ROWS = 4096  # that are made ready at once, to be looked at alone


@dataclass(frozen=True)
class SplitRows:
    """The rows of a source, the part of each, and what is done to them; shared by trainings.

    Attributes
    ----------
    source : Source
    split : Split
    counts : ndarray of int64, (chunks, 3)
        Rows of each chunk in each part.
    inputs, target, loss : Inputs, Target, Loss
    dtype : str
        The network's.
    weighted : bool
        Whether the rows have weights.
    class_weights : ndarray of float64 or None
        Factors of the rows' weights in the loss, by class.
    former : bool
        Whether they are a stream's as of fastrelu 0.1; see `prepare`.
    """

    source: Source
    split: Split
    counts: NDArray[np.int64]
    inputs: Inputs
    target: Target
    loss: Loss
    dtype: str
    weighted: bool = False
    class_weights: NDArray[np.float64] | None = None
    former: bool = False

    @property
    def n_rows(self) -> dict[str, int]:
        """Rows of each part."""
        return {part: int(self.counts[:, NUMBER[part]].sum()) for part in PARTS}

    @property
    def row_bytes(self) -> int:
        """Of a row in a block: inputs, target, weight, its place in the order."""
        item = 1 if self.inputs.are_bytes else np.dtype(self.dtype).itemsize
        y = np.dtype(self.dtype).itemsize if self.target.task == "regression" else 8
        return self.inputs.n_inputs * item + y + 8 * self._has_loss_weights + 8

    @property
    def _has_loss_weights(self) -> bool:
        return self.weighted or self.class_weights is not None

    def of_chunks(
        self, visits: Iterable[int], part: str
    ) -> Generator[tuple[Table, Rows], None, None]:
        """Yield the tables of some chunks, one after another, with their rows of a part."""
        for c in visits:
            if not self.counts[c, NUMBER[part]]:
                continue
            chunk = self.source.chunks[c]
            for at, table in numbered(chunk, self.source.parts(chunk, again=True)):
                yield table, rows_of(self.split.numbers(table, at), part)

    def of_part(self, part: str) -> Generator[tuple[Table, Rows], None, None]:
        """Yield the tables of all chunks, as they lie, with their rows of a part."""
        return self.of_chunks(range(len(self.source.chunks)), part)

    def ready(
        self,
        table: Table,
        rows: Rows,
        seen: Seen | None = None,
        out: NDArray[Any] | None = None,
    ) -> Examples:
        """Return some rows as the network takes them.

        Parameters
        ----------
        table : Table
            Rows of the source.
        rows : ndarray of int
            Which of them.
        seen : Counter, optional
            Counts what training has not seen.
        out : ndarray, optional
            Gets the inputs.
        """
        assert table.target is not None
        if out is None:
            X = self.inputs.for_network(table, rows, self.dtype, seen)
        else:
            X = self.inputs.transform(table, rows, self.dtype, seen, out)
        values = table.target[rows]
        y = self.target.encode(values, self.dtype)
        truth = y if self.target.task == "classification" else np.asarray(values, np.float64)
        weights = None if table.weights is None else table.weights[rows]
        return Examples(X, y, truth, self.loss_weights(truth, weights), weights)

    def loss_weights(self, truth: NDArray[Any], weights: Any) -> Any:
        """Return rows' weights in the loss: their own times those of their classes."""
        if self.class_weights is None:
            return weights
        by_row = self.class_weights[truth]
        return by_row if weights is None else by_row * weights

    def empty(self, n_rows: int) -> tuple[Any, Any, Any]:
        """Return memory for inputs, targets and weights (None without) of so many rows."""
        uint8 = self.inputs.are_bytes
        X = np.empty((n_rows, self.inputs.n_inputs), np.uint8 if uint8 else self.dtype)
        y = np.empty(n_rows, self.dtype if self.target.task == "regression" else np.int64)
        return X, y, np.empty(n_rows) if self._has_loss_weights else None


@dataclass(frozen=True)
class LaterExamples:
    """Rows of a table that are made ready each time that they are asked for, and not kept.

    Attributes
    ----------
    own : SplitRows
        What is done to them.
    table : Table
    rows : ndarray of int
        Which rows of the table.
    """

    own: SplitRows
    table: Table
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def check(self, seen: Seen) -> None:
        """Make all of them ready for once, to refuse what has to be; count what is new in them."""
        for first in range(0, len(self), CHECKED_ROWS):
            self.own.ready(self.table, self.rows[first : first + CHECKED_ROWS], seen)

    def batches(self) -> Iterator[Examples]:
        """Yield all of them, `BATCH_ROWS` at a time; each is valid until the next."""
        out: NDArray[Any] | None = None
        for first in range(0, len(self), BATCH_ROWS):
            which = self.rows[first : first + BATCH_ROWS]
            some = self.own.ready(
                self.table, which, None, None if out is None else out[: len(which)]
            )
            yield some
            out = some.X if isinstance(some.X, np.ndarray) else None
