# SPDX-License-Identifier: BSD-3-Clause
"""What the readers of a typed column have in common, wherever the column comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.texts import (
    TextColumn,
    as_objects,
    texts_of_dates,
    texts_of_numbers,
)
from fastrelu.app.data.readers.values import Place, refuse_infinite
from fastrelu.app.errors import DataError

EXACT = 2**53  # integers up to this are doubles
FALSE_TRUE = ("False", "True", "")  # as categories and classes; the last where missing


@dataclass
class ColumnReader:
    """How one column of numbers, text or dates is read.

    Attributes
    ----------
    source, name : str
        For messages.
    place : callable
        Names a row by its number.
    kind : str or None
        "numeric", "text" or "date" if it has to be that; None: told from type and content.
    role : {"column", "target", "weights"}
    notes : list of str
        Gets what the user should know.
    """

    source: str
    name: str
    place: Place
    kind: str | None = None
    role: str = "column"
    notes: list[str] = field(default_factory=list)

    @property
    def what(self) -> str:
        """The column, for messages."""
        return f"{self.role} {self.name!r}"

    @property
    def leave_out(self) -> str:
        """What to do about a column of no use, for messages."""
        if self.role == "column":
            return f"leave it out: --ignore {self.name!r}"
        return f"give another column to --{self.role}"

    def texts(self, kind: str | None = None) -> TextColumn:
        """Return what decides the meaning of the column's texts."""
        return TextColumn(self.source, self.name, kind or self.kind, self.role)

    def nothing(self, n: int) -> NDArray[Any]:
        """Return a column without values, (n,)."""
        if self.kind == "text":
            return as_objects([""] * n)
        if self.kind == "date":
            return np.full(n, np.datetime64("NaT", "us"))
        return np.full(n, np.nan)

    def truths(self, values: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return truth values, given as 0, 1 and 2 for missing."""
        if self.kind == "text" or self.role == "target":
            return np.asarray(as_objects(FALSE_TRUE)[values])
        if (values == 2).any():
            return np.asarray(np.array([0.0, 1.0, np.nan])[values])
        return values.astype(np.uint8)

    def numbers(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return numbers of any real dtype, of this machine's byte order.

        Raises
        ------
        DataError
            If one is infinite.
        """
        if not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        if self.kind == "text":
            return texts_of_numbers(values)
        if values.dtype == np.float16:
            values = values.astype(np.float32)
        refuse_infinite(self.source, self.name, values, self.place)
        return values

    def dates(self, counts: NDArray[np.int64], unit: str, gaps: NDArray[np.bool_]) -> NDArray[Any]:
        """Return dates, given as counts of a unit (D, h, m, s, ms, us, ns) since 1970.

        Raises
        ------
        DataError
            If one is too far away for microseconds in 64 bits.
        """
        counts = np.where(gaps, 0, counts)
        dates = counts.view(f"datetime64[{unit}]").astype("datetime64[us]")
        bad = np.flatnonzero(dates.astype(f"datetime64[{unit}]").view(np.int64) != counts)
        if len(bad) and unit != "ns":
            raise DataError(
                f"{self.source}: {self.place(int(bad[0]))}: {self.what}: expected a date within "
                f"290,000 years of 1970, got {counts[bad[0]]} {unit} from then; correct it"
            )
        dates[gaps] = np.datetime64("NaT", "us")
        return texts_of_dates(dates) if self.kind == "text" else dates

    def say_inexact(self) -> None:
        """Note that integers have been rounded."""
        self.notes.append(
            f"{self.what}: whole numbers beyond 2**53 are rounded to the nearest double"
        )

    def decoded(self, words: list[Any], where: NDArray[np.intp]) -> list[str]:
        """Return words as text; DataError for bytes that are not UTF-8.

        Parameters
        ----------
        words : list of str or bytes
        where : ndarray of int, (n,)
            The word of each row, for messages.
        """
        texts: list[str] = []
        for k, word in enumerate(words):
            if isinstance(word, bytes):
                try:
                    word = word.decode("utf-8")
                except UnicodeDecodeError:
                    row = np.flatnonzero(where == k)
                    at = f"{self.place(int(row[0]))}: " if len(row) else ""
                    raise DataError(
                        f"{self.source}: {at}{self.what}: expected text, got the bytes "
                        f"{word[:20]!r}, which are not UTF-8; {self.leave_out}"
                    ) from None
            texts.append(word)
        return texts
