# SPDX-License-Identifier: BSD-3-Clause
"""The report's section about predicted values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.report.content import ReportContent
from fastrelu.app.report.markup import Html, element, join, table
from fastrelu.app.report.pictures import picture

# Rows from which on the outermost errors are left out of their histogram.
MANY = 1000


def value_section(content: ReportContent, part: str) -> Html:
    """Return predicted against true values and the residuals of a part."""
    truth, predicted = content.evaluated[part].values
    if not len(truth):
        return join([])
    name = str(content.metrics.get("target") or "")

    def agreement(ax: Any) -> None:
        from fastrelu import plot

        plot.predictions(truth, predicted, ax, unit=name)

    def against_predicted(ax: Any) -> None:
        from fastrelu import plot

        plot.residuals(truth, predicted, ax, unit=name)

    cut = len(truth) >= MANY

    def spread(ax: Any) -> None:
        _histogram(ax, predicted - truth)

    pictures = [
        picture(
            "agreement",
            agreement,
            "Predicted against true values; on the dashed line they agree.",
            lambda: _by_tenth(truth, predicted),
            size=(5.2, 4.6),
        ),
        picture(
            "residuals",
            against_predicted,
            "What the predictions are too high by, against the predictions: a curve or a fan here "
            "is what the model has left unexplained.",
            lambda: None,
            size=(5.2, 4.6),
        ),
        picture(
            "spread",
            spread,
            "How the errors are spread" + ("; the outermost 1% are left out." if cut else "."),
            lambda: None,
        ),
    ]
    errors = join([element("h3", "Errors in numbers"), _errors(truth, predicted)])
    blocks = [element("div", shown) for shown in (*pictures, errors)]
    heading = element("h2", f"Predicted values, {part} rows")
    return join([heading, element("div", *blocks, class_="grid")])


def _histogram(ax: Any, error: NDArray[np.float64]) -> None:
    from fastrelu.plot.axes import COLOURS, thousands

    ends = [0.005, 0.995] if len(error) >= MANY else [0, 1]
    reach = float(np.abs(np.quantile(error, ends)).max()) or 1.0
    bins = int(np.clip(2 * np.sqrt(len(error)), 5, 60))
    ax.hist(error, bins=bins, range=(-reach, reach), color=COLOURS[0], alpha=0.85)
    ax.axvline(0, color=COLOURS[1], lw=1.2, ls="--")
    thousands(ax.xaxis, ax.yaxis)
    ax.set_xlabel("predicted - true")
    ax.set_ylabel("rows")
    ax.grid(True, axis="y", alpha=0.6)


def _errors(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> Html:
    error = predicted - truth
    size = np.abs(error)
    guess = truth - truth.mean()
    rows = [
        ("mean error (bias)", float(error.mean()), 0.0),
        ("mean absolute error", float(size.mean()), float(np.abs(guess).mean())),
        (
            "root mean squared error",
            float(np.sqrt((error**2).mean())),
            float(np.sqrt((guess**2).mean())),
        ),
    ]
    for share in (0.5, 0.9, 0.99):
        name = "median absolute error" if share == 0.5 else f"{share:.0%} of errors are within"
        rows.append(
            (name, float(np.quantile(size, share)), float(np.quantile(np.abs(guess), share)))
        )
    rows.append(("largest absolute error", float(size.max()), float(np.abs(guess).max())))
    return join(
        [
            table(("", "model", "always the mean"), rows),
            element(
                "p",
                "In the target's unit, beside a guess that is always the mean of these rows.",
                class_="soft",
            ),
        ]
    )


def _by_tenth(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> Html:
    """Return mean predictions of rows of like true values: the picture's numbers."""
    order = np.argsort(truth, kind="stable")
    rows = [
        (f"{k + 1}", len(part), float(truth[part].mean()), float(predicted[part].mean()))
        for k, part in enumerate(np.array_split(order, min(10, len(order))))
    ]
    return table(("part, by true value", "rows", "mean true", "mean predicted"), rows)
