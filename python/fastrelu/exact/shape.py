# SPDX-License-Identifier: BSD-3-Clause
"""Whether a network rises, falls or is convex in a box: proved, refuted or left open."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import real_number, whole_number
from fastrelu.exact.bounds import as_box
from fastrelu.exact.derivatives import DerivativeBounds, Interval
from fastrelu.exact.network_parameters import check_activations, check_parameters

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
__all__ = ["ShapeVerification", "verify_shape"]
SHAPES = ("increasing", "decreasing", "convex", "concave")
# Boxes at which a search ends, points that are tried in each, and a box's least side beside the
# whole one's.
MOST_BOXES, TRIED, NARROWEST = 20_000, 64, 2.0**-20


@dataclass(frozen=True)
class ShapeVerification:
    """What `Network.verify_shape` found; true as a condition where the property holds.

    Attributes
    ----------
    status : {"holds", "fails", "unknown"}
        Whether the network's function of real numbers has the property in all of the box.
    points : ndarray or None
        float64, a counterexample, if it fails: (2, d_in), two points of the box of which the
        second has more of one input and an output on the wrong side; of "convex" and "concave"
        (3, d_in), the ends and the middle of a segment. Checked in rational arithmetic.
    n_boxes : int
        How many boxes were looked at.
    seconds : float
        How long it took.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 2, 1], dtype="float64")
    >>> net.weights[0][...], net.biases[0][...] = [[1, -1]], [0, 0]
    >>> net.weights[1][...] = 1  # |x|
    >>> net.verify_shape([(-2, 1)], "convex").status
    'holds'
    >>> result = net.verify_shape([(-2, 1)], "increasing")
    >>> bool(result), result.status, result.points.shape
    (False, 'fails', (2, 1))
    """

    status: Literal["holds", "fails", "unknown"]
    points: Array | None
    n_boxes: int
    seconds: float

    def __bool__(self) -> bool:
        """Whether the property holds for certain."""
        return self.status == "holds"


def verify_shape(
    net: Network,
    bounds: ArrayLike,
    shape: str,
    input: int | None,
    output: int,
    time_limit: float | None,
) -> ShapeVerification:
    """Return whether a property of an output's shape holds in a box; see the method."""
    start = time.perf_counter()
    check_activations(net)
    check_parameters(net)
    d_in, d_out = net.layer_sizes[0], net.layer_sizes[-1]
    box = as_box(bounds, d_in)
    if shape not in SHAPES:
        raise ValueError(f"shape: expected one of {', '.join(SHAPES)}, got {shape!r}")
    bends = shape in ("convex", "concave")
    if bends and input is not None:
        raise ValueError(f"input: expected None for {shape!r}, got {input!r}")
    inputs = range(d_in) if input is None else [whole_number("input", input, 0, d_in - 1)]
    sign = 1.0 if shape in ("increasing", "convex") else -1.0
    weight = np.zeros((1, d_out))
    weight[0, whole_number("output", output, 0, d_out - 1)] = sign
    seconds = np.inf
    if time_limit is not None:
        seconds = real_number("time_limit", time_limit, 0, above=True)
    found = _Search(net, weight, output, sign, bends, list(inputs))
    with np.errstate(over="ignore", invalid="ignore"):
        status, points = found.run(box, start + seconds)
    return ShapeVerification(status, points, found.boxes, time.perf_counter() - start)


class _Search:
    """Boxes are halved until in each the property is certain, or a point says that it is not."""

    def __init__(
        self, net: Network, weight: Array, output: int, sign: float, bends: bool, inputs: list[int]
    ) -> None:
        self.net, self.weight, self.output, self.sign = net, weight, output, sign
        self.bends, self.inputs = bends, inputs
        self.bounds = DerivativeBounds(net)
        self.rng = np.random.default_rng(0)
        self.boxes = 0

    def run(self, box: Array, end: float) -> tuple[Literal["holds", "fails", "unknown"], Any]:
        least = NARROWEST * (box[:, 1] - box[:, 0])
        left, given_up = [box], False
        while left:
            if time.perf_counter() > end or self.boxes >= MOST_BOXES:
                given_up = True
                break
            part = left.pop()
            self.boxes += 1
            try:
                known = self.bounds.layers(part[:, 0].copy(), part[:, 1].copy())
            except ValueError:  # numbers beyond float64
                given_up = True
                break
            slopes, inner = self.bounds.backward(known, self.weight)
            if self._is_certain(known, slopes, inner):
                continue
            points = self._counterexample(part)
            if points is not None:
                return "fails", points
            i = self._to_halve(part, known, slopes, inner)
            middle = 0.5 * part[i, 0] + 0.5 * part[i, 1]
            if part[i, 1] - part[i, 0] <= least[i] or not part[i, 0] < middle < part[i, 1]:
                given_up = True
                continue
            for side in (0, 1):
                half = part.copy()
                half[i, 1 - side] = middle
                left.append(half)
        return ("unknown" if given_up else "holds"), None

    def _is_certain(self, known: list[Interval], slopes: Interval, inner: list[Interval]) -> bool:
        if not self.bends:
            return bool((slopes[0][0, self.inputs] >= 0).all())
        # What bends the function up is each unit that can switch, where the sum rises with it.
        for (z_low, z_high), (low, _), slope in zip(known, inner, self.bounds.slopes, strict=True):
            can_switch = (z_low <= 0) & (z_high >= 0) & (slope != 1)
            if not (low[0][can_switch] >= 0).all():
                return False
        return True

    def _to_halve(
        self, part: Array, known: list[Interval], slopes: Interval, inner: list[Interval]
    ) -> int:
        """Return the input whose width has most to do with the open units that count."""
        width = part[:, 1] - part[:, 0]
        J, share = self.bounds.weights[0].T * self.bounds.scale, np.zeros(len(width))
        for k, (z_low, z_high) in enumerate(known):
            is_open = (z_low <= 0) & (z_high >= 0)
            size = np.abs(J) * width
            # How much the slopes at the inputs, or those of the units before, hang on this one.
            weight = np.maximum(np.abs(inner[k][0]), np.abs(inner[k][1]))[0]
            weight = weight * (np.abs(J).sum(axis=1) if not self.bends or k else 1.0)
            total = size.sum(axis=1, keepdims=True)
            part_of = np.divide(size, total, out=np.zeros_like(size), where=total > 0)
            share += (is_open * weight) @ part_of
            factor = np.where(z_low > 0, 1.0, np.where(z_high < 0, self.bounds.slopes[k], 0.5))
            if k + 1 < len(known):
                J = self.bounds.weights[k + 1].T @ (factor[:, None] * J)
        if not (np.isfinite(share).all() and share.max() > 0):
            return int(np.argmax(width))
        return int(np.argmax(share))

    def _counterexample(self, part: Array) -> Array | None:
        """Return points of the part that refute the property in exact arithmetic."""
        low, high = part[:, 0], part[:, 1]
        if not (high > low).any():
            return None
        X = low + (high - low) * self.rng.uniform(0, 1, (TRIED, len(low)))
        X = np.clip(X, low, high)
        if self.bends:
            Y = np.clip(low + (high - low) * self.rng.uniform(0, 1, X.shape), low, high)
            M = 0.5 * X + 0.5 * Y
            gain = self._values(X) + self._values(Y) - 2 * self._values(M)
        else:
            Y = X.copy()
            which = self.rng.choice(self.inputs, TRIED)
            rows = np.arange(TRIED)
            ends = self.rng.uniform(X[rows, which], high[which])
            Y[rows, which] = np.clip(ends, X[rows, which], high[which])
            M = X
            gain = self._values(Y) - self._values(X)
        best = int(np.argmin(gain))
        if not gain[best] < 0:
            return None
        points = np.stack([X[best], Y[best], *([M[best]] if self.bends else [])])
        return points if self._refutes(points) else None

    def _values(self, X: Array) -> Array:
        return self.sign * self.net(X)[:, self.output].astype(np.float64)

    def _refutes(self, points: Array) -> bool:
        """Whether the points do, with the middle of a segment as it is between its ends."""
        exact = [[Fraction(v) for v in row] for row in points.tolist()]
        if self.bends:
            ends = exact[:2]
            exact[2] = [(a + b) / 2 for a, b in zip(*ends, strict=True)]
        sums = [int(self.sign) * exact_output(self.net, x, self.output) for x in exact]
        return sums[0] + sums[1] < 2 * sums[2] if self.bends else sums[1] < sums[0]


def exact_output(net: Network, x: list[Fraction], output: int) -> Fraction:
    """Return an output of the network's function of real numbers, without a rounding."""
    from fastrelu.exact.network_parameters import input_scale, negative_slope, parameters

    weights, biases = parameters(net)
    h = [v * Fraction(input_scale(net)) for v in x]
    for k, (W, b) in enumerate(zip(weights, biases, strict=True)):
        last = k == len(weights) - 1
        columns = [output] if last else range(W.shape[1])
        z = []
        for o in columns:
            terms = zip(h, W[:, o].tolist(), strict=True)
            z.append(sum((v * Fraction(w) for v, w in terms if v and w), Fraction(float(b[o]))))
        if last:
            return z[0]
        slope = Fraction(negative_slope(net, net.activations[k]))
        h = [v if v > 0 else slope * v for v in z]
    raise AssertionError("a network has a layer")
