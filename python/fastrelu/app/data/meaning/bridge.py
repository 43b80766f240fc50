# SPDX-License-Identifier: BSD-3-Clause
"""Between pyarrow and NumPy by buffers.

pyarrow's own conversions, and its scalars of Python values, import pandas where it is installed,
which takes longer than to read a file of some megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def strings(words: Sequence[str]) -> Any:
    """Return a pyarrow StringArray of some texts."""
    import pyarrow as pa

    encoded = [word.encode() for word in words]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(words), buffers)


def scalar(text: str | None) -> Any:
    """Return a text, or null, as a pyarrow scalar."""
    import pyarrow as pa

    return pa.nulls(1, pa.string())[0] if text is None else strings([text])[0]


def mask(booleans: Any) -> NDArray[np.bool_]:
    """Return a pyarrow BooleanArray as NumPy's; null is false."""
    _, data = booleans.buffers()
    n, offset = len(booleans), booleans.offset
    if data is None or not n:
        return np.zeros(n, bool)
    found = _bits(data, offset, n)
    return found & valid(booleans) if booleans.null_count else found


def valid(array: Any) -> NDArray[np.bool_]:
    """Return where a pyarrow array is not null."""
    bitmap = array.buffers()[0]
    if bitmap is None:
        return np.full(len(array), array.null_count == 0)
    return _bits(bitmap, array.offset, len(array))


def _bits(buffer: Any, offset: int, n: int) -> NDArray[np.bool_]:
    data = np.frombuffer(buffer, np.uint8, offset=offset // 8)
    bits = np.unpackbits(data, count=offset % 8 + n, bitorder="little")
    return bits[offset % 8 :].astype(bool)


def values(array: Any, dtype: Any, fill: Any = None) -> NDArray[Any]:
    """Return the values of a pyarrow array of fixed width.

    Parameters
    ----------
    array : pyarrow Array, (n,)
        Of a type whose values lie as `dtype`'s do.
    dtype : dtype
        The values' own.
    fill : optional
        What null becomes; without it there must be none. The result is a copy then.
    """
    data = array.buffers()[1]
    n = len(array)
    if data is None or not n:
        found = np.zeros(n, dtype)
    else:
        size = np.dtype(dtype).itemsize
        found = np.frombuffer(data, dtype, count=n, offset=array.offset * size)
    if array.null_count:
        found = found.copy()
        found[~valid(array)] = fill
    return found


def integers(numbers: NDArray[np.int64]) -> Any:
    """Return NumPy's int64 as a pyarrow Int64Array."""
    import pyarrow as pa

    data = pa.py_buffer(np.ascontiguousarray(numbers, np.int64))
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, data])


def codes(packed: Any, null: int) -> NDArray[np.int64]:
    """Return the place of each text of a DictionaryArray in its dictionary, `null` for null."""
    import pyarrow as pa

    return values(packed.indices.cast(pa.int64()), np.int64, null)


def is_numbers(array: Any) -> bool:
    """Return whether a pyarrow array is of float64."""
    import pyarrow as pa

    return bool(pa.types.is_float64(array.type))


def text_bytes(texts: Any) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return where each text of a StringArray begins, the last one's end too, and all bytes."""
    _, offsets, data = texts.buffers()
    if offsets is None or not len(texts):
        return np.zeros(1, np.int32), np.zeros(0, np.uint8)
    places = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return places, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)


def give_back() -> None:
    """Give the memory that pyarrow holds in store back to the system."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def first(booleans: Any) -> int | None:
    """Return the first place that is true, None if none is."""
    found = mask(booleans)
    where = int(np.argmax(found)) if len(found) else 0
    return where if len(found) and found[where] else None
