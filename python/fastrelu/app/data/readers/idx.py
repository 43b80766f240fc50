# SPDX-License-Identifier: BSD-3-Clause
"""IDX files, the format of MNIST: a header of shape and type, then the numbers."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.files import Source
from fastrelu.app.errors import DataError

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(head: bytes) -> bool:
    """Return whether a file that begins so is an IDX file."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in DTYPES


def read_idx(source: Source) -> NDArray[Any]:
    """Return the array in an IDX file.

    Raises
    ------
    DataError
        If its length does not fit its header.
    """
    content = source.read()
    dtype, rank = np.dtype(DTYPES[content[2]]), content[3]
    start = 4 + 4 * rank
    if rank == 0 or len(content) < start:
        raise DataError(f"{source.path}: the IDX header is damaged or incomplete")
    shape = struct.unpack(f">{rank}I", content[4:start])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise DataError(
            f"{source.path}: expected {expected} bytes for IDX shape {shape}, got {len(content)}; "
            "the file is damaged or cut short"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape)
