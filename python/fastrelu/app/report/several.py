# SPDX-License-Identifier: BSD-3-Clause
"""The report's section about trainings that belong together: folds, members, candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastrelu.app.report.content import PARTS, ReportContent
from fastrelu.app.report.markup import Html, element, join, percent, table
from fastrelu.app.report.overview import NAMES, SHARES

MOST = 30  # rows of a table
SEARCHED = "place", "candidate"  # of a candidate, before its settings
OUTCOME = "round", "epochs", "val_loss"


def several_section(content: ReportContent) -> Html | None:
    """Return what is known of each fold, member or candidate; None for a single training."""
    blocks = [_folds(content), _members(content), _candidates(content)]
    if all(block is None for block in blocks):
        return None
    return join(blocks)


def _shown(key: str, value: Any) -> Any:
    return percent(value) if key in SHARES and isinstance(value, float) else value


def _named(keys: Sequence[str]) -> list[str]:
    return [NAMES.get(key, key.replace("_", " ")) for key in keys]


def _folds(content: ReportContent) -> Html | None:
    """Return the metrics of each fold of a cross-validation, their mean and deviation."""
    found = content.metrics.get("cross_validation")
    if not isinstance(found, Mapping):
        return None
    folds, keys = found["folds"], list(found["mean"])
    rows = [(f"fold {k}", *(_shown(key, fold.get(key)) for key in keys))
            for k, fold in enumerate(folds, 1)]  # fmt: skip
    rows.append(("mean", *(_shown(key, found["mean"][key]) for key in keys)))
    rows.append(("standard deviation", *(_shown(key, found["std"][key]) for key in keys)))
    text = (
        f"The rows outside the test, in {len(folds)} folds: each fold is predicted by a network "
        "that was trained on the others. The model of this report was trained afterwards, as "
        "without folds."
    )
    head = element("h2", "Cross-validation")
    return join([head, element("p", text), table(("", *_named(keys)), rows)])


def _members(content: ReportContent) -> Html | None:
    """Return the seed and the metrics of each member of an ensemble."""
    members = content.metrics.get("members")
    if not members or "recipe" in content.metrics:
        return None
    parts = [part for part in PARTS if isinstance(members[0].get(part), Mapping)]
    keys = [(part, key) for part in parts for key in members[0][part] if key != "loss"]
    rows = [
        (
            f"seed {member['seed']}",
            member.get("epoch_used"),
            *(_shown(key, member[part].get(key)) for part, key in keys),
        )
        for member in members[:MOST]
    ]
    text = (
        f"The model is an ensemble of {len(members)} networks, which differ in their seeds; it "
        "predicts their mean. The metrics above are those of the mean."
    )
    names = [f"{part} {NAMES.get(key, key)}" for part, key in keys]
    made = table(("member", "epoch kept", *names), rows)
    return join([element("h2", "Members"), element("p", text), made])


def _candidates(content: ReportContent) -> Html | None:
    """Return the settings of the best candidates of a search, and how they ended."""
    found = content.metrics.get("search")
    if not isinstance(found, Mapping):
        return None
    chosen = ", ".join(f"{name} {value}" for name, value in found["chosen"].items())
    text = (
        f"{found['candidates']} candidates tried by successive halving, judged by the validation "
        f"loss. The model is candidate {found['winner']}: {chosen}."
    )
    blocks = [element("h2", "Search"), element("p", text)]
    if content.candidates:
        first = content.candidates[0]
        settings = [n for n in first if n in found["chosen"]]
        keys = [n for n in (*SEARCHED, *settings, *OUTCOME, "state") if n in first]
        rows = [tuple(row[key] for key in keys) for row in content.candidates[:MOST]]
        names = [
            NAMES.get(key, key.replace("val_", "validation ").replace("_", " ")) for key in keys
        ]
        blocks.append(table(names, rows, text=len(keys)))
    return join(blocks)
