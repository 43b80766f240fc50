# SPDX-License-Identifier: BSD-3-Clause
"""Training rows as the network takes them, kept in a file without a name for later epochs.

To decode a row and make it ready takes a fifth of the time to train on it; to read it back, a
fiftieth. The file takes what the rows of a block do, for all rows, and goes with the process; it is
there only where disk and memory (whose page cache holds it) have room to spare.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import machine
from fastrelu.app.data.stream.scratch import FOLDER

SPARE = 2  # disk and memory have room for so many times what is kept


class ReadyRows:
    """The training rows of each chunk, as inputs, targets and perhaps weights.

    Several threads may use it at once, each for a chunk of its own.

    Parameters
    ----------
    counts : ndarray of int64, (chunks,)
        The training rows of each chunk.
    arrays : sequence of ndarray
        Of a block, whose dtypes and widths the rows have.
    """

    def __init__(self, counts: NDArray[np.int64], arrays: list[NDArray[Any]]) -> None:
        total = int(counts.sum())
        self._sizes = [a[:1].nbytes for a in arrays]  # of a row
        ends = np.cumsum([0, *(size * total for size in self._sizes)])
        self._starts = ends[:-1].tolist()
        self._first = np.concatenate(([0], np.cumsum(counts)[:-1])).tolist()
        self._written = [0] * len(counts)  # rows of each chunk, from its first
        self._counts = counts.tolist()
        self._number = _open_file(int(ends[-1]))
        if self._number is not None:
            weakref.finalize(self, os.close, self._number)

    def holds(self, chunk: int) -> bool:
        """Return whether all training rows of a chunk are kept."""
        return self._number is not None and self._written[chunk] == self._counts[chunk]

    def put(self, chunk: int, at: int, arrays: list[NDArray[Any]]) -> None:
        """Keep rows of a chunk, which follow those kept before; others are not kept.

        Parameters
        ----------
        chunk : int
        at : int
            The first row's place among the chunk's training rows.
        arrays : list of ndarray, (n, ...)
            C-contiguous.
        """
        if self._number is None or at != self._written[chunk]:
            return
        try:
            for where, values in zip(self._places(chunk, at), arrays, strict=True):
                data = values.reshape(-1).view(np.uint8).data
                while len(data):
                    n = os.pwrite(self._number, data, where)
                    data, where = data[n:], where + n
        except OSError:  # no room: the rows are decoded again
            return
        self._written[chunk] = at + len(arrays[0])

    def read(self, chunk: int, at: int, arrays: list[NDArray[Any]]) -> None:
        """Read rows of a chunk that is held into arrays; see `put`."""
        assert self._number is not None
        for where, values in zip(self._places(chunk, at), arrays, strict=True):
            data = values.reshape(-1).view(np.uint8).data
            while len(data):
                n = os.preadv(self._number, [data], where)
                if not n:
                    raise OSError("the file of training rows is cut short")
                data, where = data[n:], where + n

    def _places(self, chunk: int, at: int) -> list[int]:
        row = self._first[chunk] + at
        return [start + size * row for start, size in zip(self._starts, self._sizes, strict=True)]


def _open_file(n_bytes: int) -> int | None:
    """Return a file for so many bytes that has no name; None where there is no room to spare."""
    try:
        folder = FOLDER if os.access(FOLDER, os.W_OK) else tempfile.gettempdir()
        if SPARE * n_bytes > min(shutil.disk_usage(folder).free, machine.memory()):
            return None
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            return os.dup(file.fileno())
    except (OSError, ValueError):
        return None
