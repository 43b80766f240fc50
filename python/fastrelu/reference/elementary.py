# SPDX-License-Identifier: BSD-3-Clause
"""exp, log, log1p and tanh: range reduction and a polynomial, operation by operation.

Each function takes and returns an array of float32 or float64. Of float64 it is at most 2 ulp off;
the kernels compute the same operations in the same order, so the results are the same bits. Of
float32 it is the correctly rounded value: computed in float64 and rounded once, but for the few
inputs where float64's own error would decide. The kernels have fewer operations for that; there is
one such value, so that the bits are the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .fma import fma

Array = NDArray[Any]


class _Constants(NamedTuple):
    integer: type
    mantissa_bits: int
    bias: int
    round_magic: float
    log2e: float
    ln2_high: float
    ln2_low: float
    exp_lowest: float
    exp_highest: float
    tanh_highest: float
    sqrt_half_bits: int
    exp: tuple[float, ...]
    log: tuple[float, ...]
    tanh: tuple[float, ...]


# Of float32, what `expm1_of_negative` takes; the rest is computed in float64.
_FLOAT32 = _Constants(
    np.int32, 23, 127, 12582912.0, 1.44269504, 0.693145751953125, 1.4286068e-06,
    -104.0, 89.0, 10.0, 0x3F3504F3,
    exp=(0.5, 0.16666576, 0.041666556, 0.008363179, 0.0013926184),
    log=(), tanh=(),
)  # fmt: skip
_FLOAT64 = _Constants(
    np.int64, 52, 1023, 6755399441055744.0, 1.4426950408889634,
    0.6931471804855391, 7.440617110012397e-11, -746.0, 710.0, 20.0, 0x3FE6A09E667F3BCD,
    exp=(
        0.5000000000000001, 0.16666666666666669, 0.04166666666662413, 0.008333333333330062,
        0.0013888888917213717, 0.00019841269863053618, 2.4801521295954376e-05,
        2.7557268459997064e-06, 2.7620088445409746e-07, 2.510038549551032e-08,
    ),
    log=(
        0.666666666666667, 0.3999999999989938, 0.28571428626031065, 0.2222221112572281,
        0.18182889786191042, 0.15331699633543858, 0.14616721179861816,
    ),
    tanh=(
        -0.3333333333333333, 0.13333333333333333, -0.053968253968253915, 0.02186948853615077,
        -0.008863235529705658, 0.00359212803134432, -0.0014558342967677643, 0.000590026379802581,
        -0.000239120388892556, 9.686454181556678e-05, -3.906849436383477e-05, 1.5314107102051e-05,
        -5.2730749057391365e-06, 1.1499201065321053e-06,
    ),
)  # fmt: skip


def constants(dtype: Any) -> _Constants:
    """Return the constants of the functions here for float32 or float64."""
    return _FLOAT32 if np.dtype(dtype) == np.float32 else _FLOAT64


def _constants(x: Array) -> tuple[_Constants, Any]:
    return constants(x.dtype), x.dtype.type


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Horner's rule, one fma a coefficient."""
    dtype = x.dtype.type
    p = np.full_like(x, dtype(coefficients[-1]))
    for c in coefficients[-2::-1]:
        p = fma(p, x, dtype(c))
    return p


def _power_of_two(k: Array, x: Array) -> Array:
    """2**k, put together from the exponent's bits."""
    c, dtype = _constants(x)
    power: Array = ((k + c.integer(c.bias)) << c.integer(c.mantissa_bits)).view(dtype)
    return power


def _reduce_expm1(x: Array) -> tuple[Array, Array]:
    """exp(r) - 1 and k for x = k ln2 + r."""
    c, dtype = _constants(x)
    magic = dtype(c.round_magic)
    shifted = fma(x, dtype(c.log2e), magic)  # adding 1.5 * 2^p rounds to a whole number
    k: Array = shifted.view(c.integer) - np.array(magic).view(c.integer)
    n = shifted - magic
    r = fma(-n, dtype(c.ln2_high), x)
    r = fma(-n, dtype(c.ln2_low), r)
    return fma(_polynomial(r, c.exp), r * r, r), k


# Bits of float32 numbers whose function's value is so near to the middle between two float32 that
# float64's error decides, wrongly, and of the right values.
_HARD_LOG = {
    0x3C413D3A: 0xC08E158F, 0x41178FEB: 0x400FE5E7, 0x4C5D65A5: 0x418F034B,
    0x65D890D3: 0x4254D1F9, 0x6F31A8EC: 0x42845A89,
}  # fmt: skip
_HARD_LOG1P = {
    0x35400003: 0x353FFFFF, 0x3710001B: 0x370FFFF3, 0x3EFD81AD: 0x3ECDEEE1,
    0x41078FEB: 0x400FE5E7, 0x65D890D3: 0x4254D1F9, 0x6F31A8EC: 0x42845A89,
    0xB53FFFFD: 0xB5400001, 0xB70FFFE5: 0xB710000D, 0xBB0EC8C4: 0xBB0EF0A5,
}  # fmt: skip


def _mended(x: Array, y: Array, hard: dict[int, int]) -> Array:
    """Return y, but for the hard cases among x their values."""
    y = y.copy()
    bits = y.view(np.uint32)
    for case, value in hard.items():
        bits[x.view(np.uint32) == case] = value
    return y


def exp(x: Array) -> Array:
    """Return e**x, computed as exp(r) * 2**k for x = k ln2 + r.

    Parameters
    ----------
    x : ndarray
        float32 or float64, in any shape.

    Returns
    -------
    ndarray
        Of x's dtype and shape: float32 correctly rounded, float64 at most 2 ulp off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import reference
    >>> reference.exp(np.array([-1.0, 0.0, 1.0])).round(6)
    array([0.367879, 1.      , 2.718282])
    """
    with np.errstate(all="ignore"):
        c, dtype = _constants(x)
        low, high = dtype(c.exp_lowest), dtype(c.exp_highest)
        clamped = np.where(low > x, low, x)
        clamped = np.where(clamped > high, high, clamped)
        if dtype is np.float32:
            e, k = _reduce_expm1(clamped.astype(np.float64))
            power = _power_of_two(k, e)
            return np.where(np.isnan(x), x, fma(e, power, power).astype(np.float32))
        p, k = _reduce_expm1(clamped)
        p = p + dtype(1)
        half = k >> 1  # two factors: 2**k alone may be out of range
        y = (p * _power_of_two(half, x)) * _power_of_two(k - half, x)
        return np.where(np.isnan(x), x, y)


def expm1_of_negative(x: Array) -> Array:
    """Return e**x - 1 for x <= 0, without cancellation near 0; anything for another x.

    Parameters
    ----------
    x : ndarray
        float32 or float64, in any shape.

    Returns
    -------
    ndarray
        Of x's dtype and shape, at most 2 ulp off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu.reference import elementary
    >>> elementary.expm1_of_negative(np.array([-1e-20, -1.0, -50.0])).round(6)
    array([-0.      , -0.632121, -1.      ])
    """
    with np.errstate(all="ignore"):
        c, dtype = _constants(x)
        low = dtype(-2 * c.tanh_highest)
        e, k = _reduce_expm1(np.where(x < low, low, x))
        power = _power_of_two(k, x)
        return fma(e, power, power - dtype(1))


def _log_reduced(f: Array, k: Array, extra: Array) -> Array:
    """log(2**k (1 + f)) + extra, from log(1 + f) = 2 atanh(f / (2 + f))."""
    c, dtype = _constants(f)
    s = f / (dtype(2) + f)
    z = s * s
    half_square = (dtype(0.5) * f) * f
    rest = z * _polynomial(z, c.log)
    low = fma(k, dtype(c.ln2_low), extra)
    tail = half_square - fma(s, half_square + rest, low)
    return fma(k, dtype(c.ln2_high), f - tail)


def _split(x: Array) -> tuple[Array, Array]:
    """Return m in [sqrt(1/2), sqrt(2)) and k with x = 2**k m."""
    c, dtype = _constants(x)
    bits: Array = x.view(c.integer)
    k = (bits - c.integer(c.sqrt_half_bits)) >> c.integer(c.mantissa_bits)
    return (bits - (k << c.integer(c.mantissa_bits))).view(dtype), k


def _log_special(x: Array, y: Array) -> Array:
    dtype = x.dtype.type
    y = np.where(x == 0, -dtype(np.inf), y)
    y = np.where(x < 0, dtype(np.nan), y)
    y = np.where(x == np.inf, x, y)
    return np.where(np.isnan(x), x, y)


def log(x: Array) -> Array:
    """Return the natural logarithm: -inf at 0, NaN below.

    Parameters
    ----------
    x : ndarray
        float32 or float64, in any shape.

    Returns
    -------
    ndarray
        Of x's dtype and shape: float32 correctly rounded, float64 at most 2 ulp off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import reference
    >>> reference.log(np.array([0.5, 1.0, 10.0])).round(6)
    array([-0.693147,  0.      ,  2.302585])
    """
    with np.errstate(all="ignore"):
        c, dtype = _constants(x)
        if dtype is np.float32:
            return _mended(x, log(x.astype(np.float64)).astype(np.float32), _HARD_LOG)
        small = x < np.finfo(dtype).tiny
        m, k = _split(np.where(small, x * dtype(2.0**c.mantissa_bits), x))
        exponent = k.astype(dtype) - np.where(small, dtype(c.mantissa_bits), dtype(0))
        return _log_special(x, _log_reduced(m - dtype(1), exponent, np.zeros_like(x)))


def log1p(x: Array) -> Array:
    """Return log(1 + x), accurate also for small x.

    Parameters
    ----------
    x : ndarray
        float32 or float64, in any shape.

    Returns
    -------
    ndarray
        Of x's dtype and shape: float32 correctly rounded, float64 at most 2 ulp off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import reference
    >>> reference.log1p(np.array([1e-20, 1.0])).tolist()
    [1e-20, 0.6931471805599453]
    """
    with np.errstate(all="ignore"):
        _, dtype = _constants(x)
        one = dtype(1)
        if dtype is np.float32:  # 1 + x is exact in float64 unless x is the value itself
            y = log(1.0 + x.astype(np.float64)).astype(np.float32)
            return _mended(x, np.where(np.abs(x) < 2.0**-29, x, y), _HARD_LOG1P)
        u = x + one
        lost = np.where(x > one, one - (u - x), x - (u - one)) / u  # what the sum rounded away
        m, k = _split(u)
        whole = k == 0
        y = _log_reduced(
            np.where(whole, x, m - one), k.astype(dtype), np.where(whole, dtype(0), lost)
        )
        return np.where(x == 0, x, _log_special(u, y))


def tanh(x: Array) -> Array:
    """Return tanh: an odd polynomial below 0.55, else 1 - 2 / (e**(2x) + 1).

    Of float32 it is expm1(2x) / (expm1(2x) + 2) in float64.

    Parameters
    ----------
    x : ndarray
        float32 or float64, in any shape.

    Returns
    -------
    ndarray
        Of x's dtype and shape: float32 correctly rounded, float64 at most 2 ulp off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import reference
    >>> reference.tanh(np.array([-1.0, 0.0, 1.0])).round(6)
    array([-0.761594,  0.      ,  0.761594])
    """
    with np.errstate(all="ignore"):
        c, dtype = _constants(x)
        a = np.where(x < 0, -x, x)
        if dtype is np.float32:
            wide = np.where(a > dtype(c.tanh_highest), dtype(c.tanh_highest), a).astype(np.float64)
            e, k = _reduce_expm1(wide + wide)
            power = _power_of_two(k, e)
            expm1 = fma(e, power, power - 1.0)
            y = (expm1 / (expm1 + 2.0)).astype(np.float32)
            return np.where(np.isnan(x) | (x == 0), x, np.where(x < 0, -y, y))
        y = a * a
        small = fma(_polynomial(y, c.tanh) * y, x, x)
        highest = dtype(c.tanh_highest)
        e, k = _reduce_expm1(dtype(2) * np.where(a > highest, highest, a))
        power = _power_of_two(k, x)
        large = dtype(1) - dtype(2) / (fma(e, power, power) + dtype(1))
        both = np.where(a < dtype(0.55), small, np.where(x < 0, -large, large))
        return np.where(np.isnan(x) | (x == 0), x, both)
