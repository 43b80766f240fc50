# SPDX-License-Identifier: BSD-3-Clause
"""The linear regions of a network on a plane, as polygons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu._arguments import real_number, whole_number
from fastrelu.exact.network_parameters import check_activations, check_parameters, rows_of
from fastrelu.exact.open_units import Patterns

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
__all__ = ["LinearRegions", "linear_regions"]
MAX_REGIONS = 1_000_000


@dataclass(frozen=True)
class LinearRegions:
    """Polygons on each of which a network is affine, from `Network.linear_regions`.

    ``len(regions)`` is their number R.

    Attributes
    ----------
    vertices : ndarray, (V, 2)
        The corners of all polygons in (s, t), polygon after polygon, each counter-clockwise,
        float64. A corner that polygons share has the same bits in each of them.
    offsets : ndarray of int64, (R + 1,)
        Polygon r has the corners ``vertices[offsets[r] : offsets[r + 1]]``.
    pattern : ndarray of bool, (R, n_hidden)
        Which hidden units are active in each polygon, as in `LocalAffine`.
    A : ndarray, (R, d_out, 2)
        float64, see `c`.
    c : ndarray, (R, d_out)
        float64; the outputs at (s, t) in polygon r are ``A[r] @ (s, t) + c[r]``.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([2, 1, 1], dtype="float64")
    >>> net.weights[0][...], net.weights[1][...] = [[2], [3]], 1  # max(0, 2 x1 + 3 x2)
    >>> regions = net.linear_regions((-1, 1, -1, 1))
    >>> len(regions), regions.pattern.tolist()
    (2, [[True], [False]])
    >>> regions.A[0] @ (1.0, 1.0) + regions.c[0]
    array([5.])
    >>> regions.areas, regions.owner.tolist()
    (array([2., 2.]), [0, 0, 0, 0, 1, 1, 1, 1])
    >>> bool(net(regions.centers[0])[0] > 0), bool(net(regions.centers[1])[0] > 0)
    (True, False)
    """

    vertices: Array
    offsets: NDArray[np.int64]
    pattern: NDArray[np.bool_]
    A: Array
    c: Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def polygon(self, r: int) -> Array:
        """Return the corners of polygon r, counter-clockwise.

        Parameters
        ----------
        r : int
            The polygon's number, 0 to R - 1.

        Returns
        -------
        ndarray, (n, 2)
            A view of `vertices`.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 1, 1], dtype="float64")
        >>> net.weights[0][...], net.weights[1][...] = [[1], [0]], 1  # max(0, x1)
        >>> regions = net.linear_regions((-1, 1, 0, 1))
        >>> sorted(regions.polygon(0).tolist())
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
        """
        return self.vertices[self.offsets[r] : self.offsets[r + 1]]

    @property
    def owner(self) -> NDArray[np.intp]:
        """The number of the polygon that each vertex belongs to, ndarray of int, (V,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def areas(self) -> Array:
        """The area of each polygon in (s, t) by the shoelace formula, ndarray, (R,)."""
        # From the first corner, so that tiny polygons far from the origin keep their digits.
        p = self.vertices - self.vertices[self.offsets[:-1]][self.owner]
        following = np.arange(1, len(p) + 1)
        following[self.offsets[1:] - 1] = self.offsets[:-1]
        q = p[following]
        return 0.5 * np.add.reduceat(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0], self.offsets[:-1])

    @property
    def centers(self) -> Array:
        """The mean of each polygon's corners in (s, t), ndarray, (R, 2): a point inside it."""
        return np.add.reduceat(self.vertices, self.offsets[:-1]) / np.diff(self.offsets)[:, None]

    def decision_boundary(self, level: float = 0.0) -> Array:
        """Return the exact points at which the decision changes, as segments in (s, t).

        Parameters
        ----------
        level : float
            For a network with one output, the decision is whether it is above `level`. With several
            outputs the decision is which of them is the largest, and `level` is not used.

        Returns
        -------
        ndarray, (n, 2, 2)
            The two ends of each segment. A segment lies in one polygon or on its edge.

        Raises
        ------
        TypeError, ValueError
            If `level` is not a finite number.

        References
        ----------
        Humayun, Balestriero, Balakrishnan and Baraniuk (2023), SplineCam: exact visualization and
        characterization of deep network geometry and decision boundaries.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 1, 1], dtype="float64")
        >>> net.weights[0][...], net.weights[1][...] = [[1], [0]], 1  # max(0, x1)
        >>> regions = net.linear_regions((-1, 1, 0, 1))
        >>> sorted(regions.decision_boundary(level=0.5)[0].tolist())
        [[0.5, 0.0], [0.5, 1.0]]
        """
        from fastrelu.exact.boundary import boundary_segments

        return boundary_segments(self, real_number("level", level))


def linear_regions(
    net: Network,
    window: ArrayLike,
    origin: ArrayLike | None,
    u: ArrayLike | None,
    v: ArrayLike | None,
    max_regions: int,
) -> LinearRegions:
    """Return the regions on a plane; see `Network.linear_regions`."""
    check_activations(net)
    check_parameters(net)
    edges = check_window(window)
    max_regions = whole_number("max_regions", max_regions, 1, 2**30)
    d_in = net.layer_sizes[0]
    if (u is None or v is None) and d_in != 2:
        raise ValueError(
            f"u, v: expected two directions for a network with {d_in} inputs, got None"
        )
    plane = np.zeros((3, d_in + 1))
    plane[2, d_in] = 1
    for row, (name, given) in enumerate((("u", u), ("v", v), ("origin", origin))):
        if given is not None:
            plane[row, :d_in] = _vector(name, given, d_in)
        elif row < 2:
            plane[row, row] = 1
    if d_in > 1 and (u is not None or v is not None):  # one input has no other direction
        _check_directions(plane[0, :d_in], plane[1, :d_in])
    return on_plane(net, edges, plane, max_regions)[0]


def _check_directions(u: Array, v: Array) -> None:
    """Raise ValueError unless u and v span a plane, up to roundings of float64."""
    if not (u.any() and v.any()):
        raise ValueError("u, v: expected two directions that are not 0, got zeros")
    first, second = u / np.abs(u).max(), v / np.abs(v).max()
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    # Of the second what is not along the first: 0 but for roundings where they are parallel.
    across = np.linalg.norm(second - (first @ second) * first)
    if across <= 8 * len(u) * np.finfo(np.float64).eps:
        raise ValueError("u, v: expected two directions that span a plane, got parallel ones")


def on_plane(
    net: Network, window: Array, plane: Array, max_regions: int, *, with_doubts: bool = False
) -> tuple[LinearRegions, Patterns]:
    """Return the regions on a plane that may have factors on the biases (cpp/regions.h).

    With them, if asked for, the patterns that may be lost between them (cpp/region_doubts.h).
    """
    vertices, offsets, pattern, maps, *doubts = _core.linear_regions(
        net, window, plane, max_regions, with_doubts
    )
    if not (np.isfinite(maps).all() and np.isfinite(vertices).all()):
        raise ValueError("network: its numbers overflow float64 in this window")
    by = maps.reshape(len(maps), 3, net.layer_sizes[-1])
    A = np.ascontiguousarray(by[:, :2].transpose(0, 2, 1))
    return LinearRegions(vertices, offsets, pattern, A, by[:, 2].copy()), Patterns(*doubts)


def check_window(window: ArrayLike) -> Array:
    expected = "four numbers (s from, s to, t from, t to)"
    try:
        edges = [real_number("window", edge) for edge in window]  # type: ignore[union-attr]
    except (TypeError, NotImplementedError):  # the second from formats of sparse matrices
        raise TypeError(f"window: expected {expected}, got {window!r}") from None
    if len(edges) != 4:
        raise ValueError(f"window: expected {expected}, got {window!r}")
    area = (edges[1] - edges[0]) * (edges[3] - edges[2])
    if not (edges[0] < edges[1] and edges[2] < edges[3] and 0 < area < np.inf):
        raise ValueError(
            f"window: expected from < to for s and for t, and a finite area, got {window!r}"
        )
    return np.array(edges)


def _vector(name: str, value: ArrayLike, d_in: int) -> Array:
    vector = rows_of(name, value, d_in)
    if vector.ndim != 1:
        raise ValueError(f"{name}: expected shape ({d_in},), got {vector.shape}")
    return vector
