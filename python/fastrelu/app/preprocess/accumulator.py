# SPDX-License-Identifier: BSD-3-Clause
"""Fit inputs in two passes over training rows that come in chunks.

First pass: counts, least and greatest values, means, categories, a sample for quantiles. Second
pass: standard deviations. Nothing in it depends on how the rows were cut into chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.table import Table, is_missing, kind_of
from fastrelu.app.errors import ConfigError, DataError
from fastrelu.app.preprocess.categories import CategoryCounts
from fastrelu.app.preprocess.column_inputs import (
    ColumnInputs,
    fill_block,
    read_columns,
    values_of,
)
from fastrelu.app.preprocess.dates import PARTS
from fastrelu.app.preprocess.inputs import Inputs, Rows, check_width
from fastrelu.app.preprocess.matrix_inputs import ByteInputs, MatrixInputs, SparseInputs
from fastrelu.app.preprocess.moments import Blocks, Floats, Moments
from fastrelu.app.preprocess.options import InputOptions
from fastrelu.app.preprocess.sample import RowSample
from fastrelu.app.preprocess.standardize import Scaling, scaling_of

PIXELS = 127  # bytes above are taken for a picture's shades without a word


class Accumulator:
    """Learn what the inputs are, chunk by chunk.

    ``first`` for every chunk, ``finish_first``, ``second`` for every chunk again, ``finish``.

    Parameters
    ----------
    options : InputOptions
        The user's choices.
    """

    def __init__(self, options: InputOptions | None = None) -> None:
        self.options = options or InputOptions()
        self._fit: _ColumnFit | _MatrixFit | _ByteFit | _SparseFit | None = None

    def first(self, chunk: Table, rows: Rows = None) -> None:
        """Take a chunk in the first pass.

        Parameters
        ----------
        chunk : Table
            Some rows.
        rows : ndarray of int, optional
            The training rows among them; all by default.
        """
        if self._fit is None:
            self._fit = _fit_for(chunk, self.options)
        self._fit.first(chunk, rows)

    def finish_first(self) -> None:
        """End the first pass."""
        assert self._fit is not None
        self._fit.finish_first()

    def second(self, chunk: Table, rows: Rows = None) -> None:
        """Take a chunk in the second pass: the same chunks in the same order."""
        assert self._fit is not None
        self._fit.second(chunk, rows)

    def finish(self) -> Inputs:
        """Return the inputs.

        Raises
        ------
        DataError
            If a column is empty, or no input is left.
        """
        assert self._fit is not None
        inputs = self._fit.finish()
        check_width(self._fit.source, inputs.n_inputs)
        return inputs


def fit_inputs(table: Table, rows: Rows = None, options: InputOptions | None = None) -> Inputs:
    """Return the inputs that a table's training rows lead to.

    Parameters
    ----------
    table : Table
        The data.
    rows : ndarray of int, optional
        The training rows; all by default.
    options : InputOptions, optional
        The user's choices.

    Returns
    -------
    Inputs

    Raises
    ------
    DataError
        If a column is empty or infinite, or no input is left.

    Examples
    --------
    >>> from fastrelu import training
    >>> inputs = training.fit_inputs(training.read(["iris"]))
    >>> inputs.n_inputs
    4
    """
    accumulator = Accumulator(options)
    accumulator.first(table, rows)
    accumulator.finish_first()
    accumulator.second(table, rows)
    return accumulator.finish()


def _fit_for(
    chunk: Table, options: InputOptions
) -> _ColumnFit | _MatrixFit | _ByteFit | _SparseFit:
    if chunk.matrix is None:
        return _ColumnFit(chunk, options)
    if chunk.matrix.shape[1] == 0:
        raise DataError(f"{chunk.source}: no inputs: the rows have no columns")
    if not isinstance(chunk.matrix, np.ndarray):
        return _SparseFit(chunk, options)
    if chunk.matrix.dtype == np.uint8 and options.standardize in ("auto", "none"):
        return _ByteFit(chunk)
    return _MatrixFit(chunk, options)


class _Numbers:
    """The two passes over some columns of numbers."""

    def __init__(self, n_columns: int, options: InputOptions, by_row: bool = False) -> None:
        self.how = "standard" if options.standardize == "auto" else options.standardize
        self.moments = Moments(n_columns)
        self.blocks = Blocks(n_columns, by_row)
        self.sample = RowSample(n_columns, options.seed) if self.how == "quantile" else None

    def first(self, n: int, write: Callable[[Floats, int, int], None]) -> None:
        for block in self.blocks.add(n, write):
            self._first(block)

    def _first(self, block: Floats) -> None:
        self.moments.first(block)
        if self.sample is not None:
            self.sample.add(block)

    def finish_first(self) -> None:
        for block in self.blocks.rest():
            self._first(block)
        self.moments.finish_first()

    def second(self, n: int, write: Callable[[Floats, int, int], None]) -> None:
        for block in self.blocks.add(n, write):
            self.moments.second(block)

    def finish(self) -> Scaling:
        for block in self.blocks.rest():
            self.moments.second(block)
        columns = None if self.sample is None else self.sample.columns
        return scaling_of(self.moments, self.how, columns)


def _refuse_infinite(table: Table, names: Any, block: Floats, rows: Rows, low: int) -> None:
    """Raise DataError for an infinity in a block, (columns, rows)."""
    if np.isinf(block).any():
        j, i = (int(k) for k in np.argwhere(np.isinf(block))[0])
        row = low + i if rows is None else int(rows[low + i])
        raise DataError(
            f"{table.source}: row {table.first_row + row + 1}: column {names[j]!r}: expected "
            f"finite numbers, got {block[j, i]}; correct it, or leave it empty"
        )


def _empty_column(source: str, name: str) -> DataError:
    return DataError(
        f"{source}: column {name!r} is empty in every row; leave it out: --ignore {name!r}"
    )


class _ColumnFit:
    """A table with columns of their own types."""

    def __init__(self, chunk: Table, options: InputOptions) -> None:
        self.source = chunk.source
        self.kinds = {name: kind_of(column) for name, column in chunk.columns.items()}
        self.parts = [(n, "") for n, kind in self.kinds.items() if kind == "numeric"]
        self.parts += [(n, p) for n, kind in self.kinds.items() if kind == "date" for p in PARTS]
        self.numbers = _Numbers(len(self.parts), options)
        self.counts = {
            n: CategoryCounts(n, options) for n, kind in self.kinds.items() if kind == "text"
        }
        self.never = set(self.kinds)

    def _write(self, chunk: Table, rows: Rows) -> Callable[[Floats, int, int], None]:
        values = values_of(read_columns(chunk, chunk.columns, self.parts), self.parts)

        def write(out: Floats, low: int, high: int) -> None:
            fill_block(out, values, rows, low, high)
            _refuse_infinite(chunk, [name for name, _ in self.parts], out, rows, low)

        return write

    def first(self, chunk: Table, rows: Rows) -> None:
        self.never -= {n for n in self.never if not is_missing(chunk.columns[n]).all()}
        for name, counts in self.counts.items():
            column = chunk.columns[name]
            counts.add(chunk.source, column if rows is None else column[rows])
        n = chunk.n_rows if rows is None else len(rows)
        self.numbers.first(n, self._write(chunk, rows))

    def finish_first(self) -> None:
        for name in self.kinds:
            if name in self.never:
                raise _empty_column(self.source, name)
        self.numbers.finish_first()

    def second(self, chunk: Table, rows: Rows) -> None:
        n = chunk.n_rows if rows is None else len(rows)
        self.numbers.second(n, self._write(chunk, rows))

    def finish(self) -> Inputs:
        notes: list[str] = []
        scaling = self.numbers.finish()
        moments = self.numbers.moments
        keep = self._useful()
        kept = {self.parts[j][0] for j in keep}
        for j, (name, part) in enumerate(self.parts):
            self._tell(name, part, int(moments.count[j]), name in kept, notes)
        texts = []
        for name, counts in self.counts.items():
            text = counts.finish(notes)
            if set(counts.counts) == {""}:
                notes.append(f"column {name!r} has no values in the training rows: left out")
            elif len(counts.counts) == 1:
                notes.append(f"column {name!r} has one value only: left out")
            else:
                texts.append(text)
        if not len(keep) and not texts:
            raise DataError(
                f"{self.source}: no inputs: no column but the target has two different values"
            )
        parts = [self.parts[j] for j in keep]
        return ColumnInputs(parts, scaling.keep(keep), texts, self.kinds, notes)

    def _useful(self) -> NDArray[np.intp]:
        """Return which numbers to keep: those that differ, or say where a value is missing."""
        moments = self.numbers.moments
        useful = ~moments.constant
        differ = {self.parts[j][0] for j in np.flatnonzero(useful)}
        for j, (name, part) in enumerate(self.parts):
            if name not in differ and part in ("", PARTS[0]):
                useful[j] = 0 < moments.count[j] < moments.n_rows
        return np.flatnonzero(useful)

    def _tell(self, name: str, part: str, count: int, kept: bool, notes: list[str]) -> None:
        total = self.numbers.moments.n_rows
        if part not in ("", PARTS[0]):
            return
        if not count:
            notes.append(f"column {name!r} has no values in the training rows: left out")
        elif not kept:
            notes.append(f"column {name!r} has one value only: left out")
        elif count < total:
            notes.append(
                f"column {name!r}: {total - count} of {total} training values missing: the mean, "
                "and an input that says where"
            )


class _MatrixFit:
    """A dense matrix of numbers; its columns all stay, constant ones as zeros."""

    def __init__(self, chunk: Table, options: InputOptions) -> None:
        self.source = chunk.source
        self.names = chunk.matrix_names or []
        self.numbers = _Numbers(chunk.matrix.shape[1], options, by_row=True)
        self.never = np.ones(chunk.matrix.shape[1], bool)

    def _write(self, chunk: Table, rows: Rows) -> Callable[[Floats, int, int], None]:
        matrix = chunk.matrix

        def write(out: Floats, low: int, high: int) -> None:
            out[:] = (matrix[low:high] if rows is None else matrix[rows[low:high]]).T
            _refuse_infinite(chunk, self.names, out, rows, low)

        return write

    def first(self, chunk: Table, rows: Rows) -> None:
        if self.never.any():
            for low in range(0, chunk.n_rows, 4096):
                some = chunk.matrix[low : low + 4096, self.never]
                self.never[self.never] = np.isnan(some).all(axis=0)
                if not self.never.any():
                    break
        n = chunk.n_rows if rows is None else len(rows)
        self.numbers.first(n, self._write(chunk, rows))

    def finish_first(self) -> None:
        for j in np.flatnonzero(self.never).tolist():
            raise _empty_column(self.source, self.names[j])
        self.numbers.finish_first()

    def second(self, chunk: Table, rows: Rows) -> None:
        n = chunk.n_rows if rows is None else len(rows)
        self.numbers.second(n, self._write(chunk, rows))

    def finish(self) -> Inputs:
        scaling = self.numbers.finish()
        moments = self.numbers.moments
        notes = []
        constant, gaps = int(moments.constant.sum()), int((moments.gaps > 0).sum())
        if constant == len(self.names):
            raise DataError(f"{self.source}: no inputs: every column has one value only")
        if constant:
            notes.append(f"{constant} of {len(self.names)} columns have one value only: 0")
        if gaps:
            notes.append(
                f"{gaps} of {len(self.names)} columns have missing training values: the mean, and "
                "an input for each that says where"
            )
        return MatrixInputs(self.names, scaling, notes)


class _ByteFit:
    """Bytes: pictures' are multiplied by 1/255, flags of 0 and 1 are left as they are."""

    def __init__(self, chunk: Table) -> None:
        self.source = chunk.source
        self.names = chunk.matrix_names or []
        self.largest = 0

    def first(self, chunk: Table, rows: Rows) -> None:
        n = chunk.n_rows if rows is None else len(rows)
        for low in range(0, n, 4096):
            if self.largest > PIXELS:
                return
            which = slice(low, low + 4096) if rows is None else rows[low : low + 4096]
            self.largest = max(self.largest, int(chunk.matrix[which].max(initial=0)))

    def finish_first(self) -> None:
        pass

    def second(self, chunk: Table, rows: Rows) -> None:
        pass

    def finish(self) -> Inputs:
        notes = []
        if self.largest <= 1:
            notes.append("bytes of 0 and 1 are read as flags, not as the shades of a picture")
        elif self.largest <= PIXELS:
            notes.append(
                f"bytes up to {self.largest} are multiplied by 1/255, as the shades of a picture "
                "(--scaling standard reads them as numbers)"
            )
        return ByteInputs(self.names, 1.0 if self.largest <= 1 else 1 / 255, notes)


class _SparseFit:
    """A CSR matrix: the largest magnitude of each column."""

    def __init__(self, chunk: Table, options: InputOptions) -> None:
        if options.standardize == "quantile":
            raise ConfigError("quantile: sparse data are scaled by their largest magnitude only")
        # Before memory is taken for columns that a short file only names.
        check_width(chunk.source, chunk.matrix.shape[1])
        self.source = chunk.source
        self.names = chunk.matrix_names or []
        self.largest: NDArray[np.float64] | None = None
        if options.standardize != "none":
            self.largest = np.zeros(chunk.matrix.shape[1])

    def first(self, chunk: Table, rows: Rows) -> None:
        if self.largest is not None:
            matrix = chunk.matrix if rows is None else chunk.matrix[rows]
            data = np.abs(matrix.data.astype(np.float64))
            if not np.isfinite(data).all():
                raise DataError(f"{chunk.source}: expected finite numbers, got NaN or infinity")
            np.maximum.at(self.largest, matrix.indices, data)

    def finish_first(self) -> None:
        if self.largest is not None:
            self.largest[self.largest == 0] = 1.0

    def second(self, chunk: Table, rows: Rows) -> None:
        pass

    def finish(self) -> Inputs:
        return SparseInputs(self.names, self.largest)
