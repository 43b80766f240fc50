# SPDX-License-Identifier: BSD-3-Clause
"""What a model has learned of each column: the mean prediction as a function of its value."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import metrics
from fastrelu.app.data.sample import evenly
from fastrelu.app.report.content import ReportContent
from fastrelu.app.report.markup import Html, element, join, number, table
from fastrelu.app.report.pictures import picture

MOST_COLUMNS = 6
MOST_CLASSES = 4
MOST_CATEGORIES = 10
ROWS, POINTS = 100, 33
SHOWN_POINTS = 9  # of a table in a picture's place


@dataclass(frozen=True)
class Effect:
    """The mean prediction over some rows where one column has the same value in all of them.

    Attributes
    ----------
    name : str
        The column.
    values : ndarray, (g,)
        Its values: numbers or dates, ascending, or categories, the most frequent first.
    means : ndarray of float64, (g, k)
        The mean predictions.
    """

    name: str
    values: NDArray[Any]
    means: NDArray[np.float64]


def effects(model: Any, sample: Any, names: Sequence[str]) -> list[Effect]:
    """Return the effect of each of some columns that have more than one value.

    Parameters
    ----------
    model : Model
        With `table_outputs(table)`.
    sample : Table
        Rows, of which 100 are taken, evenly spread.
    names : sequence of str
        The columns, by the names that `permutation_importance` gives them.
    """
    rows = sample.take(evenly(np.arange(sample.n_rows), ROWS))
    found = []
    for name in names:
        column = _column(sample, name)
        values = _grid(column)
        if len(values) < 2:
            continue
        means = [
            np.asarray(model.table_outputs(_with(rows, name, value, column.dtype)), np.float64)
            .reshape(rows.n_rows, -1)
            .mean(axis=0)
            for value in values
        ]
        found.append(Effect(name, values, np.array(means)))
    return found


def _place(sample: Any, name: str) -> int:
    names = sample.matrix_names or [f"X[{j}]" for j in range(sample.matrix.shape[1])]
    return [str(each) for each in names].index(name)


def _column(sample: Any, name: str) -> NDArray[Any]:
    if sample.matrix is None:
        return np.asarray(sample.columns[name])
    return np.asarray(sample.matrix[:, _place(sample, name)])


def _with(rows: Any, name: str, value: Any, dtype: Any) -> Any:
    """Return rows with one value in a column."""
    if rows.matrix is None:
        column = np.full(rows.n_rows, value, dtype)
        return dataclasses.replace(rows, columns={**rows.columns, name: column})
    matrix = np.array(rows.matrix)
    matrix[:, _place(rows, name)] = value
    return dataclasses.replace(rows, matrix=matrix)


def _grid(column: NDArray[Any]) -> NDArray[Any]:
    """Return values of a column: quantiles that are there, or its most frequent categories."""
    if column.dtype.kind not in "biufM":
        counts = Counter(column.tolist())
        common = sorted(counts, key=lambda each: (-counts[each], str(each)))
        return np.array(common[:MOST_CATEGORIES], object)
    there = np.sort(column[~(np.isnat(column) if column.dtype.kind == "M" else np.isnan(column))])
    return (
        np.unique(there[np.linspace(0, len(there) - 1, POINTS).astype(int)])
        if len(there)
        else there
    )


def effects_section(content: ReportContent, names: Sequence[str]) -> Html | None:
    """Return a picture for each of the columns that matter most, given in this order."""
    sample = content.sample
    if sample.matrix is not None and not isinstance(sample.matrix, np.ndarray):
        return None
    found = effects(content.model, sample, names[:MOST_COLUMNS])
    if not found:
        return None
    which, labels, what = _shown(content)
    low = min(float(each.means[:, which].min()) for each in found)
    high = max(float(each.means[:, which].max()) for each in found)
    margin = 0.05 * (high - low) or 0.5
    blocks = [
        element("div", _picture(k, each, which, labels, what, (low - margin, high + margin)))
        for k, each in enumerate(found)
    ]
    text = (
        f"What the model has learned of single columns: the mean {what} over "
        f"{min(ROWS, sample.n_rows)} of these rows, if all of them had the same value in that "
        "column and were else as they are. All pictures have one scale. Ticks: tenths of the rows."
    )
    return join(
        [
            element("h3", "Effects of the columns"),
            element("p", text),
            element("div", *blocks, class_="grid three"),
        ]
    )


def _shown(content: ReportContent) -> tuple[list[int], list[str], str]:
    """Return the outputs that are drawn, their labels, and what they are."""
    if not content.classification:
        return [0], [""], f"prediction of {content.metrics.get('target') or 'the target'}"
    labels = [metrics.label_text(c) for c in content.classes]
    if len(labels) == 2:
        return [1], [""], f"probability of {labels[1]!r}"
    counts = content.model.target.counts or [1] * len(labels)
    which = sorted(np.argsort(-np.asarray(counts), kind="stable")[:MOST_CLASSES].tolist())
    few = "" if len(labels) <= MOST_CLASSES else f" of the {MOST_CLASSES} most frequent classes"
    return which, [labels[k] for k in which], f"probability{few}"


def _picture(
    k: int,
    effect: Effect,
    which: list[int],
    labels: list[str],
    what: str,
    window: tuple[float, float],
) -> Html:
    def draw(ax: Any) -> None:
        from fastrelu.plot.effects import draw_effect

        draw_effect(effect.values, effect.means[:, which], labels, ax)
        ax.set_ylim(*window)

    def few() -> Html:
        place = np.unique(np.linspace(0, len(effect.values) - 1, SHOWN_POINTS).astype(int))
        rows = [(_text(effect.values[j]), *effect.means[j, which].tolist()) for j in place]
        return table((effect.name, *(label or what for label in labels)), rows)

    result: Html = picture(f"effect-{k}", draw, f"{effect.name}.", few, size=(3.9, 2.9))
    return result


def _text(value: Any) -> str:
    if isinstance(value, np.datetime64):
        return str(value)[:19]
    return str(value) if isinstance(value, str) else number(float(value))
