# SPDX-License-Identifier: BSD-3-Clause
"""Piecewise-linear functions of one variable."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastrelu._arguments import reals
from fastrelu.exact.hinge_choice import HingeChoice
from fastrelu.exact.piecewise import PiecewiseLinear
from fastrelu.plot.axes import COLOURS, STYLES, axes_or_new


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
        The function; each output is a curve.
    ax : matplotlib Axes, optional
        The axes to draw into, in the next colour and line style beside what is there; by default
        those of a new figure.
    window : (float, float), optional
        The x from and to; by default a fifth of the knots' span beyond them on either side.
    label : str, optional
        The function's name in the legend.

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
    >>> f = fastrelu.PiecewiseLinear([0, 1], [0, 2])
    >>> ax = fastrelu.plot.piecewise(f, label="ramp")
    >>> ax.lines[0].get_xdata().tolist()
    [-0.2, 0.0, 1.0, 1.2]
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


def hinge_fit(
    f: PiecewiseLinear, x: ArrayLike, y: ArrayLike, ax: Any = None, *, label: str | None = None
) -> Any:
    """Draw points and a function fitted to them, with a line and a mark at each hinge.

    Parameters
    ----------
    f : PiecewiseLinear
        A function with one output, as `PiecewiseLinear.fit` returns it.
    x, y : array_like, (n,)
        The points.
    ax : matplotlib Axes, optional
        The axes to draw into; by default those of a new figure.
    label : str, optional
        The function's name in the legend; by default its number of hinges.

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
    >>> x, y = [0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 2.0]
    >>> f = fastrelu.PiecewiseLinear.fit(x, y, n_hinges=1)
    >>> ax = fastrelu.plot.hinge_fit(f, x, y)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['data', 'fit, 1 hinge', 'hinges']
    """
    if not isinstance(f, PiecewiseLinear):
        raise TypeError(f"f: expected a PiecewiseLinear, got {type(f).__name__}")
    if f.values.size != len(f.knots):
        raise ValueError(f"f: expected one output, got values {f.values.shape}")
    x, y = reals("x", x), reals("y", y)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"x: expected shape (n,), n >= 1, got {x.shape}")
    if y.shape != x.shape:
        raise ValueError(f"y: expected shape {x.shape}, got {y.shape}")
    ax = axes_or_new(ax)
    low, high = min(x.min(), f.knots[0]), max(x.max(), f.knots[-1])
    ends = np.union1d(f.knots, [low, high])
    ax.plot(x, y, ".", color="0.6", ms=4, label="data", zorder=1)
    name = label or f"fit, {len(f.knots)} hinge{'s' if len(f.knots) > 1 else ''}"
    ax.plot(ends, f(ends).ravel(), color=COLOURS[0], lw=2, label=name, zorder=2)
    heights = f.values.ravel()
    ax.plot(f.knots, heights, "D", color=COLOURS[1], ms=6, label="hinges", zorder=3)
    for knot in f.knots:
        ax.axvline(knot, color=COLOURS[1], lw=0.8, ls=":", zorder=0)
    ax.set_xlabel("x")
    ax.set_ylabel("y")
    ax.grid(True, alpha=0.25)
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


def hinge_choice(choice: HingeChoice, ax: Any = None) -> Any:
    """Draw the score of each number of hinges that was tried, the chosen one marked.

    Parameters
    ----------
    choice : HingeChoice
        What `fastrelu.exact.choose_hinges` returned.
    ax : matplotlib Axes, optional
        The axes to draw into; by default those of a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn into.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError
        If `choice` is none.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> x = np.linspace(0, 1, 40)
    >>> choice = fastrelu.exact.choose_hinges(x, np.abs(x - 0.3))
    >>> fastrelu.plot.hinge_choice(choice).get_xlabel()
    'hinges'
    """
    if not isinstance(choice, HingeChoice):
        raise TypeError(f"choice: expected a HingeChoice, got {type(choice).__name__}")
    ax = axes_or_new(ax)
    counts = range(1, len(choice.scores) + 1)
    ax.plot(counts, choice.scores, "o-", color=COLOURS[0], label="tried")
    chosen = choice.n_hinges
    ax.plot(chosen, choice.scores[chosen - 1], "D", color=COLOURS[1], ms=8, label="chosen")
    ax.set_xlabel("hinges")
    names = {"bic": "BIC (lower is better)", "cv": "cross-validated mean squared error"}
    ax.set_ylabel(names[choice.criterion])
    ax.set_xticks(list(counts))
    ax.grid(True, alpha=0.25)
    ax.legend(frameon=False)
    return ax
