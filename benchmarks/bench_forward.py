# SPDX-License-Identifier: BSD-3-Clause
"""Forward and backward of one minibatch."""

import pytest


@pytest.mark.parametrize("task", ["forward", "backward"])
@pytest.mark.parametrize("net", ["policy", "digits", "tabular", "mnist", "deep"])
def test_forward(measure, net, task):
    measure(task, f"{task} {net}", net=net)
