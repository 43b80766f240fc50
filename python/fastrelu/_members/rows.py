# SPDX-License-Identifier: BSD-3-Clause
"""The data of a population: one copy for all members, whatever their dtypes, losses and rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu._arguments import check_places
from fastrelu._members.member import Member, check_rows
from fastrelu.data_set import DataSet
from fastrelu.encoded import EncodedRows
from fastrelu.epoch import validation_parts

__all__ = ["MemberRows"]


class MemberRows:
    """The rows of a fit, as each member needs them.

    Arrays are converted once for each dtype, and checked once for each kind of network and loss;
    members that have the same rows, or the same weights, share them.
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any, validation_data: Any) -> None:
        if y is None:
            raise TypeError("y: expected targets, got None")
        self._X, self._y = (np.asarray(v) if isinstance(v, (list, tuple)) else v for v in (X, y))
        self._weight = sample_weight
        self._validation = None if validation_data is None else validation_parts(validation_data)
        self._converted: dict[Any, Any] = {}
        self._sets: dict[Any, DataSet] = {}
        self._orders: dict[bytes, NDArray[np.int64]] = {}
        self.n_rows = _length(X)

    def training(self, member: Member) -> tuple[DataSet, NDArray[np.int64] | None]:
        """Return the data set that a member is trained on, and its rows of it."""
        check_rows(member, self.n_rows)
        own = member.sample_weight
        if own is not None and own.shape != (self.n_rows,):
            raise ValueError(
                f"{member}: sample_weight: expected shape ({self.n_rows},), got {own.shape}"
            )
        weight = self._weight if own is None else self._shared(own)
        data = self._data(member, "", (self._X, self._y, weight), id(weight))
        if member.rows is None:
            return data, None
        if weight is not None and not np.asarray(weight)[member.rows].any():
            raise ValueError(f"{member}: rows: expected a row with a weight > 0, got none")
        return data, self._shared(member.rows)

    def validation(self, member: Member) -> DataSet | None:
        """Return what a member is evaluated on after each epoch; None for nothing."""
        if member.validation_rows is None:
            if self._validation is None:
                return None
            return self._data(member, "validation_data: ", self._validation, "validation")
        rows = self._shared(member.validation_rows)
        key = ("rows", id(rows))
        if key not in self._converted:
            weight = self._weight
            self._converted[key] = (
                _taken(self._X, rows),
                _taken(self._y, rows),
                None if weight is None else np.asarray(weight)[rows],
            )
        return self._data(member, "validation_rows: ", self._converted[key], key)

    def _shared(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return one array for all that hold the same."""
        return self._orders.setdefault(array.dtype.str.encode() + array.tobytes(), array)

    def _data(self, member: Member, what: str, parts: tuple[Any, Any, Any], key: Any) -> DataSet:
        trainer = member.trainer
        kind = (trainer._shape, key)
        if kind not in self._sets:
            X, y, weight = parts
            dtype = trainer._shape.dtype
            labels = trainer.loss.info.domain.labels
            X = self._as_dtype(X, dtype)
            y = self._as_dtype(y, np.dtype(np.int64) if labels else dtype)
            try:
                self._sets[kind] = trainer._prepared(X, y, weight, None)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{member}: {what}{error}") from error
        return self._sets[kind]

    def _as_dtype(self, array: Any, dtype: np.dtype[Any]) -> Any:
        """Return an array so that all data sets read it in place, where that changes no value."""
        if type(array) is not np.ndarray or array.dtype.kind not in "fiu":
            return array
        if array.dtype.kind == "f" and dtype.kind == "i":
            return array  # labels, to be looked at
        if array.dtype == np.uint8 and array.ndim == 2 and dtype.kind == "f":
            return array
        key = (id(array), dtype)
        if key not in self._converted:
            with np.errstate(over="ignore"):  # an infinity is refused by name
                self._converted[key] = np.ascontiguousarray(array, dtype)
        return self._converted[key]


def _length(X: Any) -> int:
    shape = X.shape if hasattr(X, "tocsr") else np.shape(X)
    return int(shape[0]) if shape else 0


def _taken(array: Any, rows: NDArray[np.int64]) -> Any:
    if hasattr(array, "tocsr"):
        check_places(array)
        return array.tocsr()[rows]
    return (array if isinstance(array, (np.ndarray, EncodedRows)) else np.asarray(array))[rows]
