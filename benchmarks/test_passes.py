# SPDX-License-Identifier: BSD-3-Clause
"""Forward, backward and step of six nets: core, NumPy and reference side by side."""

import pytest


@pytest.mark.parametrize("what", ["forward", "backward", "step"])
def test_pass(benchmark, case, net_name, what):
    benchmark.group = f"{what} {net_name}"
    benchmark(getattr(case, what))
