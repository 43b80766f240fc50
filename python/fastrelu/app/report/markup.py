# SPDX-License-Identifier: BSD-3-Clause
"""HTML that cannot be broken out of: what is not marked as markup is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastrelu.app.printable import printable

# For a number that there is not.
DASH = "\N{EN DASH}"
# Elements without content.
VOID = ("meta", "img", "br", "hr")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(value: Any) -> Html:
    """Return a value as markup: text escaped, also what is unseen (printable.py); markup as is."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(printable(str(value))))


def element(name: str, /, *children: Any, **attributes: Any) -> Html:
    """Return ``<name attributes>children</name>``; `class_` is class, `_` in a name becomes `-`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def join(parts: Iterable[Any]) -> Html:
    """Return parts, escaped where they are not markup, one after the other; None is left out."""
    return Html("".join(escape(part) for part in parts if part is not None))


def number(value: Any) -> str:
    """Return a number for people: four digits, thousands apart; a dash for none."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return DASH
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    if not isinstance(value, float | np.floating):
        return str(value)
    x = float(value)
    if x == 0 or not math.isfinite(x):
        return f"{x:g}"
    if abs(x) >= 1e9 or abs(x) < 1e-4:
        return f"{x:.3g}"
    if x.is_integer():
        return f"{x:,.0f}"
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}"


def percent(share: Any, digits: int = 1) -> str:
    """Return a share as a percentage; a dash for none."""
    return DASH if share is None or math.isnan(share) else f"{100 * share:.{digits}f}%"


def table(
    head: Sequence[Any], rows: Iterable[Sequence[Any]], *, text: int = 1, class_: str | None = None
) -> Html:
    """Return a table; the first `text` columns hold text, the others numbers.

    A cell that is markup of its own (`Html`) is put in as it is; a number is formatted.
    """

    def cell(name: str, value: Any, j: int) -> Html:
        if isinstance(value, Html) and value.startswith(f"<{name}"):
            return value
        shown = value if isinstance(value, str) else number(value)
        return element(name, shown, class_=None if j < text else "n")

    body = [element("tr", *(cell("td", v, j) for j, v in enumerate(row))) for row in rows]
    top = element("tr", *(cell("th", name, j) for j, name in enumerate(head)))
    inner = element("table", element("thead", top), element("tbody", *body), class_=class_)
    # A table wider than the window scrolls by itself.
    return element("div", inner, class_="scroll", tabindex="0")


def details(summary: str, *children: Any) -> Html:
    """Return what is folded away until it is asked for."""
    return element("details", element("summary", summary), *children)
