# SPDX-License-Identifier: BSD-3-Clause
"""Whether columns are the pixels of an image, and its patches."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# So many parts of a picture are told apart at most.
MOST_PATCHES = 100
MOST_PIXELS = 100_000


def grid_of(matrix: Any, names: Sequence[str] | None) -> tuple[int, int] | None:
    """Return the height and width of the image that a row of a matrix is, or None.

    It is one if the names end in all pairs of a row and a column (as pixel_7_0), or if it is of
    bytes and as wide as a square.
    """
    width = int(matrix.shape[1])
    found = []
    for name in names if names is not None and len(names) <= MOST_PIXELS else ():
        found.append(re.fullmatch(r"\D*(\d+)\D+(\d+)\D*", str(name)))
        if found[-1] is None:
            break
    if len(found) == width and all(found):
        places = np.array([(int(m[1]), int(m[2])) for m in found if m])
        places -= places.min(axis=0)
        shape = tuple(int(n) + 1 for n in places.max(axis=0))
        if min(shape) > 1 and (places[:, 0] * shape[1] + places[:, 1] == np.arange(width)).all():
            return shape[0], shape[1]
    side = math.isqrt(width)
    return (side, side) if matrix.dtype == np.uint8 and side > 3 and side * side == width else None


def patches(grid: tuple[int, int]) -> NDArray[np.int64]:
    """Return which patch each pixel is in, (height, width): squares, as small as they may be."""
    height, width = grid
    size = 1
    while math.ceil(height / size) * math.ceil(width / size) > MOST_PATCHES:
        size += 1
    across = math.ceil(width / size)
    rows, columns = np.arange(height) // size, np.arange(width) // size
    return (rows[:, None] * across + columns).astype(np.int64)
