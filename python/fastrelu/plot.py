# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of fits and functions (extra `plot`: Matplotlib, imported when first used)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrelu.piecewise import PiecewiseLinear

__all__ = ["history", "piecewise"]
# Okabe and Ito's colours, which people with any colour vision tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", "-.", ":")


def history(fit: Any, ax: Any = None) -> Any:
    """Draw the course of a fit: the losses, and the validation score if there is one.

    Parameters
    ----------
    fit : MLPClassifier, MLPRegressor or History
        A fitted estimator (solver sgd or adam; scikit-learn's own too), or what ``Trainer.fit``
        returned.
    ax : matplotlib Axes, optional
        Where to draw; by default axes of a new figure.

    Returns
    -------
    matplotlib Axes
        That of the losses; ``.figure`` is its figure.

    Raises
    ------
    ImportError
        Without Matplotlib.
    ValueError
        If `fit` has no curve to draw.
    """
    try:
        from matplotlib import pyplot
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ImportError("fastrelu.plot needs Matplotlib: pip install 'fastrelu[plot]'") from error
    losses, scores, name = _curves(fit)
    if ax is None:
        _, ax = pyplot.subplots(figsize=(6.0, 4.0), layout="constrained")
    lines = []
    for k, (label, values) in enumerate(losses.items()):
        lines += ax.plot(range(1, len(values) + 1), values, color=f"C{k}", label=label)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    if all(value > 0 for values in losses.values() for value in values):
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(True, which="both", alpha=0.25)
    if scores:
        right = ax.twinx()
        lines += right.plot(range(1, len(scores) + 1), scores, color="C2", label=name)
        right.set_ylabel(name)
        best = max(range(len(scores)), key=scores.__getitem__)
        right.plot(best + 1, scores[best], "o", color="C2")
    # Above the axes: inside, it would hide one curve or another.
    ax.legend(handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    return ax


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
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("fastrelu.plot needs Matplotlib: pip install 'fastrelu[plot]'") from error
    if not isinstance(f, PiecewiseLinear):
        raise TypeError(f"f: expected a PiecewiseLinear, got {type(f).__name__}")
    low, high = _window(f, window)
    if ax is None:
        _, ax = pyplot.subplots(figsize=(6.0, 4.0), layout="constrained")
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


def _curves(fit: Any) -> tuple[dict[str, Any], list[float], str]:
    """Return the losses by label, the validation scores, and the scores' label."""
    if hasattr(fit, "val_metric"):
        losses = {"training loss": fit.loss, "validation loss": fit.val_loss}
        scores, name = list(fit.val_metric), f"validation {fit.metric}"
    else:
        losses = {
            "training loss": getattr(fit, "loss_curve_", None),
            "validation loss": getattr(fit, "validation_loss_curve_", None),
        }
        scores = list(getattr(fit, "validation_scores_", None) or [])
        monitor = getattr(fit, "monitor", None)
        kind = "accuracy" if hasattr(fit, "classes_") else "R2"
        name = f"validation {kind if monitor is None else monitor}"
        if monitor == "loss":
            scores = []
    kept = {label: list(values) for label, values in losses.items() if values}
    if not kept:
        raise ValueError(
            f"fit: expected a fit by epochs with its losses, got {type(fit).__name__} without any"
        )
    return kept, scores, name
