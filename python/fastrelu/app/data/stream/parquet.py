# SPDX-License-Identifier: BSD-3-Clause
"""Parquet files, a row group at a time, by read() and in parts of some ten thousand rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrelu import get_num_threads
from fastrelu.app.data.meaning import Evidence, Meaning, Reading
from fastrelu.app.data.readers.arrow import (
    arrow_errors,
    arrow_table,
    columns_of,
    dictionaries_in,
    with_dictionaries,
)
from fastrelu.app.data.readers.arrow_types import ArrowColumn, is_text, look_at_texts
from fastrelu.app.data.readers.choice import ColumnChoice, Roles, tidy_names
from fastrelu.app.data.readers.column import ColumnReader, Found, evidence_for
from fastrelu.app.data.readers.files import reading
from fastrelu.app.data.readers.places import FolderColumns, named_in_folders
from fastrelu.app.data.readers.values import row_number
from fastrelu.app.data.stream.budget import part_rows
from fastrelu.app.data.stream.parquet_sizes import POINTER, FileSizes, GroupSize, open_by_parts
from fastrelu.app.data.stream.source import Chunk, chunks_of, files_fingerprint
from fastrelu.app.data.table import Table, is_missing, kind_of
from fastrelu.app.errors import DataError

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

    reading: Reading | None

    def __init__(
        self, paths: Sequence[str], choice: ColumnChoice, memory: int, need_target: bool = True
    ) -> None:
        self.paths = list(paths)
        choice = replace(choice, folders=tuple(named_in_folders(paths, choice)))
        self.source = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        self._metadata: tuple[str, Any] = ("", None)  # of the file opened last
        self._kinds: dict[str, str] = {}
        self._types: dict[str, tuple[str, Any]] = {}  # and the first file that says it
        self.reading_bytes = 0
        files: list[tuple[str, list[GroupSize]]] = []
        self._text_bytes: dict[tuple[str, int], float] = {}  # of a row of a row group, at most
        for path in paths:
            with self._open(path) as file:
                columns = columns_of(file.schema_arrow)
                if not files:
                    self.columns = columns
                    self.roles = columns.roles(path, choice, need_target)
                self._check_columns(path, columns.names)
                for name in self.roles.used:
                    of = file.schema_arrow.field(columns.raw[name]).type
                    if str(of) != "null":
                        of = dictionaries_in(file).get(columns.raw[name], of)
                        self._types.setdefault(name, (path, of))
                sizes = FileSizes(path, file, columns.stored(self.roles))
                files.append((path, list(self._row_groups(sizes, memory))))
        self.chunks = chunks_of([(path, [g.n_rows for g in groups]) for path, groups in files])
        self.n_rows = sum(chunk.n_rows for chunk in self.chunks)
        if not self.n_rows:
            raise DataError(f"{self.source}: expected rows of data, got none")
        numbers = sum(group.numbers for _, groups in files for group in groups) / self.n_rows
        self._share(numbers, memory)
        self.found = Found(list(self.roles.notes))
        self.choice = replace(choice, decided=self._decided(choice))
        self.folders = FolderColumns(paths, self.choice, self.columns.names)
        self.reading = self.folders.known_to(self.found.reading("arrow", self.choice))
        self.target_name = self.roles.target
        self.names: Sequence[str] = [*self.roles.inputs, *self.folders.inputs]
        self.notes = self.found.all_notes()

    def _open(self, path: str) -> Any:
        with arrow_errors(path), reading(path):
            known = self._metadata[1] if self._metadata[0] == path else None
            file = open_by_parts(path, known)
            self._metadata = (path, file.metadata)
            return file

    def _check_columns(self, path: str, names: list[str]) -> None:
        missing = sorted(set(self.columns.names) - set(names))
        more = sorted(set(names) - set(self.columns.names))
        if missing or more:
            what = f"no column {missing[0]!r}" if missing else f"the column {more[0]!r}"
            raise DataError(f"{path}: expected the columns of {self.paths[0]}, got {what}")

    def _row_groups(self, sizes: FileSizes, memory: int) -> Iterator[GroupSize]:
        """Yield a file's row groups, after a look at what reading each takes."""
        path = sizes.path
        for group in sizes.groups():
            needed = group.reading
            if needed > memory // 2:
                raise DataError(
                    f"{path}: row group {group.number} of {group.n_rows:,} rows takes about "
                    f"{needed / 1e6:.0f} MB to read, more than half of --memory "
                    f"{memory // 10**6}MB; give --memory {-(-2 * needed // 10**6)}MB, or write the "
                    "file with smaller row groups (pyarrow.parquet.write_table(table, path, "
                    f"row_group_size={max(1024, group.n_rows // 8)}))"
                )
            self.reading_bytes = max(self.reading_bytes, needed)
            if group.texts:
                text = sizes.text_bytes(group) + POINTER * len(group.texts)
                self._text_bytes[path, group.number] = text
            yield group

    def _share(self, numbers: float, memory: int) -> None:
        """Say how many rows of each row group are read at once, and what these take at most."""
        by_text = {row: part_rows(numbers + row, memory) for row in {*self._text_bytes.values()}}
        self._rows = {group: by_text[row] for group, row in self._text_bytes.items()}
        without = len(self._text_bytes) < len(self.chunks) or not by_text
        self.part_rows = max([*by_text.values(), *[part_rows(numbers, memory)][:without]])
        self.raw_row_bytes = numbers
        if by_text:
            largest = max((numbers + row) * rows for row, rows in by_text.items())
            self.raw_row_bytes = max(numbers, largest / self.part_rows)

    def _rows_at_once(self, chunk: Chunk) -> int:
        return min(self.part_rows, self._rows.get((chunk.path, chunk.place), self.part_rows))

    def _decided(self, choice: ColumnChoice) -> dict[str, Meaning]:
        """Return what the columns of texts are, told from the texts of all rows."""
        names = [n for n in self.roles.used if choice.kind(n) is None and choice.known(n) is None]
        columns, found = self.columns.raw, dict[str, Meaning]()
        readers: dict[str, tuple[ArrowColumn, Evidence]] = {}
        for name in names:
            role = "target" if name == self.roles.target else "column"
            reader = ArrowColumn.of(self.source, name, row_number(), choice, role, self.found)
            if name in self._types and is_text(self._types[name][1]):
                readers[name] = reader, evidence_for(reader.hints)
            elif name in self._types and reader.written_as_dates:
                found[name] = Meaning("date", order=reader.hints.order or "")
        self.found.meanings.update(found)
        if not readers:
            return found
        for chunk in self.chunks:
            with self._open(chunk.path) as file, arrow_errors(chunk.path):
                schema = file.schema_arrow
                here = {n: r for n, r in readers.items() if is_text(schema.field(columns[n]).type)}
                if not here:
                    continue
                batches = file.iter_batches(
                    self._rows_at_once(chunk),
                    row_groups=[chunk.place],
                    columns=[columns[name] for name in here],
                )
                at = chunk.first_row
                for batch in batches:
                    for name in [name for name in here if name in readers]:
                        reader, evidence = readers[name]
                        try:
                            look_at_texts(evidence, batch.column(columns[name]), reader, at)
                        except DataError:
                            if reader.strict:
                                raise
                            del readers[name]  # which says why when it is read
                    at += batch.num_rows
        return found | {n: reader.decide(evidence) for n, (reader, evidence) in readers.items()}

    def parts(self, chunk: Chunk, again: bool = False) -> Iterator[Table]:
        """Yield a row group's rows, some ten thousand at a time; see `Stream.parts`."""
        return self._tables(chunk, self.roles, again)

    def targets(self, chunk: Chunk) -> Iterator[Table]:
        """Yield a row group's targets, weights and extra columns; the inputs are not read."""
        return self._tables(chunk, replace(self.roles, inputs=[]), False)

    def _tables(self, chunk: Chunk, roles: Roles, again: bool) -> Iterator[Table]:
        with self._open(chunk.path) as file, arrow_errors(chunk.path):
            # The threads that fill a block read a chunk each.
            batches = file.iter_batches(
                self._rows_at_once(chunk),
                row_groups=[chunk.place],
                columns=self.columns.stored(roles),
                use_threads=get_num_threads() > 1 and not again,
            )
            at = chunk.row_in_file
            dictionaries = dictionaries_in(file)
            for batch in batches:
                batch = with_dictionaries(batch, dictionaries)
                if again:
                    table = self._known_table(chunk.path, batch, at)
                else:
                    table = self._table(chunk.path, batch, at, roles)
                yield self.folders.add_to(table, {chunk.path: table.n_rows})
                at += batch.num_rows
            if at != chunk.row_in_file + chunk.n_rows:
                raise DataError(
                    f"{chunk.path}: damaged or cut short: row group {chunk.place} has "
                    f"{at - chunk.row_in_file:,} rows, and {chunk.n_rows:,} are announced"
                )

    def _table(self, path: str, batch: Any, first_row: int, roles: Roles) -> Table:
        table = self._of_one_kind(arrow_table(path, batch, self.choice, roles, first_row))
        self.notes += [note for note in table.notes if note not in self.notes]
        return table

    def _known_table(self, path: str, batch: Any, first_row: int) -> Table:
        """Return a batch's table; plain numbers without nulls are not looked at again."""
        plain: dict[str, Any] = {}
        for name, column in zip(tidy_names(batch.schema.names), batch.columns, strict=True):
            if column.null_count == 0 and str(column.type) in PLAIN and not self._as_text(name):
                plain[name] = column.to_numpy()
        roles = self.roles
        target = plain.get(roles.target or "")
        rest = replace(
            roles,
            inputs=[name for name in roles.inputs if name not in plain],
            target=roles.target if target is None else None,
        )
        table = self._of_one_kind(arrow_table(path, batch, self.choice, rest, first_row))
        columns = {name: plain[name] for name in roles.inputs if name in plain} | table.columns
        if target is None:
            return replace(table, columns=columns)
        return replace(
            table,
            columns=columns,
            target=target.astype(np.float64, copy=False),
            target_name=roles.target,
        )

    def _of_one_kind(self, table: Table) -> Table:
        """Return a part's table with the kinds of the whole: files may store a column differently.

        Raises
        ------
        DataError
            If a column is numbers in one file and text in another.
        """
        columns = table.columns | table.extra
        for name, column in columns.items():
            kind = self._kinds.get(name)
            if kind is None:
                if name not in self._types:
                    continue  # of type null in every file
                kind = self._kinds[name] = self._kind_of(name)
            found = kind_of(column)
            if found == kind:
                continue
            if not is_missing(column).all():
                raise DataError(
                    f"{table.source}: column {name!r} is {found}, but {kind} in "
                    f"{self._types[name][0]}; correct it, or read it as categories: --categorical "
                    f"{name!r}"
                )
            of_it = table.columns if name in table.columns else table.extra
            of_it[name] = ColumnReader("", name, row_number(), kind).nothing(len(column))
        return table

    def _kind_of(self, name: str) -> str:
        """Return what a column is in all files: as its type says, or its texts."""
        known, of = self.choice.known(name), self._types[name][1]
        asked = self.choice.kind(name) or (known.table_kind if known is not None else None)
        if asked is not None:
            return asked
        empty = ArrowColumn.of("", name, row_number(), self.choice, "column", Found())
        return kind_of(empty.read(pa_empty(of)))

    def _as_text(self, name: str) -> bool:
        if self.choice.kind(name) not in (None, "numeric"):
            return True
        reader = ArrowColumn.of("", name, row_number(), self.choice, "column", Found())
        return reader.written_as_dates or len(reader.hints.missing.values) > 0

    def fingerprint(self) -> dict[str, Any]:
        """Return what tells these files from others, without reading all of them."""
        return files_fingerprint(self.n_rows, self.names, self.target_name, self.paths)


def pa_empty(of: Any) -> Any:
    """Return an Arrow array of a type without values."""
    import pyarrow as pa

    return pa.array([], of.storage_type if hasattr(of, "storage_type") else of)
