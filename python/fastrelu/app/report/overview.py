# SPDX-License-Identifier: BSD-3-Clause
"""The report's first sections: what was trained, how good it is, how training went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrelu import metrics
from fastrelu.app.report.content import PARTS, ReportContent, points_of
from fastrelu.app.report.markup import Html, element, join, number, percent, table
from fastrelu.app.report.pictures import INSTALL, available, curves, picture
from fastrelu.app.report.remarks import baseline, remarks

NAMES = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "roc_auc": "ROC AUC",
    "average_precision": "average precision", "brier": "Brier score",
    "d2": "deviance explained", "r2": "R²", "rmse": "RMSE", "mae": "MAE", "loss": "loss",
}  # fmt: skip
BESIDE = {
    "r2": "1 is perfect, 0 no better than the mean",
    "d2": "1 is perfect, 0 no better than the mean",
    "balanced_accuracy": "mean of the classes' recalls",
    "roc_auc": "0.5 knows nothing, 1 is perfect",
}
SHARES = "accuracy", "balanced_accuracy"
# Rows of a history that stand for all of it where there are no pictures.
FEW_EPOCHS = 12


def heading(content: ReportContent) -> Html:
    """Return title, one sentence and the numbers that matter most."""
    m, network = content.metrics, content.model.network
    target = m.get("target") or "the target"
    if content.classification:
        what = f"Classification of {target} into {len(content.classes)} classes"
    else:
        what = f"Regression of {target}"
    rows = m.get("rows") or {}
    trained = f", trained on {rows['train']:,} rows" if rows.get("train") else ""
    if m.get("epochs"):
        trained += f" for {m['epochs']} epoch{'s' if m['epochs'] != 1 else ''}"
    members = len(m.get("members") or ())
    made = f"an ensemble of {members} networks" if members else "a network"
    sizes = "-".join(str(n) for n in network.layer_sizes)
    return join(
        [
            element("p", "fastrelu training report", class_="eyebrow"),
            element("h1", content.title),
            element("p", f"{what}: {made} {sizes}{trained}.", class_="lead"),
            element("div", *_cards(content), class_="cards"),
            _parts(content),
            _remarks(content),
        ]
    )


def _cards(content: ReportContent) -> list[Html]:
    part = next((p for p in PARTS if content.metrics.get(p)), None)
    cards: list[Html] = []
    for key, value in (content.metrics.get(part) or {}).items() if part else ():
        if key == "loss" or not isinstance(value, int | float) or len(cards) >= 3:
            continue
        shown = percent(value) if key in SHARES else number(float(value))
        label = f"{part} {NAMES.get(key, key.replace('_', ' '))}"
        cards.append(_card(label, shown, _beside(content, key, value), main=not cards))
    if content.classification and part is not None and part == content.shown_part:
        cards += _class_cards(content, part)
    cards.append(_card("parameters", number(content.model.network.n_parameters)))
    return cards


def _class_cards(content: ReportContent, part: str) -> list[Html]:
    """Return the numbers that accuracy does not tell."""
    numbers, outputs = content.known_rows(part)
    if not len(numbers):
        return []
    predicted = content.model.target.chosen(outputs)
    macro = metrics.class_scores(numbers, predicted, len(content.classes)).macro()[2]
    sure = outputs[np.arange(len(outputs)), predicted]
    bins = metrics.reliability(predicted == numbers, sure, 10)
    return [
        _card(f"{part} F1, mean of the classes", percent(macro)),
        _card("calibration error", percent(bins.error), "0 is perfect"),
    ]


def _card(label: str, value: str, beside: str | None = None, *, main: bool = False) -> Html:
    extra = element("span", beside) if beside else None
    kind = "card main" if main else "card"
    return element("div", element("span", label), element("b", value), extra, class_=kind)


def _beside(content: ReportContent, key: str, value: float) -> str | None:
    """Return what a number is to be compared with: its uncertainty, or what a guess gets."""
    n, guess = baseline(content)
    if key == "accuracy" and n and guess is not None:
        low, high = metrics.wilson_interval(np.array(round(value * n)), np.array(n))
        return (
            f"95% interval {percent(low)} to {percent(high)}; most frequent class {percent(guess)}"
        )
    if key == "rmse" and guess is not None:
        return f"always the mean of these rows: {number(guess)}"
    return BESIDE.get(key)


def _parts(content: ReportContent) -> Html | None:
    """Return the metrics of each part side by side."""
    parts = [p for p in PARTS if isinstance(content.metrics.get(p), Mapping)]
    if not parts:
        return None
    keys = list(dict.fromkeys(key for p in parts for key in content.metrics[p]))
    rows, counts = [], content.metrics.get("rows") or {}
    for p in parts:
        values = [content.metrics[p].get(key) for key in keys]
        shown = [
            percent(v) if k in SHARES and v is not None else v
            for k, v in zip(keys, values, strict=True)
        ]
        rows.append((p, counts.get(p), *shown))
    return table(("part", "rows", *(NAMES.get(k, k.replace("_", " ")) for k in keys)), rows)


def _remarks(content: ReportContent) -> Html | None:
    lines = [*remarks(content), *content.notes]
    if not available():
        lines.append(INSTALL)
    if not lines:
        return None
    return join([element("h3", "Notes"), element("ul", *(element("li", line) for line in lines))])


def training_section(content: ReportContent) -> Html | None:
    """Return the curves by epoch."""
    series = {
        key: points
        for key in ("loss", "val_loss", "val_metric", "learning_rate")
        if (points := points_of(content.history, key))
    }
    if not series:
        return None
    losses = {
        name: series[key]
        for key, name in (("loss", "training"), ("val_loss", "validation"))
        if key in series
    }
    metric = "accuracy" if content.classification else "R²"
    blocks = []
    if losses:
        caption = "Loss by epoch" + (
            ", on the rows trained on and on others." if len(losses) > 1 else "."
        )
        blocks.append(_curve("loss", losses, "loss", caption, content))
    if "val_metric" in series and "recipe" not in content.metrics:  # its members are listed
        lines = {f"validation {metric}": series["val_metric"]}
        blocks.append(
            _curve(
                "metric", lines, f"validation {metric}", f"Validation {metric} by epoch.", content
            )
        )
    if len({rate for _, rate in series.get("learning_rate", ())}) > 1:
        lines = {"learning rate": series["learning_rate"]}
        blocks.append(_curve("rate", lines, "learning rate", "Learning rate by epoch.", content))
    return join([element("h2", "Training"), element("div", *blocks, class_="grid three")])


def _curve(
    name: str, lines: dict[str, Any], label: str, caption: str, content: ReportContent
) -> Html:
    best = content.metrics.get("best_epoch")

    def draw(ax: Any) -> None:
        from fastrelu.plot.axes import COLOURS

        curves(ax, lines, label)
        last = max(points[-1][0] for points in lines.values())
        if name != "rate" and best and 0 < best < last:
            ax.axvline(best, color=COLOURS[2], lw=1, ls=":")

    def few() -> Html:
        epochs = sorted({x for points in lines.values() for x, _ in points})
        place = np.unique(np.linspace(0, len(epochs) - 1, FEW_EPOCHS).astype(int))
        found = {key: dict(points) for key, points in lines.items()}
        rows = [
            (f"{epochs[k]:.0f}", *(values.get(epochs[k]) for values in found.values()))
            for k in place
        ]
        return table(("epoch", *lines), rows)

    text = caption
    if name != "rate" and best and best != content.metrics.get("epochs"):
        text += f" Dotted: epoch {best}, of the lowest validation loss."
    shown = picture(name, draw, text, few, size=(3.9, 2.9))
    return element("div", shown)
