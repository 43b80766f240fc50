# SPDX-License-Identifier: BSD-3-Clause
"""Which rows of a chunk are trained on, watched and tested, told from the row itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.split import PARTS, WORDS, row_numbers
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError

Rows = NDArray[np.intp]
UNITS = 2.0**53  # of the uniform numbers
NUMBER = {part: number for number, part in enumerate(PARTS)}
NONE = len(PARTS)  # the number of no part


@dataclass(frozen=True)
class Membership:
    """The rule that shares out the rows.

    Attributes
    ----------
    seed : int
        Of the random numbers.
    validation, test : float
        A row whose number u, uniform in [0, 1), is below `test` is tested; below the sum of both,
        watched; else trained on.
    column : str or None
        A column that says it instead.
    """

    seed: int
    validation: float
    test: float
    column: str | None = None

    def numbers(self, table: Table, first_row: int) -> NDArray[np.uint8]:
        """Return each row's part by its number in `PARTS`, `NONE` for rows to leave out.

        Parameters
        ----------
        table : Table
            Rows one after another.
        first_row : int
            The number of the first through all files.
        """
        if self.column is None:
            parts = self.drawn(first_row, table.n_rows)
        else:
            parts = _said(table, self.column, first_row)
        if table.target is not None:
            parts[table.missing_target()] = NONE
        if table.weights is not None:
            parts[table.weights <= 0] = NONE
        return parts

    def drawn(self, first_row: int, n: int) -> NDArray[np.uint8]:
        """Return the parts that the row numbers alone decide."""
        words = row_numbers(self.seed, first_row, n)
        # u = (word >> 11) * 2^-53 is below a share where word >> 11 is below share * 2^53.
        ends = [np.uint64(np.ceil(end * UNITS)) for end in (self.test, self.test + self.validation)]
        u = words >> np.uint64(11)
        parts = np.full(n, NUMBER["train"], np.uint8)
        parts[u < ends[1]] = NUMBER["validation"]
        parts[u < ends[0]] = NUMBER["test"]
        return parts


def rows_of(parts: NDArray[np.uint8], part: str) -> Rows:
    """Return the rows of one part, ascending."""
    return np.flatnonzero(parts == NUMBER[part])


def _said(table: Table, column: str, first_row: int) -> NDArray[np.uint8]:
    """Return the parts that a column's words say."""
    values = table.extra[column]
    words, place = np.unique([str(value).strip().lower() for value in values], return_inverse=True)
    for k, word in enumerate(words):
        if word not in WORDS:
            row = table.first_row + int(np.flatnonzero(place == k)[0]) + 1
            raise DataError(
                f"{table.source}: row {row}: --split column:{column}: expected train, validation "
                f"or test, got {str(word)!r}"
            )
    numbers = np.array([NUMBER[WORDS[word]] for word in words], np.uint8)
    parts: NDArray[np.uint8] = numbers[place.reshape(-1)]
    return parts
