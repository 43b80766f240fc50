# SPDX-License-Identifier: BSD-3-Clause
"""The part of the report about what is found of each class, and at what price."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import metrics, ranking
from fastrelu.app.report.content import ReportContent
from fastrelu.app.report.markup import Html, details, element, join, number, percent, table
from fastrelu.app.report.pictures import picture

MOST_CLASSES = 30  # each of them is a sort of all rows
MOST_CURVES = 4
SHOWN_ROWS = 12


def detection(content: ReportContent, numbers: NDArray[np.int64], outputs: NDArray[Any]) -> Html:
    """Return ROC and precision-recall curves, and the areas of each class.

    Parameters
    ----------
    content : ReportContent
        The run.
    numbers : ndarray of int64, (n,)
        The rows' classes.
    outputs : ndarray, (n, n_classes)
        Their probabilities.
    """
    n_classes = outputs.shape[1]
    if n_classes > MOST_CLASSES or len(np.unique(numbers)) < 2:
        return join([])
    labels = [metrics.label_text(c) for c in content.classes]
    each = [ranking.rank_rows(numbers == k, outputs[:, k]) for k in range(n_classes)]
    areas = np.array([ranked.roc_auc() for ranked in each])
    if n_classes == 2:
        drawn = [1]
    else:
        there = np.flatnonzero(~np.isnan(areas))
        drawn = there[np.argsort(areas[there], kind="stable")][:MOST_CURVES].tolist()
    return join(
        [
            element("h3", "What is found, and at what price"),
            element("div", *_curves(content, labels, each, drawn, numbers, outputs), class_="grid"),
            _areas(labels, each, areas, n_classes),
        ]
    )


def _curves(
    content: ReportContent,
    labels: list[str],
    each: list[ranking.Ranking],
    drawn: list[int],
    numbers: NDArray[np.int64],
    outputs: NDArray[Any],
) -> list[Html]:
    ranked = {labels[k]: each[k] for k in drawn}
    at_roc = at_precision = None
    what = f"Each class against all others; the {len(drawn)} of the smallest areas"
    if outputs.shape[1] == 2:
        guess = content.model.target.chosen(outputs) == 1
        hits, alarms = int((guess & (numbers == 1)).sum()), int((guess & (numbers == 0)).sum())
        own, others = int((numbers == 1).sum()), int((numbers == 0).sum())
        at_roc = (alarms / others, hits / own)
        at_precision = (hits / own, hits / (hits + alarms)) if hits + alarms else None
        what = (
            f"{labels[1]!r}, by its probability, from the highest down; the point is as predicted"
        )
    elif len(drawn) == outputs.shape[1]:
        what = "Each class against all others"

    def roc(ax: Any) -> None:
        from fastrelu.plot.ranking import draw_roc

        draw_roc(ranked, ax, at_roc)

    def precision(ax: Any) -> None:
        from fastrelu.plot.ranking import draw_precision_recall

        draw_precision_recall(ranked, ax, at_precision)

    first = picture("roc", roc, f"ROC curve. {what}.", lambda: _points(ranked), size=(5.2, 4.2))
    second = picture(
        "precision-recall",
        precision,
        f"Precision-recall curve. {what}.",
        lambda: None,
        size=(5.2, 4.2),
    )
    return [element("div", first), element("div", second)]


def _points(ranked: dict[str, ranking.Ranking]) -> Html:
    """Return some points of the curves: the picture's numbers."""
    blocks = []
    for label, each in ranked.items():
        place = np.unique(np.linspace(0, len(each.score) - 1, SHOWN_ROWS).astype(int))
        rows = [
            (
                number(each.score[k]),
                percent(each.recall[k]),
                percent(each.false_alarm_rate[k]),
                percent(each.precision[k]),
            )
            for k in place
        ]
        head = (f"{label}, from probability", "found", "false alarms", "precision")
        blocks.append(table(head, rows))
    return join(blocks)


def _areas(
    labels: list[str], each: list[ranking.Ranking], areas: NDArray[np.float64], n_classes: int
) -> Html:
    rows = [
        (
            labels[k],
            percent(each[k].hits[-1] / (each[k].hits[-1] + each[k].alarms[-1])),
            float(areas[k]),
            each[k].average_precision(),
        )
        for k in range(n_classes)
    ]
    head = ("class", "share of the rows", "area under the ROC curve", "average precision")
    note = element(
        "p",
        "The area under the ROC curve is the probability that a row of the class has a higher "
        "probability of it than another row: 0.5 for a model that knows nothing. Average "
        "precision, the area under the precision-recall curve, is then the class's share of the "
        "rows. A dash: no such rows.",
        class_="soft",
    )
    made = table(head, rows)
    return join([made if n_classes <= 20 else details("Each class in numbers", made), note])
