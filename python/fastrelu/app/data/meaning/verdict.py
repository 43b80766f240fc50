# SPDX-License-Identifier: BSD-3-Clause
"""What a column is, what is known about it from outside, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fastrelu.app import described
from fastrelu.app.data.meaning.dates import ORDERS
from fastrelu.app.data.meaning.words import Missing

# In sentences, where the column's name and the place of a second cell are to stand.
NAME, ELSEWHERE = "\0name", "\0elsewhere"
KINDS = ("number", "flag", "category", "date", "time")
TABLE_KINDS = {"number": "numeric", "flag": "numeric", "time": "numeric", "date": "date"}


@dataclass(frozen=True)
class Meaning:
    """How the texts of a column are read; kept beside a model, so that predicting reads alike.

    Attributes
    ----------
    kind : {"number", "flag", "category", "date", "time"}
        time: of the day, or a duration; its seconds are numbers.
    decimal : {".", ","}
        The decimal mark of numbers; the other one stands between thousands.
    unit : str
        What stands before or after the numbers, "" for nothing.
    loose : bool
        Whether the unit is one that only `--numeric` takes.
    order : str
        Of dates: "ymd", "dmy" or "mdy", or a format of strptime's.
    labels : mapping of str to str
        Of a target that spells true or false in several ways: each spelling's class.
    """

    kind: str
    decimal: str = "."
    unit: str = ""
    loose: bool = False
    order: str = "ymd"
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def table_kind(self) -> str:
        """What the column is in a table: "numeric", "text" or "date"."""
        return TABLE_KINDS.get(self.kind, "text")

    def describe(self) -> dict[str, Any]:
        """Return it as plain values, those that are not usual."""
        usual = asdict(Meaning(self.kind))
        return {k: v for k, v in asdict(self).items() if k == "kind" or v != usual[k]}

    @classmethod
    def from_description(cls, plain: Mapping[str, Any], what: str = "meaning") -> Meaning:
        """Return what `describe` has described."""
        made = cls(**described.mapping(plain, what, described.anything))
        described.one_of(made.kind, what, KINDS)
        described.one_of(made.decimal, what, [".", ","])
        described.text(made.unit, what)
        described.boolean(made.loose, what)
        if "%" not in described.text(made.order, what):
            described.one_of(made.order, what, ORDERS)
        described.mapping(made.labels, what, described.text)
        return made


@dataclass(frozen=True)
class Hints:
    """What is known about a column from outside it: the user's flags, the file, the training.

    Attributes
    ----------
    missing : Missing
        Which texts stand for nothing.
    decimal : str or None
        The decimal mark, if the user or the training says it.
    usual_decimal : str or None
        The mark that other columns of the file show; it decides where a column does not.
    order : str or None
        The order of dates, or strptime's format, if the user or the training says it.
    usual_order : str or None
        The order that other columns of the file show.
    separator : str or None
        What stands between the fields of the text file: where it is a semicolon, a comma that may
        be either is a decimal mark.
    why : str
        Who says the mark or the order, for messages: "--decimal", "the training".
    dated : bool
        Whether the user gives the order or the format for this column, by its name.
    """

    missing: Missing = field(default_factory=Missing)
    decimal: str | None = None
    usual_decimal: str | None = None
    order: str | None = None
    usual_order: str | None = None
    separator: str | None = None
    why: str = ""
    dated: bool = False


@dataclass(frozen=True)
class Problem:
    """Why a column cannot be read as anything: a sentence and the cells that it is about.

    Attributes
    ----------
    text : str
        The sentence, with `NAME` and `ELSEWHERE` in it.
    row : int
        The row of the first cell.
    other : int
        The row of the second one.
    title : str
        The same in some words, for an overview.
    """

    text: str
    row: int
    other: int = 0
    title: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a column is, what the user should know about it, and what speaks against it."""

    meaning: Meaning
    warnings: tuple[str, ...] = ()
    problem: Problem | None = None
