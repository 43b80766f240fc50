# SPDX-License-Identifier: BSD-3-Clause
"""Outputs of one row, and of many rows from three memory layouts."""

import pytest


@pytest.mark.parametrize("net", ["policy", "digits"])
def test_one_row(measure, net):
    measure("forward", f"one row {net}", net=net, one_row=True)


@pytest.mark.parametrize("layout", ["contiguous", "strided", "uint8"])
@pytest.mark.parametrize("net", ["tabular", "mnist"])
def test_many_rows(measure, net, layout):
    measure("forward", f"rows {net} {layout}", net=net, rows=10_000, chunk=1_000, layout=layout)
