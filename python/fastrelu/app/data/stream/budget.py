# SPDX-License-Identifier: BSD-3-Clause
"""How the memory that the user allows is shared: reading, and a block of rows."""

from __future__ import annotations

from dataclasses import dataclass

from fastrelu.app.data.stream.source import Stream
from fastrelu.app.errors import DataError

PART_ROWS = 65_536  # read at once
PART_BYTES = 1 << 23  # and no more than this, nor more than a sixteenth of the memory
READERS = 4  # more share Python's lock than they save
READING = 5 / 8  # of the memory, at most
MEGABYTE = 1e6


def part_rows(row_bytes: float, memory: int) -> int:
    """Return how many rows are read at once."""
    most = min(PART_BYTES, memory // 16)
    return int(max(1, min(PART_ROWS, most // max(1, int(row_bytes)))))


@dataclass(frozen=True)
class Share:
    """What the memory allows.

    Attributes
    ----------
    block_rows : int
        Rows of a block.
    readers : int
        Threads that fill it.
    judged_rows : int
        Rows that are judged at once, as they are read: while they are, no block is filled, and
        what they and their copies take is that of a reader.
    """

    block_rows: int
    readers: int
    judged_rows: int = PART_ROWS


def share(stream: Stream, row_bytes: int, batch_size: int, memory: int) -> Share:
    """Return how the memory is used: some of it for reading, the rest for a block.

    Parameters
    ----------
    stream : Stream
        What is read.
    row_bytes : int
        Of a row in a block: inputs, target, weight, its place in the order.
    batch_size : int
        A block is a multiple of it.
    memory : int
        Bytes for all.

    Raises
    ------
    DataError
        If not even one minibatch fits.
    """
    # A part as it is read, and some copies of its columns.
    each = stream.reading_bytes + int(2 * stream.part_rows * stream.raw_row_bytes)
    readers = max(1, min(READERS, int(READING * memory) // each))
    left = memory - readers * each
    batches = min(left // (row_bytes * batch_size), -(-stream.n_rows // batch_size))
    if batches < 1:
        needed = readers * each + row_bytes * batch_size
        raise DataError(
            f"{stream.source}: a minibatch of {batch_size} rows of {row_bytes / 1e3:.1f} kB, and "
            f"{each / MEGABYTE:.0f} MB to read them, need --memory {-(-needed // 10**6)}MB, got "
            f"{memory // 10**6}MB; or take a smaller --batch-size"
        )
    return Share(int(batches) * batch_size, readers, part_rows(row_bytes, memory))
