# SPDX-License-Identifier: BSD-3-Clause
"""What a population reports while it trains: a table that stays in place, or a line a second."""

from __future__ import annotations

import sys
import time
from typing import Any

from fastrelu._members.member import Member

__all__ = ["MembersProgress"]

SHOWN = 12  # members in the table


class MembersProgress:
    """Writes to standard error how far the members of a population are.

    On a terminal, where the package rich is there, a table shows the members whose validation or
    training loss is the lowest; elsewhere a line a second sums up.
    """

    def __init__(self, members: list[Member], epochs: int) -> None:
        self._members, self._epochs = members, epochs
        self._began = self._last = time.monotonic()
        self._live: Any = None
        self._written = False
        if sys.stderr.isatty():
            self._live = _live_table()

    def __call__(self, made: int, ended: int) -> None:
        """Report so many epochs and ended members, if a moment has passed since the last time."""
        now = time.monotonic()
        if now - self._last < (0.25 if self._live is not None else 1.0):
            return
        self._last = now
        self._report(made, ended)

    def close(self, made: int, ended: int) -> None:
        """Report the end."""
        self._report(made, ended)
        if self._live is not None:
            self._live.stop()

    def _report(self, made: int, ended: int) -> None:
        seconds = time.monotonic() - self._began
        line = (
            f"{ended}/{len(self._members)} members ended  {made}/{self._epochs} epochs  "
            f"{made / max(seconds, 1e-9):,.0f} epochs/s"
        )
        if self._live is not None:
            self._live.update(_table(self._members, line), refresh=True)
        else:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


def _live_table() -> Any:
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        return None
    live = Live(console=Console(stderr=True), auto_refresh=False)
    live.start()
    return live


def _table(members: list[Member], caption: str) -> Any:
    from rich.table import Table

    table = Table(caption=caption)
    for column in ("member", "network", "epoch", "loss", "val_loss"):
        table.add_column(column, justify="left" if column in ("member", "network") else "right")
    seen = [m for m in members if len(m.course.history)]
    for member in sorted(seen, key=_rank)[:SHOWN]:
        history = member.course.history
        table.add_row(
            member.name or str(member.index),
            "-".join(map(str, member.network.layer_sizes)),
            str(member.course.first_epoch + len(history)),
            f"{history.loss[-1]:.5g}",
            f"{history.val_loss[-1]:.5g}" if history.val_loss else "",
        )
    return table


def _rank(member: Member) -> float:
    history = member.course.history
    return min(history.val_loss) if history.val_loss else history.loss[-1]
