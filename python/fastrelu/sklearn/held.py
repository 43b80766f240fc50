# SPDX-License-Identifier: BSD-3-Clause
"""Estimators beside other threads: a fit holds its network, a copy is of before or after it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from fastrelu.network import Network


@contextmanager
def held(net: Network) -> Iterator[None]:
    """Hold a network for a fit of the calling thread.

    Between two epochs it has the weights of the one and the counts of the other, and a line search
    tries weights that are those of no iteration: no other thread is to copy them.

    Raises
    ------
    RuntimeError
        If another thread is using the network.
    """
    net._begin_use("a fit")
    try:
        yield
    finally:
        net._end_use()


def copied_state(net: Network | None, attributes: dict[str, Any]) -> dict[str, Any]:
    """Return an estimator's attributes for a copy or a file, those that a fit changes copied.

    Raises
    ------
    RuntimeError
        If another thread fits.
    """
    with nullcontext() if net is None else net._reading():
        state = {k: list(v) if type(v) is list else v for k, v in attributes.items()}
        for name in ("_net", "_views", "_net_activation"):
            state.pop(name, None)
        for name in ("coefs_", "intercepts_"):
            if name in state:
                state[name] = [np.array(a) for a in state[name]]
        if "_optimizer" in state:
            state["_optimizer"] = copy.copy(state["_optimizer"])
    return state
