# SPDX-License-Identifier: BSD-3-Clause
"""Values that were read once, in a file without a name, for the passes that follow.

To parse a text again in every pass takes longer than to train on its rows. The file takes 8 bytes
for a number or a date and 4 for a category, about as much as the text, and goes with the process.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.table import Table

FOLDER = "/var/tmp"  # on a disk, where /tmp may be memory
MOST_WORDS = 1_000_000  # different categories of one column


@dataclass
class _Words:
    """The categories of one column and their numbers."""

    number: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def codes(self, values: NDArray[Any]) -> NDArray[np.int32]:
        """Return the number of each text."""
        number = self.number
        for word in set(values.tolist()) - number.keys():
            number[word] = len(self.words)
            self.words.append(word)
        return np.fromiter(map(number.__getitem__, values), np.int32, len(values))


@dataclass(frozen=True)
class _Place:
    """Where an array lies."""

    dtype: str
    offset: int
    n: int


@dataclass(frozen=True)
class _Kept:
    """A table without its arrays, and where these are."""

    table: Table
    places: dict[tuple[str, str], _Place]


class Scratch:
    """Tables by key, on disk.

    Many threads may `get` at once, one may `put`.

    Attributes
    ----------
    full : bool
        Whether the disk or the memory for categories did not do, and nothing more is kept.
    n_bytes : int
        What the file takes.
    """

    def __init__(self) -> None:
        self.full, self.n_bytes = False, 0
        self._kept: dict[Hashable, _Kept] = {}
        self._words: dict[tuple[str, str], _Words] = {}
        self._lock = threading.Lock()
        self._number: int | None = None  # the file's, once there is one

    def _descriptor(self) -> int:
        if self._number is None:
            folder = FOLDER if os.access(FOLDER, os.W_OK) else None
            with tempfile.TemporaryFile(dir=folder) as file:
                self._number = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._number)
        return self._number

    def put(self, key: Hashable, table: Table) -> None:
        """Keep a table; it is not an error if there is no room for it."""
        with self._lock:
            if self.full or key in self._kept:
                return
            places = {}
            try:
                for name, values in _arrays(table):
                    places[name] = self._write(name, values)
            except OSError:
                self.full = True
            if not self.full:
                bare = replace(table, columns={}, target=None, weights=None, extra={})
                self._kept[key] = _Kept(bare, places)

    def _write(self, name: tuple[str, str], values: NDArray[Any]) -> _Place:
        dtype = values.dtype
        if dtype.kind == "O":
            words = self._words.setdefault(name, _Words())
            values = words.codes(values)
            self.full |= len(words.words) > MOST_WORDS
        data = np.ascontiguousarray(values).view(np.uint8).data
        place = _Place(dtype.str, self.n_bytes, len(values))
        while len(data):
            written = os.pwrite(self._descriptor(), data, self.n_bytes)
            self.n_bytes += written
            data = data[written:]
        return place

    def get(self, key: Hashable) -> Table | None:
        """Return a table that was kept, None if it was not."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        found: dict[str, dict[str, NDArray[Any]]] = {"column": {}, "extra": {}, "target": {},
                                                     "weights": {}}  # fmt: skip
        for (what, name), place in kept.places.items():
            found[what][name] = self._read((what, name), place)
        return replace(
            kept.table,
            columns=found["column"],
            extra=found["extra"],
            target=found["target"].get(""),
            weights=found["weights"].get(""),
        )

    def _read(self, name: tuple[str, str], place: _Place) -> NDArray[Any]:
        text = place.dtype == "|O"
        values = np.empty(place.n, np.int32 if text else place.dtype)
        view = values.view(np.uint8).data
        at = place.offset
        while len(view):
            got = os.preadv(self._descriptor(), [view], at)
            if not got:
                raise OSError("the scratch file is cut short")
            at += got
            view = view[got:]
        if not text:
            return values
        words = np.array(self._words[name].words, object)
        return np.asarray(words[values])


def _arrays(table: Table) -> Iterator[tuple[tuple[str, str], NDArray[Any]]]:
    for name, values in table.columns.items():
        yield ("column", name), values
    for name, values in table.extra.items():
        yield ("extra", name), values
    if table.target is not None:
        yield ("target", ""), table.target
    if table.weights is not None:
        yield ("weights", ""), table.weights
