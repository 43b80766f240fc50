# SPDX-License-Identifier: BSD-3-Clause
"""Print the polynomial coefficients of exp, log and tanh (near-minimax Chebyshev fits).

They stand in cpp/kernels/math-inl.h and python/fastrelu/reference/elementary.py; those of float32
are expm1's alone, and "wide" ones, of float64, are what the kernels of float32 take. Needs mpmath.
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 60


def exp_rest(r):
    """(exp(r) - 1 - r) / r^2."""
    return mp.mpf("0.5") if r == 0 else (mp.expm1(r) - r) / r**2


def log_rest(z):
    """(2 atanh(s) / s - 2) / z with z = s^2."""
    s = mp.sqrt(z)
    return mp.mpf(2) / 3 if z == 0 else (2 * mp.atanh(s) / s - 2) / z


def tanh_rest(y):
    """(tanh(a) / a - 1) / y with y = a^2."""
    a = mp.sqrt(y)
    return mp.mpf(-1) / 3 if y == 0 else (mp.tanh(a) / a - 1) / y


def exp2_ratio(f):
    """(2^f - 1) / f."""
    return mp.log(2) if f == 0 else mp.expm1(f * mp.log(2)) / f


def atanh_ratio(z):
    """2 atanh(s) / s with z = s^2."""
    s = mp.sqrt(z)
    return mp.mpf(2) if z == 0 else 2 * mp.atanh(s) / s


def show(name, f, low, high, terms32, terms64):
    """Print the fits of f on [low, high], for float32 where it has terms, and for float64."""
    for dtype, terms in ((np.float32, terms32), (np.float64, terms64)):
        if terms is None:
            continue
        coefficients, error = mp.chebyfit(f, [low, high], terms, error=True)
        values = [dtype(float(c)) for c in reversed(coefficients)]
        print(name, dtype.__name__, f"fit error {float(error):.1e}")
        print("   ", ", ".join(f"{v!s}" if dtype is np.float32 else repr(float(v)) for v in values))


half = mp.log(2) / 2 * mp.mpf("1.0001")
show("exp", exp_rest, -half, half, 5, 10)
s = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * mp.mpf("1.0001")
show("log", log_rest, 0, s**2, None, 7)
show("tanh", tanh_rest, 0, mp.mpf("0.3026"), None, 14)
edge = mp.mpf("0.500005")
show("wide exp2", exp2_ratio, -edge, edge, None, 10)
s = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * mp.mpf("1.00001")
show("wide atanh", atanh_ratio, 0, s**2, None, 7)
ln2 = mp.log(2)
for bits, dtype in ((16, np.float32), (33, np.float64)):
    high = mp.floor(ln2 * 2**bits) / 2**bits
    print("ln2", dtype.__name__, float(high), dtype(float(ln2 - high)))
