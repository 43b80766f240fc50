# SPDX-License-Identifier: BSD-3-Clause
"""The report's section about what the predictions hang on."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrelu.app.report.content import ReportContent
from fastrelu.app.report.effects import effects_section
from fastrelu.app.report.importance import Importance, permutation_importance
from fastrelu.app.report.markup import Html, details, element, join, number, table
from fastrelu.app.report.pictures import picture

SHOWN = 20


def influence_section(content: ReportContent) -> Html | None:
    """Return the permutation importance of the columns, or nothing without a sample."""
    if content.sample is None or content.sample.target is None:
        return None
    found = permutation_importance(content.model, content.sample, seed=content.seed)
    if found is None:
        return None
    heading = element("h2", "What the predictions hang on")
    means, errors = found.drops.mean(axis=1), found.drops.std(axis=1)
    order = np.argsort(-means, kind="stable")
    rows = [(found.names[k], float(means[k]), float(errors[k])) for k in order]
    single = found.patch_of is None or len(found.names) == found.patch_of.size
    what = "column" if found.patch_of is None else "pixel" if single else "patch of pixels"
    head = (what, f"mean drop in {found.metric}", "standard deviation")
    how = (
        f"the drop in {found.metric} (from {number(found.baseline)}) when "
        f"one {what} is shuffled among "
        f"{found.n_rows:,} {content.shown_part or 'sample'} rows, the mean of "
        f"{found.drops.shape[1]} shuffles"
    )
    if not found.drops.any():
        return join([heading, element("p", f"Nothing: {how}, is 0 for each.")])
    if found.patch_of is not None:
        caption = (
            "Permutation importance: " + how + ". Where the colour is strong, the model looks."
        )
        shown = _map(found, caption)
        return join([heading, shown, details("In numbers", table(head, rows[:200]))])
    caption = (
        "Permutation importance: "
        + how
        + "; whiskers: the standard deviation over them. Columns that say the same share "
        "their importance, each then seems to matter less."
    )

    def draw(ax: Any) -> None:
        from fastrelu import plot

        plot.importance(found.names, means, errors, ax, most=SHOWN, metric=found.metric)

    def few() -> Html:
        return table(head, rows[:SHOWN])

    size = (5.4, 1.0 + 0.24 * min(SHOWN, len(rows)))
    shown = picture("importance", draw, caption, few, size=size)
    title = f"All {len(rows)} columns" if len(rows) > SHOWN else "In numbers"
    numbers = details(title, table(head, rows))
    names = [found.names[k] for k in order]
    return join([heading, shown, numbers, effects_section(content, names)])


def _map(found: Importance, caption: str) -> Html:
    assert found.patch_of is not None
    drops = found.drops.mean(axis=1)[found.patch_of]

    def draw(ax: Any) -> None:
        heat(ax, np.maximum(drops, 0), f"drop in {found.metric}")

    result: Html = picture("importance", draw, caption, lambda: None, size=(4.6, 3.8))
    return result


def heat(ax: Any, values: Any, label: str) -> None:
    """Draw one number for each pixel."""
    from fastrelu.plot.axes import COLOURS, fade

    image = ax.imshow(values, cmap=fade(COLOURS[0]), interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label=label, fraction=0.046, pad=0.03)
    ax.set_xticks([])
    ax.set_yticks([])
