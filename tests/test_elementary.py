# SPDX-License-Identifier: BSD-3-Clause
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import same_bits

from fastrelu import _core, reference
from fastrelu.reference import elementary

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
import check_elementary
import check_rounding

NAMES = ["exp", "log", "log1p", "tanh"]


@pytest.mark.parametrize("name", NAMES)
def test_accuracy_on_a_hundredth_of_the_sweep(name, dtype):
    most = check_elementary.MOST_ULP[np.dtype(dtype)]
    assert check_elementary.worst_ulp(name, np.dtype(dtype), fraction=0.01) <= most


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_correctly_rounded_on_a_hundredth_of_all_inputs(name):
    doubts = 0
    for x in check_rounding.numbers(every=101):
        wrong, doubted = check_rounding.wrong(name, x)
        assert not len(wrong), wrong
        doubts += doubted
    assert doubts > 0  # some of them hung on mpmath


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_correctly_rounded_around_hard_inputs(name, isa):
    """Where float64's error would decide, and next to it, on every instruction set."""
    hard = [*elementary._HARD_LOG, *elementary._HARD_LOG1P]
    hard += [0x3DDBFEC3, 0x3EBE9143]  # of the kernels' own operations
    hard += [0x3F800000, 0x33800000, 0x33000000, 0xB3000000, 0x42B17218, 0xC2CFF1B5, 0x3F0CCCCD]
    bits = np.array(hard, np.uint32)[:, None] + np.arange(-8, 9).astype(np.uint32)
    x = bits.ravel().view("float32")
    x = x[x > {"log": 0, "log1p": -1}.get(name, -np.inf)]
    expected = np.array([check_rounding.exactly(name, each) for each in x])
    assert same_bits(_core.elementary(name, x), expected)
    assert same_bits(getattr(reference, name)(x), expected)


def test_a_wrong_rounding_would_be_seen(monkeypatch):
    x = np.array([0x3C413D3A, 0x3C413D3B], np.uint32).view("float32")
    assert check_rounding.wrong("log", x)[0].size == 0
    careless = np.log(x.astype("float64")).astype("float32")
    careless[1] = np.nextafter(careless[1], np.float32(0))
    monkeypatch.setattr(_core, "elementary", lambda name, x: careless)
    assert x[1] in check_rounding.wrong("log", x)[0]


def test_nearest_float32():
    nearest, mpf = check_rounding.nearest_float32, check_rounding.mpmath.mpf
    assert nearest(mpf(1) + mpf(2) ** -24) == 1 and nearest(mpf(1) + 3 * mpf(2) ** -24) > 1
    assert nearest(mpf(2) ** -150) == 0 and nearest(3 * mpf(2) ** -150) == np.float32(2.0**-148)
    assert nearest(-(mpf(2) ** 128)) == -np.inf and nearest(mpf(2) ** -126) == np.float32(2.0**-126)


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
