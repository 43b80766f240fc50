# SPDX-License-Identifier: BSD-3-Clause
"""Random numbers as the core draws them: each is a function of seed, purpose, index and time.

docs/arithmetic.md says which number is used for what.

References
----------
Salmon, Moraes, Dror and Shaw (2011), Parallel random numbers: as easy as 1, 2, 3 (Philox).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core
from fastrelu._arguments import whole_number

__all__ = ["Purpose", "permutation", "words"]


class Purpose(IntEnum):
    """What random numbers are for. Streams of different purposes have nothing in common.

    Examples
    --------
    >>> from fastrelu import random
    >>> random.Purpose.ROW_ORDER.value
    2
    """

    INITIAL_WEIGHTS = 1
    ROW_ORDER = 2
    SUBSET = 3
    WITH_REPLACEMENT = 4
    DROPOUT = 5
    REPLICATE = 6
    CHUNK_ORDER = 7
    MEMBERSHIP = 8
    BLOCK_ORDER = 9
    SEARCH = 10
    IMPORTANCE = 12


def words(seed: int, purpose: int, first: int, count: int) -> NDArray[np.uint64]:
    """Return random 64-bit words of one purpose (index 0, time 0), from any place of their stream.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    purpose : int
        A `Purpose`, or a number of your own, 1000 or more.
    first : int
        The position of the first word in the stream, from 0.
    count : int
        The number of words.

    Returns
    -------
    ndarray of uint64, (count,)
        The words.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a whole number in its range.

    Examples
    --------
    >>> from fastrelu import random
    >>> whole = random.words(7, 1000, 0, 10).tolist()
    >>> random.words(7, 1000, 3, 4).tolist() == whole[3:7]
    True
    """
    top = 2**64 - 1
    return _core.philox_words(
        whole_number("seed", seed, 0, top),
        whole_number("purpose", purpose, 0, top),
        whole_number("first", first, 0, top),
        whole_number("count", count, 0, 2**48),
    )


def permutation(seed: int, purpose: int, index: int, time: int, n: int) -> NDArray[np.int64]:
    """Return the numbers 0 to n - 1 in random order.

    Parameters
    ----------
    seed, purpose, index, time : int
        The numbers that the order depends on; `purpose` as for `words`, the others 0 to 2**64 - 1.
    n : int
        How many numbers, >= 0.

    Returns
    -------
    ndarray of int64, (n,)
        The numbers.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a whole number in its range.

    References
    ----------
    Fisher and Yates (1938), Statistical tables for biological, agricultural and medical research.

    Examples
    --------
    >>> from fastrelu import random
    >>> sorted(random.permutation(0, 1000, 0, 0, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    top = 2**64 - 1
    return _core.permutation(
        whole_number("seed", seed, 0, top),
        whole_number("purpose", purpose, 0, top),
        whole_number("index", index, 0, top),
        whole_number("time", time, 0, top),
        whole_number("n", n, 0, 2**48),
    )
