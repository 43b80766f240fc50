# SPDX-License-Identifier: BSD-3-Clause
"""From an Arrow column to a table's: numbers, text or dates, whatever type it is stored as."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import Evidence, distinct
from fastrelu.app.data.readers.column import EXACT, ColumnReader
from fastrelu.app.errors import DataError

TENS = 22  # powers of ten up to this are doubles
UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


class ArrowColumn(ColumnReader):
    """How one Arrow column is read."""

    def read(self, column: Any) -> NDArray[Any]:
        """Return a column as numbers, text (object) or dates (datetime64[us]).

        Parameters
        ----------
        column : pyarrow.Array or pyarrow.ChunkedArray, (n,)
            Numbers; bool, which are 0 and 1 (a target's are "False" and "True"); decimals, which
            become the nearest float64; text, also as bytes, read as the texts of a CSV file are;
            dictionaries of texts or whole numbers, which are categories; dates and moments, in
            UTC; times of day and durations, which become seconds. Nulls become NaN, "" or NaT;
            numbers without nulls keep their dtype.

        Raises
        ------
        DataError
            For other types, bytes that are no text, dates out of range, and infinities.
        pyarrow.ArrowException
            If the column is damaged: indices or offsets that point outside, text that is not UTF-8.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        types = pa.types
        column = one_array(column)
        of = column.type
        if types.is_dictionary(of):
            if _is_text(of.value_type) or types.is_integer(of.value_type):
                return self._categories(column)
            column = column.dictionary_decode()
            of = column.type
        if is_text(of):
            return self.texts(self.as_text(pc.dictionary_encode(column)))
        if types.is_null(of):
            return self.nothing(len(column))
        if types.is_timestamp(of) or types.is_date(of):
            return self._dates(column)
        if types.is_boolean(of):
            return self.truths(np.asarray(column.cast(pa.int8()).fill_null(2)))
        if types.is_decimal(of):
            return self.numbers(self._decimals(column))
        if types.is_duration(of) or types.is_time(of):
            return self.numbers(self._seconds(column))
        if types.is_integer(of) or types.is_floating(of):
            return self.numbers(np.asarray(column.to_numpy(zero_copy_only=False)))
        raise DataError(
            f"{self.source}: {self.what} has the type {of}, which is no number, text or date; "
            f"{self.leave_out}"
        )

    def _categories(self, column: Any) -> NDArray[Any]:
        """Return a dictionary's texts; it says that they are no numbers or dates."""
        import pyarrow as pa

        if pa.types.is_integer(column.type.value_type):
            if self.kind == "numeric":
                numbers = column.dictionary_decode().to_numpy(zero_copy_only=False)
                return self.numbers(np.asarray(numbers))
            self.found.notes.append(
                f"{self.what} is a dictionary of whole numbers: read as categories"
            )
            words = column.dictionary.cast(pa.string())
            column = pa.DictionaryArray.from_arrays(column.indices, words)
        return self.texts(self.as_text(column), "text")

    def as_text(self, column: Any) -> Any:
        """Return a dictionary column of texts or bytes as one of texts."""
        import pyarrow as pa

        if _is_text(column.type.value_type):
            return column
        words = column.dictionary.to_pylist()
        indices = np.asarray(column.indices.cast(pa.int64()).fill_null(-1))
        rows = [int(np.argmax(indices == k)) for k in range(len(words))]
        texts = [
            None if w is None else self.decoded(w, r) for w, r in zip(words, rows, strict=True)
        ]
        return pa.DictionaryArray.from_arrays(column.indices, pa.array(texts, pa.string()))

    def _dates(self, column: Any) -> NDArray[Any]:
        import pyarrow as pa

        gaps = np.asarray(column.is_null())
        if pa.types.is_date32(column.type):
            counts, unit = column.cast(pa.int32()).cast(pa.int64()), "D"
        else:
            unit = "ms" if pa.types.is_date64(column.type) else column.type.unit
            counts = column.cast(pa.int64())
        return self.dates(np.asarray(counts.fill_null(0)), unit, gaps)

    def _seconds(self, column: Any) -> NDArray[Any]:
        import pyarrow as pa

        of = column.type
        wide = pa.int32() if of.bit_width == 32 else pa.int64()
        counts = column.cast(wide).cast(pa.float64(), safe=False)
        return np.asarray(counts.to_numpy(zero_copy_only=False)) / UNITS[of.unit]

    def _decimals(self, column: Any) -> NDArray[np.float64]:
        """Return each decimal as the float64 nearest to it."""
        import pyarrow as pa

        scale = column.type.scale
        gaps = np.asarray(column.is_null())
        numbers, exact = np.zeros(len(column)), np.zeros(len(column), bool)
        if column.type.bit_width < 128:
            column = column.cast(pa.decimal128(18, scale))
        if column.type.bit_width == 128 and abs(scale) <= TENS and len(column):
            words = np.frombuffer(column.buffers()[1], "<i8").reshape(-1, 2)
            low, high = words[column.offset : column.offset + len(column)].T
            # Two doubles without an error: their quotient is rounded once.
            exact = (np.abs(low) <= EXACT) & (high == low >> 63)
            power = 10.0 ** abs(scale)
            numbers = low / power if scale >= 0 else low * power
        rest = np.flatnonzero(~(exact | gaps))
        values = column.take(pa.array(rest)).to_pylist()
        numbers[rest] = [float(v) for v in values]
        numbers[gaps] = np.nan
        if any(v == v.to_integral_value() and Decimal(float(v)) != v for v in values):
            self.say_inexact()
        return numbers


def one_array(column: Any) -> Any:
    """Return a column as one array, without run-end encoding and extension types.

    Raises
    ------
    pyarrow.ArrowException
        If its indices or offsets point outside, or its text is not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_primitive(column.type):
        column.validate(full=True)  # it is used without another look
    if isinstance(column, pa.ChunkedArray):
        if pa.types.is_dictionary(column.type):
            column = column.unify_dictionaries()
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        if isinstance(column, pa.ChunkedArray):  # one that is too long for a single array
            column = pa.concat_arrays(column.chunks)
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if isinstance(column.type, pa.BaseExtensionType):
        name = getattr(column.type, "extension_name", "")
        column = column.storage
        if name == "arrow.bool8":
            column = column.cast(pa.bool_())
        elif name == "arrow.uuid":
            texts = [None if v is None else str(UUID(bytes=v)) for v in column.to_pylist()]
            column = pa.array(texts, pa.string()).dictionary_encode()
    return column


def look_at_texts(evidence: Evidence, column: Any, reader: ArrowColumn, first_row: int) -> None:
    """Count what the texts of some rows of a column may be.

    Parameters
    ----------
    evidence : Evidence
        What the cells of the rows before tell.
    column : pyarrow.Array
        The texts of further rows, or bytes.
    reader : ArrowColumn
        For messages.
    first_row : int
        The number of the first of these rows.
    """
    import pyarrow.compute as pc

    words, codes = distinct(reader.as_text(pc.dictionary_encode(one_array(column))))
    counts = np.bincount(codes, minlength=len(words)).tolist()
    evidence.add(words, counts, lambda k: first_row + int(np.argmax(codes == k)))


def is_text(of: Any) -> bool:
    """Return whether a type is of texts (or bytes that may be some), not a dictionary of them."""
    return _is_text(of) or _is(of, "binary", "large_binary", "binary_view", "fixed_size_binary")


def _is_text(of: Any) -> bool:
    return _is(of, "string", "large_string", "string_view")


def _is(of: Any, *names: str) -> bool:
    """Return whether a type is one of these; older pyarrow lacks some."""
    import pyarrow as pa

    return any(test(of) for n in names if (test := getattr(pa.types, f"is_{n}", None)))
