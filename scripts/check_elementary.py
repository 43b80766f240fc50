# SPDX-License-Identifier: BSD-3-Clause
"""Sweep exp, log, log1p and tanh and print the largest error in ulp; exit 1 if one is too large.

float32 is held against float64 functions, those against mpmath. That float32 is rounded correctly
to the last case is what check_rounding.py checks. Usage:
``python scripts/check_elementary.py [--fraction 0.01]``.
"""

import argparse
import sys

import mpmath
import numpy as np

from fastrelu import _core

NAMES = ("exp", "log", "log1p", "tanh")
# A little above a half: what float32 is held against has errors of its own.
MOST_ULP = {np.dtype("float32"): 0.500001, np.dtype("float64"): 2.0}
POINTS = {np.dtype("float32"): 10_000_000, np.dtype("float64"): 1_000_000}


def points(name, dtype, count):
    """Return test points: every exponent, the function's own range, its hard neighbourhoods."""
    rng = np.random.default_rng(7)
    kind = dtype.type
    bits = 8 * dtype.itemsize
    mantissa = np.finfo(dtype).nmant
    quarter = max(count // 4, 1)
    exponents = np.arange(2 ** (bits - 1 - mantissa), dtype=f"u{dtype.itemsize}")
    repeats = -(-quarter // (2 * len(exponents)))
    each = np.tile(exponents, repeats)
    fields = rng.integers(0, 2**mantissa, len(each), dtype=each.dtype)
    every = ((each << each.dtype.type(mantissa)) | fields).view(dtype)
    span = {"exp": 750.0, "log": 10.0, "log1p": 10.0, "tanh": 25.0}[name]
    if dtype == np.float32 and name == "exp":
        span = 105.0
    own = rng.uniform(-span, span, quarter)
    if name == "log":
        own = np.abs(own)
    near = rng.normal(0, 1, quarter) * 2.0 ** rng.integers(-30, 1, quarter)
    if name == "log":
        near = near + 1
    half_ln2 = np.log(2) / 2 * rng.integers(-200, 200, quarter)
    half_ln2 = half_ln2 * (1 + rng.normal(0, 1e-7, quarter))
    edges = [0.0, -0.0, 0.55, -0.55, 1.0, -1.0, 88.7228, -103.97, 709.78, -745.13, np.inf, np.nan]
    parts = [every, -every, own, near, half_ln2, np.array(edges)]
    with np.errstate(all="ignore"):
        return np.concatenate([np.asarray(p).astype(kind) for p in parts])


def _error(got, want, want_wide, dtype):
    finite = np.isfinite(want) & np.isfinite(got)
    assert (np.isnan(got) == np.isnan(want)).all(), "NaN in the wrong place"
    assert (np.isinf(got) == np.isinf(want)).all(), "infinity in the wrong place"
    ulp = np.spacing(np.abs(want[finite])).astype(want_wide.dtype)
    return np.abs(got[finite].astype(want_wide.dtype) - want_wide[finite]) / ulp


def worst_ulp(name, dtype, fraction=1.0):
    """Return the largest error of a function over a fraction of its sweep."""
    count = int(POINTS[dtype] * fraction)
    x = points(name, dtype, count)
    got = _core.elementary(name, x)
    worst = 0.0
    with np.errstate(all="ignore"):
        if dtype == np.float32:
            wide = getattr(np, name)(x.astype(np.float64))
            worst = float(_error(got, wide.astype(dtype), wide, dtype).max())
        else:
            # The extended type of the processor where it has one; mpmath judges in any case.
            wide = getattr(np, name)(x.astype(np.longdouble))
            if np.finfo(np.longdouble).nmant > 60:
                worst = float(_error(got, wide.astype(dtype), wide, dtype).max())
            worst = max(worst, _against_mpmath(name, x, got, max(count // 100, 200)))
    return worst


def _against_mpmath(name, x, got, count):
    mpmath.mp.prec = 160
    f = {"exp": mpmath.exp, "log": mpmath.log, "tanh": mpmath.tanh, "log1p": mpmath.log1p}[name]
    worst = 0.0
    chosen = np.random.default_rng(3).permutation(np.flatnonzero(np.isfinite(got)))[:count]
    for i in chosen:
        want = f(mpmath.mpf(float(x[i])))
        ulp = float(np.spacing(abs(float(want))))
        if np.isfinite(ulp):
            worst = max(worst, float(abs(mpmath.mpf(float(got[i])) - want) / ulp))
    return worst


def main():
    """Run the sweep that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fraction", type=float, default=1.0, help="part of the full sweep")
    fraction = parser.parse_args().fraction
    failed = False
    for dtype in POINTS:
        for name in NAMES:
            ulp = worst_ulp(name, dtype, fraction)
            failed |= ulp > MOST_ULP[dtype]
            print(f"{name:6} {dtype}  {ulp:.3f} ulp", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
