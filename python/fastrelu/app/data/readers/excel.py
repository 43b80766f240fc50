# SPDX-License-Identifier: BSD-3-Clause
"""Workbooks of Excel and OpenDocument, each cell as what it is, by python-calamine."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from fastrelu.app.data.meaning import ReadOptions
from fastrelu.app.data.readers.choice import ColumnChoice, tidy_names
from fastrelu.app.data.readers.excel_parts import Block, check_parts, place_of
from fastrelu.app.data.readers.excel_records import OLE, check_xls, check_xlsb
from fastrelu.app.data.readers.excel_tables import check_tables
from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.readers.objects import Columns, columns_table
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError, NoRowsError, needed

PARTS = ("[Content_Types].xml", "content.xml")
EMPTY = ("", None)


def is_workbook(source: Source) -> bool:
    """Return whether a file is a workbook: an old one, or a ZIP archive with its parts."""
    if source.head.startswith(OLE):
        return True
    if not source.head.startswith(b"PK"):
        return False
    try:
        content = source.path if source.mappable else io.BytesIO(source.read())
        with zipfile.ZipFile(content) as file:
            return any(part in file.namelist() for part in PARTS)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def read_excel(source: Source, choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table in a workbook's sheet: `choice.table`, or the only one that is not empty.

    The first row is of names, unless `choice.options` says another line or none; above it titles
    of one cell may stand, which are left out. Cells that are empty or hold an error are missing,
    and so are merged ones but for the first, which a note tells.

    Raises
    ------
    DataError
        If it cannot be read, or has not the sheet.
    """
    missing = (
        f"{source.path}: an Excel workbook or other Office file; save the sheet as CSV, or "
        "pip install python-calamine"
    )
    with needed("python-calamine", DataError(missing)):
        import python_calamine
    content = source.path if source.mappable else io.BytesIO(source.read())
    try:
        said, merged = _checked(source.path, content)
        if isinstance(content, io.BytesIO):
            content.seek(0)
        book = python_calamine.CalamineWorkbook.from_object(content)
        name, rows, own = _sheet(source.path, book, choice.table)
    except (DataError, MemoryError):
        raise
    except BaseException as error:  # its parser panics at some damaged files
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{source.path}: cannot be read as a workbook ({reason}); save the sheet as CSV"
        ) from None
    where = f"{source.path}: sheet {name!r}"
    header, notes = _header(where, rows, choice.options)
    body = rows[header + 1 :]
    named = rows[header] if header >= 0 else max(body, key=_width)
    width = _width(named)
    while body and all(cell in EMPTY for cell in body[-1]):
        body.pop()
    if not body and need_target:
        raise NoRowsError(f"{where}: expected rows of data, got none")
    for i, row in enumerate(body):
        if any(cell not in EMPTY for cell in row[width:]):
            raise DataError(
                f"{where}: row {header + i + 2}: expected {width} cells, as in the row of names, "
                f"got more; name the column, or empty the cell"
            )
    names = tidy_names([_name(cell) if header >= 0 else "" for cell in named[:width]])
    values = [[_cell(row[j]) for row in body] for j in range(width)]
    said += _merged_said(own or merged.get(name, []), header, width)
    columns = Columns(names, values, len(body), first_row=header + 1)
    table = columns_table(columns, choice, need_target, where)
    return replace(table, notes=said + notes + table.notes)


def _checked(path: str, content: str | io.BytesIO) -> tuple[list[str], dict[str, list[Block]]]:
    """Look at what a workbook claims before the library makes room for it.

    Return what to say, and the merged cells by sheet where the library does not know them.
    """
    said: list[str] = []
    merged: dict[str, list[Block]] = {}
    if zipfile.is_zipfile(content):
        with zipfile.ZipFile(content) as file:
            said = check_parts(path, file)
            more, merged = check_tables(path, file)
            said += more
            check_xlsb(path, file)
    check_xls(path, content)  # which may end as an archive
    return said, merged


def _sheet(path: str, book: Any, asked: str | None) -> tuple[str, list[list[Any]], list[Block]]:
    """Return the sheet asked for, or the only one with cells, all of its rows, and merged cells."""
    names = list(book.sheet_names)
    if asked is not None and asked not in names:
        raise DataError(f"{path}: --table: no sheet {asked!r}; the workbook has {', '.join(names)}")
    filled = []
    for name in names if asked is None else [asked]:
        sheet = book.get_sheet_by_name(name)
        rows = sheet.to_python(skip_empty_area=False)
        if any(cell not in EMPTY for row in rows for cell in row):
            filled.append((name, rows, sheet.merged_cell_ranges or []))
    if not filled:
        raise DataError(f"{path}: {'sheet ' + repr(asked) if asked else 'the workbook'} is empty")
    if len(filled) > 1:
        found = ", ".join(name for name, *_ in filled)
        raise DataError(f"{path}: {len(filled)} sheets, {found}; --table says which one")
    return filled[0]


def _merged_said(blocks: Sequence[Block], header: int, width: int) -> list[str]:
    """Return what to say of merged cells in the row of names, or below it."""
    there = [block for block in blocks if block[1][0] >= header and block[0][1] < width]
    if not there:
        return []
    first, last = (place_of(*cell) for cell in there[0])
    return [
        f"merged cells: {len(there):,}, such as {first}:{last}; only the first of each has a "
        "value, and the others count as missing: unmerge them, and fill in what they mean"
    ]


def _width(row: Sequence[Any]) -> int:
    """Return how many cells a row has up to the last one that is not empty."""
    return max((j for j, cell in enumerate(row) if cell not in EMPTY), default=-1) + 1


def _header(
    where: str, rows: Sequence[Sequence[Any]], options: ReadOptions
) -> tuple[int, list[str]]:
    """Return the number of the row of names, -1 for none, and what to say about those above it."""
    if options.no_header:
        return -1, []
    if options.header_line is not None:
        at = options.header_line - 1
        if at >= len(rows) or not _width(rows[at]):
            raise DataError(f"{where}: --header-line {at + 1}: no names stand there")
        return at, []
    counts = [sum(cell not in EMPTY for cell in row) for row in rows]
    wide = max(counts)
    at = next(i for i, n in enumerate(counts) if n > 1 or n == wide)
    if all(not isinstance(cell, str) for cell in rows[at] if cell not in EMPTY):
        raise DataError(
            f"{where}: row {at + 1}: expected column names, got numbers; add a row of names, "
            "or say that there is none: --no-header"
        )
    above = [str(next(c for c in rows[i] if c not in EMPTY)) for i in range(at) if counts[i]]
    if not above:
        return at, []
    return at, [f"rows above the names are left out, such as {above[0][:40]!r}"]


def _name(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)


def _cell(cell: Any) -> Any:
    if cell in EMPTY:
        return None
    plain_day = isinstance(cell, date) and not isinstance(cell, datetime)
    return datetime(cell.year, cell.month, cell.day) if plain_day else cell
