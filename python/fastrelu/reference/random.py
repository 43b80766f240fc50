# SPDX-License-Identifier: BSD-3-Clause
"""Random numbers: Philox 4x64 and 4x32 with 10 rounds, and what is drawn from them.

Philox [1] has no state to carry: a block of four 64-bit words is a function of a key and a
counter. What a number is *for* is written into them, so the rows of epoch 7 can be drawn
without drawing those of epochs 1 to 6 first.

[1] J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as
    1, 2, 3, 2011.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Rows = NDArray[np.int64]

_WORD = 2**64
_MASK = _WORD - 1

# The purposes: the second word of the key.
INITIAL_WEIGHTS, ROW_ORDER, SUBSET, WITH_REPLACEMENT, DROPOUT, REPLICATE = 1, 2, 3, 4, 5, 6
CHUNK_ORDER, MEMBERSHIP, BLOCK_ORDER = 7, 8, 9


def philox_block(
    counter: tuple[int, int, int, int], key: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the four 64-bit words of one counter (lowest word first) under one key."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        first = 0xD2E7470EE14C6C93 * c0
        second = 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (
            (second >> 64) ^ c1 ^ k0,
            second & _MASK,
            (first >> 64) ^ c3 ^ k1,
            first & _MASK,
        )
        k0 = (k0 + 0x9E3779B97F4A7C15) & _MASK
        k1 = (k1 + 0xBB67AE8584CAA73B) & _MASK
    return c0, c1, c2, c3


class Stream:
    """The words of one key ``(seed, purpose)``, from the counter ``(0, index, time, 0)`` on.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    purpose : int
        What the numbers are for: one of the constants of this module.
    index : int
        The number of the layer or shard.
    time : int
        The number of the epoch or step.
    """

    def __init__(self, seed: int, purpose: int, index: int = 0, time: int = 0) -> None:
        self._key = (seed, purpose)
        self._index, self._time = index, time
        self._block = 0
        self._words: list[int] = []

    def next(self) -> int:
        """Return the next 64-bit word."""
        if not self._words:
            words = philox_block((self._block, self._index, self._time, 0), self._key)
            self._words = list(words[::-1])
            self._block += 1
        return self._words.pop()

    def uniform(self) -> float:
        """Return a multiple of 2^-53 in [0, 1)."""
        return (self.next() >> 11) * 2.0**-53

    def below(self, n: int) -> int:
        """Return a whole number from 0 to n - 1, each with the same probability.

        It is the high half of word * n (Lemire, 2019). The few words that would favour some numbers
        are passed over.
        """
        product = self.next() * n
        while product % _WORD < (_WORD - n) % n:
            product = self.next() * n
        return product // _WORD


def row_order(seed: int, epoch: int, shard: int, n: int, first_row: int = 0) -> Rows:
    """Return the n rows of a shard in the order of an epoch."""
    return order(seed, ROW_ORDER, shard, epoch, n) + first_row


def order(seed: int, purpose: int, index: int, time: int, n: int) -> Rows:
    """Return 0 to n - 1 in a random order (Fisher and Yates)."""
    stream = Stream(seed, purpose, index, time)
    a = list(range(n))
    for i in range(n - 1, 0, -1):
        j = stream.below(i + 1)
        a[i], a[j] = a[j], a[i]
    return np.array(a, dtype=np.int64)


def subset(seed: int, step: int, n: int, m: int) -> Rows:
    """Return m different rows of n; each subset of m rows has the same probability (Floyd)."""
    stream = Stream(seed, SUBSET, 0, step)
    taken: dict[int, None] = {}  # a set that remembers its order
    for j in range(n - m, n):
        t = stream.below(j + 1)
        taken[j if t in taken else t] = None
    return np.array(list(taken), dtype=np.int64)


def with_replacement(seed: int, step: int, n: int, m: int) -> Rows:
    """Return m rows of n, each drawn from all n."""
    stream = Stream(seed, WITH_REPLACEMENT, 0, step)
    return np.array([stream.below(n) for _ in range(m)], dtype=np.int64)


def replicate_seed(seed: int, replicate: int) -> int:
    """Return the seed of run `replicate`, counted from 0, of many runs made with `seed`."""
    return philox_block((0, replicate, 0, 0), (seed, REPLICATE))[0]


def philox_4x32(counter: tuple[Array, Array, Array, Array], key: int) -> list[Array]:
    """Return the four 32-bit words of many counters (uint64 arrays below 2^32) under one key.

    The key has 64 bits, of which the rounds take the lower and the upper half.
    """
    low, c0, c1, c2, c3 = np.uint64(2**32 - 1), *counter
    k0, k1 = key % 2**32, key >> 32
    for _ in range(10):
        first, second = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (second >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            second & low,
            (first >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            first & low,
        )
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


def dropout_threshold(rate: float) -> int:
    """Return how many of the numbers 0 to 65535 mean that a unit is dropped; not all of them."""
    return min(math.floor(rate * 65536 + 0.5), 65535)


def dropout_keeps(
    seed: int, step: int, layer: int, first_row: int, rows: int, units: int, rate: float
) -> Array:
    """Return the units of a hidden layer that rows of the minibatch keep, (rows, units) bool.

    A block of random bits has the numbers of eight units, from the lowest bits up.
    """
    key = Stream(seed, DROPOUT, layer, step).next()
    row = np.arange(first_row, first_row + rows, dtype=np.uint64)[:, None]
    block = np.arange(-(-units // 8), dtype=np.uint64)[None, :]
    zero = np.zeros((rows, block.size), dtype=np.uint64)
    low = np.uint64(2**32 - 1)
    counter = (zero + (row & low), zero + (row >> np.uint64(32)), zero + block, zero)
    halves = [
        word >> np.uint64(shift) & np.uint64(2**16 - 1)
        for word in philox_4x32(counter, key)
        for shift in (0, 16)
    ]
    numbers = np.stack(halves, axis=-1).reshape(rows, -1)[:, :units]
    return np.asarray(numbers >= np.uint64(dropout_threshold(rate)))


def init_weights(
    seed: int, layer: int, fan_in: int, fan_out: int, init: str, dtype: DTypeLike
) -> Array:
    """Return a layer's initial weights (fan_in, fan_out): uniform between -limit and limit."""
    if init == "he_uniform":
        limit = math.sqrt(6 / fan_in)
    elif init == "glorot_uniform":
        limit = math.sqrt(6 / (fan_in + fan_out))
    else:
        raise ValueError(f"init: expected he_uniform or glorot_uniform, got {init!r}")
    stream = Stream(seed, INITIAL_WEIGHTS, layer)
    draws = [(2 * stream.uniform() - 1) * limit for _ in range(fan_in * fan_out)]
    return np.array(draws).astype(dtype).reshape(fan_in, fan_out)
