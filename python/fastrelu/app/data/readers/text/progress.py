# SPDX-License-Identifier: BSD-3-Clause
"""How far text files have been read: where their rows lie, and what their columns have shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from fastrelu.app.data.readers.text.blocks import Block, Cut
from fastrelu.app.data.readers.text.gather import Gathered


class Start(NamedTuple):
    """Where a block begins: the row through all files, the byte, the line; what it holds."""

    first_row: int
    offset: int
    line: int
    size: int
    newlines: bool


@dataclass
class FileRows:
    """Where the rows of one file lie, as far as it has been read.

    Attributes
    ----------
    first : int
        The number through all files of the first row.
    n : int
        How many there are, once the file has been read to its end.
    starts : list of Start
        Where each of its blocks begins.
    strange : set of str
        The columns that turned out not to be plain numbers; see `Parser`.
    """

    first: int = 0
    n: int = 0
    starts: list[Start] = field(default_factory=list)
    strange: set[str] = field(default_factory=set)

    def start(self, block: Block, first_row: int) -> None:
        """Note where a block begins."""
        start = Start(first_row, block.offset, block.line, len(block.data), block.newlines)
        self.starts.append(start)

    def counts(self) -> list[int]:
        """Return the rows of each block."""
        firsts = [start.first_row for start in self.starts]
        return [b - a for a, b in pairwise([*firsts, self.first + self.n])]


@dataclass
class Progress:
    """How far files have been gathered: another process that has this can go on from there.

    Attributes
    ----------
    columns : dict of str to Gathered
        The columns, with the texts up to there.
    rows : list of FileRows
        Of each file.
    notes : list of str
        What the user should know.
    place : int
        The file that is next.
    cut : Cut or None
        Where its next block begins; None: nothing of it is gathered yet.
    comments : int
        Its lines that are comments up to there.
    """

    columns: dict[str, Gathered]
    rows: list[FileRows]
    notes: list[str]
    place: int = 0
    cut: Cut | None = None
    comments: int = 0

    @property
    def n_rows(self) -> int:
        """Rows up to there."""
        return next(iter(self.columns.values())).n_rows
