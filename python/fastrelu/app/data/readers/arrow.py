# SPDX-License-Identifier: BSD-3-Clause
"""Parquet, Feather and Arrow IPC files, by pyarrow, and tables of Arrow's in memory."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import machine
from fastrelu.app.data.readers.arrow_types import ArrowColumn, one_array
from fastrelu.app.data.readers.choice import ColumnChoice, Roles, tidy_names
from fastrelu.app.data.readers.column import Found
from fastrelu.app.data.readers.files import Source, pyarrow
from fastrelu.app.data.readers.values import (
    Place,
    as_target,
    as_weights,
    refuse_nan_target,
    row_number,
)
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError, NoRowsError, RoomError, TrainingError

PERIOD = "pandas.period"
UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
PARQUET, ARROW_FILE, FEATHER_1, ARROW_STREAM = b"PAR1", b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"
MOST_VALUES = 1 << 20  # of a table whose rows are only claimed; 32 MB, a text taking 32 bytes


def is_arrow(head: bytes) -> bool:
    """Return whether a file that begins so is one of these."""
    return head.startswith((PARQUET, ARROW_FILE, FEATHER_1, ARROW_STREAM))


@contextmanager
def arrow_errors(path: str) -> Iterator[None]:
    """Turn pyarrow's errors into a DataError, of memory into one that is MemoryError, too."""
    pa = pyarrow(f"{path}: Parquet or Arrow")
    try:
        yield
    except TrainingError:
        raise
    except MemoryError as error:
        raise without_memory(path, error) from None
    except (pa.ArrowException, OSError, ValueError, ArithmeticError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        if "not implemented" in reason or "not yet supported" in reason:
            raise DataError(f"{path}: holds what pyarrow cannot read ({reason})") from None
        if "decrypt" in reason.lower():
            raise DataError(
                f"{path}: columns of it are encrypted, which are not read ({reason}); leave them "
                "out with --ignore, or save the table without encryption"
            ) from None
        raise DataError(
            f"{path}: cannot be read as Parquet or Arrow: damaged or cut short ({reason})"
        ) from None


def without_memory(path: str, error: MemoryError) -> DataError:
    """Return what is raised where reading a file has met a lack of memory.

    A damaged size asks for memory as a good one does. That no machine as this one could ever have
    it is told by the size, which pyarrow names: such a file is to be mended. For all others it may
    be memory that is to be had, or fewer rows at a time.
    """
    asked = [int(number) for number in re.findall(r"\d+", str(error))]
    kind = DataError if max(asked, default=0) > machine.memory() else RoomError
    return kind(f"{path}: reading it takes more memory than there is; or a size in it is damaged")


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
            opened = open_parquet(content)
            columns = columns_of(opened.schema_arrow)
            roles = columns.roles(source.path, choice, need_target)
            arrow = opened.read(columns=columns.stored(roles))
            arrow = with_dictionaries(arrow, dictionaries_in(opened))
        else:
            arrow = _ipc(source, content)
            columns = columns_of(arrow.schema)
            roles = columns.roles(source.path, choice, need_target)
            refuse_empty_claims(source.path, arrow)
    if not arrow.num_rows and need_target:
        raise NoRowsError(f"{source.path}: expected rows of data, got none")
    return arrow_table(source.path, arrow, choice, roles)


def refuse_empty_claims(source: str, arrow: Any) -> None:
    """Raise DataError for a table of so many rows that the bytes in it cannot tell them apart.

    The rows of Arrow's nulls and run-end-encoded arrays take no bytes: one damaged number makes
    thousands of millions of them, which every column would have to hold.

    Parameters
    ----------
    source : str
        What is read, for the message.
    arrow : pyarrow.Table or pyarrow.RecordBatch
        The rows. A column of any other type has a bit for each, or pyarrow refuses it.
    """
    stored = arrow.get_total_buffer_size()
    if arrow.num_rows <= 8 * stored or arrow.num_rows * arrow.num_columns <= MOST_VALUES:
        return
    raise DataError(
        f"{source}: claims {arrow.num_rows:,} rows, but its columns, which are run-end-encoded or "
        f"null, hold {stored:,} bytes: a size in it is damaged, or its rows repeat each other; "
        "store the columns decoded (pyarrow.compute.run_end_decode) if they are meant"
    )


def open_parquet(content: Any, **options: Any) -> Any:
    """Return pyarrow's ParquetFile of a path or an open file."""
    from pyarrow import parquet

    # Moments in 96 bits are counted in nanoseconds by default, which end in the year 2262.
    return parquet.ParquetFile(content, coerce_int96_timestamp_unit="us", **options)


def dictionaries_in(opened: Any) -> dict[str, Any]:
    """Return the types of those columns of a ParquetFile that were written as dictionaries.

    Parquet gives them back as plain whole numbers; Arrow's own schema, which pyarrow and polars
    write beside it, says that they are categories, as pandas' are.
    """
    import pyarrow as pa

    try:
        packed = base64.b64decode((opened.metadata.metadata or {})[b"ARROW:schema"])
        schema = pa.ipc.read_schema(pa.py_buffer(packed))
    except (KeyError, ValueError, OSError):  # not written by them
        return {}
    types = pa.types
    return {
        field.name: field.type
        for field in schema
        if types.is_dictionary(field.type) and types.is_integer(field.type.value_type)
    }


def with_dictionaries(arrow: Any, dictionaries: dict[str, Any]) -> Any:
    """Return a table or record batch with dictionaries for its whole numbers that are categories.

    Parameters
    ----------
    arrow : pyarrow.Table or pyarrow.RecordBatch
        As Parquet gives it.
    dictionaries : dict of str to DataType
        From `dictionaries_in`.
    """
    for place, name in enumerate(arrow.schema.names):
        if name in dictionaries and not hasattr(arrow.schema.field(place).type, "index_type"):
            arrow = arrow.set_column(place, name, arrow.column(place).dictionary_encode())
    return arrow


@dataclass(frozen=True)
class ArrowNames:
    """The columns of an Arrow schema by the names that users know them by.

    Attributes
    ----------
    names : list of str
        In the schema's order; without spaces around them, "column 3" for one without a name.
    index : list of str
        Those of them that are a pandas frame's row labels.
    raw : dict of str to str
        The name in the file of each column.
    """

    names: list[str]
    index: list[str]
    raw: dict[str, str]

    def roles(self, source: str, choice: ColumnChoice, need_target: bool) -> Roles:
        """Return what each column is; a frame's row labels are something only if named."""
        return choice.roles(source, self.names, need_target, self.index)

    def stored(self, roles: Roles) -> list[str]:
        """Return what the file calls the columns to read."""
        return [self.raw[name] for name in roles.used]


def columns_of(schema: Any) -> ArrowNames:
    """Return the columns of an Arrow schema."""
    names = tidy_names(schema.names)
    labels = set(_pandas_index(schema.metadata))
    index = [
        name
        for name, raw in zip(names, schema.names, strict=True)
        if raw in labels or UNNAMED_INDEX.fullmatch(raw)
    ]
    return ArrowNames(names, index, dict(zip(names, schema.names, strict=True)))


def _pandas_index(metadata: Any) -> list[str]:
    """Return the columns that pandas' own metadata names as a frame's row labels."""
    try:
        labels = json.loads((metadata or {})[b"pandas"])["index_columns"]
        return [label for label in labels if isinstance(label, str)]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []  # not written by pandas


def _ipc(source: Source, content: Any) -> Any:
    from pyarrow import feather, ipc

    if source.head.startswith(FEATHER_1):
        arrow = feather.read_table(content)
    else:
        opens = ipc.open_stream if source.head.startswith(ARROW_STREAM) else ipc.open_file
        with opens(content) as reader:
            arrow = reader.read_all()
    arrow.validate()  # pyarrow itself does not look whether the values that it counts are there
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
        From `ArrowNames.roles` for the file's columns.
    first_row : int
        The number in the file of the first row, for messages.

    Raises
    ------
    DataError
        If a column is of a type that is no number, text or date, or has values that cannot be.
    """
    place = row_number(first_row)
    number = {name: j for j, name in enumerate(tidy_names(arrow.schema.names))}
    found = Found(list(roles.notes))

    def read(name: str, role: str = "column") -> NDArray[Any]:
        what = ArrowColumn.of(source, name, place, choice, role, found)
        _refuse_periods(source, name, arrow.schema.field(number[name]))
        with arrow_errors(f"{source}: column {name!r}"):
            column = arrow.column(number[name])
            if role == "target":
                _refuse_nan(source, name, column, place)
            return what.read_or_say(column)

    target = weights = None
    columns = {name: read(name) for name in roles.inputs}
    if roles.target is not None:
        target = as_target(source, roles.target, read(roles.target, "target"), place)
    if roles.weights is not None:
        weights = as_weights(source, roles.weights, read(roles.weights, "weights"), place)
    return Table(
        source,
        arrow.num_rows,
        columns=columns,
        target=target,
        target_name=roles.target,
        weights=weights,
        extra={name: read(name) for name in roles.extra},
        notes=found.all_notes(),
        reading=found.reading("arrow", choice),
        first_row=first_row,
        others=roles.others,
        kept={name: _sound(source, name, arrow.column(number[name])) for name in roles.keep},
    )


def _sound(source: str, name: str, column: Any) -> Any:
    """Return a column that is passed on as it is; DataError if its offsets point outside."""
    with arrow_errors(f"{source}: column {name!r}"):
        column.validate(full=True)  # who writes it follows them without a look
    return column


def _refuse_periods(source: str, name: str, field: Any) -> None:
    """Raise DataError for pandas' periods: Arrow has no such type, but counts of days or months."""
    said = (field.metadata or {}).get(b"ARROW:extension:name", b"").decode()
    if PERIOD in (said, getattr(field.type, "extension_name", "")):
        raise DataError(
            f"{source}: column {name!r} has pandas' periods, which are plain counts in Arrow and "
            f"Parquet; store moments, by .dt.to_timestamp(), or --ignore {name!r}"
        )


def _refuse_nan(source: str, name: str, column: Any, place: Place) -> None:
    """Raise DataError for a NaN in a target, which is not the same as null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        where = pc.fill_null(pc.is_nan(one_array(column).cast(pa.float64())), False)
        refuse_nan_target(source, name, np.asarray(where), place)
