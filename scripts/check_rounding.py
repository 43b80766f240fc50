# SPDX-License-Identifier: BSD-3-Clause
"""Check that exp, log, log1p and tanh of float32 are the correctly rounded values; exit 1 if not.

NumPy's float64 functions decide wherever they are far enough from the middle between two float32
numbers, mpmath decides in the few other cases. ``python scripts/check_rounding.py`` takes all 2^32
inputs of each function, some minutes on one core; ``--every 101`` takes every 101st.
"""

import argparse
import sys

import mpmath
import numpy as np

from fastrelu import _core

NAMES = ("exp", "log", "log1p", "tanh")
CHUNK = 2**24
# NumPy's functions are within 4 ulp; what is nearer to a middle than this is left to mpmath.
DOUBT = 2.0**-45


def nearest_float32(value):
    """Return the float32 that is nearest to an mpmath number, of two the even one."""
    if value == 0 or not mpmath.isfinite(value):
        return np.float32(float(value))
    exponent = max(int(mpmath.frexp(value)[1]) - 24, -149)
    if exponent > 104:
        return np.float32(np.copysign(np.inf, float(mpmath.sign(value))))
    whole = int(mpmath.nint(mpmath.ldexp(value, -exponent)))  # halves to even
    with np.errstate(over="ignore"):
        return np.float32(np.ldexp(float(whole), exponent))


def exactly(name, x):
    """Return the correctly rounded value at one float32."""
    with mpmath.workprec(200):
        return nearest_float32(getattr(mpmath, name)(mpmath.mpf(float(x))))


def doubtful(wide):
    """Return where a float64 is so near to a middle that its own error may decide."""
    low, high = (wide * (1 - DOUBT)).astype("float32"), (wide * (1 + DOUBT)).astype("float32")
    return np.isfinite(wide) & (low != high)


def wrong(name, x):
    """Return which of some float32 numbers have another value than the correctly rounded one.

    Returns
    -------
    wrong : ndarray of float32
        Those numbers.
    doubts : int
        In how many cases mpmath decided.
    """
    with np.errstate(all="ignore"):
        wide = getattr(np, name)(x.astype("float64"))
        expected = wide.astype("float32")
        doubts = np.flatnonzero(doubtful(wide))
    for place in doubts:
        expected[place] = exactly(name, x[place])
    got = _core.elementary(name, x)
    same = (got.view("u4") == expected.view("u4")) | (np.isnan(got) & np.isnan(expected))
    return x[~same], len(doubts)


def numbers(every):
    """Yield float32 numbers by the chunk: every so manieth of all 2^32 patterns of bits."""
    for start in range(0, 2**32, CHUNK * every):
        stop = min(start + CHUNK * every, 2**32)
        yield np.arange(start, stop, every, dtype=np.uint64).astype(np.uint32).view("float32")


def main():
    """Run the sweep that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="1: all inputs")
    parser.add_argument("--names", nargs="*", default=NAMES, choices=NAMES)
    chosen = parser.parse_args()
    failed = False
    for name in chosen.names:
        found, doubts = [], 0
        for x in numbers(chosen.every):
            bad, doubted = wrong(name, x)
            found += [f"{value!r} (0x{value.view('u4'):08x})" for value in bad[:100]]
            doubts += doubted
        failed |= bool(found)
        print(f"{name:6} {len(found)} wrong, {doubts} decided by mpmath", *found[:20], flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
