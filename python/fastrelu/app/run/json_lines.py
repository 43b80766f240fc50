# SPDX-License-Identifier: BSD-3-Clause
"""Lines of JSON about a run (``--log-json FILE``), each once, in a file that runs may share."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastrelu import EpochRecord
from fastrelu.app.data.readers.files import STANDARD_INPUT, expand
from fastrelu.app.errors import ConfigError, DataError, OutputError
from fastrelu.app.run.watching import Nothing
from fastrelu.app.run_folder import CHECKPOINTS, OWN, finite, writing

RECORD = b'{"event": "'  # how each line begins
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)


def require_place(target: str | None, data: Sequence[str], own: Path | None) -> None:
    """Refuse a log in a file that holds something else: lines would be added to it.

    Parameters
    ----------
    target : str or None
        What --log-json says.
    data : sequence of str
        Files that the run reads, globs and folders among them.
    own : Path or None
        The run's folder.

    Raises
    ------
    ConfigError
        If the file is one of those that the run reads, or that it writes itself.
    """
    if target is None or target == STANDARD_INPUT:
        return
    read: list[str] = []
    for each in data:
        with suppress(DataError):  # told where they are read
            read += expand([each])
    if os.path.isfile(target) and any(
        os.path.isfile(path) and os.path.samefile(path, target) for path in read
    ):
        raise ConfigError(f"--log-json {target}: the run reads this file; name another one")
    place = Path(os.path.realpath(target))
    root = place if own is None else Path(os.path.realpath(own))
    if place in [root / name for name in OWN] or root / CHECKPOINTS in place.parents:
        raise ConfigError(f"--log-json {target}: the run writes this file itself; name another one")


def texts_in(query: str | None) -> tuple[str, ...]:
    """Return what stands in quotes in a query, but for folders: files that it reads are named so.

    DuckDB reads no folders, and a text such as '/' need not be a place at all.
    """
    texts = (text for _, text in re.findall(r"""(['"])(.+?)\1""", query or ""))
    return tuple(text for text in texts if not os.path.isdir(text))


class JsonLines(Nothing):
    """A line of JSON for each epoch, each candidate and the result, behind what the file has.

    A run that goes on tells all of its records again, those that it has in its folder and those
    that come anew. As long as the file has them, as the next ones of this run, they stay as they
    are; from the first on that it has not, or has otherwise, the run's old lines are dropped, and
    the new ones are written. Lines of other runs stay, wherever they stand.

    Parameters
    ----------
    target : str
        The file; - is standard output.
    resumed : bool
        Whether the run goes on.
    run : str or None
        What tells this run's lines from others'; None for a run that an earlier version began,
        whose lines do not say it: epochs that are trained again are dropped at the file's end.
    """

    def __init__(self, target: str, resumed: bool = False, run: str | None = None) -> None:
        self.path, self.run = Path(target), run
        self._file = self._reader = -1  # standard output, and nothing to read
        regular = False
        if target != "-":
            with writing(self.path):
                self._file = os.open(self.path, APPEND, 0o666)
                regular = stat.S_ISREG(os.fstat(self._file).st_mode)
        if regular:
            with suppress(OSError):
                self._reader = os.open(self.path, os.O_RDONLY)
        #: The records of this run in the file that have not been told again; None: not read yet.
        self._left: list[dict[str, Any]] | None = None
        if not (resumed and self._reader >= 0 and run is not None):
            self._left = []
        self._kept = 0  # how many of this run's lines come before those
        self._tells_former = not resumed or self._left is None
        self._old = resumed and run is None and regular

    def former(self, records: Sequence[EpochRecord]) -> None:
        """Write the epochs before, unless the file has them, or cannot be asked."""
        if self._tells_former:
            self.history(records)

    def begin(self, epochs: int, steps: int, done: int, first: int, metric: str) -> None:
        """Start: drop the epochs that come again."""
        if self._old:
            with writing(self.path):
                _drop_epochs(self.path, first)
            self._old = False
        if any(each["event"] == "epoch" for each in self._unconfirmed()):
            self._pass_results()
            self._cut()

    def epoch(self, record: EpochRecord) -> None:
        """Write an epoch."""
        self._tell({"event": "epoch"}, record)

    def candidate(self, record: dict[str, Any]) -> None:
        """Write a candidate."""
        self._tell({"event": "candidate"}, record)

    def history(self, records: Sequence[EpochRecord]) -> None:
        """Write the epochs."""
        for record in records:
            self.epoch(record)

    def result(self, metrics: dict[str, Any]) -> None:
        """Write the final metrics."""
        self._tell({"event": "result"}, metrics)

    def finished(
        self,
        candidates: Sequence[dict[str, Any]],
        records: Sequence[EpochRecord],
        metrics: dict[str, Any],
    ) -> None:
        """Write what the file has not; the metrics alone, if it cannot be asked."""
        if self._old:
            return
        for record in candidates if self._tells_former else ():
            self.candidate(record)
        self.former(records)
        self.result(metrics)

    def close(self) -> None:
        """End."""
        for handle in (self._file, self._reader):
            if handle >= 0:
                with writing(self.path):
                    os.close(handle)
        self._file = self._reader = -1

    def _tell(self, event: dict[str, Any], record: dict[str, Any]) -> None:
        """Write a record, unless the file has it as the next one of this run."""
        of = {} if self.run is None else {"run": self.run}
        text = json.dumps(finite(event | of | record), allow_nan=False)
        left = self._unconfirmed()
        if left:
            if event["event"] != "result":
                self._pass_results()
            if left and left[0] == json.loads(text):
                self._pass()
                return
            if left:
                self._cut()
        if self._file < 0:
            self._print(text)
        else:
            with writing(self.path), _alone(self._file):
                self._append(text.encode() + b"\n")

    def _print(self, text: str) -> None:
        if sys.stdout is None:  # closed before the run began
            raise OutputError("standard output: cannot be written (it is closed)")
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except OSError as error:
            with suppress(OSError):  # what it still holds is lost, and not tried again at the end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            reason = error.strerror or error
            raise OutputError(f"standard output: cannot be written ({reason})") from None

    def _append(self, data: bytes) -> None:
        """Write a line; one that another run has left cut short stays a line of its own."""
        size = os.fstat(self._file).st_size
        if self._reader >= 0 and size:
            os.lseek(self._reader, size - 1, os.SEEK_SET)
            data = data if os.read(self._reader, 1) in (b"\n", b"") else b"\n" + data
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            if self._reader >= 0:
                with suppress(OSError):
                    os.ftruncate(self._file, size)  # no line that is cut short
            raise

    def _unconfirmed(self) -> list[dict[str, Any]]:
        """Return this run's records in the file that it has not told again."""
        if self._left is None:
            with writing(self.path), open(self.path, "rb") as file:
                lines = file.readlines()
            found = [self._own(line) for line in lines]
            self._left = [value for value in found if value is not None]
            if any(map(self._is_broken, lines)):
                self._drop(len(self._left))
        return self._left

    def _pass(self) -> None:
        self._unconfirmed().pop(0)
        self._kept += 1

    def _pass_results(self) -> None:
        """Leave the results of earlier ends of the run: it has been trained on since."""
        while self._unconfirmed() and self._unconfirmed()[0]["event"] == "result":
            self._pass()

    def _cut(self) -> None:
        """Drop what is unconfirmed."""
        if self._unconfirmed():
            self._drop(self._kept)
            self._left = []

    def _drop(self, kept: int) -> None:
        """Drop this run's lines but for the first `kept`, and its lines that were cut short."""
        with writing(self.path), _alone(self._file), open(self.path, "r+b") as file:
            lines = file.readlines()
            own = [i for i, line in enumerate(lines) if self._own(line) is not None]
            gone = {*own[kept:], *(i for i, line in enumerate(lines) if self._is_broken(line))}
            if not gone:
                return
            first = min(gone)
            rest = (line for i, line in enumerate(lines[first:], first) if i not in gone)
            file.seek(sum(map(len, lines[:first])))
            file.write(b"".join(rest))
            file.truncate()

    def _own(self, line: bytes) -> dict[str, Any] | None:
        """Return the record of a line of this run; None for other lines."""
        assert self.run is not None
        if self.run.encode() not in line or not line.endswith(b"\n"):
            return None
        value = _record_of(line)
        return value if value is not None and value.get("run") == self.run else None

    def _is_broken(self, line: bytes) -> bool:
        """Return whether a line is one of this run that was cut short, as far as can be told."""
        assert self.run is not None
        if not line.endswith(b"\n"):
            return line.startswith(RECORD[: len(line)]) and not _is_of_another(line, self.run)
        mine = re.match(rb'\{"event": "[a-z]+", "run": "' + self.run.encode() + b'"', line)
        return mine is not None and _record_of(line) is None


def _is_of_another(line: bytes, run: str) -> bool:
    """Return whether a line that was cut short says that it is another run's."""
    match = re.match(rb'\{"event": "[a-z]+", "run": "([0-9a-f]*)', line)
    return match is not None and not run.encode().startswith(match[1])


def _record_of(line: bytes) -> dict[str, Any] | None:
    """Return what a line of JSON tells of an event; None if it is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("event"), str) else None


@contextmanager
def _alone(handle: int) -> Iterator[None]:
    """Hold a file's lock against other runs of this version, if it is to be had in a second."""
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    for _ in range(100):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:  # file systems without locks
            break
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)


def _drop_epochs(path: Path, first: int) -> None:
    """Cut off the epochs from `first` on at the end of a file of lines, and a line cut short.

    It is for runs of earlier versions, whose lines do not say of which run they are.
    """
    with open(path, "r+b") as file:
        lines = file.readlines()
        before = None  # the epoch of the line below
        while lines:
            epoch = _epoch_of(lines[-1])
            whole = lines[-1].endswith(b"\n")
            if whole and (epoch is None or epoch < first or (before and epoch >= before)):
                break
            before = epoch if whole else before
            lines.pop()
        file.truncate(sum(map(len, lines)))


def _epoch_of(line: bytes) -> int | None:
    """Return the epoch that a line of no named run tells of; None for other lines."""
    value = _record_of(line)
    try:
        named = value is None or "run" in value or value["event"] != "epoch"
        return None if named or value is None else int(value["epoch"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
