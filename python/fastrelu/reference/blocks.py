# SPDX-License-Identifier: BSD-3-Clause
"""Data streamed from files by blocks: the part of each row, and the rows of each minibatch.

Rows are numbered from 0 to n - 1 through all files, in the order given. They lie in chunks: runs of
rows that are read together. A block is the rows that are in memory at one time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from . import random
from .random import Rows


def membership(seed: int, n: int, validation: float, test: float) -> list[str]:
    """Return the part of each row: "train", "validation" or "test".

    The row's own number decides, so that no list of rows needs to be kept.
    """
    stream = random.Stream(seed, random.MEMBERSHIP)
    parts = []
    for _ in range(n):
        u = stream.uniform()
        parts.append("test" if u < test else "validation" if u < test + validation else "train")
    return parts


def epoch_blocks(seed: int, epoch: int, chunks: Sequence[Rows], block_rows: int) -> Iterator[Rows]:
    """Yield the blocks of an epoch, each its training rows in the order in which they are taken.

    Parameters
    ----------
    seed, epoch : int
        The order is drawn from these; epochs count from 1.
    chunks : sequence of int arrays
        The numbers of each chunk's training rows, as they lie.
    block_rows : int
        Rows of a block; the last one may have fewer.
    """
    visits = random.order(seed, random.CHUNK_ORDER, 0, epoch, len(chunks))
    rows = np.concatenate([chunks[c] for c in visits])
    for b, begin in enumerate(range(0, len(rows), block_rows)):
        block = rows[begin : begin + block_rows]
        yield block[random.order(seed, random.BLOCK_ORDER, b, epoch, len(block))]
