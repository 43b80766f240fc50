# SPDX-License-Identifier: BSD-3-Clause
"""What Parquet files take once they are decoded, which their own bytes say little about.

A column of numbers takes its width for each row, however well it is packed. A column of texts is
stored as a dictionary and numbers of its entries, and decoded to a text for each row: its longest
entry says what a row takes at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from fastrelu.app.data.readers.arrow import (
    arrow_errors,
    columns_of,
    dictionaries_in,
    open_parquet,
)
from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.files import reading
from fastrelu.app.data.stream.pages import DELTA_BYTE_ARRAY, HUGE, Page, huge_pages, pages

BUFFER = 1 << 16  # bytes of each column that are read at once
# What writers aim at: bytes of a page (or 20,000 rows), and of a dictionary.
PAGE, DICTIONARY = 1 << 18, 1 << 20
WIDTH = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8}  # bytes read
OFFSET, POINTER = 4, 8  # of a text in Arrow's memory, and in an array of Python's texts
MEASURED = 1 << 23  # bytes of texts that are decoded at once to be measured
MEASURED_ROWS, LEAST_PART = 4096, 64  # rows, of which at once, and for the longest few


def open_by_parts(path: str, metadata: Any = None, **options: Any) -> Any:
    """Return pyarrow's ParquetFile, which reads a part at a time and not ahead."""
    return open_parquet(
        path, metadata=metadata, memory_map=False, pre_buffer=False, buffer_size=BUFFER, **options
    )


@dataclass(frozen=True)
class GroupSize:
    """What a row group takes to read, without its texts.

    Attributes
    ----------
    number, n_rows : int
        Which row group of the file it is, and how many rows it has.
    reading : int
        Bytes beside its rows: pages as they are stored and unpacked, and dictionaries.
    numbers : int
        Bytes of its numbers.
    texts : dict of int to list of Page
        The pages of each column of texts.
    """

    number: int
    n_rows: int
    reading: int
    numbers: int
    texts: dict[int, list[Page]]

    @property
    def largest(self) -> int:
        """The bytes of the largest page of texts."""
        return max((page.unpacked for some in self.texts.values() for page in some), default=0)


class FileSizes:
    """What the row groups of a Parquet file take.

    Parameters
    ----------
    path : str
        To open it again.
    file : pyarrow.parquet.ParquetFile
        The file, open.
    used : sequence of str
        The columns that are read, as the file calls them.
    """

    def __init__(self, path: str, file: Any, used: Sequence[str]) -> None:
        self.path, self.metadata = path, file.metadata
        leaves, wanted = _leaves(file.schema_arrow), set(used)
        self._columns = {c: name for c, name in enumerate(leaves) if name in wanted}
        coded = set(dictionaries_in(file))
        coded |= {field.name for field in file.schema_arrow if hasattr(field.type, "index_type")}
        self._width: dict[int, int | None] = {}  # of a value; None of texts
        for c, name in self._columns.items():
            self._width[c] = _width(file.schema.column(c))
            if self._width[c] is None and name in coded:
                self._width[c] = POINTER  # read as numbers of a dictionary's entries

    def most(self, texts: bool = True) -> float:
        """Return what all rows take at most, or their numbers alone, told from the metadata."""
        widths = self._width.items()
        return _most(self.metadata, {c: width if texts else width or 0 for c, width in widths})

    def groups(self) -> Iterator[GroupSize]:
        """Yield what each row group takes, after a look at the sizes of its pages."""
        with open(self.path, "rb") as raw:
            for g in range(self.metadata.num_row_groups):
                with arrow_errors(self.path), reading(self.path):
                    group = self._group(g, raw)
                yield group

    def _group(self, g: int, raw: BinaryIO) -> GroupSize:
        group = self.metadata.row_group(g)
        reading, packed, numbers = 0, 0, 0
        texts: dict[int, list[Page]] = {}
        for c, width in self._width.items():
            column = group.column(c)
            size = column.total_uncompressed_size
            # A page as it is stored and unpacked, and a dictionary.
            reading += BUFFER + 2 * min(size, PAGE)
            reading += min(size, DICTIONARY) if column.has_dictionary_page else 0
            found = list(pages(raw, column)) if width is None or size > HUGE else []
            for stored, unpacked in huge_pages(found):  # one is unpacked at a time
                reading += min(size, unpacked)
                packed = max(packed, min(column.total_compressed_size, stored))
            if width is None:
                texts[c] = found
            else:
                numbers += width * max(group.num_rows, column.num_values)
        return GroupSize(g, group.num_rows, reading + packed, numbers, texts)

    def text_bytes(self, group: GroupSize) -> float:
        """Return what the texts of a row take at most, as Arrow has them.

        That is the longest entry of the dictionary, or the mean of the page with the longest
        texts: what its rows have more, side by side, is no more than a page.
        """
        longest = self._longest(group)
        total = 0.0
        for c, some in group.texts.items():
            size = self.metadata.row_group(group.number).column(c).total_uncompressed_size
            if not some:
                total += OFFSET + size  # the pages' headers cannot be read
                continue
            if any(page.encoding == DELTA_BYTE_ARRAY for page in some):
                total += OFFSET + self._measured(group, c)
                continue
            means = [p.unpacked / max(1, p.n_values) for p in some if not p.is_dictionary]
            total += OFFSET + max(longest.get(c, 0), *means, 0)
        return total

    def _longest(self, group: GroupSize) -> dict[int, int]:
        """Return the longest entry of each dictionary of texts, or more than that."""
        import pyarrow as pa
        import pyarrow.compute as pc

        coded = {c: p for c, some in group.texts.items() for p in some if p.is_dictionary}
        if not coded or not group.n_rows:
            return {}
        names = [self._columns[c] for c in coded]
        with self._opened(read_dictionary=names) as file:
            row = next(file.iter_batches(1, row_groups=[group.number], columns=names), None)
        found = {c: page.unpacked for c, page in coded.items()}
        for c, page in coded.items():
            if row is None:
                break
            column = row.column(self._columns[c])
            if pa.types.is_dictionary(column.type) and len(column.dictionary) == page.n_values:
                found[c] = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
        return found

    def _measured(self, group: GroupSize, c: int) -> float:
        """Return the most that a row's text takes in a column, among as many as are read."""
        rows = MEASURED // max(1, *(page.unpacked for page in group.texts[c]))
        rows = min(LEAST_PART, rows)
        most = 0.0
        for batch in self._batches(group, [self._columns[c]], rows):
            most = max(most, _texts_in(batch) / batch.num_rows)
        return most

    def decoded(self, group: GroupSize) -> Iterator[int]:
        """Yield what the texts of all rows take, a part after the other."""
        names = [self._columns[c] for c in group.texts]
        if not names:
            return
        rows = MEASURED / max(1.0, self.text_bytes(group))
        for batch in self._batches(group, names, int(rows)):
            yield _texts_in(batch) + OFFSET * len(names) * batch.num_rows

    def _batches(self, group: GroupSize, names: list[str], rows: int) -> Iterator[Any]:
        with self._opened() as file:
            rows = max(1, min(MEASURED_ROWS, rows))
            yield from file.iter_batches(rows, row_groups=[group.number], columns=names)

    @contextmanager
    def _opened(self, **options: Any) -> Iterator[Any]:
        with (
            arrow_errors(self.path),
            reading(self.path),
            open_by_parts(self.path, self.metadata, **options) as file,
        ):
            yield file


def _width(of: Any) -> int | None:
    """Return the bytes of a value in a column, from its schema; None of texts."""
    return of.length if of.physical_type == "FIXED_LEN_BYTE_ARRAY" else WIDTH.get(of.physical_type)


def _most(metadata: Any, widths: dict[int, int | None]) -> float:
    """Return what all values of some columns take at most, told from a file's metadata."""
    total = float(metadata.num_rows * sum(width or 0 for width in widths.values()))
    texts = [c for c, width in widths.items() if width is None]
    for g in range(metadata.num_row_groups if texts else 0):
        group = metadata.row_group(g)
        for c in texts:
            total += group.num_rows * (OFFSET + group.column(c).total_uncompressed_size)
    return total


def _surely_fit(paths: Sequence[str], limit: float) -> bool:
    """Return whether not even all columns of files, whatever they are, exceed a limit."""
    from pyarrow import parquet

    left = limit
    for path in paths:
        with arrow_errors(path), reading(path):
            metadata = parquet.read_metadata(path)
            schema = metadata.schema
            widths = [_width(schema.column(c)) for c in range(len(schema))]
            left -= metadata.num_rows * sum(width or OFFSET for width in widths)
            for g in range(metadata.num_row_groups if None in widths else 0):
                group = metadata.row_group(
                    g
                )  # whose columns are not looked at: see `refuse_damaged`
                left -= group.num_rows * group.total_byte_size  # of the texts of all columns
        if left < 0:
            return False
    return True


def refuse_damaged(paths: Sequence[str]) -> None:
    """Read a row of each row group: DataError where the metadata of a column are damaged.

    Asked for them alone, pyarrow may end the process.
    """
    for path in paths:
        with arrow_errors(path), reading(path), open_by_parts(path) as file:
            for g in range(file.metadata.num_row_groups):
                next(file.iter_batches(1, row_groups=[g]), None)


def exceed(
    paths: Sequence[str],
    choice: ColumnChoice,
    limit: float,
    need_target: bool,
    checked: bool = False,
) -> bool:
    """Return whether the values of Parquet files take more than `limit` bytes once decoded.

    Texts are decoded to be measured only if nothing else says it, and no more than `limit`.

    Parameters
    ----------
    paths : sequence of str
        The files.
    choice : ColumnChoice
        What each column is: others than the used are not read.
    limit : float
        Bytes.
    need_target : bool
        Whether there has to be a target.
    checked : bool
        Whether to read a row of each row group first: see `refuse_damaged`.

    Raises
    ------
    DataError
        If a file cannot be read, or has not the columns.
    """
    if _surely_fit(paths, limit):
        return False
    if checked:
        refuse_damaged(paths)
    files = []
    for path in paths:
        with arrow_errors(path), reading(path), open_by_parts(path) as file:
            columns = columns_of(file.schema_arrow)
            used = columns.stored(columns.roles(path, choice, need_target))
            files.append(FileSizes(path, file, used))
    if sum(sizes.most() for sizes in files) <= limit:
        return False
    known = sum(sizes.most(texts=False) for sizes in files)
    if known > limit:
        return True
    groups: list[tuple[FileSizes, GroupSize]] = []
    most = known
    for sizes in files:
        for group in sizes.groups():
            if group.largest > limit:
                return True
            most += group.n_rows * sizes.text_bytes(group)
            groups.append((sizes, group))
    if most <= limit:
        return False
    for sizes, group in groups:
        for n_bytes in sizes.decoded(group):
            known += n_bytes
            if known > limit:
                return True
    return False


def _texts_in(batch: Any) -> int:
    """Return the bytes of all texts of a record batch, which has nothing else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for column in batch.columns:
        of = column.type
        if pa.types.is_nested(of) or isinstance(of, pa.BaseExtensionType):
            total += column.nbytes
        else:
            total += pc.sum(pc.binary_length(column)).as_py() or 0
    return total


def _leaves(schema: Any) -> list[str]:
    """Return the top-level column that each stored column of a file belongs to.

    The stored columns' paths do not say it: a name may have dots, and nested fields have them too.
    """
    return [field.name for field in schema for _ in range(_n_leaves(field.type))]


def _n_leaves(of: Any) -> int:
    of = getattr(of, "storage_type", of)  # of an extension type
    if not of.num_fields:
        return 1
    return sum(_n_leaves(of.field(i).type) for i in range(of.num_fields))
