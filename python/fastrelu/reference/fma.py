# SPDX-License-Identifier: BSD-3-Clause
"""fma(a, b, c): a*b + c with a single rounding, exact over the whole range."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def fma(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Array:
    """Return a*b + c, element by element, rounded once to nearest even.

    Parameters
    ----------
    a, b, c : array_like
        All float32 or all float64; they broadcast.

    Returns
    -------
    ndarray
        Of the same dtype.
    """
    x, y, z = np.asarray(a), np.asarray(b), np.asarray(c)
    with np.errstate(all="ignore"):
        if x.dtype == np.float32:
            return _fma32(x, y, z)
        return _fma64(*np.broadcast_arrays(x, y, z))


def _add_to_odd(x: Array, y: Array) -> Array:
    """x + y, where inexact with the last bit set: a later rounding to fewer bits is then right.

    S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums", 2008.
    """
    s = x + y
    back = s - x
    error = (x - (s - back)) + (y - back)
    bits = s.view(np.int64)
    inexact = (error != 0) & ((bits & 1) == 0) & np.isfinite(s)
    step = np.where((error > 0) == (s > 0), 1, -1)
    odd: Array = np.where(inexact, bits + step, bits).view(np.float64)
    return odd


def _fma32(a: Array, b: Array, c: Array) -> Array:
    product = np.multiply(a, b, dtype=np.float64)  # exact: 24 + 24 bits
    total = _add_to_odd(np.atleast_1d(product), np.asarray(c, dtype=np.float64))
    result: Array = total.astype(np.float32)
    return result.reshape(np.broadcast_shapes(a.shape, b.shape, c.shape))


def _fma64(a: Array, b: Array, c: Array) -> Array:
    shape = a.shape
    a, b, c = (np.atleast_1d(v).ravel() for v in (a, b, c))
    product = a * b
    total = product + c
    size, addend = np.abs(product), np.abs(c)
    # The transformations below are exact away from the ends of the range.
    safe = (np.abs(a) < 2.0**480) & (np.abs(b) < 2.0**480) & (size > 2.0**-900)
    safe &= (addend < 2.0**960) & ((addend > 2.0**-900) | (c == 0)) & (np.abs(total) > 2.0**-900)
    low = _product_error(a, b, product)
    th = c + low
    back = th - c
    tl = (c - (th - back)) + (low - back)
    vh = product + th
    back = vh - product
    vl = (product - (vh - back)) + (th - back)
    result = np.where(safe, vh + _add_to_odd(tl, vl), total)
    for i in np.flatnonzero(~safe & np.isfinite(a) & np.isfinite(b)):
        result[i] = _exactly(float(a[i]), float(b[i]), float(c[i]))
    return result.reshape(shape)


def _product_error(a: Array, b: Array, product: Array) -> Array:
    """a*b - product, exactly (Dekker's product, Veltkamp's split)."""
    ta, tb = 134217729.0 * a, 134217729.0 * b
    ah, bh = ta - (ta - a), tb - (tb - b)
    al, bl = a - ah, b - bh
    return al * bl - (((product - ah * bh) - al * bh) - ah * bl)


def _exactly(a: float, b: float, c: float) -> float:
    """One element by exact rational arithmetic; a and b are finite."""
    if not np.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        # The sign of a zero is the sum's: exact products of zero keep theirs.
        zero_product = np.float64(a) * np.float64(b) if a == 0 or b == 0 else np.float64(c) * -1
        return float(zero_product + np.float64(c))
    return _round(exact)


def _round(x: Fraction) -> float:
    """The nearest float64, ties to even, from integers alone."""
    sign = -1.0 if x < 0 else 1.0
    x = abs(x)
    exponent = x.numerator.bit_length() - x.denominator.bit_length() - 53
    exponent = max(exponent, -1074)
    while True:
        scaled = x / Fraction(2) ** exponent
        mantissa = round(scaled)  # ties to even
        if mantissa < 2**53 or exponent == -1074 and mantissa <= 2**53:
            break
        if mantissa == 2**53:
            break
        exponent += 1
    if mantissa.bit_length() + exponent > 1024:
        return sign * float("inf")
    return sign * float(np.ldexp(float(mantissa), exponent))
