# SPDX-License-Identifier: BSD-3-Clause
"""All implementations do the same work: the same weights after 64 steps, up to rounding."""

import numpy as np
import pytest

from benchmarks.implementations import UnavailableError, load

STEPS = 64


@pytest.mark.parametrize("net", ["tiny", "digits"])
def test_same_weights(implementation, net):
    if implementation == "sklearn_peer":
        pytest.skip("draws its own first weights")
    if implementation == "onnx_peer":
        pytest.skip("does not train")
    try:
        task = load(implementation).TASKS["step"]({"net": net})
    except UnavailableError as reason:
        pytest.skip(str(reason))
    expected = load("core").TASKS["step"]({"net": net})
    before = [np.array(w) for w in expected.weights()]
    expected.run(STEPS)
    task.run(STEPS // getattr(task, "steps", 1))
    for was, mine, theirs in zip(before, expected.weights(), task.weights(), strict=True):
        change = np.asarray(theirs) - was
        np.testing.assert_allclose(change, mine - was, rtol=0.01, atol=0.01 * abs(change).max())
