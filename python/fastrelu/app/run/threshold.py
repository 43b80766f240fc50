# SPDX-License-Identifier: BSD-3-Clause
"""``--threshold``: from which probability on a run's model predicts the second of two classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fastrelu import ranking
from fastrelu.app.errors import ConfigError
from fastrelu.app.metrics import Scores
from fastrelu.app.preprocess import Target

Asked = str | float | None


def require_two_classes(asked: Asked, target: Target) -> None:
    """Raise ConfigError if a threshold is asked for, and there are not two classes."""
    if asked is None or len(target.classes) == 2:
        return
    kind = f"{len(target.classes)} classes" if target.classes else "numbers"
    raise ConfigError(f"--threshold goes with two classes, and the target has {kind}")


def with_threshold(
    asked: Asked, target: Target, validated: Callable[[], Scores], say: Callable[[str], None]
) -> Target:
    """Return the target with the threshold that is asked for.

    Parameters
    ----------
    asked : str, float or None
        The rule or the number; None leaves the target as it is.
    target : Target
        Of two classes.
    validated : callable
        Returns the scores of the trained network on the validation rows.
    say : callable
        Takes lines for the user.
    """
    if asked is None:
        return target
    if not isinstance(asked, str):
        return replace(target, threshold=float(asked))
    kept = validated().class_rows
    assert kept is not None
    truth, p, weight = kept.rows
    rule = "balanced" if asked == "auto" else asked
    found = ranking.threshold_of_two(truth, p[:, 1], weight, rule)
    if math.isnan(found):
        say(
            f"warning: --threshold {asked}: the validation rows are not of both classes; the more "
            "probable class is predicted"
        )
        return target
    return replace(target, threshold=found)


def threshold_metrics(asked: Asked, target: Target) -> dict[str, Any]:
    """Return what metrics.json says of a threshold; {} without one."""
    if target.threshold is None:
        return {}
    rule = asked if isinstance(asked, str) else "given"
    found = {"value": target.threshold, "class": target.classes[1], "rule": rule}
    return {"threshold": found}


def absent_metrics(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """Return the classes that parts have no rows of, by part; {} where each has all."""
    found = {}
    for part, each in scores.items():
        kept = each.class_rows
        if kept is not None and each.rows and kept.absent:
            found[part] = [each.target.classes[k] for k in kept.absent]
    return {"absent_classes": found} if found else {}
