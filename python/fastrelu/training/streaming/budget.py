# SPDX-License-Identifier: BSD-3-Clause
"""How the memory that the user allows is shared: reading, and two blocks of rows."""

from __future__ import annotations

from fastrelu.training.errors import DataError
from fastrelu.training.streaming.source import Stream

PART_ROWS = 32_768  # read at once
PART_BYTES = 1 << 23  # and no more than this, if a row is long
MEGABYTE = 1e6


def part_rows(row_bytes: float) -> int:
    """Return how many rows are read at once."""
    return int(max(1, min(PART_ROWS, PART_BYTES // max(1, int(row_bytes)))))


def block_rows(stream: Stream, row_bytes: int, batch_size: int, memory: int) -> int:
    """Return the rows of a block: as many as fit twice beside what reading takes.

    Parameters
    ----------
    stream : Stream
        What is read.
    row_bytes : int
        Of a row in a block: inputs, target, weight, its place in the order.
    batch_size : int
        The result is a multiple of it.
    memory : int
        Bytes for all.

    Raises
    ------
    DataError
        If not even one minibatch fits.
    """
    rows = part_rows(stream.raw_row_bytes)
    # A part as it is read, some copies of its columns, and its rows made ready.
    reading = stream.reading_bytes + rows * int(2 * stream.raw_row_bytes + row_bytes)
    blocks = (memory - reading) // (2 * row_bytes * batch_size)
    if blocks < 1:
        needed = reading + 2 * row_bytes * batch_size
        raise DataError(
            f"{stream.source}: two minibatches of {batch_size} rows, {row_bytes / 1e3:.1f} kB each "
            f"row, and {reading / MEGABYTE:.0f} MB to read them need --memory "
            f"{-(-needed // 10**6)}MB, got {memory // 10**6}MB; or take a smaller --batch-size"
        )
    return int(min(blocks, -(-stream.n_rows // batch_size))) * batch_size
