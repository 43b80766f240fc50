# SPDX-License-Identifier: BSD-3-Clause
"""What the parts of a workbook of XML say, looked at before the library that reads it does.

The library makes room for what a part claims, which ends the process where there is none; it leaves
out or replaces cells where a part says two things of one, which would be wrong without a word.
"""

from __future__ import annotations

import re
import zipfile
from array import array
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NoReturn
from xml.parsers import expat

from fastrelu import machine
from fastrelu.app.data.readers.unpacked import require_memory
from fastrelu.app.errors import DataError

MOST_ROWS, MOST_COLUMNS = 1 << 20, 1 << 14  # of Excel's sheets
MOST_CELLS = 1 << 24  # that a sheet with few of them filled may span
MOST_CLAIMED = 1 << 20  # texts that a part may claim to share, however few it has
PIECE = 1 << 20  # bytes
COPIES = 3  # of the texts, as the library reads them
PLACE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,8})")
Block = tuple[tuple[int, int], tuple[int, int]]  # row and column of the first cell and the last
CELLS = frozenset(("c", "v", "row"))  # the names that nearly all elements have
# A number that is written by references to its characters, which the library leaves out.
REFERENCES = re.compile(
    rb"<(?:[\w.-]+:)?v(?:\s[^>]*)?>(?:[\s0-9.eE+-]*&#[0-9a-fA-FxX]+;)+[\s0-9.eE+-]*</"
)
# What the library looks for, in whatever part of the archive.
CONTENT = re.compile(rb"<(?:[\w.-]+:)?(?:sheetData|sst)[\s/>]")


def check_parts(path: str, file: zipfile.ZipFile) -> list[str]:
    """Look at every part of a workbook of XML, and return what to say about it.

    Parameters
    ----------
    path : str
        For messages.
    file : ZipFile
        The workbook.

    Raises
    ------
    DataError
        If a part is damaged, a sheet says two things of a cell, or has a cell so far out that all
        up to it take too much memory, or there are more texts than the memory holds.
    """
    checks: list[_Part] = []
    there = machine.memory()
    for info in file.infolist():
        checks.append(_Part(path, info.filename))
        checks[-1].read(file, info, lambda n_bytes: require_room(path, n_bytes, there))
    lengths = max((check.lengths for check in checks), key=len, default=array("q"))
    referring = sum(check.texts for check in checks)
    needed = sum(check.n_bytes for check in checks if check.is_content)
    if referring * max(lengths, default=0) > PIECE:
        needed += sum(
            _shared_bytes(file, info, lengths)
            for info, check in zip(file.infolist(), checks, strict=True)
            if check.texts
        )
    require_room(path, needed, there)
    blank = sum(check.blank for check in checks)
    return blanks_said(blank, next((check.first_blank for check in checks if check.blank), ""))


class _Part:
    """What one part of the archive holds, if it is a sheet or the shared texts."""

    def __init__(self, path: str, name: str) -> None:
        self.where = f"{path}: {name}"
        self.n_bytes = 0
        self.is_content = False
        self.in_cells = False
        self.row = self.column = 0  # of the last cell
        self.rows, self.columns, self.filled = 0, 1, 0
        self.texts = 0  # cells that refer to the shared ones
        self.valued = self.in_value = False  # the last cell; whether the parser is in its value
        self.blank, self.first_blank = 0, ""  # formulas without a value
        self.lengths = array("q")  # of shared texts
        self.claimed = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.XmlDeclHandler = self._declaration

    def read(
        self, file: zipfile.ZipFile, info: zipfile.ZipInfo, check: Callable[[int], None]
    ) -> None:
        """Read the part; what is no XML is passed over, unless the library would read on in it.

        `check` takes how many bytes of a part that the library reads have been unpacked.
        """
        damage, rest = "", b""
        with file.open(info) as part:
            while piece := part.read(PIECE):
                self.n_bytes += len(piece)
                if not damage:
                    damage = self._parse(piece, False)
                joined = rest + piece
                self.is_content = self.is_content or CONTENT.search(joined) is not None
                if self.is_content:
                    check(self.n_bytes)
                    if b"&#" in joined and REFERENCES.search(joined):
                        self.refuse("a number is written by references to its characters")
                rest = piece[-64:]
        damage = damage or self._parse(b"", True)
        if self.is_content and damage:
            self.refuse(f"the XML is damaged ({damage})")
        if self.in_cells:
            check_span(self.where, self.rows, self.columns, self.filled)
        if self.claimed > max(MOST_CLAIMED, 64 * len(self.lengths)):
            self.refuse(f"{self.claimed:,} texts are claimed, and {len(self.lengths):,} are there")

    def refuse(self, reason: str) -> NoReturn:
        """Raise DataError."""
        refuse(self.where, reason)

    def _parse(self, piece: bytes, last: bool) -> str:
        try:
            self.parser.Parse(piece, last)
        except expat.ExpatError as error:
            return str(error)
        except (LookupError, ValueError) as error:  # an encoding that Python has not
            return str(error) or type(error).__name__
        if self.n_bytes - self.parser.CurrentByteIndex > 4 * PIECE and not last:
            return f"a tag of more than {4 * PIECE:,} bytes"  # the parser begins it anew each time
        return ""

    def _doctype(self, *_: Any) -> None:
        self.refuse("a document type, which no workbook has")

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if (encoding or "utf-8").lower() not in ("utf-8", "us-ascii", "utf8"):
            self.refuse(f"the encoding is {encoding!r}; expected UTF-8")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name not in CELLS:
            name = name.rpartition(":")[2]
        if not self.in_cells:
            self._outside(name, attributes)
        elif name == "c":
            self._cell(attributes)
        elif name == "v" or name == "is":
            if self.valued:
                self.refuse(f"cell {self._place()} has two values")
            self.in_value = name == "v"
            self.valued = True
            self._fill()
        elif name == "row":
            self._row(attributes)
        else:
            self.in_value = False
            if name == "f":
                if self.valued:
                    self.refuse(f"cell {self._place()} has its formula behind its value")
                self.parser.EndElementHandler = self._end_formula
            elif name == "sheetData":
                self.refuse("two tables of cells in one sheet")

    def _outside(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "sheetData":
            self.in_cells = True
            self.parser.StartCdataSectionHandler = self._cdata
            self.parser.CommentHandler = self._cdata
        elif name == "sst":
            claim = attributes.get("uniqueCount", "0")
            self.claimed = int(claim) if claim.isdecimal() and len(claim) < 20 else 0
            self.parser.CharacterDataHandler = self._text
        elif name == "si":
            self.lengths.append(0)

    def _end_formula(self, name: str) -> None:
        name = name.rpartition(":")[2]
        if name == "c" and not self.valued:
            self.first_blank = self.first_blank or self._place()
            self.blank += 1
            self._fill()
        if name in ("c", "row", "sheetData"):
            self.parser.EndElementHandler = None

    def _cdata(self, _: str = "") -> None:
        if self.in_value:
            self.refuse(f"the value of cell {self._place()} is broken by a comment or CDATA")

    def _fill(self) -> None:
        self.filled += 1
        self.rows = self.row
        if self.column > self.columns:
            self.columns = self.column

    def _text(self, text: str) -> None:
        if self.lengths:
            self.lengths[-1] += len(text)

    def _row(self, attributes: Mapping[str, str]) -> None:
        digits = attributes.get("r")
        row = self.row + 1 if digits is None else _whole(digits)
        if not 0 < row <= MOST_ROWS:
            self.refuse(f"{(digits or str(row))[:20]!r} is no cell or row of a sheet")
        if row <= self.row:
            self.refuse(f"row {row} stands behind row {self.row}")
        self.row, self.column = row, 0

    def _cell(self, attributes: Mapping[str, str]) -> None:
        self.valued = self.in_value = False
        if attributes.get("t") == "s":
            self.texts += 1
        place = attributes.get("r")
        column = self.column + 1
        if place is not None and place != f"{_letters(column)}{self.row}":
            match = PLACE.fullmatch(place)
            column = _number(match[1]) if match else 0
            if match is None or column > MOST_COLUMNS or not 0 < int(match[2]) <= MOST_ROWS:
                self.refuse(f"{place[:20]!r} is no cell or row of a sheet")
            if int(match[2]) != self.row:
                self.refuse(f"cell {place} stands in row {self.row}")
            if column <= self.column:
                self.refuse(f"cell {place} stands twice, or behind one to the right of it")
        self.column = column
        if column > MOST_COLUMNS or not self.row:
            self.refuse(f"{self._place()!r} is no cell or row of a sheet")

    def _place(self) -> str:
        return place_of(self.row - 1, self.column - 1)


def refuse(where: str, reason: str) -> NoReturn:
    """Raise DataError for a workbook, or a part of one, and say what helps with any of them."""
    raise DataError(f"{where}: {reason}; save the sheet as CSV")


def blanks_said(blank: int, first: str) -> list[str]:
    """Return what to say about formulas that nothing has calculated, and where the first one is."""
    if not blank:
        return []
    return [
        f"formulas without a value, which count as missing: {blank:,}, the first at {first}; "
        "whatever wrote the workbook has not calculated them: open it in a spreadsheet program, "
        "and save it"
    ]


def require_room(path: str, n_bytes: int, there: float) -> None:
    """Raise DataError if a workbook's bytes or texts take more memory than there is."""
    require_memory(path, "a workbook is", COPIES * n_bytes, there)


def check_span(where: str, rows: int, columns: int, filled: int, before: int = 0) -> None:
    """Raise DataError if a sheet spans too many cells for those that are filled.

    `before`: cells that sheets before it span, where `filled` counts theirs, too.
    """
    if before + rows * columns > max(MOST_CELLS, 64 * filled):
        refuse(
            where,
            f"{filled:,} cells are filled, of {rows:,} rows and {columns:,} columns; empty what "
            "stands far away",
        )


def _shared_bytes(file: zipfile.ZipFile, info: zipfile.ZipInfo, lengths: array[int]) -> int:
    """Return the length of all the shared texts that the cells of a sheet refer to."""
    total, shared = 0, False
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal shared
        name = name.rpartition(":")[2]
        if name == "c":
            shared = attributes.get("t") == "s"
        parser.CharacterDataHandler = text if name == "v" and shared else None

    def text(digits: str) -> None:
        nonlocal total
        k = _whole(digits)
        total += lengths[k] if 0 <= k < len(lengths) else 0

    parser.StartElementHandler = start
    with file.open(info) as part:
        while piece := part.read(PIECE):
            parser.Parse(piece, False)
    return total


def _whole(digits: str) -> int:
    """Return a number of few digits; -1 for anything else."""
    return int(digits) if digits.isdecimal() and len(digits) < 10 else -1


def _number(letters: str) -> int:
    """Return the number of a column, from 1 on, of its letters."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def place_of(row: int, column: int) -> str:
    """Return the name of a cell, of its row and column from 0 on."""
    return f"{_letters(column + 1)}{row + 1}"


@cache
def _letters(number: int) -> str:
    """Return the letters of a column."""
    letters = ""
    while number:
        number, last = divmod(number - 1, 26)
        letters = chr(ord("A") + last) + letters
    return letters
