# SPDX-License-Identifier: BSD-3-Clause
"""What the numbers of a run should make its owner look at."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrelu import metrics
from fastrelu.app.report.columns import threshold_text
from fastrelu.app.report.content import ReportContent, points_of
from fastrelu.app.report.markup import number, percent

FEW_ROWS = 100
GAP = 0.1
CAPPED = 0.02


def baseline(content: ReportContent) -> tuple[int, float | None]:
    """Return the number of rows shown, and what a guess gets: accuracy, or root mean squared error.

    The guess is the most frequent class, or the mean, of the same rows.
    """
    part = content.shown_part
    if part is None:
        return 0, None
    truth = content.evaluated[part].truth
    if content.classification:
        numbers = content.evaluated[part].numbers(content.classes)
        numbers = numbers[numbers >= 0]
        return len(truth), float(np.bincount(numbers).max() / len(truth)) if len(numbers) else None
    values, _ = content.evaluated[part].values
    return len(truth), float(values.std()) if len(values) else None


def remarks(content: ReportContent) -> list[str]:
    """Return a sentence for each thing that stands out."""
    part = content.shown_part
    if part is None:
        return []
    found = [_few(content, part), _gap(content, part), _passed(content)]
    found += _classes(content, part) if content.classification else _values(content, part)
    return [line for line in found if line]


def _few(content: ReportContent, part: str) -> str | None:
    n = len(content.evaluated[part])
    if n >= FEW_ROWS:
        return None
    return f"Only {n} {part} rows: the numbers are rough, another split would give others."


def _gap(content: ReportContent, part: str) -> str | None:
    key = "accuracy" if content.classification else "r2"
    train, other = (_metric(content, p, key) for p in ("train", part))
    guess = (baseline(content)[1] or 0.0) if content.classification else 0.0
    if part == "train" or train is None or other is None or train - other <= GAP:
        return None
    if train < guess + GAP:  # nothing has been learned, by heart or otherwise
        return None
    return (
        f"{'Accuracy' if key == 'accuracy' else 'R²'} is {number(train)} on the rows trained on "
        f"and {number(other)} on {part} rows: the network has learned some of them by heart. "
        "Fewer epochs (--early-stopping), a smaller network or more rows may help."
    )


def _passed(content: ReportContent) -> str | None:
    """Tell if validation was better earlier, and the network of that time is not the one kept."""
    best, epochs = content.metrics.get("best_epoch"), content.metrics.get("epochs")
    losses = [loss for _, loss in points_of(content.history, "val_loss")]
    if not best or not epochs or not losses or content.model.epoch_used == best:
        return None
    if best > 0.8 * epochs or losses[-1] <= 1.02 * min(losses):
        return None
    return (
        f"The validation loss was lowest at epoch {best} of {epochs} ({number(min(losses))}, at "
        f"the end {number(losses[-1])}): --early-stopping keeps that epoch's network."
    )


def _metric(content: ReportContent, part: str, key: str) -> float | None:
    value = (content.metrics.get(part) or {}).get(key)
    return float(value) if isinstance(value, int | float) else None


def _classes(content: ReportContent, part: str) -> list[str | None]:
    evaluated = content.evaluated[part]
    predicted = content.model.target.chosen(np.asarray(evaluated.outputs))
    numbers = evaluated.numbers(content.classes)
    right = float((predicted == numbers).mean())
    _, guess = baseline(content)
    lines: list[str | None] = []
    unknown = int((numbers < 0).sum())
    if unknown:
        lines.append(f"{unknown} {part} rows are of classes that training has not seen.")
    absent = (content.metrics.get("absent_classes") or {}).get(part)
    if absent:
        lines.append(
            f"No {part} row is of {', '.join(repr(metrics.label_text(c)) for c in absent)}: "
            "metrics of classes are those of the others, or not defined."
        )
    lines.append(_threshold(content))
    if len(np.unique(predicted)) == 1 and len(predicted) > 1:
        label = metrics.label_text(content.classes[int(predicted[0])])
        lines.append(
            f"Every {part} row is predicted as {label!r}: the network tells nothing apart."
        )
    elif guess is not None and right <= guess:
        lines.append(
            f"The accuracy, {percent(right)}, is no better than always guessing the most frequent "
            f"class, {percent(guess)}."
        )
    return lines


def _threshold(content: ReportContent) -> str | None:
    """Tell from which probability on the second class is predicted, if not where it is greater."""
    text = threshold_text(content.model.target)
    if text is None:
        return None
    rule = (content.metrics.get("threshold") or {}).get("rule")
    rows = "rows that members left out" if "left out" in content.metrics else "validation rows"
    how = {
        "f1": f", where the rarer class's F1 was best on the {rows}",
        "balanced": f", where the balanced accuracy was best on the {rows}",
    }
    return f"{text}{how.get('balanced' if rule == 'auto' else str(rule), '')}."


def _values(content: ReportContent, part: str) -> list[str | None]:
    truth, predicted = content.evaluated[part].values
    lines: list[str | None] = []
    odd = len(content.evaluated[part]) - len(truth)
    if odd:
        lines.append(f"{odd} {part} rows are left out: their predictions are not finite numbers.")
    if not len(truth):
        return lines
    if len(predicted) > 1 and (predicted == predicted[0]).all():
        lines.append(f"Every {part} row is predicted as {number(predicted[0])}.")
    elif metrics.r2_score(truth, predicted) <= 0:
        lines.append("The predictions are no better than always guessing the mean.")
    lines += [_capped(truth, end) for end in ("largest", "smallest")]
    return lines


def _capped(truth: Any, end: str) -> str | None:
    """Tell of many equal values at an end of a target that otherwise varies: it may be cut off."""
    value = truth.max() if end == "largest" else truth.min()
    share = float((truth == value).mean())
    if len(truth) < FEW_ROWS or share < CAPPED or len(np.unique(truth)) < 50:
        return None
    return (
        f"{percent(share)} of the rows have the {end} target, {number(float(value))}: it may have "
        "been cut off there."
    )
