# SPDX-License-Identifier: BSD-3-Clause
"""Certified bounds on a network's values over a box of inputs; docs/bounds.md derives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu._arguments import reals
from fastrelu.exact.network_parameters import check_activations, check_parameters

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
__all__ = ["as_box", "box_corners", "output_bounds", "pre_activation_bounds"]


def output_bounds(
    net: Network, lower: ArrayLike, upper: ArrayLike, rounding: bool
) -> tuple[Array, Array]:
    """Return the box around the outputs; see `Network.output_bounds`."""
    low, high = pre_activation_bounds(net, lower, upper, rounding)[-1]
    return low, high


def pre_activation_bounds(
    net: Network, lower: ArrayLike, upper: ArrayLike, rounding: bool = True
) -> list[tuple[Array, Array]]:
    """Return bounds on the pre-activations of every layer, for every input in a box.

    Parameters
    ----------
    net : Network
        A piecewise-linear network with finite parameters.
    lower, upper : array_like, (d_in,)
        The least and the greatest value of each input.
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
    low, high = _corners(net, lower, upper, rounding)
    below, above = _core.pre_activation_bounds(net, low, high, bool(rounding))
    ends = np.cumsum(net.layer_sizes[1:-1])
    return list(zip(np.split(below, ends), np.split(above, ends), strict=True))


def box_corners(net: Network, bounds: ArrayLike) -> tuple[Array, Array]:
    """Return the least and the greatest inputs of a box that is given as one (low, high) for each.

    They are what the network's dtype is cast from. Raises TypeError or ValueError if the box is
    none of finite numbers, or the network is not piecewise linear with finite parameters.
    """
    check_activations(net)
    check_parameters(net)
    as_box(bounds, net.layer_sizes[0])
    given = np.asarray(bounds)
    return _corners(net, given[:, 0], given[:, 1], True)


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
    net: Network, lower: ArrayLike, upper: ArrayLike, rounding: bool
) -> tuple[Array, Array]:
    check_activations(net)
    check_parameters(net)
    low = _corner(net, "lower", lower, -np.inf, rounding)
    high = _corner(net, "upper", upper, np.inf, rounding)
    wrong = np.flatnonzero(~(low <= high))
    if len(wrong):
        i = int(wrong[0])
        raise ValueError(f"lower[{i}]: expected at most upper[{i}] = {high[i]:g}, got {low[i]:g}")
    return low, high


def _corner(net: Network, name: str, values: ArrayLike, outward: float, rounding: bool) -> Array:
    """Return a corner of the box in float64, which is exact for what is meant.

    The network casts long integers and longdouble to its dtype with one rounding, and so does this;
    for exact arithmetic they are rounded outwards.
    """
    corner = reals(name, values)
    if corner.shape != (net.layer_sizes[0],):
        raise ValueError(f"{name}: expected shape ({net.layer_sizes[0]},), got {corner.shape}")
    given = np.asarray(values)
    if given.dtype.kind not in "iu" and given.dtype.itemsize <= 8:
        return corner
    if rounding:
        return given.astype(net.dtype).astype(np.float64)
    whole = given.dtype.kind in "iu"
    for i, value in enumerate(given.tolist() if whole else given):
        # Of longdouble the comparison is exact; so is that of Python's whole numbers.
        near = int(corner[i]) if whole else corner[i]
        if near > value if outward < 0 else near < value:
            corner[i] = np.nextafter(corner[i], outward)
    return corner
