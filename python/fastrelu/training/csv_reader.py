# SPDX-License-Identifier: BSD-3-Clause
"""Read CSV: a header line, then numeric and text columns, some of them with holes."""

from __future__ import annotations

import csv
import io

import numpy as np
from numpy.typing import NDArray

from fastrelu.training import DataError
from fastrelu.training.data import Table, check_infinite

MISSING = frozenset(
    ("", "?", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "nil")
)  # after strip() and lower()


def csv_table(source: str, content: bytes, target: str | None) -> Table:
    """Return the table in a CSV file's content.

    Parameters
    ----------
    source : str
        The file's name, for messages.
    content : bytes
        UTF-8 text: a line of column names, then the rows. The separator is a comma, or else the
        semicolon or tab of the header.
    target : str, optional
        The target's column; the last by default.

    Returns
    -------
    Table
        A column is numeric if everything in it that is not missing is a number.

    Raises
    ------
    DataError
        If the content is not such a file or has no such column.
    """
    names, columns = _read_columns(source, content)
    if target is not None and target not in names:
        raise DataError(f"{source}: no column {target!r}; the columns are {', '.join(names)}")
    notes = []
    if target is None:
        target = names[-1]
        notes.append(f"target: the last column, {target!r} (--target names another)")
    numeric: dict[str, NDArray[np.float64]] = {}
    categorical: dict[str, NDArray[np.object_]] = {}
    for name, values in zip(names, columns, strict=True):
        texts = ["" if v.lower() in MISSING else v for v in values]
        numbers, bad = _as_numbers(texts)
        if bad is None:
            check_infinite(f"{source}: column {name!r}", numbers)
            numeric[name] = numbers
            continue
        categorical[name] = np.array(texts, dtype=object)
        share = np.isfinite(numbers).mean()
        if share > 0.9:
            notes.append(f"column {name!r} is read as text: row {bad + 1} has {texts[bad]!r}")
    y = numeric.pop(target) if target in numeric else categorical.pop(target)
    X = np.empty((len(y), len(numeric)))
    for j, column in enumerate(numeric.values()):
        X[:, j] = column
    return Table(source, X, list(numeric), categorical, y, target, notes)


def _as_numbers(texts: list[str]) -> tuple[NDArray[np.float64], int | None]:
    """Return the numbers (NaN where there is none) and the first row that is not a number."""
    numbers = np.full(len(texts), np.nan)
    bad = None
    for i, text in enumerate(texts):
        if text:
            try:
                if "_" in text:  # Python reads 1_000 as a number; files do not mean it
                    raise ValueError
                numbers[i] = float(text)
            except ValueError:
                bad = i if bad is None else bad
    return numbers, bad


def _read_columns(source: str, content: bytes) -> tuple[list[str], list[list[str]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source}: expected CSV (UTF-8 text), NPZ or IDX; byte {error.start} is not UTF-8"
        ) from None
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = next((s for s in ",;\t" if s in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    names: list[str] = []
    try:
        for row in reader:
            if not row:
                continue
            if not names:
                names = _column_names(source, row)
                continue
            if len(row) != len(names):
                raise DataError(
                    f"{source}: line {reader.line_num}: expected {len(names)} fields, "
                    f"got {len(row)}"
                )
            rows.append(row)
    except csv.Error as error:
        raise DataError(f"{source}: line {reader.line_num}: not CSV ({error})") from None
    if not rows:
        raise DataError(f"{source}: expected rows of data after the header line, got none")
    return names, [[field.strip() for field in column] for column in zip(*rows, strict=True)]


def _column_names(source: str, header: list[str]) -> list[str]:
    names = [name.strip() or f"column {j + 1}" for j, name in enumerate(header)]
    if len(names) < 2:
        raise DataError(f"{source}: expected two columns or more, got {len(names)}: {names[0]!r}")
    if _as_numbers(names)[1] is None:
        raise DataError(f"{source}: expected column names in the first line, got numbers only")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{source}: expected different column names, got {twice[0]!r} twice")
    return names
