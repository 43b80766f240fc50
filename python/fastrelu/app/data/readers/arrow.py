# SPDX-License-Identifier: BSD-3-Clause
"""Parquet, Feather and Arrow IPC files, by pyarrow; and the columns that Arrow types become."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.choice import ColumnChoice, Roles
from fastrelu.app.data.readers.files import Source, pyarrow
from fastrelu.app.data.readers.values import (
    Place,
    as_target,
    as_weights,
    refuse_infinite,
    refuse_nan_target,
    row_number,
)
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError

PARQUET, ARROW_FILE, FEATHER_1, ARROW_STREAM = b"PAR1", b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"


def is_arrow(head: bytes) -> bool:
    """Return whether a file that begins so is one of these."""
    return head.startswith((PARQUET, ARROW_FILE, FEATHER_1, ARROW_STREAM))


@contextmanager
def arrow_errors(path: str) -> Iterator[None]:
    """Turn pyarrow's errors into a DataError."""
    pa = pyarrow(f"{path}: Parquet or Arrow")
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: cannot be read as Parquet or Arrow: damaged or cut short ({reason})"
        ) from None


def read_arrow(source: Source, choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table in a Parquet, Feather or Arrow IPC file.

    Raises
    ------
    DataError
        If it cannot be read, or has not the columns.
    """
    with source.open() as file, arrow_errors(source.path):
        content = file if source.mappable else io.BytesIO(file.read())
        if source.head.startswith(PARQUET):
            from pyarrow import parquet

            opened = parquet.ParquetFile(content)
            roles = choice.roles(source.path, column_names(opened.schema_arrow), need_target)
            arrow = opened.read(columns=roles.used)
        else:
            arrow = _ipc(source, content)
            roles = choice.roles(source.path, column_names(arrow.schema), need_target)
    if not arrow.num_rows:
        raise DataError(f"{source.path}: expected rows of data, got none")
    return arrow_table(source.path, arrow, choice, roles)


def column_names(schema: Any) -> list[str]:
    """Return the names of an Arrow schema's columns, without the row labels that pandas adds."""
    return [name for name in schema.names if not name.startswith("__index_level_")]


def _ipc(source: Source, content: Any) -> Any:
    from pyarrow import feather, ipc

    if source.head.startswith(FEATHER_1):
        return feather.read_table(content)
    opens = ipc.open_stream if source.head.startswith(ARROW_STREAM) else ipc.open_file
    with opens(content) as reader:
        arrow = reader.read_all()
    arrow.validate(full=True)  # its indices and offsets are used without another look
    return arrow


def arrow_table(
    source: str, arrow: Any, choice: ColumnChoice, roles: Roles, first_row: int = 0
) -> Table:
    """Return the table of an Arrow table or record batch.

    Parameters
    ----------
    source : str
        The file, for messages.
    arrow : pyarrow.Table or pyarrow.RecordBatch
        Some rows, with at least the columns that `roles` names.
    choice : ColumnChoice
        What each column is.
    roles : Roles
        From `ColumnChoice.roles` for the file's columns.
    first_row : int
        The number in the file of the first row, for messages.

    Raises
    ------
    DataError
        If a column is of a type that is no number, text or date, or has values that cannot be.
    """
    place = row_number(first_row)

    def read(name: str) -> NDArray[Any]:
        kind = choice.kind(name)
        with arrow_errors(f"{source}: column {name!r}"):
            return arrow_column(source, name, arrow.column(name), place, kind)

    columns = {name: read(name) for name in roles.inputs}
    target = weights = None
    if roles.target is not None:
        target = _target(source, roles.target, arrow.column(roles.target), place, choice)
    if roles.weights is not None:
        weights = as_weights(source, roles.weights, read(roles.weights), place)
    return Table(
        source,
        arrow.num_rows,
        columns=columns,
        target=target,
        target_name=roles.target,
        weights=weights,
        notes=list(roles.notes),
        extra={name: read(name) for name in roles.extra},
        first_row=first_row,
    )


def _target(
    source: str, name: str, column: Any, place: Place, choice: ColumnChoice
) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _decoded(column)
    if pa.types.is_floating(column.type):
        where = pc.fill_null(pc.is_nan(column.cast(pa.float64())), False)
        refuse_nan_target(source, name, np.asarray(where), place)
    if pa.types.is_boolean(column.type):
        column = pc.if_else(column, "True", "False")
    with arrow_errors(f"{source}: target {name!r}"):
        values = arrow_column(source, name, column, place, choice.kind(name))
    return as_target(source, name, values, place)


def _decoded(column: Any) -> Any:
    """Return a column without dictionary or run-end encoding."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        if isinstance(column, pa.ChunkedArray):  # one that is too long for a single array
            column = pa.concat_arrays(column.chunks)
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type) and not _is_text(column.type.value_type):
        column = column.dictionary_decode()
    return column


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def arrow_column(
    source: str, name: str, column: Any, place: Place, kind: str | None = None
) -> NDArray[Any]:
    """Return a column as numbers, text (object) or dates (datetime64[us]).

    Decimals become float64, bool 0 and 1, times of day and durations seconds. Nulls become NaN, ""
    or NaT; numbers without nulls keep their dtype.

    Raises
    ------
    DataError
        For other types, and infinities.
    """
    import pyarrow as pa

    types = pa.types
    column = _decoded(column)
    of = column.type
    if types.is_dictionary(of) or _is_text(of):
        return _texts(column)
    if types.is_null(of):
        fill = {"text": "", "date": np.datetime64("NaT", "us")}.get(kind or "", np.nan)
        return np.array([fill] * len(column), object if kind == "text" else None)
    if types.is_timestamp(of) or types.is_date(of):
        if kind == "text":
            return _texts(column.cast(pa.string()))
        dates = column.cast(pa.timestamp("us"), safe=False)
        return np.asarray(dates.to_numpy(zero_copy_only=False), "datetime64[us]")
    if types.is_duration(of) or types.is_time(of):
        units = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
        wide = pa.int32() if of.bit_width == 32 else pa.int64()
        column, per_second = column.cast(wide).cast(pa.float64(), safe=False), units[of.unit]
        return np.asarray(column.to_numpy(zero_copy_only=False) / per_second)
    if types.is_decimal(of):
        column = column.cast(pa.float64())
    elif types.is_boolean(of):
        column = column.cast(pa.string() if kind == "text" else pa.uint8())
    elif not (types.is_integer(of) or types.is_floating(of)):
        raise DataError(
            f"{source}: column {name!r} has the type {of}, which is no number, text or date; leave "
            f"it out: --ignore {name!r}"
        )
    if kind == "text":
        return _texts(column.cast(pa.string()))
    numbers = np.asarray(column.to_numpy(zero_copy_only=False))
    if numbers.dtype == np.float16:
        numbers = numbers.astype(np.float32)
    refuse_infinite(source, name, numbers, place)
    return numbers


def _texts(column: Any) -> NDArray[Any]:
    """Return a column of text; equal texts of a dictionary are one object."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    words = np.array(
        ["" if w is None else w.strip() for w in column.dictionary.to_pylist()] + [""], object
    )
    indices = pc.fill_null(column.indices.cast(pa.int64()), len(words) - 1)
    return np.asarray(words[np.asarray(indices)])
