# SPDX-License-Identifier: BSD-3-Clause
"""The first records of a text file under one separator and one quote, and how well they fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fastrelu.app.data.readers.text.cells import look, quality
from fastrelu.app.data.readers.text.records import MalformedError, Record, is_padded, records

SEPARATORS = ",;\t|"
SAMPLE = 200  # records that are looked at
PREAMBLE = 40  # lines above the names, at most


@dataclass
class Layout:
    """The first records under one separator and one quote.

    Attributes
    ----------
    body : list of Record
        Those of the usual width, from the first of them on, without blank ones and comments.
    before : list of Record
        The records before the names.
    odd : list of Record
        The records of another width after the first of the body.
    fit : float
        The share of the records after the first of the body that are of its width.
    quality : float
        How much like data the cells are.
    sound : bool
        Whether the quotes match.
    end : int
        The position in the text at which the records end.
    """

    text: str
    separator: str
    quote: str
    escape: bool
    padded: bool
    body: list[Record]
    before: list[Record]
    odd: list[Record]
    fit: float
    quality: float
    sound: bool
    end: int

    @property
    def width(self) -> int:
        """Fields of a record of the body."""
        return len(self.body[0].fields)

    def rank(self, known: Collection[str]) -> tuple[float, ...]:
        """Return what the best layout has most of."""
        said = 0
        if known:
            lines = [*self.before[-PREAMBLE:], *self.body[:PREAMBLE]]
            said = max(len({f.strip() for f in r.fields} & set(known)) for r in lines)
        # Another quote and escapes only where the usual quote does not fit.
        usual = self.quote == '"' and not self.escape
        fit, good = round(self.fit, 1), round(self.quality, 2)
        one, width = self._is_one_column, self.width
        only = not self._leaves_quotes
        return (said, width > 1 and not one, not one, self.sound, fit, only, good, usual, width)

    @property
    def _leaves_quotes(self) -> bool:
        """Whether fields begin with the usual quote, which would be part of their text here."""
        marks = (self.separator, self.separator + " ", "\n")
        return self.quote == "'" and any(f'{mark}"' in self.text for mark in marks)

    @property
    def _is_one_column(self) -> bool:
        """Whether these are the decimal commas of one column, below its name."""
        if self.separator != "," or self.width != 2 or not self.before:
            return False
        above = self.before[-1]
        if len(above.fields) > 1 or is_comment(above) or look(above.fields[0]) != "text":
            return False
        return all(r.fields[0].lstrip("+-").isdigit() and r.fields[1].isdigit() for r in self.body)


def layout_of(text: str, whole: bool, separator: str, quote: str, escape: bool) -> Layout | None:
    """Return the first records under a separator and a quote; None if they are no records."""
    bare = _layout(text, whole, separator, quote, escape, False)
    if not is_padded(text, separator, quote, escape):
        return bare
    padded = _layout(text, whole, separator, quote, escape, True)
    if padded is None or not padded.sound:
        return bare
    return padded if bare is None or not bare.sound or padded.fit >= bare.fit else bare


def _layout(
    text: str, whole: bool, separator: str, quote: str, escape: bool, padded: bool
) -> Layout | None:
    if escape and f"\\{quote}" not in text:
        return None
    if quote == "'" and not any(f"{mark}'" in text for mark in (separator, separator + " ", "\n")):
        return None
    found: list[Record] = []
    sound, end = True, len(text)
    try:
        for record in records(text, separator, quote, escape, padded=padded):
            found.append(record)
            if len(found) > SAMPLE:
                break
    except MalformedError as error:
        sound, end = error.at_end and not whole, error.start
    if not whole and len(found) <= SAMPLE and len(found) > 1:
        found.pop()  # may be cut
    found = found[:SAMPLE]
    found = [r for r in found if not is_blank(r)]
    plain = [r for r in found if not is_comment(r)]
    if not plain:
        return None
    width = _usual_width(plain)
    first = next(r for r in plain if len(r.fields) == width)
    before = [r for r in found if r.line < first.line]
    after = [r for r in found if r.line >= first.line and (not is_comment(r) or _is_row(r, width))]
    body = [r for r in after if len(r.fields) == width]
    others = (SEPARATORS + "\t").replace(separator, "") if separator != " " else SEPARATORS
    fields = [r.fields for r in body[1:101]] or [body[0].fields]
    return Layout(
        text,
        separator,
        quote,
        escape,
        padded,
        body,
        before,
        [r for r in after if len(r.fields) != width],
        len(body) / (len(after) + len([r for r in before if not is_comment(r)])),
        quality(fields, others),
        sound,
        end,
    )


def _usual_width(plain: Sequence[Record]) -> int:
    """Return the number of fields that most records have; of two that are as frequent, the larger.

    The first ones count little: titles stand there.
    """
    counts = Counter(len(r.fields) for r in plain[PREAMBLE:] or plain)
    return max(counts, key=lambda width: (counts[width], width))


def is_blank(record: Record) -> bool:
    """Return whether a record is an empty line."""
    return len(record.fields) == 1 and not record.fields[0].strip()


def is_comment(record: Record) -> bool:
    """Return whether a record begins with #."""
    return record.fields[0].lstrip().startswith("#")


def _is_row(record: Record, width: int) -> bool:
    """Return whether a record that begins with # is a row all the same, such as #12,5.0."""
    marked = record.fields[0].lstrip().startswith(("# ", "##"))
    return len(record.fields) == width > 1 and not marked
