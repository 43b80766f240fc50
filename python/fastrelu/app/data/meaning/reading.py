# SPDX-License-Identifier: BSD-3-Clause
"""How data are to be read, and how they were: what the user says, what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fastrelu.app import described
from fastrelu.app.data.meaning.dates import ORDERS
from fastrelu.app.data.meaning.verdict import Hints, Meaning
from fastrelu.app.data.meaning.words import OLD_MISSING, Missing, missing_words

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "spaces"}


@dataclass(frozen=True)
class ReadOptions:
    """What the user says about the reading; None leaves it to the data.

    Attributes
    ----------
    separator : str or None
        Between the fields of a text file.
    quote : str or None
        Around fields of a text file; "none" for none.
    decimal : str or None
        The decimal mark of every column of numbers, "." or ",".
    no_header : bool
        Whether a text file begins with its first row of data.
    header_line : int or None
        The line of a text file, from 1, that holds the names; what is above it is left out.
    na : tuple of str or None
        Texts that stand for nothing, beside the usual ones; with "" among them only these.
    date_format : tuple of str
        Orders of dates ("ymd", "dmy", "mdy") or formats of strptime's, each for the column that
        is named before an equals sign, or for all.
    numeric : tuple of str
        Columns that are numbers whatever they look like.
    """

    separator: str | None = None
    quote: str | None = None
    decimal: str | None = None
    no_header: bool = False
    header_line: int | None = None
    na: tuple[str, ...] | None = None
    date_format: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()

    @property
    def missing(self) -> Missing:
        """Which texts stand for nothing."""
        return missing_words(self.na)

    @property
    def dated(self) -> tuple[str, ...]:
        """The columns that a format of dates names."""
        parts = [each.partition("=") for each in self.date_format]
        return tuple(column for column, equals, _ in parts if equals and "%" not in column)

    def order(self, name: str) -> str | None:
        """Return the order or the format of a column's dates, None if it is not said."""
        found = None
        for each in self.date_format:
            column, equals, form = each.partition("=")
            if not equals or "%" in column:
                found = found or each
            elif column == name:
                return form
        return found

    def hints(
        self, name: str, usual_decimal: str | None = None, missing: Missing | None = None
    ) -> Hints:
        """Return the hints for a column; see `Hints`. `missing`: in place of the user's words."""
        order = self.order(name)
        why = "--decimal" if self.decimal is not None else "--date-format" if order else ""
        dated = name in self.dated
        words = self.missing if missing is None else missing
        return Hints(words, self.decimal, usual_decimal, order, None, why=why, dated=dated)


@dataclass(frozen=True)
class Reading:
    """How data were read.

    Attributes
    ----------
    file : dict of str to plain values
        The format; of text also the separator, the quote, the line of the header, the decimal
        mark; whatever a reader decided.
    columns : dict of str to Meaning
        What each column of texts was taken for; columns that had types of their own are not there.
    warnings : dict of str to tuple of str
        What the user should know about a column.
    missing : Missing
        Which texts stood for nothing.
    """

    file: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Meaning] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: Missing = field(default_factory=Missing)

    def line(self) -> str:
        """Return in a line how a text file is laid out; "" for other formats."""
        file = self.file
        if "separator" not in file:
            return ""
        separator = SEPARATORS.get(file["separator"], repr(file["separator"]))
        quote = f"quote {file['quote']}" if file["quote"] else "no quotes"
        names = f"names in line {file['header_line']}" if file["header"] else "no names"
        mark = "decimal comma" if file["decimal"] == "," else "decimal point"
        return f"read as text: {separator}, {quote}, {mark}, {names}"

    def describe(self) -> dict[str, Any]:
        """Return it as plain values, for a model file."""
        return {
            "file": self.file,
            "columns": {name: meaning.describe() for name, meaning in self.columns.items()},
            "missing": [sorted(self.missing.everywhere), sorted(self.missing.numbers)],
        }

    @classmethod
    def from_description(cls, plain: Mapping[str, Any]) -> Reading:
        """Return what `describe` has described."""
        everywhere, numbers = (
            frozenset(described.sequence(words, "reading.missing", described.text))
            for words in plain["missing"]
        )
        return cls(
            described.mapping(plain["file"], "reading.file", described.anything),
            described.mapping(plain["columns"], "reading.columns", Meaning.from_description),
            {},
            Missing(everywhere, numbers),
        )

    def hints(self, name: str, options: ReadOptions) -> Hints:
        """Return the hints for a column of later data: the user's flags, then the training's."""
        return options.hints(name, missing=self.missing if options.na is None else None)

    def known(self, name: str, options: ReadOptions) -> Meaning | None:
        """Return what a column was in training, with what the user says otherwise."""
        meaning = self.columns.get(name)
        if meaning is None:
            return None
        order = options.order(name)
        if options.decimal is not None and meaning.kind == "number":
            meaning = replace(meaning, decimal=options.decimal)
        if order is not None and meaning.kind == "date":
            meaning = replace(meaning, order=order)
        return meaning


OLD_READING = Reading(missing=OLD_MISSING)  # of models that were saved without one


def is_order(text: str) -> bool:
    """Return whether a text is an order of dates or a format of strptime's."""
    form = text.partition("=")[2] if "=" in text and "%" not in text.partition("=")[0] else text
    return form in ORDERS or "%" in form
