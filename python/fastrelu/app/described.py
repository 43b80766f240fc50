# SPDX-License-Identifier: BSD-3-Clause
"""Plain values out of a model file, looked at before they are believed: ValueError names each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.printable import printable

T = TypeVar("T")


def parsed(text: str) -> Any:
    """Return what JSON says; it has no NaN and no infinity, and neither has a model file."""

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is no number of JSON")

    return json.loads(text, parse_constant=refuse)


def refused(value: Any, what: str, expected: str) -> ValueError:
    """Return the error for a value that is none of what is expected."""
    return ValueError(f"{what}: expected {expected}, got {printable(repr(value))[:60]}")


def text(value: Any, what: str) -> str:
    """Return a value that has to be a text."""
    if not isinstance(value, str):
        raise refused(value, what, "a text")
    return value


def one_of(value: Any, what: str, choices: Iterable[str]) -> str:
    """Return a value that has to be one of some texts."""
    known = list(choices)
    if not isinstance(value, str) or value not in known:
        raise refused(value, what, "one of " + ", ".join(known))
    return value


def boolean(value: Any, what: str) -> bool:
    """Return a value that has to be true or false."""
    if type(value) is not bool:
        raise refused(value, what, "true or false")
    return value


def whole(value: Any, what: str, least: int = 0) -> int:
    """Return a value that has to be a whole number, not below `least`."""
    if type(value) is not int or value < least:
        raise refused(value, what, f"a whole number from {least}")
    return value


def number(value: Any, what: str) -> float:
    """Return a value that has to be a finite number."""
    if type(value) is int and abs(value) < 2**1000:
        return float(value)
    if type(value) is not float or not math.isfinite(value):
        raise refused(value, what, "a finite number")
    return value


def sequence(value: Any, what: str, each: Callable[[Any, str], T]) -> list[T]:
    """Return a value that has to be a list, `each` of its items looked at."""
    if not isinstance(value, list):
        raise refused(value, what, "a list")
    return [each(item, what) for item in value]


def mapping(value: Any, what: str, each: Callable[[Any, str], T]) -> dict[str, T]:
    """Return a value that has to be a dictionary, `each` of its values looked at."""
    if not isinstance(value, dict):
        raise refused(value, what, "a dictionary")
    return {name: each(item, f"{what}.{printable(name)[:60]}") for name, item in value.items()}


def anything(value: Any, what: str) -> Any:
    """Return any value."""
    return value


def names(value: Any, what: str) -> list[str]:
    """Return a value that has to be a list of different texts."""
    found = sequence(value, what, text)
    if len(set(found)) < len(found):
        raise refused(value, what, "different texts")
    return found


def numbers(value: Any, what: str, n: int | None = None) -> NDArray[np.float64]:
    """Return a value that has to be a list of (`n`) finite numbers."""
    found = sequence(value, what, number)
    if n is not None and len(found) != n:
        raise ValueError(f"{what}: expected {n} numbers, got {len(found)}")
    return np.array(found, np.float64)
