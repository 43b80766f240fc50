# SPDX-License-Identifier: BSD-3-Clause
"""Read CSV and TSV: a header line, then numbers, text and dates, some of them missing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.cells import CellColumn, ConflictError, number
from fastrelu.app.data.readers.choice import ColumnChoice, Roles
from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.readers.values import as_target, as_weights
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError

SEPARATORS = ",;\t|"
CHUNK_ROWS = 8192
MAX_COLUMNS = 100_000
UNNAMED = ("column 1", "Unnamed: 0")
UTF16 = (b"\xff\xfe", b"\xfe\xff")

Line = Callable[[int], int]


def read_csv(source: Source, choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table in a CSV or TSV file.

    Parameters
    ----------
    source : Source
        UTF-8 text: a line of column names, then the rows. The separator is the one of comma,
        semicolon, tab and bar that the header has most of. With semicolons 1,5 is a number.
    choice : ColumnChoice
        What each column is.
    need_target : bool
        Whether there has to be a target.

    Returns
    -------
    Table
        A column is numeric if all that is not missing in it is a number, and a date if all is of
        the form 2024-01-31 or 2024-01-31T12:30:00.

    Raises
    ------
    DataError
        If the content is not such a file.
    """
    _check_text(source)
    as_text: set[str] = set()
    while True:
        columns, roles = _read_once(source, choice, need_target, as_text)
        if columns is not None:
            chosen = bool(choice.features or choice.kinds)
            return _table(source, columns, roles, keep_counter=chosen)


def _check_text(source: Source) -> None:
    head = source.head
    if head[:2] in UTF16:
        raise DataError(f"{source.path}: UTF-16 text; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)")
    if b"\0" in head:
        raise DataError(
            f"{source.path}: line {1 + head[: head.index(0)].count(10)}: a NUL byte: not text; "
            "expected CSV, Parquet, Arrow, NPY, NPZ, IDX or libsvm"
        )


def _read_once(
    source: Source, choice: ColumnChoice, need_target: bool, as_text: set[str]
) -> tuple[dict[str, CellColumn] | None, Roles]:
    """Read the file; None for the columns if one more of them has to be read as text."""
    with source.open() as file, _text(source, file) as lines:
        separator = _separator(source)
        reader = csv.reader(lines, delimiter=separator, strict=True)
        names = _header(source, reader, need_target)
        roles = choice.roles(source.path, names, need_target)
        columns = {
            name: CellColumn(
                source.path,
                name,
                "numeric" if name == roles.weights else choice.kind(name),
                as_text=name in as_text,
                role={roles.target: "target", roles.weights: "weights"}.get(name, "column"),
                decimal_comma=separator == ";",
            )
            for name in roles.used
        }
        place = {name: j for j, name in enumerate(names)}
        n_rows = 0
        for rows, line in _chunks(source, reader, len(names)):
            n_rows += len(rows)
            cells = list(zip(*rows, strict=True))
            conflicts = set()
            for name, column in columns.items():
                try:
                    column.add(cells[place[name]], line)
                except ConflictError:
                    conflicts.add(name)
            if conflicts:
                as_text |= conflicts
                return None, roles
    if not n_rows:
        raise DataError(f"{source.path}: expected rows of data after the header line, got none")
    return columns, roles


@contextmanager
def _text(source: Source, file: Any) -> Iterator[Any]:
    lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield lines
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source.path}: {_bad_byte(source)}: not UTF-8 text (byte "
            f"0x{error.object[error.start]:02x}); save it as UTF-8, for instance by "
            "iconv -f LATIN1 -t UTF-8"
        ) from None
    finally:
        lines.detach()


def _bad_byte(source: Source) -> str:
    """Return the place of the first byte that is not UTF-8."""
    with source.open() as file:
        for n, text in enumerate(file, 1):
            try:
                text.decode("utf-8")
            except UnicodeDecodeError:
                return f"line {n}"
    return "the last line"


def _separator(source: Source) -> str:
    text = source.head.decode("utf-8-sig", "replace").lstrip("\r\n")
    line = text.partition("\n")[0].partition("\r")[0]
    outside = "".join(line.split('"')[::2])
    return max(SEPARATORS, key=outside.count)


def _header(source: Source, reader: Any, need_target: bool) -> list[str]:
    try:
        header = next((row for row in reader if row), None)
    except csv.Error as error:
        raise DataError(f"{source.path}: line {reader.line_num}: not CSV ({error})") from None
    if header is None:
        raise DataError(f"{source.path}: the file is empty")
    names = [name.strip() or f"column {j + 1}" for j, name in enumerate(header)]
    if len(names) < 2 and need_target:
        raise DataError(
            f"{source.path}: expected two columns or more, got {len(names)}: {names[0][:40]!r}; "
            "the separators known are comma, semicolon, tab and bar"
        )
    if len(names) > MAX_COLUMNS:
        raise DataError(
            f"{source.path}: {len(names)} columns; CSV is read up to {MAX_COLUMNS}; "
            "NPY, NPZ or libsvm suit such data"
        )
    if all(number(name) is not None for name in names):
        raise DataError(
            f"{source.path}: expected column names in the first line, got numbers only; "
            "add a line of names"
        )
    return names


def _chunks(source: Source, reader: Any, width: int) -> Iterator[tuple[list[list[str]], Line]]:
    """Give the rows, some thousand at a time, each with the function that numbers their lines."""
    n_chunk = max(64, min(CHUNK_ROWS, 2_000_000 // width))
    while True:
        before = reader.line_num
        rows: list[list[str]] = []
        failure = None
        try:
            rows.extend(islice(reader, n_chunk))
        except csv.Error as error:
            failure = error
        line = _numbering(rows, before, reader.line_num)
        if set(map(len, rows)) - {width}:
            for i, row in enumerate(rows):
                if row and len(row) != width:
                    raise DataError(
                        f"{source.path}: line {line(i)}: expected {width} fields, as in the "
                        f"header, got {len(row)}; correct the line, or quote what holds separators"
                    )
            lines = [line(i) for i, row in enumerate(rows) if row]
            rows = [row for row in rows if row]
            line = lines.__getitem__
        if failure is not None:
            raise DataError(
                f"{source.path}: line {line(len(rows) - 1) + 1 if rows else before + 1}: not CSV "
                f"({failure}); the quotes do not match, or a field is too long"
            )
        if rows:
            yield rows, line
        elif reader.line_num == before:
            return


def _numbering(rows: list[list[str]], before: int, after: int) -> Line:
    if after - before == len(rows):
        return lambda i: before + 1 + i
    starts = []
    at = before + 1
    for row in rows:
        starts.append(at)
        at += 1 + sum(len(field.splitlines()) - 1 for field in row if "\n" in field)
    return starts.__getitem__


def _is_counter(name: str, values: NDArray[Any]) -> bool:
    """Return whether a column has no name and counts the rows, as the index of a data frame."""
    return (
        name in UNNAMED
        and values.dtype == np.float64
        and (values == values[0] + np.arange(len(values))).all()
        and values[0] in (0, 1)
    )


def _table(source: Source, cells: dict[str, CellColumn], roles: Roles, keep_counter: bool) -> Table:
    columns: dict[str, NDArray[Any]] = {}
    for name in list(cells):
        columns[name] = cells.pop(name).finish()

    def place(i: int) -> str:
        return f"row {i + 1}"

    n_rows = len(next(iter(columns.values())))
    inputs, notes = list(roles.inputs), list(roles.notes)
    if len(inputs) > 1 and not keep_counter and _is_counter(inputs[0], columns[inputs[0]]):
        notes.append("the first column has no name and counts the rows: left out")
        del inputs[0]
    target = weights = None
    if roles.target is not None:
        target = as_target(source.path, roles.target, columns[roles.target], place)
    if roles.weights is not None:
        weights = as_weights(source.path, roles.weights, columns[roles.weights], place)
    return Table(
        source.path,
        n_rows,
        columns={name: columns[name] for name in inputs},
        target=target,
        target_name=roles.target,
        weights=weights,
        notes=notes,
        extra={name: columns[name] for name in roles.extra},
        others=roles.others,
    )
