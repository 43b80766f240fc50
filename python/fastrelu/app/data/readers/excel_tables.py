# SPDX-License-Identifier: BSD-3-Clause
"""The tables of an OpenDocument spreadsheet, looked at before the library that reads it does.

The library writes out every repeated cell and row, which ends the process where there is no memory
for them; rows and columns that are too many it leaves out without a word.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from typing import NoReturn
from xml.parsers import expat

from fastrelu import machine
from fastrelu.app.data.readers import excel_parts

CONTENT = "content.xml"
CELLS = frozenset(("table:table-cell", "table:covered-table-cell"))
VALUES = tuple(f"office:{k}value" for k in ("", "string-", "date-", "time-", "boolean-"))
ROWS, COLUMNS = "table:number-rows-repeated", "table:number-columns-repeated"
ROWS_SPANNED, COLUMNS_SPANNED = "table:number-rows-spanned", "table:number-columns-spanned"
MOST_BLANKS = 1 << 20  # that one element of a text may stand for


def check_tables(
    path: str, file: zipfile.ZipFile
) -> tuple[list[str], dict[str, list[excel_parts.Block]]]:
    """Look at the tables of an OpenDocument spreadsheet; any other archive is passed over.

    Return what to say about them, and the merged cells of each, by its name.

    `path` is for messages.

    Raises
    ------
    DataError
        If the XML is damaged, or a table has a cell that no sheet has, or so far out or so often
        that all up to it take too much memory.
    """
    tables = _Tables(path)
    for info in file.infolist():
        if info.filename == CONTENT:
            tables.read(file, info)
    return excel_parts.blanks_said(tables.blank, tables.first_blank), tables.merged


class _Tables:
    """All tables of a spreadsheet: how many cells they have once every repeat is written out."""

    def __init__(self, path: str) -> None:
        self.path, self.where = path, f"{path}: {CONTENT}"
        self.there = machine.memory()
        self.span = self.filled = self.n_bytes = 0  # of all tables, as the library holds them all
        self.row = self.rows = self.columns = 0  # of this one
        self.times = self.column = self.last = self.row_bytes = 0  # of this row
        self.repeats, self.length, self.depth = 1, 0, 0  # of this cell
        self.has_text = False
        self.blank, self.first_blank = 0, ""  # formulas without a value
        self.merged: dict[str, list[excel_parts.Block]] = {}
        self.blocks: list[excel_parts.Block] = []  # those of this table
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartCdataSectionHandler = self._cdata

    def read(self, file: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        """Read them; DataError as soon as they are too many."""
        try:
            with file.open(info) as part:
                while piece := part.read(excel_parts.PIECE):
                    self.parser.Parse(piece, False)
            self.parser.Parse(b"", True)
        except expat.ExpatError as error:
            self._refuse(f"the XML is damaged ({error})")

    def _refuse(self, reason: str) -> NoReturn:
        excel_parts.refuse(self.where, reason)

    def _number(self, attributes: Mapping[str, str], name: str) -> int:
        digits = attributes.get(name, "1")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 20 and int(digits)):
            self._refuse(f"{name} is {digits[:20]!r}; expected a number from 1 on")
        return int(digits)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self.depth:
            self.depth += 1
            if name == "text:s" and self.has_text:
                blanks = attributes.get("text:c", "1")
                if not blanks.isdecimal() or len(blanks) > 9 or int(blanks) > MOST_BLANKS:
                    self._refuse(f"a text of {blanks[:20]} blanks")
                self.length += int(blanks)
        elif name in CELLS:
            self._cell(attributes)
        elif name == "table:table-row":
            self.times = self._number(attributes, ROWS)
            self.column = self.last = self.row_bytes = 0
        elif name == "table:table":
            self.row = self.rows = self.columns = 0
            self.blocks = self.merged.setdefault(attributes.get("table:name", ""), [])

    def _cell(self, attributes: Mapping[str, str]) -> None:
        self.depth = 1
        self.repeats = self._number(attributes, COLUMNS)
        value = next((attributes[key] for key in VALUES if key in attributes), None)
        self.has_text = value is None and attributes.get("office:value-type") == "string"
        formula = attributes.get("table:formula", "")
        self.length = len(value or "") + len(formula)
        if formula and value is None and not self.has_text:
            if not self.blank:
                self.first_blank = excel_parts.place_of(self.row, self.column)
            self.blank += self.times * self.repeats
        if ROWS_SPANNED in attributes or COLUMNS_SPANNED in attributes:
            self._span(attributes)
        self.column += self.repeats
        if value is not None or self.has_text or formula:
            self.filled += 1
            self.last = self.column

    def _span(self, attributes: Mapping[str, str]) -> None:
        rows = self._number(attributes, ROWS_SPANNED)
        columns = self._number(attributes, COLUMNS_SPANNED)
        if rows * columns > 1:
            last = self.row + rows - 1, self.column + columns - 1
            self.blocks.append(((self.row, self.column), last))

    def _text(self, text: str) -> None:
        if self.depth and self.has_text:
            self.length += len(text)

    def _cdata(self) -> None:
        if self.depth and self.has_text:
            self._refuse(f"a text of row {self.row + 1} is in CDATA, which is left out")

    def _end(self, name: str) -> None:
        if self.depth:
            self.depth -= 1
            if not self.depth:
                self.row_bytes += self.repeats * self.length
        elif name == "table:table-row":
            self._end_row()
        elif name == "table:table":
            excel_parts.check_span(self.where, self.rows, self.columns, self.filled, self.span)
            self.span += self.rows * self.columns

    def _end_row(self) -> None:
        self.row += self.times
        if not self.last:
            return
        self.rows = self.row
        self.columns = max(self.columns, self.last)
        self.n_bytes += self.times * self.row_bytes
        if self.rows > excel_parts.MOST_ROWS or self.last > excel_parts.MOST_COLUMNS:
            self._refuse(
                f"row {self.rows:,} with {self.last:,} cells, which no sheet has; it has up to "
                f"{excel_parts.MOST_ROWS:,} rows and {excel_parts.MOST_COLUMNS:,} columns"
            )
        excel_parts.require_room(self.path, self.n_bytes, self.there)
