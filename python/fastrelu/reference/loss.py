# SPDX-License-Identifier: BSD-3-Clause
"""What the losses have in common: their properties, what their targets may be, sums over outputs.

A row's factor, its share of the mean, is multiplied into the derivative g alone, and once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: What targets may be: a name, in words, and whether a number is one.
DOMAINS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "real": ("targets", lambda y: np.ones(y.shape, bool)),
    "labels": ("labels", lambda y: y >= 0),
    "unit_interval": ("targets in [0, 1]", lambda y: (y >= 0) & (y <= 1)),
    "non_negative": ("targets >= 0", lambda y: y >= 0),
    "positive": ("targets > 0", lambda y: y > 0),
}

_BY_NAME: dict[str, type[Loss]] = {}


class Loss:
    """What the losses have in common.

    Attributes
    ----------
    name : str
        The name of the loss.
    link : {"identity", "softmax", "logistic", "log", "ordered"}
        The function whose inverse makes predictions of the outputs; see `link`.
    domain : str
        What the targets may be, one of `DOMAINS`.
    averaged : bool
        Whether a row's loss is the mean over the outputs unless it is `summed`; else the sum.
    least_outputs : int
        The number of outputs that a network needs at least.
    """

    name: ClassVar[str]
    link: ClassVar[str] = "identity"
    domain: ClassVar[str] = "real"
    averaged: ClassVar[bool] = False
    least_outputs: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        if hasattr(cls, "name"):
            _BY_NAME[cls.name] = cls

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return the loss of each row, and its derivative g with respect to the row's outputs.

        Parameters
        ----------
        z : ndarray, (n, K)
            The outputs.
        y : ndarray, (n, K), or (n,) for labels
            The targets.

        Returns
        -------
        row_losses : ndarray, (n,)
            The losses.
        g : ndarray, (n, K)
            The derivatives, before they are multiplied by the row's share of the mean.
        """
        raise NotImplementedError


def as_loss(loss: Any) -> Loss:
    """Return the loss for a name, or for any object with its `name` and some of its fields."""
    name = getattr(loss, "name", loss)
    if name not in _BY_NAME:
        raise ValueError(f"loss: unknown loss {loss!r}")
    kind: Any = _BY_NAME[name]
    given = {f.name: getattr(loss, f.name) for f in fields(kind) if hasattr(loss, f.name)}
    found: Loss = kind(**given)
    return found


def sum_outputs(terms: Array) -> Array:
    """Return the sum over the outputs k, one after the other, from +0."""
    total = np.zeros_like(terms[:, 0])
    for k in range(terms.shape[1]):
        total = total + terms[:, k]
    return total


def averaged(total: Array, z: Array, summed: bool) -> Array:
    """Return the mean over the outputs, given their sum."""
    return total if summed else total / z.dtype.type(z.shape[1])
