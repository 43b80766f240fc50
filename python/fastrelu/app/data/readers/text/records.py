# SPDX-License-Identifier: BSD-3-Clause
"""Records of a text file one by one: for the first rows, and to find the line of an error.

The grammar is that of RFC 4180, with another quote or a backslash before quotes where the dialect
says so: a field that begins with a quote ends with one, and a doubled quote inside is a quote;
elsewhere quotes are text. Where the dialect says that fields are padded, spaces around quotes are
no part of the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple


class Record(NamedTuple):
    """One record.

    Attributes
    ----------
    line : int
        The line that it begins in, from 1.
    start : int
        Where it begins in the text.
    fields : list of str
        Its fields without quotes; [""] for an empty line.
    """

    line: int
    start: int
    fields: list[str]


class MalformedError(Exception):
    """A field begins with a quote and does not end with one.

    Attributes
    ----------
    line : int
        The line that its record begins in.
    at_end : bool
        Whether there is no closing quote up to the end of the text.
    start : int
        Where the record begins in the text.
    """

    def __init__(self, line: int, at_end: bool, start: int) -> None:
        super().__init__(f"line {line}")
        self.line, self.at_end, self.start = line, at_end, start


def _spaces(separator: str) -> str:
    """Return the pattern of the spaces that may stand around quotes."""
    return " *" if separator == "\t" else r"[ \t]*"


def _quoted(quote: str, escape: bool) -> str:
    """Return the pattern of a field in quotes, with what they hold as its group."""
    q = re.escape(quote)
    return rf"{q}((?:[^{q}\\]|{q}{q}|\\.)*+){q}" if escape else rf"{q}((?:[^{q}]|{q}{q})*+){q}"


@lru_cache(64)
def _patterns(
    separator: str, quote: str, escape: bool, padded: bool
) -> tuple[re.Pattern[str], ...]:
    sep = r"[ \t]+" if separator == " " else re.escape(separator)
    inside = rf"[^{separator}\r\n]*" if separator != " " else r"[^ \t\r\n]*"
    end = rf"({sep}|\r\n|\r|\n|\Z)"
    if not quote:
        return (re.compile(rf"(?!)({end})"), re.compile(rf"({inside}){end}"), re.compile("(?!)"))
    quoted = _quoted(quote, escape)
    return (
        re.compile(quoted + (_spaces(separator) if padded else "") + end, re.DOTALL),
        re.compile(rf"({inside}){end}"),
        re.compile(quoted, re.DOTALL),
    )


def _field(separator: str, quote: str, escape: bool) -> str:
    """Return the pattern of what stands before a field in quotes, and of the field, with spaces."""
    sep, spaces = re.escape(separator), _spaces(separator)
    edge = rf"\A|[\r\n]|{sep}"
    return rf"({edge}){spaces}({_quoted(quote, escape)}){spaces}(?={sep}|[\r\n]|\Z)"


def is_padded(text: str, separator: str, quote: str, escape: bool) -> bool:
    """Return whether spaces stand between a separator and a quote, before or behind a field."""
    if not quote or separator == " " or not re.search(rf"[ \t]{quote}|{quote}[ \t]", text):
        return False
    fields = re.finditer(_field(separator, quote, escape), text, re.DOTALL)
    return any(len(field[0]) > len(field[1]) + len(field[2]) for field in fields)


def without_padding(data: bytes, separator: str, quote: str, escape: bool) -> bytes:
    """Return whole records without the spaces around quotes."""
    return re.sub(_field(separator, quote, escape).encode(), rb"\1\2", data, flags=re.DOTALL)


def records(
    text: str,
    separator: str,
    quote: str = '"',
    escape: bool = False,
    line: int = 1,
    padded: bool = False,
) -> Iterator[Record]:
    """Yield the records of a text.

    Parameters
    ----------
    text : str
        It begins with a record. Blank lines are records of one empty field.
    separator : str
        One character; a space stands for any run of spaces and tabs.
    quote : str
        One character, or "" for none.
    escape : bool
        Whether a backslash stands before quotes inside of quotes.
    line : int
        The number of the first line.
    padded : bool
        Whether spaces between separators and quotes are no part of the fields.

    Raises
    ------
    MalformedError
        If quotes do not match.
    """
    quoted, bare, whole = _patterns(separator, quote, escape, padded)
    spaces = re.compile(_spaces(separator))
    at, start, n = 0, 0, len(text)
    fields: list[str] = []
    first_line = line
    while at < n:
        if separator == " " and not fields:
            while at < n and text[at] in " \t":
                at += 1
        if padded:
            behind = spaces.match(text, at).end()  # type: ignore[union-attr]
            at = behind if text.startswith(quote, behind) else at
        match = quoted.match(text, at) if quote and text.startswith(quote, at) else None
        if match is not None:
            value = match[1]
            line += value.count("\n") + value.count("\r") - value.count("\r\n")
            value = value.replace(quote * 2, quote)
            fields.append(re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) if escape else value)
        else:
            if quote and text.startswith(quote, at):
                raise MalformedError(first_line, whole.match(text, at) is None, start)
            match = bare.match(text, at)
            assert match is not None
            fields.append(match[1])
        at, end = match.end(), match[2]
        if separator == " " and end and end[0] in " \t":
            if at < n and text[at] not in "\r\n":
                continue
            end, skip = _line_end(text, at)
            at += skip
        if end in ("\n", "\r", "\r\n", ""):
            yield Record(first_line, start, fields)
            fields, start = [], at
            line += 1
            first_line = line
        elif at == n:  # a separator is the last character
            yield Record(first_line, start, [*fields, ""])
            return


def _line_end(text: str, at: int) -> tuple[str, int]:
    if text.startswith("\r\n", at):
        return "\r\n", 2
    return text[at : at + 1], min(1, len(text) - at)


def fields_of(n: int) -> str:
    """Return how many fields there are, for messages."""
    return f"{n} field" if n == 1 else f"{n} fields"
