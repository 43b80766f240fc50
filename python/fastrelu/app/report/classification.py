# SPDX-License-Identifier: BSD-3-Clause
"""The report's sections about predicted classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import metrics
from fastrelu.app.report.content import ReportContent
from fastrelu.app.report.detection import detection
from fastrelu.app.report.markup import Html, details, element, join, number, percent, table
from fastrelu.app.report.pictures import picture

# A confusion matrix of more classes is a picture without numbers; of very many, nothing to look at.
MOST_CELLS = 20
MOST_DRAWN = 1000
MOST_CLASSES = 30
MOST_LISTED = 1000
SHOWN_CLASSES = 15
TOP_CONFUSIONS = 12
BINS = 10


def class_section(content: ReportContent, part: str) -> Html:
    """Return confusion matrix, scores by class and calibration of a part."""
    numbers, outputs = content.known_rows(part)
    if not len(numbers):
        return join([])
    labels = [metrics.label_text(c) for c in content.classes]
    predicted = content.model.target.chosen(outputs)
    scores = metrics.class_scores(numbers, predicted, len(labels))
    return join(
        [
            element("h2", f"Predicted classes, {part} rows"),
            _confusions(numbers, predicted, scores, labels),
            element("h3", "By class"),
            _by_class(scores, labels),
            detection(content, numbers, outputs),
            element("h3", "Calibration"),
            _calibration(numbers == predicted, outputs[np.arange(len(outputs)), predicted]),
        ]
    )


def _confusions(
    numbers: NDArray[np.int64],
    predicted: NDArray[np.int64],
    scores: metrics.ClassScores,
    labels: list[str],
) -> Html:
    mistakes = metrics.top_confusions(numbers, predicted, len(labels), TOP_CONFUSIONS)
    rows = [(labels[i], labels[j], n, percent(n / scores.support[i])) for i, j, n in mistakes]
    head = ("true", "predicted", "rows", "of the true class")
    list_ = table(head, rows, text=2) if rows else element("p", "No row was put in a wrong class.")
    if len(labels) > MOST_DRAWN:
        return join([element("h3", "The most frequent mistakes"), list_])
    counts = metrics.confusion_counts(numbers, predicted, len(labels))
    if len(labels) <= MOST_CELLS:
        caption = (
            "Rows: the true class; columns: the predicted one. Colour: the share of the true "
            "class's rows, blue where right, orange where wrong."
        )
        matrix = join([_matrix(counts, labels), element("p", caption, class_="soft")])
        if len(labels) <= 3:
            return matrix
        return join([matrix, details("The most frequent mistakes", list_)])

    def draw(ax: Any) -> None:
        from fastrelu.plot.evaluation import draw_confusion

        draw_confusion(counts, labels, ax)

    caption = (
        f"Each of {len(labels)} classes by number, in the order of their labels: "
        f"0 is {labels[0]}, {len(labels) - 1} is {labels[-1]}."
    )
    shown = picture("confusion", draw, caption, lambda: None, size=(5.2, 4.6))
    right = join([element("h3", "The most frequent mistakes"), list_])
    return element("div", element("div", shown), element("div", right), class_="grid")


def _matrix(counts: NDArray[np.int64], labels: list[str]) -> Html:
    longest = max(len(label) for label in labels)
    turned = "turned" if longest > 5 and longest * len(labels) > 70 else None
    top = [element("th", element("div", name, class_=turned)) for name in labels]
    rows = []
    for i, label in enumerate(labels):
        total = max(1, int(counts[i].sum()))
        cells = [_cell(int(counts[i, j]), counts[i, j] / total, i == j) for j in range(len(labels))]
        rows.append(element("tr", element("th", label, scope="row"), *cells))
    head = element(
        "thead", element("tr", element("th", "true", element("br"), "class", class_="soft"), *top)
    )
    whole = element("table", head, element("tbody", *rows), class_="confusion")
    return element("div", whole, class_="scroll", tabindex="0")


def _cell(count: int, share: float, right: bool) -> Html:
    if count == 0:
        return element("td", "·", class_="none")
    colour = "blue" if right else "orange"
    return element(
        "td",
        f"{count:,}",
        class_="strong" if share > 0.55 else None,
        style=f"background:rgb(var(--{colour}-rgb)/{max(0.12, share):.2f})",
        title=percent(share),
    )


def _by_class(scores: metrics.ClassScores, labels: list[str]) -> Html:
    macro = scores.macro()
    rows: list[Any] = [
        (
            labels[k],
            percent(scores.precision[k]),
            percent(scores.recall[k]),
            percent(scores.f1[k]),
            int(scores.support[k]),
            int(scores.predicted[k]),
        )
        for k in range(len(labels))
    ]
    total = int(scores.support.sum())
    bold = [element("td", element("b", "mean of the classes"))]
    mean = (*bold, *(percent(m) for m in macro), total, total)
    head = ("class", "precision", "recall", "F1", "rows", "predicted")
    note = element(
        "p",
        "Precision: the share of the rows predicted as the class that are of it. Recall: the share "
        "of its rows that are found. F1: their harmonic mean. A dash: no such rows.",
        class_="soft",
    )
    if len(labels) <= MOST_CLASSES:
        return join([table(head, [*rows, mean]), note])
    order = np.argsort(np.nan_to_num(scores.f1, nan=2.0), kind="stable")
    worst = [rows[k] for k in order[:SHOWN_CLASSES]]
    return join(
        [
            element("p", f"The {SHOWN_CLASSES} classes of the lowest F1, and the mean of all:"),
            table(head, [*worst, mean]),
            details(
                f"All {len(labels)} classes"
                if len(labels) <= MOST_LISTED
                else f"The first {MOST_LISTED}",
                table(head, rows[:MOST_LISTED]),
            ),
            note,
        ]
    )


def _calibration(correct: NDArray[Any], confidence: NDArray[Any]) -> Html:
    bins = metrics.reliability(correct, confidence, BINS)

    def draw(ax: Any) -> None:
        from fastrelu.plot.evaluation import draw_reliability

        draw_reliability(bins, ax)

    def rows() -> Html:
        low = np.arange(BINS) / BINS
        lines = [
            (
                f"{low[k]:.1f} to {low[k] + 1 / BINS:.1f}",
                int(bins.count[k]),
                percent(bins.confidence[k]),
                percent(bins.accuracy[k]),
            )
            for k in range(BINS)
            if bins.count[k]
        ]
        return table(("confidence", "rows", "mean confidence", "right"), lines)

    caption = (
        "How often predictions are right, by the probability that the model gives them; on the "
        "dashed line confidence is what it says. Whiskers: 95% intervals."
    )
    mean, right = float(np.mean(confidence)), float(np.mean(correct))
    trend = "surer than it is right" if mean > right else "less sure than it is right"
    text = element(
        "p",
        "Expected calibration error ",
        element("b", number(bins.error)),
        f" ({BINS} bins). The mean confidence is {percent(mean)}, and {percent(right)} are right: "
        f"on the whole the model is {trend}"
        + (", by less than a percentage point." if abs(mean - right) < 0.01 else "."),
    )
    shown = picture("calibration", draw, caption, rows)
    return element(
        "div",
        element("div", shown),
        element("div", text, details("The bins in numbers", rows())),
        class_="grid",
    )
