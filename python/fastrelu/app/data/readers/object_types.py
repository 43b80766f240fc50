# SPDX-License-Identifier: BSD-3-Clause
"""From a column in Python to a table's: NumPy arrays, pandas' extension types, plain objects."""

from __future__ import annotations

import enum
import numbers
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.column import EXACT, ColumnReader
from fastrelu.app.data.readers.moments import MICROSECONDS, moment, moments, seconds, seconds_of
from fastrelu.app.data.readers.texts import (
    FALSE_TRUE,
    as_objects,
    text_of_number,
    texts_of_dates,
)
from fastrelu.app.data.readers.values import refuse_no_characters
from fastrelu.app.errors import RowsError


class ObjectColumn(ColumnReader):
    """How one column of Python's is read."""

    def read(self, values: Any) -> NDArray[Any]:
        """Return a column as numbers, text (object) or dates (datetime64[us]).

        Parameters
        ----------
        values : array_like, (n,)
            An array, a pandas or polars series, an Arrow array, or a sequence of Python's values.
            What becomes of each type: see `ArrowColumn.read`.

        Raises
        ------
        DataError
            If it is masked, of another type, has another shape, or infinite values.
        """
        if isinstance(values, np.ma.MaskedArray):
            raise RowsError(
                f"{self.source}: {self.what}: a masked array; its masked values would be read as "
                "numbers: give .filled(numpy.nan)"
            )
        if getattr(values, "dtype", None) is not None and hasattr(values.dtype, "na_value"):
            return self._pandas(values)
        if hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__"):
            if not _is_plain_pandas(values):
                return self._arrow(values)
        if isinstance(values, (list, tuple)) and any(isinstance(v, (str, bytes)) for v in values):
            return self._objects(values)  # NumPy would give each text the room of the longest
        try:
            array = np.asarray(values)
        except ValueError:  # sequences of unequal lengths
            array = np.empty((0, 0))
        if array.ndim != 1:
            raise RowsError(f"{self.source}: {self.what}: expected shape (n,), got {array.shape}")
        if array.dtype.kind in "US" and not hasattr(values, "dtype"):
            return self._objects(list(values))  # NumPy has made texts of the numbers among them
        return self._array(array)

    def _array(self, array: NDArray[Any]) -> NDArray[Any]:
        kind = array.dtype.kind
        if kind in "iuf":
            return self.numbers(array.astype(np.float64) if array.dtype.itemsize > 8 else array)
        if kind == "b":
            return self.truths(array.astype(np.uint8))
        if kind == "M":
            unit, of = np.datetime_data(array.dtype)
            if of != 1 or unit not in (*MICROSECONDS, "ns"):  # such as months
                return self.dates(self._converted(moments, array), "us", np.isnat(array))
            plain = array.astype(f"datetime64[{unit}]")  # in this machine's order of bytes
            return self.dates(plain.view(np.int64), unit, np.isnat(plain))
        if kind == "m":
            return self.numbers(self._converted(seconds, array))
        refuse_no_characters(self.source, self.what, array)
        if kind in "USTO":
            return self._objects(array.astype(object).tolist())
        raise RowsError(
            f"{self.source}: {self.what}: expected numbers, text or dates, got {array.dtype}"
        )

    def _arrow(self, values: Any) -> NDArray[Any]:
        import pyarrow as pa

        from fastrelu.app.data.readers.arrow import arrow_errors
        from fastrelu.app.data.readers.arrow_types import ArrowColumn

        with arrow_errors(f"{self.source}: {self.what}"):
            stream = hasattr(values, "__arrow_c_stream__")
            column = pa.chunked_array(values) if stream else pa.array(values)
            return ArrowColumn(**vars(self)).read(column)

    # pandas' own types

    def _pandas(self, values: Any) -> NDArray[Any]:
        """Return a series, index or array of one of pandas' extension types."""
        of = type(values.dtype).__name__
        if of == "CategoricalDtype":
            return self._categorical(getattr(values, "cat", values))
        if of == "ArrowDtype":
            return self._arrow(_arrow_of(values))
        if of == "DatetimeTZDtype":
            return self._array(np.asarray(values, f"datetime64[{values.dtype.unit}]"))  # in UTC
        if of == "PeriodDtype":
            return self._array(np.asarray(getattr(values, "dt", values).to_timestamp()))
        if of == "SparseDtype":
            return self._array(np.asarray(values))
        gaps = np.asarray(values.isna())
        if values.dtype.kind in "iuf" and not gaps.all():
            if not gaps.any():
                return self.numbers(values.to_numpy(dtype=values.dtype.numpy_dtype))
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            if values.dtype.kind != "f" and np.abs(numbers[~gaps]).max() > EXACT:
                self.say_inexact()
            return self.numbers(numbers)
        plain = np.array(values, object)
        plain[gaps] = None
        return self._objects(plain.tolist())

    def _categorical(self, values: Any) -> NDArray[Any]:
        """Return pandas' categories: of texts and whole numbers as they are said to be."""
        where = np.asarray(values.codes).astype(np.intp)
        words = list(values.categories)
        truths = all(isinstance(word, (bool, np.bool_)) for word in words)
        if all(isinstance(word, (str, numbers.Integral)) for word in words) and not truths:
            whole = not isinstance(words[0], str)
            if whole and self.kind is None:
                self.found.notes.append(
                    f"{self.what} is categorical: its whole numbers are categories"
                )
            if not (whole and self.kind == "numeric"):
                texts = as_objects([*(str(word) for word in words), None])
                return self.texts(texts[where], "text")
        return self._objects([None if k < 0 else words[k] for k in where.tolist()])

    # Plain objects

    def _objects(self, values: Sequence[Any]) -> NDArray[Any]:
        """Return a column of Python's objects: all numbers, all dates, or texts among others."""
        sorts = {of: _sort_of(of) for of in dict.fromkeys(map(type, values))}
        if "member" in sorts.values():
            return self._objects([_text_of_member(v) for v in values])
        sort = [sorts[type(v)] for v in values]
        if "nothing" in sort:
            names = sorted({of.__name__ for of, s in sorts.items() if s != "gap"})
            at = self.place(sort.index("nothing"))
            raise RowsError(
                f"{self.source}: {at}: {self.what}: expected numbers, text or dates, got "
                f"{', '.join(names)}"
            )
        for k, value in enumerate(values):
            if sort[k] not in ("gap", "text") and value != value:  # NaN, NaT
                sort[k] = "gap"
        found = set(sort) - {"gap"}
        gaps = np.array([s == "gap" for s in sort], bool)
        if not found:
            return self.nothing(len(values))
        if found == {"truth"}:
            return self.truths(
                np.array([2 if gap else int(v) for v, gap in zip(values, gaps, strict=True)])
            )
        if found <= {"number", "truth"}:
            return self.numbers(self._floats(values, gaps))
        if found == {"date"}:
            counts = np.array(
                [self._converted(moment, v) if s == "date" else 0
                 for v, s in zip(values, sort, strict=True)],
                np.int64,
            )  # fmt: skip
            return self.dates(counts, "us", gaps)
        if found == {"seconds"}:
            return self.numbers(
                np.array([np.nan if gap else self._converted(seconds_of, v)
                          for v, gap in zip(values, gaps, strict=True)])
            )  # fmt: skip
        return self._texts(values, sort)

    def _converted(self, convert: Callable[[Any], Any], value: Any) -> Any:
        try:
            return convert(value)
        except ValueError as error:  # months are no number of seconds, no unit is no date
            raise RowsError(f"{self.source}: {self.what}: {error}") from None

    def _floats(self, values: Sequence[Any], gaps: NDArray[np.bool_]) -> NDArray[Any]:
        whole = not gaps.any() and all(isinstance(v, (int, np.integer)) for v in values)
        if whole and max(map(abs, map(int, values)), default=0) < 2**63:
            return np.array(values, np.int64)
        try:
            floats = np.array([np.nan if gap else float(v)
                               for v, gap in zip(values, gaps, strict=True)])  # fmt: skip
        except OverflowError:
            raise RowsError(
                f"{self.source}: {self.what}: a whole number that is too large for a double"
            ) from None
        if any(isinstance(v, int) and abs(v) > EXACT and float(v) != v for v in values):
            self.say_inexact()
        return floats

    def _texts(self, values: Sequence[Any], sort: Sequence[str]) -> NDArray[Any]:
        """Return texts, and what stands among them as the text that names it."""
        spell: dict[str, Callable[[Any], str]] = {
            "truth": lambda v: FALSE_TRUE[bool(v)],
            "number": lambda v: text_of_number(np.float64(v)),
            "date": lambda v: str(
                texts_of_dates(np.array([self._converted(moment, v)], "datetime64[us]"))[0]
            ),
            "seconds": str,
        }
        texts: list[str | None] = []
        for row, (value, s) in enumerate(zip(values, sort, strict=True)):
            if s == "text":
                texts.append(self.decoded(value, row) if isinstance(value, bytes) else value)
            else:
                texts.append(None if s == "gap" else spell[s](value))
        return self.texts(texts)


def _is_plain_pandas(values: Any) -> bool:
    """Return whether a series holds a NumPy array; it then offers Arrow by way of pyarrow only."""
    return isinstance(getattr(values, "dtype", None), np.dtype)


def _arrow_of(values: Any) -> Any:
    import pyarrow as pa

    return pa.array(values)


def _sort_of(of: type) -> str:
    """Return what values of a type are: a gap, text, truth, number, date, ..., or nothing."""
    if of is type(None) or of.__name__ in ("NAType", "NaTType"):
        return "gap"
    if issubclass(of, (enum.Enum, UUID)):
        return "member"
    if issubclass(of, (str, bytes)):
        return "text"
    if issubclass(of, (bool, np.bool_)):
        return "truth"
    if issubclass(of, (timedelta, np.timedelta64, time)):
        return "seconds"
    if issubclass(of, (numbers.Real, Decimal)):
        return "number"
    return "date" if issubclass(of, (date, datetime, np.datetime64)) else "nothing"


def _text_of_member(value: Any) -> Any:
    """Return the text of an enumeration's member or a UUID; other values as they are."""
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, enum.Enum):
        return value
    return value.value if isinstance(value.value, str) else value.name
