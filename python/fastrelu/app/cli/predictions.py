# SPDX-License-Identifier: BSD-3-Clause
"""Write predictions and the columns carried along: CSV, Parquet or Arrow, whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrelu import whole_files
from fastrelu.app.data.readers.files import pyarrow
from fastrelu.app.data.readers.texts import texts_of_dates, texts_of_numbers
from fastrelu.app.errors import ConfigError, DataError, OutputError
from fastrelu.app.run_folder import writing

FORMATS = {".csv": "csv", ".txt": "csv", "": "csv", ".parquet": "parquet", ".pq": "parquet",
           ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow"}  # fmt: skip
IN_MEMORY = 1 << 24  # bytes for standard output that are not put on the disk meanwhile

Columns = Mapping[str, Any]


class Writer(Protocol):
    """Takes rows as columns, block after block; the first block says which columns there are."""

    def write(self, columns: Columns) -> None:
        """Write a block, which may have no rows."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...

    def abandon(self) -> None:
        """Write no more, as something has failed."""
        ...


@contextmanager
def predictions_file(out: str | None, force: bool) -> Iterator[Writer]:
    """Give what writes rows to a file that has its name once it is whole, or to standard output.

    Parameters
    ----------
    out : str or None
        The file, whose ending says the format: .csv, .parquet, .arrow or .feather; None: CSV on
        standard output, at the end, so that nothing is there if something fails.
    force : bool
        Whether a file that is there is replaced.

    Raises
    ------
    OutputError
        If it cannot be written, or is there.
    ConfigError
        If the ending is another.
    """
    if out is None:
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            with _writer("csv", file) as writer:  # type: ignore[arg-type]
                yield writer
            file.seek(0)
            shutil.copyfileobj(file, _binary(sys.stdout))
            sys.stdout.flush()
        return
    path = Path(out)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise ConfigError(f"--out {out}: expected the ending .csv, .parquet, .arrow or .feather")
    if (os.path.isfile(path) or os.path.isdir(path)) and not force:
        raise OutputError(f"--out {out}: the file is there already; --force replaces it")
    with writing(path), whole_files.opened(path) as opened, _writer(form, opened) as writer:
        yield writer


def _binary(stream: Any) -> Any:
    """Return what takes bytes for a stream of text."""
    stream.flush()
    return stream.buffer


@contextmanager
def _writer(form: str, file: BinaryIO) -> Iterator[Writer]:
    writer: Writer = CsvWriter(file) if form == "csv" else ArrowWriter(file, form)
    try:
        yield writer
        writer.close()
    except BaseException:
        writer.abandon()
        raise


class CsvWriter:
    """Writes CSV: a line of names, then the rows, UTF-8."""

    def __init__(self, file: BinaryIO) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
        self._rows = csv.writer(self._text, lineterminator="\n")
        self._begun = False

    def write(self, columns: Columns) -> None:
        """Write a block; see `Writer`."""
        if not self._begun:
            self._rows.writerow(columns)
            self._begun = True
        cells = [_cells(name, values) for name, values in columns.items()]
        self._rows.writerows(zip(*cells, strict=True))

    def close(self) -> None:
        """Write what is left; the file stays open."""
        self._text.flush()
        self._text.detach()

    def abandon(self) -> None:
        """Write no more; what is not written yet is dropped without a word."""


def _cells(name: str, values: Any) -> list[Any]:
    """Return a column as what csv writes."""
    if not isinstance(values, np.ndarray):
        return _arrow_texts(name, values)
    if values.dtype.kind == "M":
        values = texts_of_dates(values)
    cells: list[Any] = values.tolist()
    return cells


def _arrow_texts(name: str, column: Any) -> list[Any]:
    import pyarrow as pa

    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        texts: list[Any] = column.cast(pa.string()).to_pylist()
    except MemoryError:  # pyarrow's own is an ArrowException, too
        raise
    except (pa.ArrowException, UnicodeDecodeError):
        raise DataError(f"--keep {name}: the type {column.type} cannot be written as CSV") from None
    return ["" if text is None else text for text in texts]


class ArrowWriter:
    """Writes Parquet or an Arrow IPC file."""

    def __init__(self, file: BinaryIO, form: str) -> None:
        self._pa = pyarrow(f"--out: {form}")
        self._file, self._form = file, form
        self._writer: Any = None

    def write(self, columns: Columns) -> None:
        """Write a block; see `Writer`."""
        pa = self._pa
        table = pa.table({name: _arrow_column(pa, values) for name, values in columns.items()})
        if self._writer is None:
            self._writer = self._open(table.schema)
        try:
            self._writer.write_table(table.cast(self._writer_schema))
        except MemoryError:  # pyarrow's own is an ArrowException, too
            raise
        except pa.ArrowException as error:
            raise DataError(
                f"--keep: expected columns whose type stays the same ({error}); CSV takes any"
            ) from None

    def _open(self, schema: Any) -> Any:
        from pyarrow import ipc, parquet

        self._writer_schema = schema
        opens: Any = parquet.ParquetWriter if self._form == "parquet" else ipc.new_file
        return opens(self._file, schema)

    def close(self) -> None:
        """Write what is left; the file stays open."""
        if self._writer is not None:
            self._writer.close()

    def abandon(self) -> None:
        """Write no more."""
        if self._writer is not None and self._form == "parquet":
            # It would write its end when it is forgotten, and show that the file is closed by then.
            self._writer.is_open = False


def _arrow_column(pa: Any, values: Any) -> Any:
    if not isinstance(values, np.ndarray):
        return values
    if values.dtype == object:
        return pa.array([None if v == "" else str(v) for v in values.tolist()], pa.string())
    return pa.array(values, from_pandas=values.dtype.kind == "f")


def kept_columns(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns that are carried along as they are written: whole numbers without a point."""
    return {name: _tidy(values) for name, values in kept.items()}


def _tidy(values: Any) -> Any:
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        return values
    whole: NDArray[Any] = values[np.isfinite(values)]
    if len(whole) == len(values) and (np.abs(whole) < 2**53).all() and (whole % 1 == 0).all():
        return values.astype(np.int64)
    return texts_of_numbers(values)
