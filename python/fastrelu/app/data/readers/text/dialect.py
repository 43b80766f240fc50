# SPDX-License-Identifier: BSD-3-Clause
"""How a text file is laid out: separator, quote, where the names and the data begin.

Told from the first rows as a whole, not from the header: a separator is one if the rows fall into
fields alike, and their cells look like data.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastrelu.app.data.meaning import ReadOptions
from fastrelu.app.data.readers.text.cells import is_header, look
from fastrelu.app.data.readers.text.layout import (
    PREAMBLE,
    SEPARATORS,
    Layout,
    is_blank,
    is_comment,
    layout_of,
)
from fastrelu.app.data.readers.text.records import MalformedError, Record, fields_of, records
from fastrelu.app.errors import DataError

NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
SPACED = 0.7  # how much like data cells between spaces have to look; text has spaces too
ANNOUNCED = re.compile(r'"?sep=([^\r\n"])"?\r?\n')


@dataclass(frozen=True)
class Dialect:
    """How a text file is laid out.

    Attributes
    ----------
    separator : str
        One character; a space stands for any run of spaces and tabs.
    names : tuple of str
        The columns' names, in order, without those of `dropped`.
    quote : str
        The quote, "" for none.
    escape : bool
        Whether a backslash stands before a quote inside of quotes.
    padded : bool
        Whether spaces between separators and quotes are no part of the fields.
    header : int
        The line of the names, 0 if there is none.
    offset : int
        Bytes before the first row of data.
    line : int
        The line of the first row.
    labels : bool
        Whether each row begins with a label that has no name.
    trailing : bool
        Whether each row ends with a separator that ends no field.
    notes : tuple of str
        What the user should know.
    """

    separator: str
    names: tuple[str, ...]
    quote: str = '"'
    escape: bool = False
    padded: bool = False
    header: int = 1
    offset: int = 0
    line: int = 2
    labels: bool = False
    trailing: bool = False
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def width(self) -> int:
        """Fields of a row, those that are dropped included."""
        return len(self.names) + self.labels + self.trailing

    def describe(self) -> dict[str, Any]:
        """Return it as plain values, for reports and model files."""
        return {
            "format": "text",
            "separator": self.separator,
            "quote": self.quote,
            "escape": "\\" if self.escape else "",
            "header": self.header > 0,
            "header_line": self.header or None,
        }


def sniff(
    source: str,
    text: str,
    whole: bool,
    options: ReadOptions,
    known: Collection[str] = (),
    bom: int = 0,
) -> Dialect:
    """Return the dialect of a text file.

    Parameters
    ----------
    source : str
        The file, for messages.
    text : str
        The beginning of the file: many lines of it, or all.
    whole : bool
        Whether it is all.
    options : ReadOptions
        What the user says about the reading of texts.
    known : collection of str
        Names that the file should have, those of a model.
    bom : int
        Bytes before the text.

    Raises
    ------
    DataError
        If there is no text, or what the user says does not fit it.
    """
    separators = _asked(source, options)
    announced = ANNOUNCED.match(text)
    if announced is not None:  # Excel's own way
        separators = separators or announced[1]
        bom += len(announced[0].encode())
        text = text[announced.end() :]
    separators = separators or SEPARATORS
    quotes: Sequence[tuple[str, bool]] = (('"', False), ('"', True), ("'", False))
    if options.quote is not None:
        quotes = ((_asked_quote(source, options.quote), False),)
    found = [
        layout
        for separator in separators
        for quote, escape in quotes
        if (layout := layout_of(text, whole, separator, quote, escape)) is not None
    ]
    if options.separator is None and not any(layout.width > 1 for layout in found):
        spaced = layout_of(text, whole, " ", '"', False)
        if spaced is not None and spaced.width > 1 and spaced.quality > SPACED:
            found.append(spaced)
    if not found:
        raise _nothing(source, text)
    best = max(found, key=lambda layout: layout.rank(known))
    dialect = _Names(best, source, options, known).dialect(bom)
    if announced is None:
        return dialect
    return replace(
        dialect, line=dialect.line + 1, header=dialect.header + 1 if dialect.header else 0
    )


def _asked(source: str, options: ReadOptions) -> str:
    """Return the separator that the user asks for, "" for none."""
    asked = options.separator
    if asked is None:
        return ""
    words = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "bar": "|", "space": " "}
    separator = words.get(asked.lower(), asked)
    if len(separator) != 1 or separator in "\r\n\"'" or not separator.isascii():
        raise DataError(f"{source}: --separator: expected one character, got {asked!r}")
    return separator


def _asked_quote(source: str, asked: str) -> str:
    if asked == "none":
        return ""
    if len(asked) != 1 or not asked.isascii() or asked.isalnum() or asked in "\r\n":
        raise DataError(f"{source}: --quote: expected one character or none, got {asked!r}")
    return asked


def _nothing(source: str, text: str) -> DataError:
    if not text.strip():
        return DataError(f"{source}: the file is empty")
    try:
        list(records(text, ","))
    except MalformedError as error:
        return DataError(
            f"{source}: line {error.line}: not CSV: the quotes do not match; correct the line"
        )
    return DataError(
        f"{source}: expected rows of fields, got none; --separator says what stands between them"
    )


class _Names:
    """Finds the names of a layout's columns, and where its data begin."""

    def __init__(
        self, layout: Layout, source: str, options: ReadOptions, known: Collection[str]
    ) -> None:
        self.layout, self.source, self.options, self.known = layout, source, options, known
        self.notes: list[str] = []

    def dialect(self, bom: int) -> Dialect:
        layout = self.layout
        header, first = self._header()
        rows = [r for r in layout.body if first is None or r.line >= first.line]
        width = layout.width
        labels = trailing = False
        names: list[str] = [f"column {j + 1}" for j in range(width)]
        if header is not None:
            fields = self._fields(header)
            names = [self._name(j, f) for j, f in enumerate(fields)]
            if len(fields) == width - 1:
                trailing = not any(r.fields[-1].strip() for r in rows)
                labels = not trailing and self._are_labels(rows, width)
                if not trailing and not labels:
                    raise self._other_width(rows[0], header)
            elif not fields[-1].strip() and width > 1 and rows:
                trailing = not any(r.fields[-1].strip() for r in rows)
                names = names[:-1] if trailing else names
        elif width > 1 and len(rows) > 1 and not any(r.fields[-1].strip() for r in rows):
            trailing, names = True, names[:-1]
        if header is not None:
            odd = [r for r in layout.odd if r.line > header.line]
            if odd and (first is None or odd[0].line < first.line):
                raise self._other_width(odd[0], header)
        self._tell(header, labels, trailing, names)
        start = first.start if first is not None else layout.end
        return Dialect(
            layout.separator,
            tuple(names),
            layout.quote,
            layout.escape,
            layout.padded,
            header.line if header is not None else 0,
            bom + len(layout.text[:start].encode("utf-8", "surrogateescape")),
            first.line if first is not None else (header.line + 1 if header else 1),
            labels,
            trailing,
            tuple(self.notes),
        )

    def _fields(self, header: Record) -> list[str]:
        """Return the names in a record, without a comment's mark and a separator at the end."""
        fields = header.fields
        if self.layout.separator == " " and len(fields) > 1 and not fields[0].strip("#"):
            fields = fields[1:]
        if len(fields) == self.layout.width + 1 > 2 and not fields[-1].strip():
            fields = fields[:-1]
        return fields

    def _name(self, j: int, name: str) -> str:
        name = name.strip()
        if j == 0 and name.startswith("# "):
            name = name[2:].strip()
        return name or f"column {j + 1}"

    def _header(self) -> tuple[Record | None, Record | None]:
        """Return the record of the names, None if there is none, and the first one of data."""
        layout, options = self.layout, self.options
        if not options.no_header and options.header_line is None:
            titles = self._titles()
            layout.before, layout.body = layout.before + layout.body[:titles], layout.body[titles:]
        body = layout.body
        everything = [*layout.before, *body]
        if options.no_header:
            return None, body[0]
        if options.header_line is not None:
            return self._at_line(options.header_line)
        if self.known:
            found = [
                len({self._name(1, f) for f in r.fields if f.strip()} & set(self.known))
                for r in everything[:PREAMBLE]
            ]
            if any(found):
                record = everything[found.index(max(found))]
                return record, next((r for r in body if r.line > record.line), None)
        above = layout.before[-1] if layout.before else None
        if is_header(body[0].fields, [r.fields for r in body[1:101]]):
            numbers = all(look(f) != "text" for f in body[0].fields)
            if above is not None and numbers and len(above.fields) > 1 and not is_comment(above):
                raise self._other_width(body[0], above)
            return body[0], body[1] if len(body) > 1 else None
        if layout.before and self._above(layout.before[-1]):
            return layout.before[-1], body[0]
        if above is not None and len(above.fields) > 1 and not is_comment(above):
            raise self._other_width(body[0], above)
        return None, body[0]

    def _titles(self) -> int:
        """Return how many titles stand above the names, filled up with separators as by Excel."""
        body = self.layout.body
        for k, record in enumerate(body[:PREAMBLE]):
            filled = [field for field in record.fields if field.strip()]
            if not filled or (len(filled) == 1 < len(record.fields) and look(filled[0]) == "text"):
                continue
            below = [r.fields for r in body[k + 1 : k + 101]]
            return k if k and is_header(record.fields, below) else 0
        return 0

    def _are_labels(self, rows: Sequence[Record], width: int) -> bool:
        """Return whether the first fields count the rows, or are quoted, as R writes them."""
        firsts = [r.fields[0] for r in rows]
        quoted = all(self.layout.text.startswith('"', r.start) for r in rows)
        counting = ([str(k + start) for k in range(len(firsts))] for start in (0, 1))
        return quoted or (width > 2 and firsts in counting)

    def _other_width(self, row: Record, header: Record) -> DataError:
        expected = fields_of(len(self._fields(header)))
        return DataError(
            f"{self.source}: line {row.line}: expected {expected}, as in line {header.line}, got "
            f"{len(row.fields)}; correct the lines, quote what holds separators, or say more: "
            "--separator, --header-line"
        )

    def _above(self, record: Record) -> bool:
        """Return whether a record above the data, of a field less or a comment, has the names."""
        fields = self._fields(record)
        if is_comment(record):
            fields = [fields[0].lstrip().lstrip("#"), *fields[1:]]
        width = self.layout.width
        if len(fields) == width or (len(fields) == width - 1 and width > 2):
            return all(look(f) == "text" for f in fields) and len(set(fields)) == len(fields)
        return False

    def _at_line(self, line: int) -> tuple[Record, Record | None]:
        layout = self.layout
        everything = records(
            layout.text, layout.separator, layout.quote, layout.escape, padded=layout.padded
        )
        try:
            for record in everything:
                if record.line >= line:
                    if record.line == line and not is_blank(record):
                        after = [r for r in layout.body if r.line > line]
                        return record, after[0] if after else None
                    break
        except MalformedError:
            pass
        raise DataError(
            f"{self.source}: --header-line {line}: expected column names in that line, got none"
        )

    def _tell(
        self, header: Record | None, labels: bool, trailing: bool, names: Sequence[str]
    ) -> None:
        layout = self.layout
        if header is None and not self.options.no_header:
            first = ", ".join(f[:20] for f in layout.body[0].fields[:4])
            self.notes.append(
                f"the first line, {first}, is data, not names: the columns are {names[0]!r} to "
                f"{names[-1]!r} (--header-line 1 takes it for names)"
            )
        lost = [r for r in layout.before if not is_comment(r)] if header is None else []
        if lost:
            shown = layout.text[lost[0].start :].split("\n", 1)[0].strip()[:40]
            self.notes.append(f"lines above the first row are left out, such as {shown!r}")
        if header is not None and header.line > 1 and self.options.header_line is None:
            above = [r for r in [*layout.before, *layout.body] if r.line < header.line]
            if above and not all(map(is_comment, above)):
                self.notes.append(
                    f"the names stand in line {header.line}; what is above is left out "
                    "(--header-line says another)"
                )
        if header is not None and header.line >= 1 and all(look(n) == "number" for n in names):
            self.notes.append(
                f"the first line, {', '.join(names[:4])}, is taken for names (--no-header: data)"
            )
        if labels:
            self.notes.append("each row begins with a label that has no name: left out")
