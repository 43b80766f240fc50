# SPDX-License-Identifier: BSD-3-Clause
"""exp, log and powers of arrays by the core: the same bits on every machine.

NumPy's own are other functions on processors with AVX-512 than on others, and differ in the last
bit. What a fit or a prediction is made of takes these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core

Array = NDArray[Any]

# One operation of IEEE 754 each.
_ROUNDED_ONCE: dict[float, Callable[[Array], Array]] = {
    0.0: np.ones_like,
    1.0: np.positive,
    2.0: np.square,
    0.5: np.sqrt,
    -1.0: np.reciprocal,
}


def _floats(x: ArrayLike) -> Array:
    numbers = np.asarray(x)
    floats = numbers.dtype in (np.float32, np.float64)
    return numbers if floats else numbers.astype(np.float64)


def _of(name: str, x: ArrayLike) -> Array:
    numbers = _floats(x)
    flat = np.ascontiguousarray(numbers).reshape(-1)
    return _core.elementary(name, flat).reshape(numbers.shape)


def exp(x: ArrayLike) -> Array:
    """Return e to the power of each number, in float32 if the numbers are, else in float64."""
    return _of("exp", x)


def log(x: ArrayLike) -> Array:
    """Return the natural logarithm of each number, likewise; -inf of 0, NaN of less."""
    return _of("log", x)


def power(x: ArrayLike, exponent: float) -> Array:
    """Return each number >= 0 to a power, likewise; for 0, 1, 2, 1/2 and -1 the nearest one."""
    numbers = _floats(x)
    if exponent in _ROUNDED_ONCE:
        return np.asarray(_ROUNDED_ONCE[exponent](numbers))
    return exp(exponent * log(numbers))
