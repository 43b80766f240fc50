# SPDX-License-Identifier: BSD-3-Clause
"""Functions of two inputs: their linear regions from above, and their surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import whole_number
from fastrelu._catalogue import ACTIVATIONS
from fastrelu.exact.regions import MAX_REGIONS, LinearRegions, linear_regions
from fastrelu.network import Network
from fastrelu.plot.axes import axes_or_new

Array = NDArray[np.float64]
# Points on a side of the grid on which a function that is no network is evaluated.
GRID = 81


def regions(
    net: Network,
    window: ArrayLike,
    ax: Any = None,
    *,
    color: Literal["value", "slope"] = "value",
    output: int | None = None,
    boundary: bool = True,
    level: float = 0.0,
    origin: ArrayLike | None = None,
    u: ArrayLike | None = None,
    v: ArrayLike | None = None,
    max_regions: int = MAX_REGIONS,
) -> Any:
    """Draw a network's linear regions on a plane, with the decision boundary.

    Parameters
    ----------
    net : Network
        A network with two inputs, or with any number and the plane given by `u` and `v`.
    window : (float, float, float, float)
        From and to in both directions; see `Network.linear_regions`.
    ax : matplotlib Axes, optional
        The axes to draw into; by default those of a new figure.
    color : {"value", "slope"}
        What the colour shows: the output, which varies linearly in each region, or the length of
        its gradient in the plane.
    output : int, optional
        The output to colour by; by default the only one. With several outputs and ``color="slope"``
        the default is the largest slope of all outputs together (the 2-norm of the Jacobian).
    boundary : bool
        Whether to draw the decision boundary (`LinearRegions.decision_boundary`).
    level : float
        For a network with one output: the value at which the decision changes.
    origin, u, v : array_like, (d_in,), optional
        The plane; see `Network.linear_regions`.
    max_regions : int
        The most regions to make; see `Network.linear_regions`.

    Returns
    -------
    matplotlib Axes
        The axes drawn into.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([2, 3, 1], seed=0)
    >>> ax = fastrelu.plot.regions(net, (-1, 1, -1, 1))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('$x_1$', '$x_2$')
    """
    _check_network(net)
    if color not in ("value", "slope"):
        raise ValueError(f"color: expected 'value' or 'slope', got {color!r}")
    output = _output(net, output, needed=color == "value")
    found = linear_regions(net, window, origin, u, v, max_regions)
    segments = found.decision_boundary(level) if boundary else np.zeros((0, 2, 2))
    ax = axes_or_new(ax)
    if color == "value":
        center = level if found.c.shape[1] == 1 else None
        filled, label = _fill_values(ax, found, output or 0, center)
    else:
        filled, label = _fill_slopes(ax, found, output)
    ax.figure.colorbar(filled, ax=ax, label=label)
    _draw_lines(ax, found, segments)
    ax.set_xlim(found.vertices[:, 0].min(), found.vertices[:, 0].max())
    ax.set_ylim(found.vertices[:, 1].min(), found.vertices[:, 1].max())
    plane_given = u is not None or v is not None or origin is not None
    ax.set_xlabel("s" if plane_given else "$x_1$")
    ax.set_ylabel("t" if plane_given else "$x_2$")
    return ax


def surface(
    f: Network | Callable[[Array], Any],
    window: ArrayLike,
    ax: Any = None,
    *,
    output: int | None = None,
    max_regions: int = 20_000,
) -> Any:
    """Draw a function of two inputs as a surface over them.

    Parameters
    ----------
    f : Network or callable
        A network with two inputs, drawn exactly, polygon by polygon. A network whose activations
        are not piecewise linear, or a callable ((n, 2) -> (n,) or (n, d_out)), is drawn by its
        values on a grid.
    window : (float, float, float, float)
        From and to of the first input, and of the second.
    ax : matplotlib 3-D Axes, optional
        The axes to draw into; by default those of a new figure.
    output : int, optional
        The output to draw; by default the only one.
    max_regions : int
        The most regions, each a polygon to draw; see `Network.linear_regions`.

    Returns
    -------
    matplotlib 3-D Axes
        The axes drawn into.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([2, 3, 1], seed=0)
    >>> ax = fastrelu.plot.surface(net, (-1, 1, -1, 1))
    >>> ax.get_zlabel()
    '$f(x_1, x_2)$'
    """
    if not callable(f):
        raise TypeError(f"f: expected a Network or a function, got {type(f).__name__}")
    if ax is not None and not hasattr(ax, "plot_surface"):
        raise ValueError(f"ax: expected 3-D axes (projection='3d'), got {type(ax).__name__}")
    exact = isinstance(f, Network) and all(
        ACTIVATIONS[name].piecewise_linear for name in f.activations
    )
    if isinstance(f, Network):
        if f.layer_sizes[0] != 2:
            raise ValueError(f"f: expected a network with 2 inputs, got {f.layer_sizes[0]}")
        output = _output(f, output, needed=True)
    if exact:
        found = linear_regions(f, window, None, None, None, max_regions)  # type: ignore[arg-type]
        polygons = _lifted(found, output or 0)
    else:
        polygons = _on_grid(f, window, output)
    ax = axes_or_new(ax, projection="3d")
    _add_polygons(ax, polygons, outlined=exact)
    ax.set_xlabel("$x_1$")
    ax.set_ylabel("$x_2$")
    ax.set_zlabel("$f(x_1, x_2)$")
    return ax


def _check_network(net: Any) -> None:
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")


def _output(net: Network, output: int | None, *, needed: bool) -> int | None:
    d_out = net.layer_sizes[-1]
    if output is None and d_out > 1 and needed:
        raise ValueError(f"output: expected the number of an output, 0 to {d_out - 1}, got None")
    return None if output is None else whole_number("output", output, 0, d_out - 1)


def _heights(found: LinearRegions, output: int) -> Array:
    owner = found.owner
    A, c = found.A[owner, output], found.c[owner, output]
    return np.asarray((A * found.vertices).sum(axis=1) + c)


def _fill_values(
    ax: Any, found: LinearRegions, output: int, center: float | None
) -> tuple[Any, str]:
    """Fill triangles with colours that are linear between their corners, as the output is."""
    from matplotlib.colors import CenteredNorm
    from matplotlib.tri import Triangulation

    heights = _heights(found, output)
    sizes = np.diff(found.offsets)
    first = np.repeat(found.offsets[:-1], sizes - 2)
    second = np.concatenate([np.arange(a + 1, b - 1) for a, b in _spans(found)])
    s, t = found.vertices.T
    triangles = Triangulation(s, t, np.column_stack([first, second, second + 1]))
    style: dict[str, Any] = {"cmap": "cividis"}
    if center is not None:
        # What is at stake is the sign: blue below, orange above, white where it changes.
        style = {"cmap": "PuOr_r", "norm": CenteredNorm(center)}
    filled = ax.tripcolor(triangles, heights, shading="gouraud", rasterized=True, **style)
    several = found.c.shape[1] > 1
    return filled, f"output {output}" if several else "output"


def _fill_slopes(ax: Any, found: LinearRegions, output: int | None) -> tuple[Any, str]:
    from matplotlib.collections import PolyCollection

    A = found.A if output is None else found.A[:, [output]]
    slopes = np.linalg.norm(A, 2, axis=(1, 2))
    polygons = [found.vertices[a:b] for a, b in _spans(found)]
    # Edges in the polygons' own colours close the seams between them.
    filled = PolyCollection(
        polygons, array=slopes, cmap="cividis", edgecolors="face", linewidths=0.2, rasterized=True
    )
    filled.set_clim(0, slopes.max() or 1)
    ax.add_collection(filled)
    several = found.c.shape[1] > 1
    name = "Jacobian, 2-norm" if several and output is None else "length of the gradient"
    return filled, name if output is None else f"{name} of output {output}"


def _draw_lines(ax: Any, found: LinearRegions, segments: Array) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    polygons = [found.vertices[a:b] for a, b in _spans(found)]
    width = 0.5 if len(found) < 500 else 0.2
    outlines = PolyCollection(
        polygons, facecolors="none", edgecolors=(0, 0, 0, 0.35), linewidths=width, rasterized=True
    )
    ax.add_collection(outlines)
    if len(segments):
        # Black on white is seen on every colour.
        for colour, width in (("white", 4), ("black", 2)):
            line = LineCollection(
                list(segments), colors=colour, linewidths=width, capstyle="round",
                label="decision boundary",
            )  # fmt: skip
            ax.add_collection(line)
        ax.legend(handles=[line], loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def _spans(found: LinearRegions) -> Any:
    return zip(found.offsets[:-1], found.offsets[1:], strict=True)


def _lifted(found: LinearRegions, output: int) -> list[Array]:
    corners = np.column_stack([found.vertices, _heights(found, output)])
    return [corners[a:b] for a, b in _spans(found)]


def _on_grid(f: Callable[[Array], Any], window: ArrayLike, output: int | None) -> list[Array]:
    from fastrelu.exact.regions import check_window

    u0, u1, v0, v1 = check_window(window)
    s, t = np.meshgrid(np.linspace(u0, u1, GRID), np.linspace(v0, v1, GRID), indexing="ij")
    points = np.column_stack([s.ravel(), t.ravel()])
    values = np.asarray(f(points), dtype=np.float64)
    if values.shape[:1] != (len(points),):
        raise ValueError(
            f"f: expected a function with one value for each row, ({len(points)},) or "
            f"({len(points)}, d_out), got shape {values.shape}"
        )
    values = values.reshape(len(points), -1)
    if output is None and values.shape[1] != 1:
        last = values.shape[1] - 1
        raise ValueError(f"output: expected the number of an output, 0 to {last}, got None")
    column = whole_number("output", output or 0, 0, values.shape[1] - 1)
    corners = np.column_stack([points, values[:, column]]).reshape(GRID, GRID, 3)
    return list(
        np.stack(
            [corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]], axis=2
        ).reshape(-1, 4, 3)
    )


def _add_polygons(ax: Any, polygons: list[Array], *, outlined: bool) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    corners = np.concatenate(polygons)
    low, high = corners.min(axis=0), corners.max(axis=0)
    flat = low[2] == high[2]
    middles = np.array([p[:, 2].mean() for p in polygons])
    colours = colormaps["cividis"]((middles - low[2]) / (1 if flat else high[2] - low[2]))
    faces = Poly3DCollection(
        polygons,
        facecolors=colours,
        edgecolors=(0, 0, 0, 0.5) if outlined else colours,
        linewidths=0.6 if len(polygons) < 300 else 0.2,
        alpha=0.9 if outlined else None,
        rasterized=True,
    )
    ax.add_collection3d(faces)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.set_zlim(low[2] - flat, high[2] + flat)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.set_box_aspect(None, zoom=0.85)  # leaves room for the labels
