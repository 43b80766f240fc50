# SPDX-License-Identifier: BSD-3-Clause
"""Text from files on the way to people: what is unseen, or steers a terminal, is escaped."""

from __future__ import annotations

import json
from collections.abc import Callable

# Letters and marks that look like nothing, beside what `str.isprintable` knows: control characters,
# those of no width, those that turn the direction of text around, spaces other than the usual one.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def printable(text: str, keeps: str = "\t\n") -> str:
    """Return a text as it may be shown: backslash, x and 1b for an escape; `keeps` stay."""
    return _replaced(text, keeps, lambda each: each.encode("unicode_escape").decode())


def printable_json(text: str) -> str:
    """Return JSON with the same meaning whose strings may be shown on a terminal."""
    return _replaced(text, "\t\n", lambda each: json.dumps(each)[1:-1])


def _replaced(text: str, keeps: str, escaped: Callable[[str], str]) -> str:
    if text.isprintable() and _BLANK.isdisjoint(text):
        return text
    return "".join(
        c if c in keeps or (c.isprintable() and c not in _BLANK) else escaped(c) for c in text
    )
