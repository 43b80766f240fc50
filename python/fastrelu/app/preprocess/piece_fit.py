# SPDX-License-Identifier: BSD-3-Clause
"""From the rows of a fit to the inputs by pieces, one column after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from fastrelu.app.data.table import Table, kind_of
from fastrelu.app.preprocess.categories import OneHot
from fastrelu.app.preprocess.column_inputs import values_of
from fastrelu.app.preprocess.columns import Column
from fastrelu.app.preprocess.dates import PARTS
from fastrelu.app.preprocess.inputs import Rows, check_width
from fastrelu.app.preprocess.piece_inputs import Floats, PieceInputs, PieceNumber, block_of

NORMAL_QUARTILES = 1.349  # the distance of a normal distribution's quartiles, in deviations

#: What a column leads to: a number, the parts of a date or its categories; nothing if it says none.
ColumnPieces = list[PieceNumber] | list[OneHot]


@dataclass(frozen=True)
class PieceOptions:
    """How columns become inputs by pieces.

    Attributes
    ----------
    pieces : int
        The most pieces of a number, T; ties of the quantiles make them fewer. 1 leaves the scaled
        number alone.
    least_rows : int
        The rows that a category needs for an input of its own; rarer ones are all zeros together,
        as one is that training has not seen.
    max_categories : int
        The most frequent categories of a column that get an input of their own.
    """

    pieces: int = 32
    least_rows: int = 1
    max_categories: int = 255


def fit_pieces(table: Table, rows: Rows = None, options: PieceOptions | None = None) -> PieceInputs:
    """Return the inputs by pieces that a table's training rows lead to.

    Parameters
    ----------
    table : Table
        The data, by columns.
    rows : ndarray of int, optional
        The training rows; all by default.
    options : PieceOptions, optional
        How fine.

    Returns
    -------
    PieceInputs
        Columns of one value have no inputs; there may be none at all.

    Raises
    ------
    DataError
        If a column is infinite, or the inputs are too many.
    """
    options = options or PieceOptions()
    found = [pieces_of(table, name, rows, options) for name in table.columns]
    kinds = {name: kind_of(column) for name, column in table.columns.items()}
    return put_together(table.source, kinds, found)


def pieces_of(table: Table, name: str, rows: Rows, options: PieceOptions) -> ColumnPieces:
    """Return what one column of a table leads to, for which the others do not matter.

    Parameters
    ----------
    table, rows, options
        As for `fit_pieces`.
    name : str
        The column.

    Raises
    ------
    DataError
        If it is infinite.
    """
    column = table.columns[name]
    kind = kind_of(column)
    if kind == "text":
        return _texts(name, column if rows is None else column[rows], options)
    parts = [(name, part) for part in (PARTS if kind == "date" else ("",))]
    whole = slice(0, table.n_rows if rows is None else len(rows))
    numbers: list[PieceNumber] = []
    for (_, part), values in zip(parts, values_of(table.columns, parts), strict=True):
        number = _number(name, part, block_of(table, name, values, rows, whole), options.pieces)
        if number is not None:
            told = any(before.gap for before in numbers)
            numbers.append(replace(number, indicator=number.gap and not told))
    return numbers


def put_together(source: str, kinds: dict[str, str], found: Iterable[ColumnPieces]) -> PieceInputs:
    """Return the inputs of columns, by kind in their order, each from `pieces_of`.

    Raises
    ------
    DataError
        If the inputs are too many.
    """
    every = [piece for pieces in found for piece in pieces]
    numbers = [piece for piece in every if isinstance(piece, PieceNumber)]
    numbers.sort(key=lambda number: number.part != "")  # dates come behind plain numbers
    inputs = PieceInputs(numbers, [piece for piece in every if isinstance(piece, OneHot)], kinds)
    check_width(source, inputs.n_inputs)
    return inputs


def _texts(name: str, values: Column, options: PieceOptions) -> list[OneHot]:
    """Return the categories of a column that have inputs of their own; nothing if none has."""
    assert values is not None
    counts = Counter(values.tolist())
    common = [c for c in counts if counts[c] >= options.least_rows and len(counts) > 1]
    common.sort(key=lambda category: (-counts[category], category))
    return [OneHot(name, sorted(common[: options.max_categories]))] if common else []


def _number(name: str, part: str, values: Floats, pieces: int) -> PieceNumber | None:
    """Return what becomes of a column of numbers; None if it says nothing."""
    there = values[~np.isnan(values)]
    gap = len(there) < len(values)
    if not len(there):
        return None
    low, centre, high = np.quantile(there, [0.25, 0.5, 0.75])
    shares = np.linspace(0.0, 1.0, pieces + 1)
    edges = np.unique(np.quantile(there, shares, method="inverted_cdf"))  # values that are there
    if len(edges) == 1 and not gap:
        return None
    width = float(high - low) / NORMAL_QUARTILES or float(edges[-1] - edges[0]) / 2 or 1.0
    return PieceNumber(name, part, float(centre), width, edges, gap, gap)
