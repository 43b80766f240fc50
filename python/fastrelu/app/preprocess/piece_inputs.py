# SPDX-License-Identifier: BSD-3-Clause
"""The inputs of a table by pieces: what a number is between the quantiles of its column.

The piecewise linear encoding of Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical
Features in Tabular Deep Learning" (2022): with edges b_0 < ... < b_T at quantiles of the training
values, x becomes T inputs (x - b_{t-1}) / (b_t - b_{t-1}), each clipped to [0, 1].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app import described
from fastrelu.app.data.table import Table
from fastrelu.app.errors import RowsError
from fastrelu.app.preprocess.categories import OneHot, categories_from
from fastrelu.app.preprocess.column_inputs import kind_from, read_columns, values_of
from fastrelu.app.preprocess.columns import Column, as_texts, find_columns
from fastrelu.app.preprocess.dates import PARTS
from fastrelu.app.preprocess.inputs import Inputs, Rows, Seen
from fastrelu.app.preprocess.treatment import Treatment
from fastrelu.encoded import EncodedRows, ramp_of

BLOCK_ROWS = 8192
FARTHEST = 5.0  # robust units from the median, to which the scaled number is clipped
LARGEST = 1e300  # differences of larger numbers could overflow

Floats = NDArray[np.float64]


Numbers = list[tuple["PieceNumber", Iterator[tuple[slice, Floats]]]]
Texts = list[tuple[OneHot, NDArray[np.intp]]]


@dataclass(frozen=True)
class PieceNumber:
    """One column of numbers, or one part of a date.

    Attributes
    ----------
    name, part : str
        The column, and the part of its dates; "" for numbers.
    centre, width : float
        The median of the training values, and what stands for their standard deviation.
    edges : ndarray of float64, (T + 1,)
        The quantiles, ascending and all different; the first and last are the least and the
        greatest training value.
    gap : bool
        Whether training lacked values: a missing one is zeros then.
    indicator : bool
        Whether the last input says where a value is missing: one of a date's parts says it for all.
    """

    name: str
    part: str
    centre: float
    width: float
    edges: Floats
    gap: bool
    indicator: bool

    @property
    def n_pieces(self) -> int:
        """How many inputs its pieces have: none where one piece would say what the number does."""
        return len(self.edges) - 1 if len(self.edges) > 2 else 0

    @property
    def n_inputs(self) -> int:
        """How many inputs it becomes."""
        return 1 + self.n_pieces + self.indicator

    @property
    def bends(self) -> Floats:
        """Where the inputs bend, ascending: all of them are affine between neighbours.

        The first and last are the ends of the training range, beyond which nothing changes.
        """
        with np.errstate(over="ignore"):
            ends = self.centre + np.array([-FARTHEST, FARTHEST]) * self.width
        return np.unique(np.r_[self.edges, ends.clip(self.edges[0], self.edges[-1])])

    def n_far(self, values: Floats) -> int:
        """Return how many values lie beyond the training range by more than thrice its width."""
        low, high = self.edges[0], self.edges[-1]
        with np.errstate(over="ignore"):
            width = 3 * (high - low or abs(low) or 1.0)
            return int(np.count_nonzero((values < low - width) | (values > high + width)))

    def write(self, values: Floats, out: NDArray[Any]) -> None:
        """Write the inputs of some values, (n,), to (n, n_inputs).

        A value outside the training range is read as the range's end. A missing one is all zeros
        and the indicator; where training lacked nothing, it is read as the median.
        """
        missing = np.isnan(values)
        x = self._inside(values, missing)
        out[:, 0] = self._scaled(x)
        if self.n_pieces:
            low = self.edges[:-1]
            with np.errstate(over="ignore"):  # by the least of widths, and then clipped
                share = (x[:, None] - low) / (self.edges[1:] - low)
            out[:, 1 : 1 + self.n_pieces] = share.clip(0.0, 1.0)
        if self.gap:
            out[missing] = 0.0
        if self.indicator:
            out[:, -1] = missing

    def _inside(self, values: Floats, missing: NDArray[np.bool_]) -> Floats:
        """Return the values within the training range, and the median for missing ones."""
        return np.where(missing, self.centre, values).clip(self.edges[0], self.edges[-1])

    def _scaled(self, x: Floats) -> Floats:
        """Return the first input of values that are within the training range."""
        with np.errstate(over="ignore"):
            scaled: Floats = ((x - self.centre) / self.width).clip(-FARTHEST, FARTHEST)
        return scaled

    @property
    def runs(self) -> list[tuple[int, bool]]:
        """The width of each run of its inputs, and whether it is a ramp."""
        pieces = [(self.n_pieces, True)] if self.n_pieces else []
        return [(1, False), *pieces, *[(1, False)] * self.indicator]

    def encode(self, values: Floats, positions: NDArray[Any], out: NDArray[Any]) -> None:
        """Write what `write` writes, of each run its position and value: (n, runs) each."""
        missing = np.isnan(values)
        out[:, 0] = self._scaled(self._inside(values, missing))
        if self.gap:
            out[missing, 0] = 0.0
        positions[...] = 0
        if self.n_pieces:
            x = values if self.gap else np.where(missing, self.centre, values)
            positions[:, 1], out[:, 1] = ramp_of(x, self.edges)
        if self.indicator:
            out[:, -1] = missing

    def describe(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**vars(self), "edges": self.edges.tolist()}


class PieceInputs(Inputs):
    """For each number its scaled value, its pieces and its indicator; then the categories.

    Attributes
    ----------
    numbers : list of PieceNumber
        The columns of numbers and the parts of dates.
    texts : list of OneHot
        The columns of categories.
    columns : dict of str to str
        The kind of every column that training had, those left out included.
    ordered : bool
        Whether predictions must not fall, not even by a rounding, where an input rises. The sums
        of weights by which encoded rows are read do not promise that; False unless it is set.
    """

    ordered = False

    def __init__(
        self,
        numbers: list[PieceNumber],
        texts: list[OneHot],
        columns: dict[str, str],
        notes: list[str] | None = None,
    ) -> None:
        self.numbers, self.texts, self.columns = numbers, texts, columns
        self.notes = notes or []

    @property
    def input_names(self) -> list[str]:
        """The name of each input."""
        names: list[str] = []
        for number in self.numbers:
            name = f"{number.name}: {number.part}" if number.part else number.name
            names.append(name)
            names += [f"{name} from {edge:.6g}" for edge in number.edges[: number.n_pieces]]
            names += [f"{number.name} is missing"] * number.indicator
        return names + [name for text in self.texts for name in text.input_names]

    @property
    def n_inputs(self) -> int:
        """How many inputs the network has."""
        inputs = [number.n_inputs for number in self.numbers]
        return sum(inputs) + sum(text.n_inputs for text in self.texts)

    @property
    def column_names(self) -> list[str]:
        """The names of the columns that inputs are made of."""
        names = [number.name for number in self.numbers]
        return list(dict.fromkeys(names + [text.name for text in self.texts]))

    @property
    def file_order(self) -> list[str]:
        """The columns that training had as inputs, in the order of its file."""
        return list(self.columns)

    @property
    def kinds(self) -> dict[str, str]:
        """How a reader should read each column."""
        return dict(self.columns)

    def transform(
        self,
        table: Table,
        rows: Rows = None,
        dtype: Any = "float32",
        seen: Seen | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return the inputs of some rows: see `Inputs.transform`."""
        seen = Counter() if seen is None else seen
        n = table.n_rows if rows is None else len(rows)
        X = np.empty((n, self.n_inputs), dtype) if out is None else out
        at = 0
        numbers, texts = self._read(table, rows, seen)
        for number, blocks in numbers:
            for part, values in blocks:
                number.write(values, X[part, at : at + number.n_inputs])
            at += number.n_inputs
        X[:, at:] = 0
        for text, where in texts:
            known = np.flatnonzero(where >= 0)
            X[known, at + where[known]] = 1
            at += text.n_inputs
        return X

    def encode(
        self, table: Table, rows: Rows = None, dtype: Any = "float32", seen: Seen | None = None
    ) -> EncodedRows:
        """Return the same inputs as encoded rows, which take no more room for more pieces.

        Parameters
        ----------
        table, rows, dtype, seen
            As for `transform`.

        Returns
        -------
        EncodedRows
            A run for each number, its pieces and its indicator, and one for each text. There has to
            be one run or more: `n_inputs` is not 0.

        Raises
        ------
        DataError
            As `transform` does.
        """
        seen = Counter() if seen is None else seen
        n = table.n_rows if rows is None else len(rows)
        runs = [run for number in self.numbers for run in number.runs]
        runs += [(text.n_inputs, False) for text in self.texts]
        positions = np.empty((n, len(runs)), np.uint16)
        values = np.empty((n, len(runs)), dtype)
        at = 0
        numbers, texts = self._read(table, rows, seen)
        for number, blocks in numbers:
            own = slice(at, at + len(number.runs))
            for part, block in blocks:
                number.encode(block, positions[part, own], values[part, own])
            at = own.stop
        for _, where in texts:
            positions[:, at], values[:, at] = where.clip(0), where >= 0
            at += 1
        widths, ramps = zip(*runs, strict=True)
        return EncodedRows(widths, ramps, positions, values)

    def for_network(
        self, table: Table, rows: Rows = None, dtype: Any = "float32", seen: Seen | None = None
    ) -> Any:
        """Return encoded rows, or `transform`'s if there are no inputs or their order matters."""
        if self.ordered or not self.n_inputs:
            return self.transform(table, rows, dtype, seen)
        return self.encode(table, rows, dtype, seen)

    def _read(self, table: Table, rows: Rows, seen: Seen) -> tuple[Numbers, Texts]:
        """Return each number with its values, block by block, and each text with its places."""
        n = table.n_rows if rows is None else len(rows)
        names = self.column_names
        if not names:
            return [], []
        found = dict(zip(names, find_columns(table, names, self.file_order), strict=True))
        for name, column in found.items():
            if column is None:
                seen["missing column", name] += n
        parts = [(number.name, number.part) for number in self.numbers]
        columns = values_of(read_columns(table, found, parts), parts)

        def blocks(number: PieceNumber, column: Column) -> Iterator[tuple[slice, Floats]]:
            for low in range(0, n, BLOCK_ROWS):
                part = slice(low, min(low + BLOCK_ROWS, n))
                some = block_of(table, number.name, column, rows, part)
                if number.part in ("", PARTS[0]):  # one of a date's parts speaks for all
                    seen["far value", number.name] += number.n_far(some)
                yield part, some

        numbers = [
            (number, blocks(number, column))
            for number, column in zip(self.numbers, columns, strict=True)
        ]
        return numbers, [
            (text, self._places(table, text, found, rows, seen)) for text in self.texts
        ]

    @staticmethod
    def _places(
        table: Table, text: OneHot, found: Mapping[str, Column], rows: Rows, seen: Seen
    ) -> NDArray[np.intp]:
        column = as_texts(table, text.name, found[text.name])
        if column is None:
            column = np.full(table.n_rows, "", object)
        return text.places(column if rows is None else column[rows], seen)

    def treatments(self) -> list[Treatment]:
        """Return what is done to each column that training had."""
        made = {text.name: text.treatment for text in self.texts}
        for number in self.numbers:
            before = made.get(number.name)
            count = number.n_inputs + (0 if before is None else before.n_inputs)
            kind = "date" if number.part else "number"
            fill = 0.0 if number.gap else number.centre
            made[number.name] = Treatment(number.name, kind, "pieces", count, fill=fill)
        return [made.get(n, Treatment(n, kind, "left out", 0)) for n, kind in self.columns.items()]

    def describe(self) -> dict[str, Any]:
        """Return all of it as plain values, for a model file."""
        return {
            "layout": "pieces",
            "columns": self.columns,
            "numbers": [number.describe() for number in self.numbers],
            "categories": [text.describe() for text in self.texts],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> PieceInputs:
        """Return the inputs that `describe` has described."""
        numbers = described.sequence(plain["numbers"], "numbers", _number_from)
        texts = described.sequence(plain["categories"], "categories", categories_from)
        columns = described.mapping(plain["columns"], "columns", kind_from)
        kinds = [(number.name, "date" if number.part else "numeric") for number in numbers]
        kinds += [(text.name, "text") for text in texts]
        for name, kind in kinds:
            described.one_of(columns.get(name), f"columns.{name}", [kind])
        parts = [*((number.name, number.part) for number in numbers), *((t.name,) for t in texts)]
        if len(set(parts)) < len(parts) or not all(isinstance(t, OneHot) for t in texts):
            raise described.refused(parts, "numbers, categories", "each column once, not hashed")
        return cls(numbers, [t for t in texts if isinstance(t, OneHot)], columns)


def _number_from(plain: Any, what: str) -> PieceNumber:
    """Return the number that `PieceNumber.describe` has described."""
    own = described.mapping(plain, what, described.anything)
    edges = described.numbers(own["edges"], f"{what}.edges")
    width = described.number(own["width"], f"{what}.width")
    if not len(edges) or (np.diff(edges) <= 0).any() or width <= 0:
        raise described.refused(own, what, "ascending edges and a width above 0")
    return PieceNumber(
        described.text(own["name"], f"{what}.name"),
        described.one_of(own["part"], f"{what}.part", ["", *PARTS]),
        described.number(own["centre"], f"{what}.centre"),
        width,
        edges,
        described.boolean(own["gap"], f"{what}.gap"),
        described.boolean(own["indicator"], f"{what}.indicator"),
    )


def block_of(table: Table, name: str, column: Column, rows: Rows, part: slice) -> Floats:
    """Return some rows of a column as float64; an infinity is refused."""
    if column is None:
        return np.full(part.stop - part.start, np.nan)
    values = np.asarray(column[part] if rows is None else column[rows[part]], np.float64)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        row = int(infinite[0]) + part.start if rows is None else int(rows[part][infinite[0]])
        raise RowsError(
            f"{table.source}: row {table.first_row + row + 1}: column {name!r}: expected a finite "
            f"number, or a missing one, got {values[infinite[0]]}"
        )
    return values.clip(-LARGEST, LARGEST)
