# SPDX-License-Identifier: BSD-3-Clause
"""Certified bounds on a network's values over a box of inputs; docs/bounds.md derives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu._arguments import reals
from fastrelu.exact.network_parameters import check_activations, check_parameters

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
__all__ = ["Inputs", "as_box", "box_corners", "output_bounds", "pre_activation_bounds"]


@dataclass(frozen=True)
class Inputs:
    """What inputs are in: a box, and a ball in the Euclidean norm where `center` is not None.

    All are (d_in,), radius a number; or (n, d_in) and (n,) of n such sets.
    """

    lower: Array
    upper: Array
    center: Array | None
    radius: Any


def output_bounds(
    net: Network,
    lower: ArrayLike | None,
    upper: ArrayLike | None,
    rounding: bool,
    sums: ArrayLike | None,
    ball: Any,
) -> tuple[Array, Array]:
    """Return boxes around the outputs, or bounds on sums of them; see `Network.output_bounds`."""
    many = np.ndim(lower) > 1 or np.ndim(upper) > 1 or _is_of_many(ball)  # type: ignore[arg-type]
    if not many and sums is None:
        low, high = pre_activation_bounds(net, lower, upper, rounding, ball)[-1]
        return low, high
    inputs = _inputs(net, lower, upper, ball, rounding, many)
    weights, n_sums = None, 0
    if sums is not None:
        weights = reals("sums", sums)
        d_out = net.layer_sizes[-1]
        if weights.ndim not in (1, 2) or weights.shape[-1] != d_out or weights.size == 0:
            shape = f"({d_out},) or (m, {d_out}), m >= 1"
            raise ValueError(f"sums: expected shape {shape}, got {weights.shape}")
        n_sums = weights.size // d_out
    low, high = np.atleast_2d(inputs.lower), np.atleast_2d(inputs.upper)
    center = None if inputs.center is None else np.atleast_2d(inputs.center)
    radius = None if inputs.center is None else np.atleast_1d(inputs.radius)
    found = _core.bounds_of_boxes(
        net, low, high, None if weights is None else weights.reshape(n_sums, -1),
        len(low), n_sums, bool(rounding), center, radius,
    )  # fmt: skip
    below, above = found
    if weights is not None and not (np.isfinite(below).all() and np.isfinite(above).all()):
        raise ValueError("sums: too large, a sum may overflow float64")
    if weights is not None and weights.ndim == 1:
        below, above = below[:, 0], above[:, 0]
    return (below, above) if many else (below[0], above[0])


def pre_activation_bounds(
    net: Network,
    lower: ArrayLike | None,
    upper: ArrayLike | None,
    rounding: bool = True,
    ball: Any = None,
) -> list[tuple[Array, Array]]:
    """Return bounds on the pre-activations of every layer, for every input in a box.

    Parameters
    ----------
    net : Network
        A piecewise-linear network with finite parameters.
    lower, upper : array_like, (d_in,), or None
        The least and the greatest value of each input.
    ball : (array_like, (d_in,), float), optional
        The center and the radius of a ball that the inputs are in.
    rounding : bool
        True: the bounds hold for the numbers that the network computes. False: for those of exact
        arithmetic.

    Returns
    -------
    list of (lower, upper), each ndarray, (fan_out,)
        One pair for each layer, float64; the last pair bounds the outputs.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or a number of the network's dtype may overflow.
    """
    given = _inputs(net, lower, upper, ball, rounding)
    below, above = _core.pre_activation_bounds(
        net, given.lower, given.upper, bool(rounding), given.center, given.radius
    )
    ends = np.cumsum(net.layer_sizes[1:-1])
    return list(zip(np.split(below, ends), np.split(above, ends), strict=True))


def box_corners(net: Network, bounds: ArrayLike | None, ball: Any = None) -> Inputs:
    """Return the inputs in a box, given as one (low, high) for each, and a ball around its inside.

    Corners are what the network's dtype is cast from. Raises TypeError or ValueError if the box is
    none of finite numbers, or the network is not piecewise linear with finite parameters.
    """
    check_activations(net)
    check_parameters(net)
    if bounds is None:
        if ball is None:
            raise TypeError("bounds: expected one (low, high) for each input, got None")
        return _inputs(net, None, None, ball, True)
    as_box(bounds, net.layer_sizes[0])
    given = np.asarray(bounds)
    return _inputs(net, given[:, 0], given[:, 1], ball, True)


def _is_of_many(ball: Any) -> bool:
    return isinstance(ball, tuple) and len(ball) == 2 and np.ndim(ball[0]) > 1


def _inputs(
    net: Network,
    lower: ArrayLike | None,
    upper: ArrayLike | None,
    ball: Any,
    rounding: bool,
    many: bool = False,
) -> Inputs:
    """Return the box and the ball, checked; without a box, the one around the ball."""
    if ball is None:
        if lower is None or upper is None:
            raise TypeError("lower, upper: expected numbers, got None")
        return Inputs(*_corners(net, lower, upper, rounding, many), None, 0.0)
    if not (isinstance(ball, tuple) and len(ball) == 2):
        raise TypeError(f"ball: expected (center, radius), got {ball!r}")
    check_activations(net)
    check_parameters(net)
    center, radius = reals("ball: center", ball[0]), reals("ball: radius", ball[1])
    d_in = net.layer_sizes[0]
    if center.shape[-1:] != (d_in,) or center.ndim != 1 + many:
        shape = f"(n, {d_in})" if many else f"({d_in},)"
        raise ValueError(f"ball: expected a center of shape {shape}, got {center.shape}")
    if radius.shape not in ((), center.shape[:-1]) or not (radius > 0).all():
        shape = f" or of shape {center.shape[:-1]}" if many else ""
        raise ValueError(f"ball: expected a radius > 0{shape}, got {ball[1]!r}")
    reach = np.broadcast_to(radius, center.shape[:-1])
    with np.errstate(over="ignore"):
        low = np.nextafter(center - reach[..., None], -np.inf)
        high = np.nextafter(center + reach[..., None], np.inf)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("ball: too large for float64")
    if lower is not None or upper is not None:
        if lower is None or upper is None:
            raise TypeError("lower, upper: expected both or none, got one None")
        box = _corners(net, lower, upper, rounding, many)
        if box[0].shape != center.shape:
            raise ValueError(f"ball: expected a center of shape {box[0].shape}, got {center.shape}")
        if not ((box[0] <= center).all() and (center <= box[1]).all()):
            raise ValueError("ball: expected a center in the box")
        low, high = np.maximum(low, box[0]), np.minimum(high, box[1])
    return Inputs(low, high, center, reach.copy() if many else float(radius))


def as_box(bounds: ArrayLike, d_in: int, thin: bool = True) -> Array:
    """Return one (low, high) for each input, (d_in, 2); both may be equal where it may be thin."""
    box = reals("bounds", bounds)
    if box.shape != (d_in, 2):
        raise ValueError(f"bounds: expected shape ({d_in}, 2), got {box.shape}")
    for i, (low, high) in enumerate(box.tolist()):
        if low > high or (low == high and not thin):
            order = "low <= high" if thin else "low < high"
            raise ValueError(f"bounds[{i}]: expected {order}, got ({low:g}, {high:g})")
    return box


def _corners(
    net: Network, lower: ArrayLike, upper: ArrayLike, rounding: bool, many: bool = False
) -> tuple[Array, Array]:
    """Return both corners, (d_in,), or those of many boxes, (n, d_in) each."""
    check_activations(net)
    check_parameters(net)
    low = _corner(net, "lower", lower, -np.inf, rounding, many)
    high = _corner(net, "upper", upper, np.inf, rounding, many)
    if low.shape != high.shape:
        raise ValueError(f"upper: expected shape {low.shape}, as lower, got {high.shape}")
    wrong = np.argwhere(~(low <= high))
    if len(wrong):
        at = tuple(wrong[0])
        place = ", ".join(map(str, at))
        raise ValueError(
            f"lower[{place}]: expected at most upper[{place}] = {high[at]:g}, got {low[at]:g}"
        )
    return low, high


def _corner(
    net: Network, name: str, values: ArrayLike, outward: float, rounding: bool, many: bool
) -> Array:
    """Return corners in float64, which is exact for what is meant.

    The network casts long integers and longdouble to its dtype with one rounding, and so does this;
    for exact arithmetic they are rounded outwards.
    """
    corner, d_in = reals(name, values), net.layer_sizes[0]
    if corner.shape[-1:] != (d_in,) or corner.ndim != 1 + many:
        shape = f"(n, {d_in})" if many else f"({d_in},)"
        raise ValueError(f"{name}: expected shape {shape}, got {corner.shape}")
    given = np.asarray(values)
    if given.dtype.kind not in "iu" and given.dtype.itemsize <= 8:
        return corner
    if rounding:
        return given.astype(net.dtype).astype(np.float64)
    whole = given.dtype.kind in "iu"
    flat = corner.reshape(-1)
    for i, value in enumerate(given.reshape(-1).tolist() if whole else given.reshape(-1)):
        # Of longdouble the comparison is exact; so is that of Python's whole numbers.
        near = int(flat[i]) if whole else flat[i]
        if near > value if outward < 0 else near < value:
            flat[i] = np.nextafter(flat[i], outward)
    return corner
