# SPDX-License-Identifier: BSD-3-Clause
"""Which rows of a class are found at what price: ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrelu.plot.axes import COLOURS, STYLES, axes_or_new, wrapped
from fastrelu.ranking import Ranking

# In the order in which neighbours differ most, in lightness too.
TURNS = (COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[4])
MOST = len(TURNS)


def draw_roc(
    ranked: Mapping[str, Ranking], ax: Any = None, point: tuple[float, float] | None = None
) -> Any:
    """Draw recall over the false alarm rate, a curve for each label; `point`: where one stands."""
    ax = axes_or_new(ax)
    reference = ax.xaxis.label.get_color()
    ax.plot([0, 1], [0, 1], ":", color=reference, lw=1.1, label="no knowledge")
    for k, (label, each) in enumerate(ranked.items()):
        ax.plot(
            np.r_[0.0, each.false_alarm_rate],
            np.r_[0.0, each.recall],
            STYLES[k % len(STYLES)],
            color=TURNS[k % MOST],
            lw=1.8,
            label=f"{wrapped(label)}, area {each.roc_auc():.3f}",
        )
    _finish(ax, point, "false alarms, share of the other rows", "found, share of the class")
    ax.legend(frameon=False, loc="lower right")
    return ax


def draw_precision_recall(
    ranked: Mapping[str, Ranking], ax: Any = None, point: tuple[float, float] | None = None
) -> Any:
    """Draw precision over recall in steps, a curve for each label; `point`: where one stands."""
    ax = axes_or_new(ax)
    reference = ax.xaxis.label.get_color()
    if len(ranked) == 1:
        (only,) = ranked.values()
        ax.axhline(only.precision[-1], ls=":", color=reference, lw=1.1, label="no knowledge")
    for k, (label, each) in enumerate(ranked.items()):
        ax.step(
            np.r_[0.0, each.recall],
            np.r_[each.precision[:1], each.precision],
            STYLES[k % len(STYLES)],
            where="pre",
            color=TURNS[k % MOST],
            lw=1.8,
            label=f"{wrapped(label)}, mean {each.average_precision():.3f}",
        )
    _finish(
        ax, point, "found, share of the class (recall)", "right, share of the found (precision)"
    )
    ax.legend(frameon=False, loc="best")
    return ax


def _finish(ax: Any, point: tuple[float, float] | None, across: str, up: str) -> None:
    if point is not None:
        ax.plot(*point, "o", color=TURNS[1], ms=7, label="as predicted", zorder=5, clip_on=False)
    ax.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
    ax.set_xlabel(across)
    ax.set_ylabel(up)
    ax.grid(True, alpha=0.25)
