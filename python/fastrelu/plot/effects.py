# SPDX-License-Identifier: BSD-3-Clause
"""What predictions do with one column: a curve over numbers or dates, points over categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.plot.axes import COLOURS, STYLES, axes_or_new, thousands, wrapped

# In the order in which neighbours differ most, in lightness too.
TURNS = (COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[4])
MARKS = ("o", "s", "^", "D")


def draw_effect(
    values: NDArray[Any], means: NDArray[np.float64], labels: Sequence[str], ax: Any = None
) -> Any:
    """Draw mean predictions, (g, k), over values, (g,), a curve for each label."""
    ax = axes_or_new(ax)
    named = values.dtype == object
    x = np.arange(len(values)) if named else values
    for k, label in enumerate(labels):
        style = "none" if named else STYLES[k % 4]
        mark = MARKS[k % 4] if named else None
        ax.plot(
            x,
            means[:, k],
            ls=style,
            marker=mark,
            color=TURNS[k % 4],
            lw=1.8,
            label=wrapped(label, 20),
        )
    if named:
        names = [wrapped(value or "(missing)", 18) for value in values]
        turned = sum(max(map(len, name.split("\n"))) for name in names) > 30
        ax.set_xticks(x, names, rotation=90 if turned else 0, fontsize=7, parse_math=False)
        ax.set_xlim(-0.5, len(values) - 0.5)
    else:
        tenths = values[np.linspace(0, len(values) - 1, 11).astype(int)]
        ink = ax.xaxis.label.get_color()
        ax.plot(tenths, np.zeros(11), "|", color=ink, ms=7, clip_on=False, zorder=5,
                transform=ax.get_xaxis_transform())  # fmt: skip
        if values.dtype.kind == "M":
            ax.tick_params(axis="x", labelrotation=30)
        else:
            thousands(ax.xaxis)
    ax.grid(True, alpha=0.25)
    if len(labels) > 1:
        for text in ax.legend(frameon=False, loc="best", fontsize="small").get_texts():
            text.set_parse_math(False)
    return ax
