# SPDX-License-Identifier: BSD-3-Clause
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import same_bits

from fastrelu import _core, reference

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
import check_elementary

NAMES = ["exp", "log", "log1p", "tanh"]


@pytest.mark.parametrize("name", NAMES)
def test_accuracy_on_a_hundredth_of_the_sweep(name, dtype):
    assert check_elementary.worst_ulp(name, np.dtype(dtype), fraction=0.01) <= 2.0


@pytest.mark.parametrize("name", NAMES)
def test_kernel_equals_reference(name, dtype, isa):
    x = check_elementary.points(name, np.dtype(dtype), 3000)
    assert same_bits(_core.elementary(name, x), getattr(reference, name)(x))


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", [np.inf, -np.inf, 0.0, -0.0, 1e5, -1e5], [np.inf, 0.0, 1.0, 1.0, np.inf, 0.0]),
        ("log", [0.0, -0.0, np.inf, 1.0, -1.0], [-np.inf, -np.inf, np.inf, 0.0, np.nan]),
        ("log1p", [-1.0, np.inf, -0.0, -2.0], [-np.inf, np.inf, -0.0, np.nan]),
        ("tanh", [np.inf, -np.inf, -0.0, 0.0], [1.0, -1.0, -0.0, 0.0]),
    ],
)
def test_special_values(name, x, expected, dtype, isa):
    x, expected = np.array([*x, np.nan], dtype), np.array([*expected, np.nan], dtype)
    assert same_bits(_core.elementary(name, x), expected)


def exact_fma(a, b, c, dtype):
    """One rounding, by rational numbers."""
    bits, lowest, highest = (24, -149, 128) if dtype == "float32" else (53, -1074, 1024)
    x = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    sign, x = (-1 if x < 0 else 1), abs(x)
    if x == 0:
        return 0.0
    e = max(math.floor(math.log2(x.numerator) - math.log2(x.denominator)) - bits - 2, lowest)
    while x / Fraction(2) ** e >= 2**bits:
        e += 1
    m = round(x / Fraction(2) ** e)
    value = Fraction(m) * Fraction(2) ** e
    return sign * (math.inf if value >= Fraction(2) ** highest else float(value))


@pytest.mark.parametrize("implementation", [_core.exact_fma, reference.fma])
def test_fma_is_rounded_once_over_the_whole_range(implementation, dtype, rng):
    size = np.dtype(dtype).itemsize
    info = np.finfo(dtype)
    raw = rng.integers(0, 2 ** (8 * size), (3, 400), dtype=f"u{size}").view(dtype)
    a, b, c = (np.where(np.isfinite(v), v, 1).astype(dtype) for v in raw)
    one = np.dtype(dtype).type(1)
    eps, tiny, top = info.eps, info.smallest_subnormal, info.max
    hard = np.array(
        [
            [one + eps, one + eps, -(one + 2 * eps)],  # cancellation leaves eps^2
            [one + eps, one - eps / 2, -one],
            [top, one, top * eps / 4],  # just below the overflow tie
            [top, one, top * eps / 2],
            [tiny, one / 2, 0.0],  # ties at the bottom
            [tiny, one / 2, tiny],
            [tiny * 3, one / 2, tiny],
            [info.tiny, one - eps, tiny],
            [info.tiny, eps, -tiny],
            [one, one, eps / 4],
            [one + eps, one, eps / 2 + 0],
            [top, 2.0, -top],
        ],
        dtype=dtype,
    ).T
    with np.errstate(all="ignore"):
        near = -(a * b)
    a, b, c = (np.concatenate(v) for v in ((a, a, hard[0]), (b, b, hard[1]), (c, near, hard[2])))
    keep = np.isfinite(c)
    a, b, c = a[keep], b[keep], c[keep]
    got = implementation(a, b, c)
    want = np.array([exact_fma(*v, dtype) for v in zip(a, b, c, strict=True)]).astype(dtype)
    # An exact zero's sign is the business of the next test.
    assert same_bits(np.where(want == 0, abs(got), got), np.where(want == 0, abs(want), want))


@pytest.mark.parametrize("implementation", [_core.exact_fma, reference.fma])
def test_fma_zeros_infinities_nan(implementation, dtype):
    inf, nan = np.inf, np.nan
    cases = [
        (0.0, -1.0, -0.0, -0.0), (0.0, 1.0, -0.0, 0.0), (1.0, 1.0, -1.0, 0.0),
        (inf, 0.0, 1.0, nan), (inf, 1.0, -inf, nan), (inf, -1.0, 1.0, -inf),
        (1.0, 1.0, inf, inf), (nan, 1.0, 1.0, nan), (1.0, 2.0, nan, nan),
        (1e30, 1e30, -inf, -inf),
    ]  # fmt: skip
    a, b, c, want = (np.array(v, dtype) for v in zip(*cases, strict=True))
    assert same_bits(implementation(a, b, c), want)
