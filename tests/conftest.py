# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures: every instruction set that this processor runs, both dtypes, real data."""

import signal

import numpy as np
import pytest

from fastrelu import _core


def pytest_configure(config):
    # Of files that stay whole, pytest-xdist gives out those with the most tests first, and a core
    # is idle while the last of few but long ones run; by name, those of the command come early.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
    # A background job ("&", nohup) ignores SIGINT: what tests raise would never come.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=_core.available_isas())
def isa(request):
    before = _core.active_isa()
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(20260101)


# Real data, scaled as scikit-learn's networks want it.
@pytest.fixture(scope="module")
def wine():
    from sklearn import datasets, preprocessing

    X, y = datasets.load_wine(return_X_y=True)
    return preprocessing.scale(X), y


@pytest.fixture(scope="module")
def diabetes():
    from sklearn import datasets, preprocessing

    X, y = datasets.load_diabetes(return_X_y=True)
    return preprocessing.scale(X), preprocessing.scale(y)


def same_bits(a, b):
    """Equal bytes; any NaN equals any NaN."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    assert a.dtype == b.dtype and a.shape == b.shape
    as_int = f"i{a.itemsize}"
    equal = (a.view(as_int) == b.view(as_int)) | (np.isnan(a) & np.isnan(b))
    return bool(equal.all())
