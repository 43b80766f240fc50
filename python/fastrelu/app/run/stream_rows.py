# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a stream as a network learns them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.split import NUMBER, PARTS, Rows, Split, rows_of
from fastrelu.app.data.stream.source import Stream
from fastrelu.app.data.table import Table
from fastrelu.app.preprocess import Examples, Inputs, Target
from fastrelu.losses import Loss


@dataclass
class StreamedRows:
    """Files, the parts of their rows, and what is done to them; only read once it is made.

    Attributes
    ----------
    stream : Stream
    split : Split
    counts : ndarray of int64, (chunks, 3)
        Rows of each chunk in each part.
    inputs, target, loss : Inputs, Target, Loss
    dtype : str
        The network's.
    weighted : bool
        Whether the files have weights.
    class_weights : ndarray of float64 or None
        Factors of the training rows' weights in the loss, by class.
    seen : dict of Counter
        By part, what the preprocessing met that training had not; of the rows read so far.
    """

    stream: Stream
    split: Split
    counts: NDArray[np.int64]
    inputs: Inputs
    target: Target
    loss: Loss
    dtype: str
    weighted: bool = False
    class_weights: NDArray[np.float64] | None = None
    seen: dict[str, Counter[Any]] = field(default_factory=lambda: {p: Counter() for p in PARTS})

    @property
    def n_rows(self) -> dict[str, int]:
        """Rows of each part."""
        return {part: int(self.counts[:, NUMBER[part]].sum()) for part in PARTS}

    @property
    def row_bytes(self) -> int:
        """Of a row in a block: inputs, target, weight, its place in the order."""
        item = 1 if self.inputs.scale != 1.0 else np.dtype(self.dtype).itemsize
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
            chunk = self.stream.chunks[c]
            at = chunk.first_row
            for table in self.stream.parts(chunk, again=True):
                yield table, rows_of(self.split.numbers(table, at), part)
                at += table.n_rows

    def of_part(self, part: str) -> Generator[tuple[Table, Rows], None, None]:
        """Yield the tables of all chunks, as they lie, with their rows of a part."""
        return self.of_chunks(range(len(self.stream.chunks)), part)

    def ready(
        self, table: Table, rows: Rows, part: str, out: NDArray[Any] | None = None
    ) -> Examples:
        """Return some rows of a part as the network takes them, the inputs in `out` if given."""
        assert table.target is not None
        seen = None if part == "train" else self.seen[part]  # training has seen itself
        X = self.inputs.transform(table, rows, self.dtype, seen, out)
        values = table.target[rows]
        y = self.target.encode(values, self.dtype)
        truth = y if self.target.task == "classification" else np.asarray(values, np.float64)
        weights = None if table.weights is None else table.weights[rows]
        loss_weights = weights
        if self.class_weights is not None:
            by_row = self.class_weights[y]
            loss_weights = by_row if weights is None else by_row * weights
        return Examples(X, y, truth, loss_weights, weights)

    def empty(self, n_rows: int) -> tuple[Any, Any, Any]:
        """Return memory for inputs, targets and weights (None without) of so many rows."""
        uint8 = self.inputs.scale != 1.0
        X = np.empty((n_rows, self.inputs.n_inputs), np.uint8 if uint8 else self.dtype)
        y = np.empty(n_rows, self.dtype if self.target.task == "regression" else np.int64)
        return X, y, np.empty(n_rows) if self._has_loss_weights else None
