# SPDX-License-Identifier: BSD-3-Clause
"""The inverse links: what makes predictions of a network's outputs.

For what is computed about a network; its own predictions come from the core
(``Network.predict_proba``). Names are those of `fastrelu.losses`' ``info.link``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import elementary

Array = NDArray[Any]


def inverse(link: str, outputs: Array) -> Array:
    """Return the predictions that outputs (n, K) stand for, in their dtype.

    Parameters
    ----------
    link : {"identity", "softmax", "logistic", "log", "ordered"}
        The link's name.
    outputs : ndarray, (n, K)
        A network's.
    """
    z = outputs
    if link == "softmax":
        powers = elementary.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    if link == "logistic":
        e = elementary.exp(-np.abs(z))
        return np.asarray(np.where(z < 0, e, 1.0) / (1.0 + e))
    if link == "ordered":
        return _ordered(z)
    return elementary.exp(z) if link == "log" else z


def _ordered(z: Array) -> Array:
    """Return numbers that do not descend: the middle output, and sums of magnitudes beyond it."""
    middle = (z.shape[1] - 1) // 2
    q = np.abs(z)
    q[:, middle] = z[:, middle]
    for k in range(middle + 1, z.shape[1]):
        q[:, k] += q[:, k - 1]
    for k in range(middle - 1, -1, -1):
        q[:, k] = q[:, k + 1] - q[:, k]
    return q
