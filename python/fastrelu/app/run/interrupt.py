# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C and SIGTERM: the first asks the run to stop between two steps, the second ends it."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupted(BaseException):
    """The run stopped because a signal asked it to; no error, like KeyboardInterrupt."""

    def __init__(self, signal_number: int, text: str) -> None:
        super().__init__(text)
        self.exit_code = 128 + signal_number


class Interrupt:
    """While it is entered, SIGINT and SIGTERM raise Interrupted, or are only noted.

    Attributes
    ----------
    asked : int or None
        The signal that came.
    text : str or None
        What Interrupted says; None: the signal is noted, and nothing is raised.
    """

    def __init__(self, text: str | None) -> None:
        self.asked: int | None = None
        self.text = text
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and "&" ask for
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = number
        if self.text is not None:
            raise Interrupted(number, self.text)
        for each in self._before:  # the next one ends the process at once
            signal.signal(each, signal.SIG_DFL)
