# SPDX-License-Identifier: BSD-3-Clause
"""Scalars for TensorBoard (``--tensorboard DIR``), written by the thread that tells of them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastrelu import EpochRecord
from fastrelu.app.errors import ConfigError, OutputError, needed
from fastrelu.app.run.watching import Nothing

SECONDS = 10.0  # between two times that the file is brought to the disk


class TensorBoard(Nothing):
    """Scalars in a folder that TensorBoard shows.

    Its own writers hand events to a thread through a queue that has an end: once the thread has
    died of an error, such as of a full disk, whoever hands over the next ones waits for ever. So
    the events are written here, where an error ends the run.

    Parameters
    ----------
    folder : str
        The folder.
    """

    def __init__(self, folder: str) -> None:
        missing = "--tensorboard needs tensorboardX: pip install tensorboardX"
        with needed("tensorboardX", ConfigError(missing)):
            from tensorboardX import event_file_writer
            from tensorboardX.proto import event_pb2, summary_pb2
        self.folder, self._open = folder, event_file_writer.EventsWriter
        self._events, self._summaries = event_pb2, summary_pb2
        self.writer: Any = None
        self._failed, self._flushed = False, -math.inf
        self._suffix = f".{os.getpid()}"  # two of one second are two files
        with self._writing():
            Path(folder).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what the system refuses into OutputError, once: nothing is written after it."""
        try:
            yield
        except OSError as error:
            writer, self.writer, self._failed = self.writer, None, True
            if writer is not None:
                with suppress(OSError):
                    writer.close()
            reason = error.strerror or str(error)
            raise OutputError(
                f"--tensorboard {self.folder}: cannot be written ({reason})"
            ) from None

    def former(self, records: Sequence[EpochRecord]) -> None:
        """Write all epochs again, in place of those there: a killed run kept some in memory."""
        if records and self.writer is None:
            self.history(records)

    def finished(
        self,
        candidates: Sequence[dict[str, Any]],
        records: Sequence[EpochRecord],
        metrics: dict[str, Any],
    ) -> None:
        """Write all epochs again: the run may have been killed while it wrote its report."""
        self.former(records)

    def begin(self, epochs: int, steps: int, done: int, first: int, metric: str) -> None:
        """Start: epochs that a killed run wrote after its last checkpoint are dropped."""
        if self.writer is not None or self._failed:  # or: the next fold, the end of a search
            return
        log = self._events.SessionLog
        with self._writing():
            self.writer = self._open(os.path.join(self.folder, "events"), self._suffix)
            self._add(first, file_version="brain.Event:2")
            self._add(first, session_log=log(status=log.START))

    def epoch(self, record: EpochRecord) -> None:
        """Write an epoch."""
        if self.writer is None:
            return
        scalar = self._summaries.Summary.Value
        values = [
            scalar(tag=name, simple_value=value)
            for name, value in record.items()
            if name != "epoch" and value is not None
        ]
        with self._writing():
            self._add(record["epoch"], summary=self._summaries.Summary(value=values))
            now = time.monotonic()
            if now - self._flushed >= SECONDS:
                self._flushed = now
                self.writer.flush()

    def _add(self, step: int, **content: Any) -> None:
        event = self._events.Event(wall_time=time.time(), step=step, **content)
        self.writer.write_event(event)

    def history(self, records: Sequence[EpochRecord]) -> None:
        """Write the epochs."""
        self.begin(len(records), 1, 0, 1, "")
        for record in records:
            self.epoch(record)

    def close(self) -> None:
        """End; OutputError if some could not be written, or if they are there no more."""
        if self.writer is None:
            return
        with self._writing():
            self.writer.close()
        self.writer = None
        names = f"events.out.tfevents.*{self._suffix}"
        if "://" not in self.folder and not any(Path(self.folder).glob(names)):
            raise OutputError(
                f"--tensorboard {self.folder}: was removed while the run wrote to it; --resume "
                "writes its epochs anew"
            )
