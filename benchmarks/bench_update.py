# SPDX-License-Identifier: BSD-3-Clause
"""A step under each update rule."""

import pytest


@pytest.mark.parametrize("rule", ["sgd", "weight_decay", "momentum", "nesterov", "adam"])
@pytest.mark.parametrize("net", ["digits", "mnist"])
def test_update(measure, implementation, net, rule):
    if implementation not in ("core", "sklearn_peer"):
        pytest.skip("the other implementations are plain SGD")
    measure("step", f"update {net} {rule}", net=net, optimizer=rule)
