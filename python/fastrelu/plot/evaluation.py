# SPDX-License-Identifier: BSD-3-Clause
"""Predictions beside the truth, and what they hang on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import metrics
from fastrelu._arguments import whole_number
from fastrelu.plot.axes import COLOURS, axes_or_new, fade, short, thousands, wrapped

# Beyond this many classes the cells are too small to hold their counts.
COUNTED_CLASSES = 20
# Beyond this many points, single ones say less than their density.
SINGLE_POINTS = 5000


def confusion_matrix(
    truth: ArrayLike,
    predicted: ArrayLike,
    classes: Sequence[Any] | None = None,
    ax: Any = None,
) -> Any:
    """Draw how many rows of each class were predicted as which class.

    A cell's colour is its share of the rows of the true class. With up to 20 classes the cell also
    shows the number of rows.

    Parameters
    ----------
    truth, predicted : array_like, (n,)
        The true and the predicted labels.
    classes : sequence, optional
        All labels, in the order to draw; by default those that occur, sorted.
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
    ValueError
        If the lengths differ, there are no rows, or a label is not in `classes`.

    Examples
    --------
    >>> import fastrelu
    >>> ax = fastrelu.plot.confusion_matrix(["cat", "dog", "dog"], ["cat", "cat", "dog"])
    >>> ax.get_xlabel(), [text.get_text() for text in ax.texts]
    ('predicted class', ['1', '1', '1'])
    """
    t, p = _pair("truth", truth, "predicted", predicted)
    if classes is None:
        labels = np.unique(np.concatenate([t, p])).tolist()
    else:
        labels = list(classes)
    true, guessed = _numbers(t, labels), _numbers(p, labels)
    return draw_confusion(metrics.confusion_counts(true, guessed, len(labels)), labels, ax)


def draw_confusion(counts: NDArray[np.int64], labels: Sequence[Any], ax: Any = None) -> Any:
    """Draw the counts of a confusion matrix; see `confusion_matrix`."""
    side = min(8.0, 3.0 + 0.35 * len(labels))
    ax = axes_or_new(ax, figsize=(side + 1.0, side))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = ax.imshow(shares, cmap=fade(COLOURS[0]), vmin=0, vmax=1, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="share of the true class", fraction=0.046, pad=0.03)
    if len(labels) > COUNTED_CLASSES:
        ax.set_xlabel("predicted class, by number")
        ax.set_ylabel("true class, by number")
        return ax
    names = [wrapped(label, 20) for label in labels]
    longest = max((len(line) for name in names for line in name.split("\n")), default=0)
    slant = longest * len(names) > 40
    ax.set_xticks(range(len(names)), names, parse_math=False, rotation=90 if slant else 0)
    ax.set_yticks(range(len(names)), names, parse_math=False)
    for i, j in np.argwhere(counts):
        ink = "white" if shares[i, j] > 0.5 else ax.xaxis.label.get_color()
        ax.text(j, i, f"{counts[i, j]}", ha="center", va="center", color=ink, fontsize=8)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    return ax


def calibration(
    truth: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[Any] | None = None,
    ax: Any = None,
    *,
    bins: int = 10,
) -> Any:
    """Draw how often predictions were right, by how sure they were: a reliability diagram.

    A point is a bin's share of right predictions, with Wilson's 95 % interval; a bar is the bin's
    share of the rows. The expected calibration error is in the legend.

    Parameters
    ----------
    truth : array_like, (n,)
        The true labels.
    probabilities : array_like, (n, n_classes)
        The predicted probabilities; the prediction for a row is its most probable class.
    classes : sequence, optional
        The label of each column; by default the sorted labels of `truth`.
    ax : matplotlib Axes, optional
        The axes to draw into; by default those of a new figure.
    bins : int
        The number of bins of equal width over [0, 1].

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

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), On calibration of modern neural networks. Wilson (1927),
    Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> import fastrelu
    >>> ax = fastrelu.plot.calibration([0, 1, 1], [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
    >>> ax.get_xlabel()
    'confidence in the predicted class'
    """
    n_bins = whole_number("bins", bins, 2, 1000)
    t, p = np.asarray(truth).reshape(-1), np.asarray(probabilities, np.float64)
    labels = list(classes) if classes is not None else np.unique(t).tolist()
    if not len(t) or p.shape != (len(t), len(labels)):
        raise ValueError(
            f"probabilities: expected shape {(len(t), len(labels))} with one row at least, "
            f"got {p.shape}"
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities: expected numbers in [0, 1]")
    correct = _numbers(t, labels) == p.argmax(axis=1)
    return draw_reliability(metrics.reliability(correct, p.max(axis=1), n_bins), ax)


def draw_reliability(bins: metrics.Reliability, ax: Any = None) -> Any:
    """Draw a reliability diagram from its bins; see `calibration`."""
    ax = axes_or_new(ax)
    used = bins.count > 0
    hits = np.rint(np.nan_to_num(bins.accuracy) * bins.count)
    low, high = (end[used] for end in metrics.wilson_interval(hits, bins.count))
    x, y = bins.confidence[used], bins.accuracy[used]
    edges = np.arange(len(bins.count)) / len(bins.count)
    share = bins.count / bins.count.sum()
    ax.bar(
        edges,
        share,
        1 / len(bins.count),
        align="edge",
        color=COLOURS[4],
        alpha=0.35,
        lw=0,
        label="share of rows",
    )
    ax.plot([0, 1], [0, 1], "--", color=COLOURS[1], lw=1.2, label="perfect")
    spread = np.maximum(np.stack([y - low, high - y]), 0)
    ax.errorbar(
        x,
        y,
        yerr=spread,
        fmt="o-",
        color=COLOURS[0],
        ms=5,
        lw=1.6,
        elinewidth=1,
        capsize=2,
        label=f"observed, error {bins.error:.3f}",
    )
    ax.set(xlim=(0, 1), ylim=(0, 1.02))
    ax.set_xlabel("confidence in the predicted class")
    ax.set_ylabel("share that is right")
    ax.grid(True, alpha=0.25)
    ax.legend(frameon=False, loc="upper left")
    return ax


def predictions(truth: ArrayLike, predicted: ArrayLike, ax: Any = None, *, unit: str = "") -> Any:
    """Draw predicted against true values, with the line on which they agree.

    Parameters
    ----------
    truth, predicted : array_like of float, (n,)
        The true and the predicted values. More than 5,000 points are drawn as their density.
    ax : matplotlib Axes, optional
        The axes to draw into; by default those of a new figure.
    unit : str
        What the values are, for the labels of the axes.

    Returns
    -------
    matplotlib Axes
        The axes drawn into.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If the lengths differ, there are no rows, or a value is not finite.

    Examples
    --------
    >>> import fastrelu
    >>> ax = fastrelu.plot.predictions([1.0, 2.0, 3.0], [1.1, 1.9, 3.2], unit="metres")
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('true, metres', 'predicted, metres')
    """
    t, p = _values(truth, predicted)
    ax = axes_or_new(ax, figsize=(5.0, 5.0))
    low, high = float(min(t.min(), p.min())), float(max(t.max(), p.max()))
    margin = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    window = (low - margin, high + margin)
    _cloud(ax, t, p, (*window, *window))
    ax.plot(window, window, "--", color=COLOURS[1], lw=1.2, label="predicted = true")
    ax.set(xlim=window, ylim=window, aspect="equal")
    thousands(ax.xaxis, ax.yaxis)
    name = f", {short(unit)}" if unit else ""
    ax.set_xlabel(f"true{name}", parse_math=False)
    ax.set_ylabel(f"predicted{name}", parse_math=False)
    ax.grid(True, alpha=0.25)
    ax.legend(frameon=False, loc="upper left")
    return ax


def residuals(truth: ArrayLike, predicted: ArrayLike, ax: Any = None, *, unit: str = "") -> Any:
    """Draw the errors of predictions (predicted - true) against the predicted values.

    Parameters
    ----------
    truth, predicted : array_like of float, (n,)
        The true and the predicted values. More than 5,000 points are drawn as their density.
    ax : matplotlib Axes, optional
        The axes to draw into; by default those of a new figure.
    unit : str
        What the values are, for the label of the horizontal axis.

    Returns
    -------
    matplotlib Axes
        The axes drawn into.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If the lengths differ, there are no rows, or a value is not finite.

    Examples
    --------
    >>> import fastrelu
    >>> ax = fastrelu.plot.residuals([1.0, 2.0, 3.0], [1.1, 1.9, 3.2])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('predicted', 'predicted - true')
    """
    t, p = _values(truth, predicted)
    ax = axes_or_new(ax)
    error = p - t
    x_low, x_high = _window(p)
    reach = 1.08 * float(np.abs(error).max()) or 1.0
    _cloud(ax, p, error, (x_low, x_high, -reach, reach))
    ax.axhline(0, color=COLOURS[1], lw=1.2, ls="--")
    ax.set(xlim=(x_low, x_high), ylim=(-reach, reach))
    thousands(ax.xaxis, ax.yaxis)
    name = f", {short(unit)}" if unit else ""
    ax.set_xlabel(f"predicted{name}", parse_math=False)
    ax.set_ylabel("predicted - true")
    ax.grid(True, alpha=0.25)
    return ax


def importance(
    names: Sequence[Any],
    drops: ArrayLike,
    errors: ArrayLike | None = None,
    ax: Any = None,
    *,
    most: int = 20,
    metric: str = "accuracy",
) -> Any:
    """Draw how much a metric drops when a column is shuffled, the largest drop at the top.

    Parameters
    ----------
    names : sequence, (n_columns,)
        The names of the columns.
    drops : array_like of float, (n_columns,)
        The metric minus the metric with the column shuffled.
    errors : array_like of float, (n_columns,), optional
        The half width of the whiskers, such as the standard deviation over repeats.
    ax : matplotlib Axes, optional
        The axes to draw into; by default those of a new figure.
    most : int
        The most columns to draw.
    metric : str
        The metric's name, for the label of the axis.

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

    References
    ----------
    Breiman (2001), Random forests, introduced this importance.

    Examples
    --------
    >>> import fastrelu
    >>> ax = fastrelu.plot.importance(["age", "size"], [0.02, 0.3], metric="R2")
    >>> [label.get_text() for label in ax.get_yticklabels()], ax.get_xlabel()
    (['size', 'age'], 'drop in R2 when shuffled')
    """
    values = np.asarray(drops, np.float64).reshape(-1)
    whiskers = np.zeros(len(values)) if errors is None else np.asarray(errors, np.float64)
    if not len(values) or len(names) != len(values) or whiskers.shape != values.shape:
        raise ValueError(
            f"drops, errors: expected one number for each of {len(names)} names, and one name at "
            f"least, got shapes {values.shape} and {whiskers.shape}"
        )
    order = np.argsort(-values, kind="stable")[: whole_number("most", most, 1, 10_000)]
    ax = axes_or_new(ax, figsize=(6.0, 1.2 + 0.26 * len(order)))
    place = np.arange(len(order))
    ax.barh(place, values[order], 0.7, color=COLOURS[0])
    shown = whiskers[order] > 0
    ax.errorbar(
        values[order][shown],
        place[shown],
        xerr=whiskers[order][shown],
        fmt="none",
        ecolor=COLOURS[1],
        elinewidth=1.2,
        capsize=2,
    )
    labels = [short(names[k]) for k in order]
    ax.set_yticks(place, labels, parse_math=False)
    ax.invert_yaxis()
    ax.axvline(0, color=ax.xaxis.label.get_color(), lw=0.8)
    ax.set_xlabel(f"drop in {metric} when shuffled")
    ax.grid(True, axis="x", alpha=0.25)
    return ax


def _pair(
    a_name: str, a: ArrayLike, b_name: str, b: ArrayLike
) -> tuple[NDArray[Any], NDArray[Any]]:
    first, second = np.asarray(a), np.asarray(b)
    for name, values in ((a_name, first), (b_name, second)):
        if values.ndim != 1 and values.shape != (len(first), 1):
            raise ValueError(f"{name}: expected shape (n,), got {values.shape}")
    first, second = first.reshape(-1), second.reshape(-1)
    if not len(first) or len(first) != len(second):
        raise ValueError(
            f"{b_name}: expected as many values as {a_name} has, {len(first)}, and at least one, "
            f"got {len(second)}"
        )
    return first, second


def _numbers(values: NDArray[Any], labels: Sequence[Any]) -> NDArray[np.int64]:
    numbers = metrics.class_numbers(values, labels)
    if (numbers < 0).any():
        stranger = values[numbers < 0].tolist()[0]
        raise ValueError(f"classes: expected all labels of the rows, got none that is {stranger!r}")
    return numbers


def _values(truth: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    t, p = _pair("truth", truth, "predicted", predicted)
    t, p = t.astype(np.float64), p.astype(np.float64)
    for name, values in (("truth", t), ("predicted", p)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite numbers, got infinities or NaN")
    return t, p


def _window(values: NDArray[Any]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
    return low - margin, high + margin


def _cloud(
    ax: Any, x: NDArray[Any], y: NDArray[Any], window: tuple[float, float, float, float]
) -> None:
    """Draw points, as pixels also in vector formats: thousands of marks make a heavy file."""
    if len(x) > SINGLE_POINTS:
        cells = ax.hexbin(
            x,
            y,
            gridsize=45,
            bins="log",
            mincnt=1,
            extent=window,
            cmap=fade(COLOURS[0], 0.12),
            lw=0,
        )
        cells.set_rasterized(True)
        ax.figure.colorbar(cells, ax=ax, label="rows", fraction=0.046, pad=0.03)
        return
    few = len(x) <= 200
    alpha = float(np.clip(15 / np.sqrt(len(x)), 0.25, 0.9))
    ax.scatter(
        x,
        y,
        s=24 if few else 14,
        color=COLOURS[0],
        alpha=alpha,
        lw=0,
        rasterized=not few,
        label="_rows",
    )
