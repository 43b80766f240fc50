# SPDX-License-Identifier: BSD-3-Clause
"""From a column's evidence to the order of its dates."""

from __future__ import annotations

from collections import Counter

from fastrelu.app.data.meaning.dates import ORDERS, WrittenDate
from fastrelu.app.data.meaning.evidence import Evidence
from fastrelu.app.data.meaning.verdict import ELSEWHERE, NAME, Hints, Meaning, Problem, Verdict


def shown_order(evidence: Evidence) -> str | None:
    """Return the order of day, month and year that a column's dates show; None if open."""
    orders = _common_orders(evidence.dates)
    return orders[0] if len(orders) == 1 and orders[0] in ("dmy", "mdy") else None


def as_asked(evidence: Evidence, hints: Hints) -> int:
    """Return how many cells are dates of the order or the format that the user gives."""
    asked = hints.order
    return sum(
        n
        for how, n in evidence.dates.items()
        if asked in how.orders or (asked in ORDERS and not how.mark)
    )


def no_dates(evidence: Evidence, hints: Hints) -> Problem:
    """Return what speaks against a column that the user says to be dates, and that holds none."""
    first = min(e for key, e in evidence.first.items() if key not in evidence.absent)
    what = (
        f"as {ORDERS[hints.order]}" if hints.order in ORDERS else f"of the format {hints.order!r}"
    )
    text = (
        f"got {first.text[:40]!r}, which is no date {what}; --date-format says how they are written"
    )
    return Problem(text, first.row, title="no dates as --date-format says")


def _common_orders(dates: Counter[WrittenDate]) -> list[str]:
    """Return the orders under which every date is one."""
    orders = [how.orders for how in dates if how.mark]
    if not orders:
        return ["ymd"]
    return [order for order in orders[0] if all(order in some for some in orders)]


def decide_dates(evidence: Evidence, hints: Hints) -> Verdict:
    """Return how a column of dates is read: see `decide`."""
    dates = evidence.dates
    formed = WrittenDate((evidence.form,))
    if formed in dates:
        others = [evidence.first[how] for how in dates if how != formed]
        if not others:
            return Verdict(Meaning("date", order=evidence.form))
        stranger = min(others)
        text = f"got {stranger.text[:40]!r}, which is no date of the format {evidence.form!r}"
        return Verdict(Meaning("date", order=evidence.form), (), Problem(text, stranger.row))
    unused = evidence.form and any(how.mark for how in dates)
    zones = {how.zone for how in dates}
    said = ("some dates say their offset from UTC and some do not: the latter are taken as UTC",)
    warnings: tuple[str, ...] = said if len(zones) == 2 else ()
    if unused:
        warnings += (f"no cell is a date of the format {evidence.form!r} (--date-format)",)
    orders = _common_orders(dates)
    asked = hints.order
    if asked in ORDERS and any(how.mark for how in dates):
        assert asked is not None
        if asked in orders:
            return Verdict(Meaning("date", order=asked), warnings)
        stranger = min(evidence.first[how] for how in dates if asked not in how.orders)
        text = (
            f"got {stranger.text[:40]!r}, which is no date as {ORDERS[asked]} ({hints.why}); "
            "correct the cell, or give --date-format"
        )
        return Verdict(Meaning("date", order=asked), warnings, Problem(text, stranger.row))
    if not orders:
        return Verdict(Meaning("date"), warnings, _mixed_orders(evidence))
    if len(orders) == 1:
        return Verdict(Meaning("date", order=orders[0]), warnings)
    order, why = _usual_order(evidence, orders, hints)
    example = min(evidence.first[how] for how in dates if len(how.orders) > 1 and how.mark)
    warnings += (
        f"{example.text[:40]!r} may be {' or '.join(ORDERS[o] for o in orders)}: taken as "
        f"{ORDERS[order]}{why} (--date-format says it)",
    )
    return Verdict(Meaning("date", order=order), warnings)


def _usual_order(evidence: Evidence, orders: list[str], hints: Hints) -> tuple[str, str]:
    """Return the order that is taken where a column leaves it open, and why."""
    if hints.usual_order in orders:
        assert hints.usual_order is not None
        return hints.usual_order, ", as another column shows"
    marks = {how.mark for how in evidence.dates}
    slashes = marks == {"/"} and hints.usual_decimal != "," and hints.separator != ";"
    return ("mdy" if slashes and "mdy" in orders else "dmy" if "dmy" in orders else orders[0]), ""


def _mixed_orders(evidence: Evidence) -> Problem:
    """Return what speaks against dates of which no order fits all."""
    found = sorted((evidence.first[how], how.orders) for how in evidence.dates if how.mark)
    first, orders = found[0]
    second = next((e for e, other in found if not set(orders) & set(other)), found[-1][0])
    return Problem(
        f"got {second.text[:40]!r}, and {first.text[:40]!r} in {ELSEWHERE}: no order of day, month "
        f"and year fits both; correct them, or read the column as categories: --categorical {NAME}",
        second.row,
        first.row,
        "mixed orders of day and month",
    )
