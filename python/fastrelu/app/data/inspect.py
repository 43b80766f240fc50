# SPDX-License-Identifier: BSD-3-Clause
"""What data are taken for: each column's kind, gaps, different values, and what looks odd."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import Reading, same_truth
from fastrelu.app.data.table import Table, is_missing, kind_of

SHOWN = 5  # first values
MOST_DISTINCT = 1_000_000  # different values that are counted
FEW_ROWS = 10  # of which no identifier is told
ID_NAME = re.compile(
    r"(?:.*[_ .-])?(?:id|ids|uuid|guid|key|index|idx|nr|row|rownum|row_number|column 1|unnamed: 0)",
    re.IGNORECASE,
)
ABOUT_A_ROW = re.compile(r": row [0-9]+: .*", re.DOTALL)
CAMEL_ID = re.compile(r".*[a-z0-9](?:Id|ID)")


@dataclass
class ColumnFacts:
    """What is seen of one column, chunk by chunk.

    Attributes
    ----------
    name : str
    n_rows, missing, infinite : int
        Cells, and those that are missing or infinite numbers.
    first : list
        The first values, None for missing ones.
    """

    name: str
    n_rows: int = 0
    missing: int = 0
    infinite: int = 0
    first: list[Any] = field(default_factory=list)
    _kinds: set[str] = field(default_factory=set)
    _words: set[str] = field(default_factory=set)
    _numbers: NDArray[Any] | None = None
    _more: bool = False
    _counts_up: bool = True

    def add(self, values: NDArray[Any]) -> None:
        """Take the next cells."""
        gaps = is_missing(values)
        present = values[~gaps]
        if len(self.first) < SHOWN:
            some = slice(0, SHOWN - len(self.first))
            shown = zip(values[some], gaps[some], strict=True)
            self.first += [None if gap else plain(value) for value, gap in shown]
        kind = kind_of(values)
        if kind == "numeric":
            self._counts_up &= self._goes_on(values, gaps)
        if values.dtype.kind == "f":
            self.infinite += int(np.isinf(values).sum())
        self.n_rows += len(values)
        self.missing += int(gaps.sum())
        if len(present) or not self._kinds:
            self._kinds.add(kind)
        if self._more:
            return
        if kind == "text":
            self._words.update(present.tolist())
        else:
            known = self._numbers
            new = np.unique(present)
            self._numbers = new if known is None else np.union1d(known, new)
        self._more = self.distinct > MOST_DISTINCT

    def _goes_on(self, values: NDArray[Any], gaps: NDArray[np.bool_]) -> bool:
        if gaps.any() or not len(values):
            return not len(values)
        start = values[0] - self.n_rows
        return bool(start in (0, 1) and (values == values[0] + np.arange(len(values))).all())

    @property
    def distinct(self) -> int:
        """Different values, at least."""
        return len(self._words) + (0 if self._numbers is None else len(self._numbers))

    def kind(self, meant: str) -> str:
        """Return what the column is, beyond what its texts mean."""
        if self.distinct < 2:
            return "constant"
        if self._is_identifier(meant):
            return "identifier"
        if meant == "category" and len(same_truth(self._words)) == 2 and self.distinct == 2:
            return "flag"
        if meant == "number" and self._numbers is not None and self._numbers.tolist() == [0, 1]:
            return "flag"
        return "number" if meant == "time" else meant

    def _is_identifier(self, meant: str) -> bool:
        present = self.n_rows - self.missing
        if present < FEW_ROWS or self.distinct < present or self._more:
            return False
        if meant == "category":
            return True
        if meant != "number" or self._numbers is None:
            return False
        named = ID_NAME.fullmatch(self.name) or CAMEL_ID.fullmatch(self.name)
        return named is not None and bool((self._numbers == np.floor(self._numbers)).all())

    def meant(self, reading: Reading | None) -> str:
        """Return the kind that reading gave it."""
        if reading is not None and self.name in reading.columns:
            return reading.columns[self.name].kind
        return {"text": "category", "date": "date"}.get(next(iter(self._kinds), ""), "number")

    def warnings(self, kind: str) -> Iterator[str]:
        """Yield what the values themselves make one wonder about."""
        if self.infinite:
            yield f"{self.infinite} infinite numbers, which training refuses"
        if self.missing == self.n_rows:
            yield "empty in every row"
        elif kind == "constant":
            yield f"one value only: {self.first_present!r}"
        elif kind == "identifier":
            yield "looks like an identifier: every value is there once"
        elif kind == "number" and self._counts_up and self.n_rows >= FEW_ROWS:
            yield "counts the rows"
        elif self._more:
            yield f"more than {MOST_DISTINCT:,} different values; no more are counted"

    @property
    def first_present(self) -> Any:
        """A value that is not missing, the first one if it is among the first values."""
        known = [*self._words, *(map(plain, () if self._numbers is None else self._numbers))]
        return next((value for value in self.first if value is not None), known[0])


def plain(value: Any) -> Any:
    """Return a cell as JSON has it."""
    if isinstance(value, np.datetime64):
        text = str(value.astype("datetime64[us]"))
        return text.removesuffix(".000000").removesuffix("T00:00:00")
    if isinstance(value, str):
        return value
    number = float(value)
    if not np.isfinite(number):
        return str(number)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def inspect(tables: Iterable[Table], kind_of_file: str) -> dict[str, Any]:
    """Return what data are taken for, as plain values.

    Parameters
    ----------
    tables : iterable of Table
        The data, one table or its parts in order, read without a target and leniently.
    kind_of_file : str
        The format, as in ``"csv"``.

    Returns
    -------
    dict
        ``rows``, ``columns`` (a dict each: name, kind, missing, distinct, first, warnings),
        ``read``, ``warnings``.
    """
    facts: dict[str, ColumnFacts] = {}
    reading: Reading | None = None
    notes: dict[str, str] = {}
    n_rows, source = 0, ""
    for table in tables:
        source = source or table.source
        reading = reading or table.reading
        for note in table.notes:  # a row that cannot be read is told once for each column
            notes.setdefault(ABOUT_A_ROW.sub(": row", note), note)
        n_rows += table.n_rows
        for name, values in _columns(table):
            facts.setdefault(name, ColumnFacts(name)).add(values)
    columns = [_described(column, reading, notes.values()) for column in facts.values()]
    about = [start for column in columns for start in _starts(column["name"])]
    return {
        "rows": n_rows,
        "columns": columns,
        "read": (reading.file if reading else {}) | {"source": source, "format": kind_of_file},
        "warnings": [n for n in notes.values() if not any(n.startswith(start) for start in about)],
    }


def _starts(name: str) -> tuple[str, str]:
    """Return how notes about a column begin."""
    return f"column {name!r}: ", f"column {name!r} "


def _described(
    column: ColumnFacts, reading: Reading | None, notes: Iterable[str]
) -> dict[str, Any]:
    meant = column.meant(reading)
    kind = column.kind(meant)
    said = list(reading.warnings.get(column.name, ()) if reading is not None else ())
    for start in _starts(column.name):
        more = (note.removeprefix(start) for note in notes if note.startswith(start))
        said += [text for text in more if text not in said]
    # What cannot be read is shown without values, but the column is not empty.
    refused = said and column.missing == column.n_rows
    return {
        "name": column.name,
        "kind": kind,
        "missing": column.missing / column.n_rows if column.n_rows else 0.0,
        "distinct": column.distinct,
        "first": column.first,
        "warnings": said if refused else [*said, *column.warnings(kind)],
    }


def _columns(table: Table) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the columns of a table, those of a matrix one by one."""
    yield from table.columns.items()
    if table.matrix is not None:
        names = table.matrix_names or [str(j) for j in range(table.matrix.shape[1])]
        if isinstance(table.matrix, np.ndarray):
            for j, name in enumerate(names):
                yield name, np.asarray(table.matrix[:, j])
        else:
            by_column = table.matrix.tocsc()
            for j, name in enumerate(names):
                yield name, by_column[:, [j]].toarray().reshape(-1)
    if table.target is not None and table.target_name is not None:
        yield table.target_name, table.target
