# SPDX-License-Identifier: BSD-3-Clause
"""The course of a fit."""

from __future__ import annotations

from typing import Any

from fastrelu.plot.axes import axes_or_new


def history(fit: Any, ax: Any = None) -> Any:
    """Draw the course of a fit: its losses, and its validation scores if there are any.

    Parameters
    ----------
    fit : MLPClassifier, MLPRegressor or History
        A fitted estimator (solver sgd or adam; scikit-learn's own too), or the result of
        ``Trainer.fit``.
    ax : matplotlib Axes, optional
        The axes to draw into; by default those of a new figure.

    Returns
    -------
    matplotlib Axes
        The axes of the losses; ``.figure`` is their figure.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If `fit` has no curve to draw.

    Examples
    --------
    >>> import fastrelu
    >>> trainer = fastrelu.Trainer(fastrelu.Network([1, 4, 1]))
    >>> fit = trainer.fit([[0.0], [1.0], [2.0]], [1.0, 0.0, 1.0], epochs=5)
    >>> ax = fastrelu.plot.history(fit)
    >>> ax.get_xlabel(), len(ax.lines[0].get_xdata())
    ('epoch', 5)
    """
    losses, scores, name = _curves(fit)
    ax = axes_or_new(ax)
    from matplotlib.ticker import MaxNLocator

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
