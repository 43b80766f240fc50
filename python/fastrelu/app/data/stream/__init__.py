# SPDX-License-Identifier: BSD-3-Clause
"""Training from files that are larger than the memory: blocks of rows, shuffled inside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from fastrelu.app.data.readers import format_of, read, refuse_flags
from fastrelu.app.data.readers.arrow import PARQUET
from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.files import BUNDLED, STANDARD_INPUT, Source, expand
from fastrelu.app.data.readers.unpacked import COPIES, require_memory
from fastrelu.app.data.stream.npy import NpyFile, NpyStream, npy_file
from fastrelu.app.data.stream.parquet import ParquetStream
from fastrelu.app.data.stream.parquet_sizes import exceed
from fastrelu.app.data.stream.source import Stream
from fastrelu.app.data.stream.text import TextStream, cells_at_most
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.distributed import Communicator

__all__ = ["Stream", "open_stream", "plain_files", "read_tables", "stream_of"]


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
    if choice.sql is not None or choice.table is not None:
        yield read(list(paths), choice, need_target=need_target)
        return
    text = _text_stream(paths, choice, memory, need_target, keep=False)
    if text is not None and text.all_known:
        yield from text.tables()
        return
    stream = text.look() if text is not None else open_stream(paths, choice, memory, need_target)
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
        Whether there has to be a target; without, only Parquet and text are streamed.

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
    found = plain_files(paths)
    if not found:
        return None  # for the reader of whole files, also to tell what is wrong
    total = sum(os.path.getsize(path) for path in found)
    small = COPIES * total <= memory / 4  # unless it is packed
    if small and not _is_parquet(found[0]):
        return None
    source = Source(found[0])
    kind = format_of(source)
    refuse_flags(source, kind, choice)
    if source.head.startswith(PARQUET):
        if not _exceed(found, choice, memory / COPIES, need_target, small):
            return None
        return ParquetStream(found, choice, memory, need_target)
    text = _text_stream(paths, choice, memory, need_target)
    if text is not None:
        return text.look()
    if COPIES * total <= memory or not need_target:
        return None
    files = [npy_file(path) for path in found]
    if files[0] is not None and None not in files:
        return NpyStream([file for file in files if isinstance(file, NpyFile)], choice, memory)
    what = "packed text is" if kind == "csv" else f"{kind} files are"
    require_memory(found[0], what, COPIES * total)
    return None


def _is_parquet(path: str) -> bool:
    """Return whether a file says at its beginning that it is Parquet."""
    with suppress(OSError), open(path, "rb") as file:
        return file.read(len(PARQUET)) == PARQUET
    return False


def _exceed(
    found: Sequence[str], choice: ColumnChoice, limit: float, need_target: bool, small: bool
) -> bool:
    """Return whether Parquet files take more than `limit` bytes once they are decoded."""
    if not small:
        return exceed(found, choice, limit, need_target)
    try:
        return exceed(found, choice, limit, need_target, checked=True)
    except DataError:
        return False  # what is wrong is told by the reader of whole files


def stream_of(
    paths: Sequence[str], choice: ColumnChoice, memory: int, comm: Communicator | None = None
) -> Stream | None:
    """Return files as a stream, however small they are; None for formats that are read as a whole.

    Parameters
    ----------
    paths : sequence of str
        Paths and globs, as for `readers.read`.
    choice : ColumnChoice
        What each column is.
    memory : int
        Bytes that reading may take.
    comm : Communicator, optional
        Processes that share the looking at text files.

    Raises
    ------
    DataError
        If something about them is wrong.
    """
    if choice.sql is not None or choice.table is not None or not (found := plain_files(paths)):
        return None
    sources = [Source(path) for path in found]
    kinds = {format_of(source) for source in sources}
    if len(kinds) > 1:
        return None  # for the reader of whole files, to tell what is wrong
    refuse_flags(sources[0], kinds.copy().pop(), choice)
    if all(source.head.startswith(PARQUET) for source in sources):
        return ParquetStream(found, choice, memory)
    if kinds == {"csv"} and all(source.mappable for source in sources):
        return TextStream(found, choice, memory, keep=False).look(comm)
    files = [npy_file(path) for path in found]
    if None in files:
        return None
    return NpyStream([file for file in files if file is not None], choice, memory)


def _text_stream(
    paths: Sequence[str],
    choice: ColumnChoice,
    memory: int,
    need_target: bool,
    keep: bool = True,
) -> TextStream | None:
    """Return text files as a stream, not looked at yet; None if they are none or fit."""
    found = plain_files(paths)
    if COPIES * sum(map(os.path.getsize, found)) <= memory / 4:
        return None
    sources = [Source(path) for path in found]
    if not all(source.mappable and format_of(source) == "csv" for source in sources):
        return None
    cells = sum(cells_at_most(source.head, os.path.getsize(source.path)) for source in sources)
    if COPIES * 8 * cells <= memory:  # without a closer look
        return None
    text = TextStream(found, choice, memory, need_target, keep)
    return text if COPIES * text.estimated_rows * text.raw_row_bytes > memory else None


def plain_files(paths: Sequence[str]) -> list[str]:
    """Return the files among what is named, without empty ones; [] if something else is there."""
    found = expand(paths)
    if any(path in BUNDLED or path == STANDARD_INPUT or not os.path.isfile(path) for path in found):
        return []
    return [path for path in found if os.path.getsize(path)]
