# SPDX-License-Identifier: BSD-3-Clause
"""IDX files, the format of MNIST: a header of shape and type, then the numbers."""

from __future__ import annotations

import math
import os
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.readers.npy import MOST_DIMENSIONS, announced, check_shape
from fastrelu.app.errors import DataError

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(head: bytes) -> bool:
    """Return whether a file that begins so is an IDX file."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in DTYPES


def read_idx(source: Source) -> NDArray[Any]:
    """Return the array in an IDX file, in the byte order of the file.

    No more is read than the header announces, also of a compressed file.

    Raises
    ------
    DataError
        If its length does not fit its header.
    """
    dtype, rank = np.dtype(DTYPES[source.head[2]]), source.head[3]
    start = 4 + 4 * rank
    if not 0 < rank <= MOST_DIMENSIONS or len(source.head) < start:
        raise DataError(f"{source.path}: the IDX header is damaged or incomplete")
    shape = struct.unpack(f">{rank}I", source.head[4:start])
    check_shape(shape, dtype, source.path)
    n = math.prod(shape) * dtype.itemsize
    what = f"IDX shape {shape} of {dtype}"
    if source.mappable and n:
        there = os.path.getsize(source.path) - start
        if there == n:
            return np.memmap(source.path, dtype, "r", start, shape)
    with source.open() as file:
        file.read(start)
        return np.frombuffer(announced(file, n, source.path, what), dtype).reshape(shape)
