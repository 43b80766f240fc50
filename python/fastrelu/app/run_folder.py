# SPDX-License-Identifier: BSD-3-Clause
"""A run's folder (``--out DIR``): the names in it, a lock, files that are whole or not there."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastrelu import EpochRecord, whole_files
from fastrelu.app import described
from fastrelu.app.errors import CheckpointError, OutputError
from fastrelu.app.usual import LEFT_OUT
from fastrelu.history import RECORD_KEYS

MODEL, METRICS, CONFIG = "model.safetensors", "metrics.json", "config.toml"
HISTORY, REPORT, PREDICTIONS = "history.csv", "report.html", "predictions.npz"
SEARCH, MEMBERS = "search.csv", "members.csv"
CHECKPOINTS, CHECKPOINT_FILES = "checkpoints", "checkpoint-*.safetensors"
BEGUN = "begun.json"  # among the checkpoints: of which data and settings a recipe's members are
PARTS = ("train", "validation", LEFT_OUT, "test")  # of the rows, as metrics.json has them
OWN = (MODEL, METRICS, CONFIG, HISTORY, REPORT, PREDICTIONS, SEARCH, MEMBERS)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses into OutputError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            reason += "; what was there before is intact"
        raise OutputError(f"{path}: cannot be written ({reason})") from None


class RunFolder:
    """A run's folder, held by one process at a time.

    Parameters
    ----------
    path : path-like
        Where it is, or shall be.

    Attributes
    ----------
    run : str or None
        What tells the run from others, in the records of --log-json; None where an earlier version
        has begun it, and its records do not say it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.run: str | None = new_run()
        self._lock: int | None = None

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / CHECKPOINTS

    def take(self, force: bool) -> None:
        """Take the folder for a new run: made, locked, and tried.

        Raises
        ------
        OutputError
            If it cannot be written, another run is at work in it, or it holds a run and `force` is
            not set.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        self._take_lock()
        held = self._own_files()
        if held and not force:
            names = ", ".join(sorted({p.relative_to(self.path).parts[0] for p in held}))
            self.close()
            raise OutputError(
                f"{self.path}: holds a run already ({names}); --force replaces it, "
                f"fastrelu train --resume {self.path} goes on with it"
            )

    def clear(self) -> None:
        """Remove an old run's files, those that runs write and no others."""
        with writing(self.path):
            for path in self._own_files():
                path.unlink(missing_ok=True)
            self.checkpoints.mkdir(exist_ok=True)

    def reopen(self) -> None:
        """Take the folder to go on with the run in it.

        Raises
        ------
        CheckpointError
            If it holds no run.
        OutputError
            If it cannot be written, or another run is at work in it.
        """
        if not os.path.isfile(self.path / CONFIG):
            raise CheckpointError(f"{self.path}: holds no run to resume (no {CONFIG})")
        with writing(self.path):
            self.checkpoints.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self.checkpoints):
                pass
        self._take_lock()
        self.run = _run_in(self.path / CONFIG)
        for folder in (self.path, self.checkpoints, *self._parts()):
            for part in _parts_in(folder):
                with suppress(OSError):
                    part.unlink()  # of a process that was killed while it wrote

    def require_space(self, size: int) -> None:
        """Raise OutputError if the disk has less than `size` bytes free."""
        with suppress(OSError):
            free = shutil.disk_usage(self.path).free
            if free < size:
                raise OutputError(
                    f"{self.path}: the model and its checkpoints need about {size / 1e6:,.0f} MB, "
                    f"and the disk has {free / 1e6:,.0f} MB free; a smaller --keep needs less"
                )

    def require_held(self) -> None:
        """Raise OutputError if the folder of this name is not the one that was taken.

        Who removes a folder beneath a run may have begun another run in its place, whose files the
        lock of the one that is gone does not guard.
        """
        if self._lock is None:
            return
        with writing(self.path):
            same = os.path.samestat(os.fstat(self._lock), os.stat(self.path))
        if not same:
            raise OutputError(
                f"{self.path}: another folder has taken the place of this run's, which was removed "
                "or renamed while it went on; what is there stays as it is"
            )

    def write_text(self, name: str, text: str) -> None:
        """Write a small file."""
        self.require_held()
        with writing(self.path / name):
            whole_files.write_bytes(self.path / name, text.encode())

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as JSON; numbers that are not finite become null."""
        self.write_text(name, json.dumps(finite(value), indent=2, allow_nan=False) + "\n")

    def write_history(self, records: Iterable[EpochRecord]) -> None:
        """Write history.csv: a row an epoch."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(RECORD_KEYS)
        for record in records:
            values = (record.get(name) for name in RECORD_KEYS)
            writer.writerow(["" if v is None else repr(v) for v in values])
        self.write_text(HISTORY, text.getvalue())

    def part(self, name: str) -> Path:
        """Make and return the checkpoints' folder of one of several trainings."""
        path = self.checkpoints / name
        self.require_held()
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def _parts(self) -> list[Path]:
        kinds = ("member-*", "fold-*", "candidate-*")
        return [path for kind in kinds for path in self.checkpoints.glob(kind) if path.is_dir()]

    def write_rows(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a CSV file of rows with the same names."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write_text(name, text.getvalue())

    def close(self) -> None:
        """Give the folder up."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _own_files(self) -> list[Path]:
        found = [self.path / name for name in OWN if (self.path / name).exists()]
        for folder in (self.checkpoints, *self._parts()):
            found += folder.glob(CHECKPOINT_FILES)
        found += self.checkpoints.glob(BEGUN)
        for folder in (self.path, self.checkpoints, *self._parts()):
            found += _parts_in(folder)
        return found

    def _take_lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # not on this system
            return
        try:
            self._lock = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise OutputError(f"{self.path}: another run is at work in this folder") from None
        except OSError:  # file systems without locks
            self.close()


def new_run() -> str:
    """Return a name for a run that no other has."""
    return os.urandom(6).hex()


def as_comment(run: str | None) -> str:
    """Return the line of config.toml that says which run it is of, to follow its first comment."""
    return "" if run is None else f"\n# run {run}, as the records of --log-json have it"


def _run_in(config: Path) -> str | None:
    """Return what `as_comment` wrote; None if there is none."""
    with suppress(OSError):
        found = re.search(rb"^# run ([0-9a-f]{12}),", config.read_bytes(), re.MULTILINE)
        return None if found is None else found[1].decode()
    return None


def _parts_in(folder: Path) -> list[Path]:
    """Return the files of runs in a folder that are not whole; nobody else's."""
    names = (*OWN, CHECKPOINT_FILES, BEGUN)
    return [part for name in names for part in whole_files.parts_of(folder, name)]


def read_history(path: Path) -> list[dict[str, Any]]:
    """Return history.csv's rows: numbers, None where a field is empty."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        {
            key: None if value in ("", None) else int(value) if key == "epoch" else float(value)
            for key, value in row.items()
        }
        for row in rows
    ]


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """Return what metrics.json says of a finished run; None if it is not as a run writes it."""
    try:
        metrics = described.parsed((folder / METRICS).read_text(encoding="utf-8"))
        parts = {part: metrics[part] for part in PARTS if part in metrics}
        for part, values in parts.items():
            described.mapping(values, part, _number_or_null)
            if "accuracy" not in values and not {"r2", "rmse"} <= values.keys():
                raise ValueError(f"{part}: no accuracy and no R2")
        for part, labels in metrics.get("absent_classes", {}).items():
            described.sequence(labels, part, described.anything)
        if "threshold" in metrics:
            described.number(metrics["threshold"]["value"], "threshold")
            described.text(metrics["threshold"]["rule"], "threshold")
            described.anything(metrics["threshold"]["class"], "threshold")
        if "beside" in metrics:
            described.text(metrics["beside"]["sentence"], "beside")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return dict(metrics)


def _number_or_null(value: Any, what: str) -> float | None:
    return None if value is None else described.number(value, what)


def finite(value: Any) -> Any:
    """Return the value with every float that JSON does not have as None."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return None
    return value
