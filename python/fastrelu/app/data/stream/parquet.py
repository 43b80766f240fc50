# SPDX-License-Identifier: BSD-3-Clause
"""Parquet files, a row group at a time, by read() and in parts of some ten thousand rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrelu import get_num_threads
from fastrelu.app.data.meaning import Reading
from fastrelu.app.data.readers.arrow import arrow_errors, arrow_table
from fastrelu.app.data.readers.choice import ColumnChoice, Roles
from fastrelu.app.data.readers.files import reading
from fastrelu.app.data.stream.budget import part_rows
from fastrelu.app.data.stream.source import Chunk, add_content, chunks_of, new_hash
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError

BUFFER = 1 << 16  # bytes of each column that are read at once
# What writers aim at: bytes of a page (or 20,000 rows), and of a dictionary.
PAGE, DICTIONARY = 1 << 18, 1 << 20
WIDTH = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8}  # bytes read
PLAIN = {
    "float", "double", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
}  # fmt: skip


class ParquetStream:
    """Parquet files with the same columns; a chunk is a row group.

    Parameters
    ----------
    paths : sequence of str
        The files.
    choice : ColumnChoice
        What each column is.
    memory : int
        Bytes that may be used; half of them for reading.
    need_target : bool
        Whether there has to be a target.

    Raises
    ------
    DataError
        If a file cannot be read, has other columns than the first, or has a row group that takes
        too much memory to read.
    """

    reading: Reading | None = None

    def __init__(
        self, paths: Sequence[str], choice: ColumnChoice, memory: int, need_target: bool = True
    ) -> None:
        self.paths, self.choice = list(paths), choice
        self.source = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        self._metadata: tuple[str, Any] = ("", None)  # of the file opened last
        self.raw_row_bytes, self.reading_bytes = 0.0, 0
        files: list[tuple[str, list[int]]] = []
        columns: list[str] = []
        for path in paths:
            with self._open(path) as file:
                names = file.schema_arrow.names
                if not files:
                    self.roles = choice.roles(path, names, need_target)
                    columns = names
                self._check_columns(path, names, columns)
                files.append((path, self._row_groups(path, file.metadata, memory)))
        self.chunks = chunks_of(files)
        self.n_rows = sum(chunk.n_rows for chunk in self.chunks)
        if not self.n_rows:
            raise DataError(f"{self.source}: expected rows of data, got none")
        self.raw_row_bytes /= self.n_rows
        self.part_rows = part_rows(self.raw_row_bytes, memory)
        self.target_name = self.roles.target
        self.names: Sequence[str] = self.roles.inputs
        self.notes = list(self.roles.notes)

    def _open(self, path: str) -> Any:
        with arrow_errors(path), reading(path):
            from pyarrow import parquet

            known = self._metadata[1] if self._metadata[0] == path else None
            file = parquet.ParquetFile(
                path, metadata=known, memory_map=False, pre_buffer=False, buffer_size=BUFFER
            )
            self._metadata = (path, file.metadata)
            return file

    def _check_columns(self, path: str, names: list[str], columns: list[str]) -> None:
        missing = sorted(set(columns) - set(names))
        more = sorted(set(names) - set(columns))
        if missing or more:
            what = f"no column {missing[0]!r}" if missing else f"the column {more[0]!r}"
            raise DataError(f"{path}: expected the columns of {self.paths[0]}, got {what}")

    def _row_groups(self, path: str, metadata: Any, memory: int) -> list[int]:
        """Return the rows of a file's row groups, after a look at what reading each takes."""
        used = set(self.roles.used)
        counts = []
        for g in range(metadata.num_row_groups):
            group = metadata.row_group(g)
            needed = 0
            for c in range(group.num_columns):
                column = group.column(c)
                if column.path_in_schema.split(".")[0] not in used:
                    continue
                size = column.total_uncompressed_size
                width = WIDTH.get(column.physical_type)
                self.raw_row_bytes += size if width is None else width * group.num_rows
                # A page as it is stored and unpacked, and a dictionary.
                needed += BUFFER + 2 * min(size, PAGE)
                needed += min(size, DICTIONARY) if column.has_dictionary_page else 0
            if needed > memory // 2:
                raise DataError(
                    f"{path}: row group {g} of {group.num_rows:,} rows takes about "
                    f"{needed / 1e6:.0f} MB to read, more than half of --memory "
                    f"{memory // 10**6}MB; give --memory {-(-2 * needed // 10**6)}MB, or write the "
                    "file with smaller row groups (pyarrow.parquet.write_table(table, path, "
                    f"row_group_size={max(1024, group.num_rows // 8)}))"
                )
            self.reading_bytes = max(self.reading_bytes, needed)
            counts.append(group.num_rows)
        return counts

    def parts(self, chunk: Chunk, again: bool = False) -> Iterator[Table]:
        """Yield a row group's rows, some ten thousand at a time; see `Stream.parts`."""
        return self._tables(chunk, self.roles, again)

    def targets(self, chunk: Chunk) -> Iterator[Table]:
        """Yield a row group's targets, weights and extra columns; the others are not read."""
        return self._tables(chunk, replace(self.roles, inputs=[]), False)

    def _tables(self, chunk: Chunk, roles: Roles, again: bool) -> Iterator[Table]:
        with self._open(chunk.path) as file, arrow_errors(chunk.path):
            # The threads that fill a block read a chunk each.
            batches = file.iter_batches(
                self.part_rows,
                row_groups=[chunk.place],
                columns=roles.used,
                use_threads=get_num_threads() > 1 and not again,
            )
            at = chunk.row_in_file
            for batch in batches:
                if again:
                    yield self._known_table(chunk.path, batch, at)
                else:
                    yield arrow_table(chunk.path, batch, self.choice, roles, at)
                at += batch.num_rows

    def _known_table(self, path: str, batch: Any, first_row: int) -> Table:
        """Return a batch's table; plain numbers without nulls are not looked at again."""
        plain: dict[str, Any] = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if column.null_count == 0 and str(column.type) in PLAIN and not self._as_text(name):
                plain[name] = column.to_numpy()
        roles = self.roles
        target = plain.get(roles.target or "")
        rest = replace(
            roles,
            inputs=[name for name in roles.inputs if name not in plain],
            target=roles.target if target is None else None,
        )
        table = arrow_table(path, batch, self.choice, rest, first_row)
        columns = {name: plain[name] for name in roles.inputs if name in plain} | table.columns
        if target is None:
            return replace(table, columns=columns)
        return replace(
            table,
            columns=columns,
            target=target.astype(np.float64, copy=False),
            target_name=roles.target,
        )

    def _as_text(self, name: str) -> bool:
        return self.choice.kind(name) not in (None, "numeric")

    def fingerprint(self) -> dict[str, Any]:
        """Return what tells these files from others, without reading all of them."""
        total = new_hash()
        for path in self.paths:
            add_content(total, path)
        return {
            "rows": self.n_rows,
            "columns": [*self.names, f"target {self.target_name}"],
            "content": total.hexdigest(),
        }
