# SPDX-License-Identifier: BSD-3-Clause
"""Text from files on the way to a terminal: what would steer the terminal is shown escaped."""

from __future__ import annotations

import re

# Control characters but tab and line feed, and what turns the direction of text around.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return a text as it may be shown on a terminal: backslash, x and 1b for an escape."""
    return _STEERING.sub(lambda found: _escaped(found[0]), text)


def printable_json(text: str) -> str:
    """Return JSON with the same meaning whose strings may be shown on a terminal."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
