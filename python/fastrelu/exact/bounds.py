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
    net: Network, lower: ArrayLike, upper: ArrayLike, rounding: bool, sums: ArrayLike | None
) -> tuple[Array, Array]:
    """Return boxes around the outputs, or bounds on sums of them; see `Network.output_bounds`."""
    many = np.ndim(lower) > 1 or np.ndim(upper) > 1
    if not many and sums is None:
        low, high = pre_activation_bounds(net, lower, upper, rounding)[-1]
        return low, high
    low, high = _corners(net, lower, upper, rounding, many)
    weights, n_sums = None, 0
    if sums is not None:
        weights = reals("sums", sums)
        d_out = net.layer_sizes[-1]
        if weights.ndim not in (1, 2) or weights.shape[-1] != d_out or weights.size == 0:
            shape = f"({d_out},) or (m, {d_out}), m >= 1"
            raise ValueError(f"sums: expected shape {shape}, got {weights.shape}")
        n_sums = weights.size // d_out
    if not many:
        low, high = low[None], high[None]
    found = _core.bounds_of_boxes(
        net, low, high,
        None if weights is None else weights.reshape(n_sums, -1), len(low), n_sums, bool(rounding),
    )  # fmt: skip
    below, above = found
    if weights is not None and not (np.isfinite(below).all() and np.isfinite(above).all()):
        raise ValueError("sums: too large, a sum may overflow float64")
    if weights is not None and weights.ndim == 1:
        below, above = below[:, 0], above[:, 0]
    return (below, above) if many else (below[0], above[0])


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
