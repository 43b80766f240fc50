# SPDX-License-Identifier: BSD-3-Clause
"""The report's section about a model by the recipe of tables: candidates, members, shrinkage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastrelu.app.report.content import ReportContent
from fastrelu.app.report.markup import Html, element, join, number, table
from fastrelu.app.report.overview import NAMES
from fastrelu.app.usual import LEFT_OUT


def recipe_section(content: ReportContent) -> Html | None:
    """Return what was tried, what was chosen and which epoch each member keeps; None without."""
    found = content.metrics.get("recipe")
    if not isinstance(found, Mapping):
        return None
    return join([_members(content, found), _candidates(found)])


def _members(content: ReportContent, found: Mapping[str, Any]) -> Html:
    members: Sequence[Mapping[str, Any]] = content.metrics["members"]
    factor = float(found["shrinkage"])
    text = (
        f"The model is the mean of {len(members)} networks. Each has left out a fold of the "
        f"{number(found['trained_rows'])} rows, stopped when it was no longer better there, and "
        "keeps the weights of the epoch that was best there."
    )
    nothing = "the shares of the classes" if content.classification else "a constant"
    how = {
        0.0: f"They are not surely better than {nothing} on the rows left out, so that is what the "
        "model predicts for every row: the shrinkage is 0.",
        1.0: "Their word is taken as it is: the shrinkage is 1.",
    }.get(
        factor,
        f"What they say beyond {nothing} is multiplied by {factor:.3f}, the shrinkage: so much of "
        "it is borne out by the rows left out.",
    )
    rows = [
        (f"member {m['member']}", m["epochs"], m["epoch_used"], m["left_out_loss"]) for m in members
    ]
    head = ("", "epochs trained", "epoch kept", "loss on its fold")
    blocks = [element("h2", "Members"), element("p", f"{text} {how}"), table(head, rows)]
    scores = content.metrics.get(LEFT_OUT)
    if isinstance(scores, Mapping):
        shown = ", ".join(f"{NAMES.get(k, k)} {number(v)}" for k, v in scores.items())
        blocks.append(
            element(
                "p",
                "Each training row predicted by the members that left it out: "
                f"{shown}. Epochs, candidate and shrinkage were chosen on these rows; the test "
                "rows had no part in it.",
            )
        )
    return join(blocks)


def _candidates(found: Mapping[str, Any]) -> Html:
    tried = found["candidates"]
    rows = [
        (
            each["candidate"] + (" (chosen)" if each["candidate"] == found["candidate"] else ""),
            each["loss"],
            ", ".join(map(str, each["epochs"])),
        )
        for each in tried
    ]
    text = (
        "Pieces are what a number's column is divided into, at its quantiles; decay is that of the "
        "weights; with input factors all weights of an input are multiplied by a number that is "
        "learned. The loss is that of the mean of the members on the rows that they left out."
    )
    head = ("candidate", "loss on the rows left out", "epochs kept")
    made = table(head, rows)
    return join([element("h2", "Candidates"), element("p", text), made])
