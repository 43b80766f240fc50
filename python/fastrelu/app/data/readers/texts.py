# SPDX-License-Identifier: BSD-3-Clause
"""Numbers, dates and truth values as the texts that name them where they are categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FALSE_TRUE = ("False", "True", "")  # the last where missing


def as_objects(values: Sequence[Any]) -> NDArray[Any]:
    """Return values as an object array, (n,)."""
    result = np.empty(len(values), object)
    result[:] = values
    return result


def texts_of_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as the texts that name them as categories: 3.0 is "3"; "" where missing."""
    different, where = np.unique(values, return_inverse=True, equal_nan=True)
    return np.asarray(as_objects([text_of_number(v) for v in different])[where.reshape(-1)])


def text_of_number(value: Any) -> str:
    """Return the text that names a NumPy number; "" for NaN."""
    if value.dtype.kind != "f":
        return str(value)
    if np.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() else str(value)


def texts_of_dates(values: NDArray[Any]) -> NDArray[Any]:
    """Return dates, datetime64[us], as texts: the day, and the time if there is one."""
    different, where = np.unique(values, return_inverse=True)
    texts = []
    for value in different:
        day, _, time = str(value).partition("T")
        time = time.rstrip("0").rstrip(".") if "." in time else time
        has_time = bool(set(time) - set("0:"))
        texts.append("" if np.isnat(value) else f"{day} {time}" if has_time else day)
    return np.asarray(as_objects(texts)[where.reshape(-1)])
