# SPDX-License-Identifier: BSD-3-Clause
"""An epoch of 64 minibatches in one call of fit, shuffled rows gathered."""

import pytest

from benchmarks.nets import GRID


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("net", ["policy", "digits", "tabular", "mnist"])
def test_fit(measure, net, dtype):
    measure("fit", f"fit {net} {dtype}", net=net, dtype=dtype, rows=64 * GRID[net].batch)
