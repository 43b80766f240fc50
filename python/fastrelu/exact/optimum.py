# SPDX-License-Identifier: BSD-3-Clause
"""The greatest and the least output over a box of inputs, and what holds in all of it.

The search is the core's: cpp/optimum.h, derived in docs/bounds.md.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu._arguments import real_number, reals, whole_number
from fastrelu.exact.bounds import box_corners

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
__all__ = ["Optimum", "Verification", "optimum", "verify"]


@dataclass(frozen=True)
class Optimum:
    """What `Network.maximize` and `Network.minimize` found.

    Attributes
    ----------
    x : ndarray, (d_in,)
        float64, the best point found, in the box.
    value : float
        ``net(x)[output]``, to the bit.
    bound : float
        No output that the network computes in the box is above it (of `minimize`: below it), all
        roundings counted.
    status : str
        "optimal": `gap` is within the tolerance. "roundings": all of the box has been searched, and
        what is left between value and bound are the roundings of the network's dtype.
        "time limit" or "memory limit": the search ended before.
    n_boxes : int
        How many boxes were bounded.
    seconds : float
        How long it took.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 2, 1], dtype="float64")
    >>> net.weights[0][...], net.biases[0][...] = [[1, -1]], [0, 0]
    >>> net.weights[1][...] = 1  # |x|
    >>> best = net.maximize([(-2, 1)])
    >>> best.x, best.value, best.status
    (array([-2.]), 2.0, 'optimal')
    >>> best.gap <= 1e-4 * best.value
    True
    """

    x: Array
    value: float
    bound: float
    status: str
    n_boxes: int
    seconds: float

    @property
    def gap(self) -> float:
        """The distance of `value` and `bound`."""
        return abs(self.bound - self.value)


@dataclass(frozen=True)
class Verification:
    """What `Network.verify` found; true as a condition where the property holds.

    Attributes
    ----------
    status : {"holds", "fails", "unknown"}
        Whether the property holds for every input in the box.
    x : ndarray, (d_in,), or None
        float64, a point of the box where it fails, if it does.
    outputs : ndarray, (d_out,), or None
        ``net(x)``.
    bounds : ndarray, (n_inequalities,)
        float64, what each inequality's left-hand side ``c @ net(x)`` is certainly not above in the
        box; for a class k those of ``y_j - y_k``, for all j but k. NaN for those that were not
        looked at since another one fails.
    n_boxes : int
        How many boxes were bounded.
    seconds : float
        How long it took.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 2, 1], dtype="float64")
    >>> net.weights[0][...], net.biases[0][...] = [[1, -1]], [0, 0]
    >>> net.weights[1][...] = 1  # |x|
    >>> if net.verify([(-2, 1)], ([1], 3)):
    ...     print("at most 3")
    at most 3
    """

    status: Literal["holds", "fails", "unknown"]
    x: Array | None
    outputs: NDArray[Any] | None
    bounds: Array
    n_boxes: int
    seconds: float

    def __bool__(self) -> bool:
        """Whether the property holds for certain."""
        return self.status == "holds"


def optimum(
    net: Network,
    bounds: ArrayLike | None,
    output: int,
    time_limit: float | None,
    gap: float,
    ball: Any,
    sign: float,
) -> Optimum:
    """Return the greatest (sign 1) or the least (-1) value; see `Network.maximize`."""
    start = time.perf_counter()
    inputs = box_corners(net, bounds, ball)
    weight = np.zeros(net.layer_sizes[-1])
    weight[whole_number("output", output, 0, len(weight) - 1)] = sign
    gap = real_number("gap", gap, 0)
    seconds = _seconds(time_limit)
    x, value, bound, status, n_boxes = _core.maximize(
        net, inputs.lower, inputs.upper, weight, gap, seconds, None, False,
        inputs.center, inputs.radius,
    )  # fmt: skip
    return Optimum(x, sign * value, sign * bound, status, n_boxes, time.perf_counter() - start)


def verify(
    net: Network, bounds: ArrayLike | None, property: Any, time_limit: float | None, ball: Any
) -> Verification:
    """Return whether a property holds in a box; see `Network.verify`."""
    start = time.perf_counter()
    inputs = box_corners(net, bounds, ball)
    weights, limits, strict = _inequalities(property, net.layer_sizes[-1])
    seconds = _seconds(time_limit)
    found = np.full(len(weights), np.nan)
    n_boxes, open_ones = 0, 0
    for i, (weight, limit) in enumerate(zip(weights, limits, strict=True)):
        # Of a limit that is used up a moment is left: the first bounds are often enough.
        left = seconds and max(seconds - (time.perf_counter() - start), 1e-3)
        x, _, bound, _, boxes = _core.maximize(
            net, inputs.lower, inputs.upper, weight, 0.0, left, limit, strict,
            inputs.center, inputs.radius,
        )  # fmt: skip
        n_boxes += boxes
        y = net(x)
        exact = sum(
            (Fraction(c) * Fraction(v) for c, v in zip(weight.tolist(), y.tolist(), strict=True)),
            Fraction(0),
        )
        if exact > limit or (strict and exact == limit):
            return Verification("fails", x, y, found, n_boxes, time.perf_counter() - start)
        found[i] = bound
        open_ones += not (bound < limit or (not strict and bound == limit))
    status: Literal["holds", "unknown"] = "unknown" if open_ones else "holds"
    return Verification(status, None, None, found, n_boxes, time.perf_counter() - start)


def _seconds(time_limit: float | None) -> float:
    return 0.0 if time_limit is None else real_number("time_limit", time_limit, 0, above=True)


def _inequalities(property: Any, d_out: int) -> tuple[Array, list[float], bool]:
    """Return rows c and numbers d of c @ y <= d, or < if the last is True."""
    if not isinstance(property, tuple):
        if d_out == 1:
            raise ValueError(f"property: expected (c, d) for a single output, got {property!r}")
        k = whole_number("property", property, 0, d_out - 1)
        rows = np.eye(d_out)
        rows[:, k] -= 1
        return np.delete(rows, k, axis=0), [0.0] * (d_out - 1), True
    if len(property) != 2:
        raise ValueError(f"property: expected a class or (c, d), got {len(property)} elements")
    c, d = reals("property: c", property[0]), reals("property: d", property[1])
    if c.ndim not in (1, 2) or c.shape[-1] != d_out:
        raise ValueError(f"property: c: expected shape ({d_out},) or (n, {d_out}), got {c.shape}")
    if d.shape not in ((), c.shape[:-1]):
        raise ValueError(f"property: d: expected shape {c.shape[:-1]} or (), got {d.shape}")
    for name, values in (("c", c), ("d", d)):
        if not np.isfinite(values).all():
            raise ValueError(f"property: {name}: expected finite numbers, got NaN or infinity")
    c = c.reshape(-1, d_out)
    return c, np.broadcast_to(d, len(c)).tolist(), False
