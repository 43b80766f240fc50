# SPDX-License-Identifier: BSD-3-Clause
from pathlib import Path

import numpy as np
import pytest
from conftest import same_bits

from fastrelu import _core, linear_relu, reference, relu, relu_backward


def corners(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    return np.array([0.0, -0.0, 1, -1, tiny, -tiny, np.inf, -np.inf, np.nan] * 5, dtype)


def test_every_instruction_set_of_the_processor_is_found():
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        pytest.skip("no /proc/cpuinfo")
    found = _core.available_isas()
    for name, flag in (("x86_v3", "avx2"), ("x86_v4", "avx512vl"), ("neon", "asimd")):
        assert (name in found) == (flag in flags), f"{name}: the processor's flags say otherwise"
    assert found[-1] == "baseline"


def test_relu_and_its_derivative(dtype, isa):
    z = corners(dtype)
    assert same_bits(relu(z), reference.relu(z))
    assert same_bits(relu(z)[:9], np.array([0, -0.0, 1, 0, z[4], 0, np.inf, 0, np.nan], dtype))
    dh = np.arange(z.size, dtype=dtype) - 20
    assert same_bits(relu_backward(dh, z), reference.relu_backward(dh, z))


def test_any_shape_and_layout(dtype, rng):
    z = rng.normal(size=(4, 6, 5)).astype(dtype)
    for a in (z, z.T, z[::2, ::-1], np.asfortranarray(z), z[:0], z[0, 0, 0],
              z.astype(z.dtype.newbyteorder())):  # fmt: skip
        assert np.array_equal(relu(a), np.maximum(a, 0)) and relu(a).shape == a.shape
    assert relu([-1, 2]).dtype == np.float64


def test_out_may_be_the_input(dtype, rng):
    z = rng.normal(size=(9, 5)).astype(dtype)
    expected = relu(z)
    for a in (z.copy(), np.asfortranarray(z), np.zeros((9, 10), dtype)[:, ::2]):
        a[...] = z
        assert relu(a, out=a) is a and np.array_equal(a, expected)
    dh, h = z.copy(), expected.copy()
    want = relu_backward(dh, h)
    assert same_bits(relu_backward(dh, h.copy(), out=dh), want)
    assert same_bits(relu_backward(z, h, out=h), want)


def test_linear_relu(dtype, isa, rng):
    x = rng.normal(size=(37, 19)).astype(dtype)
    W, b = rng.normal(size=(19, 45)).astype(dtype), rng.normal(size=45).astype(dtype)
    want = reference.linear_relu(x, W, b)
    assert same_bits(linear_relu(x, W, b), want)
    assert same_bits(linear_relu(x, W), reference.linear_relu(x, W, None))
    assert same_bits(linear_relu(x[3], W, b), want[3])
    assert same_bits(linear_relu(x, np.asfortranarray(W), b), want)
    out = np.zeros((45, 37), dtype).T
    assert linear_relu(x, W, b, out=out) is out and np.array_equal(out, want)
    assert linear_relu(x[:0], W, b).shape == (0, 45)


def test_bad_arguments(dtype):
    z = np.zeros((3, 4), dtype)
    frozen = z.copy()
    frozen.flags.writeable = False
    buffer = np.zeros(20, dtype)
    shifted = buffer[:12].reshape(3, 4), buffer[4:16].reshape(3, 4)
    for call, error, says in (
        (lambda: relu(z.astype(complex)), TypeError, "z: "),
        (lambda: relu("text"), TypeError, "z: "),
        (lambda: relu(z, out=np.zeros((4, 3), dtype)), ValueError, "out: "),
        (lambda: relu(z, out=z.astype(np.float16)), TypeError, "out: "),
        (lambda: relu(z, out=frozen), ValueError, "out: .*read-only"),
        (lambda: relu(shifted[0], out=shifted[1]), ValueError, "out: .*overlap"),
        (lambda: relu_backward(z, z[:2]), ValueError, "h: "),
        (lambda: linear_relu(z, np.zeros((3, 4))), ValueError, "W: "),
        (lambda: linear_relu(z, np.zeros((4, 2)), np.zeros(3)), ValueError, "b: "),
        (lambda: linear_relu(z, np.zeros((4, 4)), out=z), ValueError, "out: .*overlap"),
    ):
        with pytest.raises(error, match=says):
            call()
