# SPDX-License-Identifier: BSD-3-Clause
"""One step on a minibatch of the user's own. Divide by `steps` where an entry makes several."""

import pytest


@pytest.mark.parametrize("net", ["seed", "policy", "tiny", "sciml", "digits", "mnist", "deep"])
def test_step(measure, net):
    measure("step", f"step {net}", net=net)
