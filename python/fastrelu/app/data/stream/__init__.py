# SPDX-License-Identifier: BSD-3-Clause
"""Training from files that are larger than the memory: blocks of rows, shuffled inside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from fastrelu.app.data.readers import format_of, read
from fastrelu.app.data.readers.arrow import PARQUET
from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.files import BUNDLED, STANDARD_INPUT, Source, expand
from fastrelu.app.data.readers.places import with_content
from fastrelu.app.data.stream.npy import NpyFile, NpyStream, npy_file
from fastrelu.app.data.stream.parquet import ParquetStream
from fastrelu.app.data.stream.source import Stream
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError

__all__ = ["Stream", "open_stream", "read_tables"]

COPIES = 2.5  # what data in memory take: as read, and as the network reads them


def read_tables(
    paths: Sequence[str], choice: ColumnChoice, *, need_target: bool, memory: int = 256 * 10**6
) -> Iterator[Table]:
    """Yield the rows of files in their order: one table, or parts of one larger than `memory`.

    Parameters
    ----------
    paths : sequence of str
        Paths and globs, as for `readers.read`.
    choice : ColumnChoice
        What each column is.
    need_target : bool
        Whether there has to be a target.
    memory : int
        Bytes that data may take; matrices of NPY files are memory maps whatever their size.

    Raises
    ------
    DataError
        If something cannot be read, is not there, or does not fit.
    """
    stream = open_stream(paths, choice, memory, need_target)
    if stream is None:
        yield read(list(paths), choice, need_target=need_target)
        return
    for chunk in stream.chunks:
        yield from stream.parts(chunk)


def open_stream(
    paths: Sequence[str], choice: ColumnChoice, memory: int, need_target: bool = True
) -> Stream | None:
    """Return files as a stream if they are too large to be read into the memory allowed.

    Parameters
    ----------
    paths : sequence of str
        Paths and globs, as for `readers.read`.
    choice : ColumnChoice
        What each column is.
    memory : int
        Bytes that data may take.
    need_target : bool
        Whether there has to be a target; without, only Parquet is streamed.

    Returns
    -------
    Stream or None
        None: they fit, or are of a format that is read as a whole.

    Raises
    ------
    DataError
        If they do not fit and cannot be streamed, and are larger than this machine's memory; or if
        they are streamed, and something about them is wrong.
    """
    if choice.sql is not None or choice.table is not None:
        return None
    found = expand(paths)
    if any(path in BUNDLED or path == STANDARD_INPUT for path in found):
        return None
    if not all(os.path.isfile(path) for path in found):
        return None  # for the reader of whole files to tell
    total = sum(os.path.getsize(path) for path in found)
    if COPIES * total <= memory / 4:  # packed files are unpacked
        return None
    found = with_content(found)
    source = Source(found[0])
    if source.head.startswith(PARQUET):
        parquet = ParquetStream(found, choice, memory, need_target)
        return parquet if COPIES * parquet.n_rows * parquet.raw_row_bytes > memory else None
    if COPIES * total <= memory or not need_target:
        return None
    files = [npy_file(path) for path in found]
    if files[0] is not None and None not in files:
        return NpyStream([file for file in files if isinstance(file, NpyFile)], choice, memory)
    _require_memory(found[0], format_of(source), COPIES * total)
    return None


def _require_memory(path: str, kind: str, needed: float) -> None:
    """Raise DataError if a file has to be read as a whole and the machine is too small for it."""
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if needed > there:
        raise DataError(
            f"{path}: {kind} files are read into memory, which takes about {needed / 1e9:.0f} GB, "
            f"and this machine has {there / 1e9:.0f} GB; Parquet and C-ordered NPY files are read "
            "in blocks: convert it, for CSV by pyarrow.csv.open_csv and "
            "pyarrow.parquet.ParquetWriter"
        )
