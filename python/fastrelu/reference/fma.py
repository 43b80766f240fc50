# SPDX-License-Identifier: BSD-3-Clause
"""The one operation that everything is made of: ``fma(a, b, c) = a*b + c`` with one rounding.

Float32 is easy: a float64 holds the product of two float32 exactly, so only the sum and the
rounding to float32 are left. Rounding twice to nearest would be wrong at ties; the first
rounding is therefore *to odd*: an inexact result goes to the neighbour whose last bit is 1, and
so never looks like a tie to the second rounding.

Float64 has no wider type. Its product and sums are kept as pairs "rounded value + error", both
float64 and exact together [1, 2], as long as no exponent is extreme. The few elements with an
extreme exponent are computed in whole numbers.

[1] T. J. Dekker, A floating-point technique for extending the available precision, 1971.
[2] S. Boldo, G. Melquiond, Emulation of a FMA and correctly rounded sums: proved algorithms
    using rounding to odd, 2008.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

# Between these, no step of the float64 product overflows or loses bits below the last subnormal.
_SMALL_FACTOR, _LARGE_FACTOR, _LARGE_TERM = 2.0**-480, 2.0**480, 2.0**1000


@np.errstate(all="ignore")
def fma(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Array:
    """Return ``a*b + c`` element by element, rounded once, over the whole range of numbers.

    Parameters
    ----------
    a, b, c : array_like
        All float32 or all float64. They are broadcast against each other.

    Returns
    -------
    ndarray
        Of their dtype.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    References
    ----------
    Boldo and Melquiond (2008), Emulation of a FMA and correctly rounded sums: proved algorithms
    using rounding to odd.

    Examples
    --------
    >>> from fastrelu import reference
    >>> a = 1 + 2.0**-52
    >>> reference.fma(a, a, -(a * a)).item()  # what rounding took away from a * a
    4.930380657631324e-32
    """
    dtype = np.result_type(a, b, c)
    x, y, z = np.asarray(a, dtype), np.asarray(b, dtype), np.asarray(c, dtype)
    if dtype == np.float32:
        return np.asarray(_fma_float32(x, y, z))
    if dtype == np.float64:
        return np.asarray(_fma_float64(x, y, z))
    raise TypeError(f"fma: expected float32 or float64, got {dtype}")


def two_sum(x: Array, y: Array) -> tuple[Array, Array]:
    """Return ``s = x + y`` rounded, and the error, so that s + error = x + y exactly (Knuth)."""
    s = x + y
    y_in_s = s - x
    return s, (x - (s - y_in_s)) + (y - y_in_s)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """Return ``p = a * b`` rounded, and the error, so that p + error = a * b exactly (Dekker)."""
    p = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return p, a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _split(x: Array) -> tuple[Array, Array]:
    """Cut the 53 bits of x into two halves of at most 26 (Veltkamp)."""
    t = x * 134217729.0  # 2^27 + 1
    high = t - (t - x)
    return high, x - high


def sum_to_odd(x: Array, y: Array) -> Array:
    """Return ``x + y`` in float64, an inexact sum rounded to the neighbour with last bit 1."""
    s, error = two_sum(x, y)
    # The neighbours of s differ by one in its bits, larger bits being larger in magnitude: of an
    # inexact sum, those of the neighbour nearer to 0, the last one set.
    inexact = abs(error) > 0  # not a NaN error (s infinite)
    too_far = inexact & ((error > 0) != (s > 0))
    return np.asarray((s.view(np.int64) - too_far) | inexact).view(np.float64)


def _fma_float32(a: Array, b: Array, c: Array) -> Array:
    product = a.astype(np.float64) * b.astype(np.float64)  # 24 + 24 bits: exact
    rounded: Array = sum_to_odd(product, c.astype(np.float64)).astype(np.float32)
    return rounded


def _fma_float64(a: Array, b: Array, c: Array) -> Array:
    result = _fma_by_pairs(a, b, c)
    safe = np.asarray(_safe_factor(a) & _safe_factor(b) & (abs(c) <= _LARGE_TERM))
    if not safe.all():
        result = np.array(result)
        a, b, c = np.broadcast_arrays(a, b, c)
        for i in zip(*np.nonzero(~np.atleast_1d(safe)), strict=True):
            at = i if result.ndim else ()
            result[at] = _fma_exact(float(a[at]), float(b[at]), float(c[at]))
    return result


def _safe_factor(x: Array) -> Array:
    size = abs(x)
    return np.asarray(((size >= _SMALL_FACTOR) & (size <= _LARGE_FACTOR)) | (size == 0))


def _fma_by_pairs(a: Array, b: Array, c: Array) -> Array:
    """Boldo and Melquiond's algorithm, figure 8: three exact pairs, one rounding to odd."""
    product, product_error = two_product(a, b)
    t, t_error = two_sum(c, product_error)
    v, v_error = two_sum(product, t)
    result = v + sum_to_odd(t_error, v_error)
    # The pairs may lose the sign of a zero; where the result is 0, a*b + c has no error.
    return np.where(result == 0, product + c, result)


def _fma_exact(a: float, b: float, c: float) -> float:
    """Return fma of three numbers of any size, by whole numbers."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return a * b + c
    if not math.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c  # exact, with IEEE's sign
    try:
        return exact.numerator / exact.denominator  # Python rounds this quotient once
    except OverflowError:
        return math.inf if exact > 0 else -math.inf
