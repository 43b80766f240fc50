# SPDX-License-Identifier: BSD-3-Clause
"""Piecewise-linear functions of one variable."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrelu.piecewise import PiecewiseLinear
from fastrelu.plot._axes import COLOURS, STYLES, axes_or_new


def piecewise(
    f: PiecewiseLinear,
    ax: Any = None,
    *,
    window: tuple[float, float] | None = None,
    label: str | None = None,
) -> Any:
    """Draw a piecewise-linear function with its knots marked.

    Parameters
    ----------
    f : PiecewiseLinear
        Each output is a curve.
    ax : matplotlib Axes, optional
        Where to draw, beside what is there, in the next colour and line style; by default axes of
        a new figure.
    window : (float, float), optional
        The x from and to; by default a fifth of the knots' span beyond them.
    label : str, optional
        For the legend.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without Matplotlib.
    TypeError, ValueError
        If an argument does not fit.
    """
    if not isinstance(f, PiecewiseLinear):
        raise TypeError(f"f: expected a PiecewiseLinear, got {type(f).__name__}")
    low, high = _window(f, window)
    ax = axes_or_new(ax)
    knots = f.knots[(f.knots >= low) & (f.knots <= high)]
    x = np.union1d(knots, [low, high])
    curves, marks = f(x).reshape(len(x), -1), f(knots).reshape(len(knots), -1)
    for o in range(curves.shape[1]):
        k = len(ax.lines)
        colour, style = COLOURS[k % len(COLOURS)], STYLES[k % len(STYLES)]
        name = label if label is None or curves.shape[1] == 1 else f"{label}, output {o}"
        ax.plot(x, curves[:, o], style, color=colour, lw=2, label=name)
        ax.scatter(knots, marks[:, o], s=30, color=colour, zorder=3)
    ax.set_xlabel("x")
    ax.set_ylabel("f(x)")
    ax.grid(True, alpha=0.25)
    if label is not None:
        ax.legend(frameon=False)
    return ax


def _window(f: PiecewiseLinear, window: tuple[float, float] | None) -> tuple[float, float]:
    if window is None:
        margin = 0.2 * float(f.knots[-1] - f.knots[0]) or 1.0
        return float(f.knots[0]) - margin, float(f.knots[-1]) + margin
    try:
        low, high = (float(end) for end in window)
    except (TypeError, ValueError):
        raise TypeError(f"window: expected two numbers, got {window!r}") from None
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"window: expected finite low < high, got {window!r}")
    return low, high
