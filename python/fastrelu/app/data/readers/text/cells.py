# SPDX-License-Identifier: BSD-3-Clause
"""What single cells look like: to tell a header from data, and separators from decimal marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from fastrelu.app.data.meaning.dates import seconds, written_date
from fastrelu.app.data.meaning.numbers import PLAIN, written
from fastrelu.app.data.meaning.words import Missing, truth

MISSING = Missing()
MOSTLY = 0.9  # of a column's cells make it one of numbers or dates


def look(cell: str) -> str:
    """Return what a cell looks like: "missing", "number", "date", "flag" or "text"."""
    text = cell.strip()
    if MISSING.is_missing(text, numbers=True):
        return "missing"
    if len(text) > 80:
        return "text"
    if PLAIN.fullmatch(text) or written(text) is not None:
        return "number"
    if text[0].isalpha() and text.lower() in ("true", "false"):
        return "flag"
    if written_date(text) is not None or seconds(text) is not None:
        return "date"
    return "text"


def column_looks(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return what most present cells of each column look like: "number", "date", "flag", "text"."""
    looks = []
    for j in range(width):
        found = [kind for row in rows if (kind := look(row[j])) != "missing"]
        best = max(set(found), key=found.count, default="text")
        looks.append(best if found and found.count(best) >= MOSTLY * len(found) else "text")
    return looks


def is_header(record: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether a record holds the names of the columns below.

    Parameters
    ----------
    record : sequence of str
        The record.
    rows : sequence of sequences of str
        Records of the same width that follow it.

    Notes
    -----
    Text above a column of numbers, dates or flags is a name; a cell like those below it is data.
    Whole numbers that count up, or years above other numbers, are names all the same.
    """
    if not rows:
        return not all(look(cell) in ("number", "date", "missing") for cell in record)
    looks = column_looks(rows, len(record))
    names: list[int] = []
    data: list[int] = []
    for j, (cell, below) in enumerate(zip(record, looks, strict=True)):
        kind = look(cell)
        if below != "text" and kind != "missing":
            (data if kind == below else names).append(j)
    if names:
        return len(names) >= len(data) or _counts_up([record[j] for j in data])
    if data:
        return _numbered(record, rows, data)
    again = sum(
        bool(cell.strip()) and any(cell == row[j] for row in rows) for j, cell in enumerate(record)
    )
    return 2 * again < len(record)


def _numbered(record: Sequence[str], rows: Sequence[Sequence[str]], data: list[int]) -> bool:
    """Return whether the numbers of a record are names: 0, 1, 2 or 2019, 2020 above others."""
    cells = [record[j].strip() for j in data]
    if len(set(record)) < len(record) or not all(re.fullmatch("[0-9]{1,4}", c) for c in cells):
        return False
    below = [[row[j].strip() for j in data] for row in rows]
    if _counts_up(cells) and not any(map(_counts_up, below)):
        return True
    return all(map(_is_year, cells)) and not any(_is_year(c) for row in below for c in row)


def _counts_up(cells: Sequence[str]) -> bool:
    if len(cells) < 2 or not all(re.fullmatch("[0-9]{1,9}", cell.strip()) for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    steps = {b - a for a, b in pairwise(numbers)}
    return len(steps) == 1 and 0 < steps.pop() <= 10


def _is_year(cell: str) -> bool:
    return re.fullmatch("(19|20)[0-9]{2}", cell) is not None


def quality(rows: Sequence[Sequence[str]], others: str) -> float:
    """Return how much like data the cells are, 0 to 1: text with another separator in it is not.

    Parameters
    ----------
    rows : sequence of sequences of str
        Some records.
    others : str
        The separators that they were not cut at.
    """
    total = n = 0.0
    for row in rows:
        for cell in row:
            n += 1
            kind = look(cell)
            if kind != "text":
                total += 1.0 if kind != "missing" else 0.7
            elif not any(mark in cell for mark in others) and not _in_apostrophes(cell):
                total += 0.6 if truth(cell) is None else 0.8
    return total / n if n else 0.0


def _in_apostrophes(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == "'" == cell[-1]
