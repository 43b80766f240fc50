# SPDX-License-Identifier: BSD-3-Clause
"""What is told how a run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastrelu import EpochRecord


class Nothing:
    """Shows nothing; what the others refine."""

    def begin(self, epochs: int, steps: int, done: int, first: int, metric: str) -> None:
        """Start.

        Parameters
        ----------
        epochs, steps : int
            Epochs in all, and the steps of each.
        done : int
            Steps that were taken before.
        first : int
            The first epoch that `epoch` will be called for.
        metric : str
            The metric's name.
        """

    def former(self, records: Sequence[EpochRecord]) -> None:
        """Note the epochs of the run that is to go on, before `begin`."""

    def tick(self, step: int) -> None:
        """Note the steps taken."""

    def epoch(self, record: EpochRecord) -> None:
        """Show an epoch."""

    def status(self, text: str) -> None:
        """Show where several trainings stand, in place of what was shown of it before."""

    def candidate(self, record: dict[str, Any]) -> None:
        """Note a candidate that has been trained."""

    def history(self, records: Sequence[EpochRecord]) -> None:
        """Note the epochs of a model whose members have been trained: their means."""

    def result(self, metrics: dict[str, Any]) -> None:
        """Show the final metrics."""

    def finished(
        self,
        candidates: Sequence[dict[str, Any]],
        records: Sequence[EpochRecord],
        metrics: dict[str, Any],
    ) -> None:
        """Note all of a run that was to go on and has ended already.

        Parameters
        ----------
        candidates : sequence of dict
            As for `candidate`.
        records : sequence of EpochRecord
            As for `history`.
        metrics : dict
            As for `result`.
        """

    def pause(self) -> None:
        """End what stands in the way of other lines: the training is over."""

    def close(self) -> None:
        """End."""
