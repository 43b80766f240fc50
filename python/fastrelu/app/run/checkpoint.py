# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints: what a run needs to go on to the same bits, written whole, the last few kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import EpochRecord, Trainer, checkpoint, model_file
from fastrelu.app import described
from fastrelu.app.errors import CheckpointError
from fastrelu.app.kinds import cadence
from fastrelu.app.run_folder import CHECKPOINT_FILES, RunFolder, writing

BEST = "best.parameters"


@dataclass
class RunState:
    """Where a run stands, beside its trainer.

    Attributes
    ----------
    records : list of EpochRecord
        history.csv's rows so far.
    best_epoch : int or None
        The epoch with the lowest validation loss so far.
    best_loss : float
        That loss.
    best_parameters : ndarray or None
        The parameters after it; None without early stopping.
    stopped_early : bool
        Whether early stopping has ended the run.
    feeder : dict
        The feeder's own state.
    fingerprint : dict
        Of the data, the settings and the version.
    training : str or None
        The name of the folder that it was saved in: which of a run's trainings it is of. None
        where an earlier version has written it, and it does not say so.
    """

    records: list[EpochRecord] = field(default_factory=list)
    best_epoch: int | None = None
    best_loss: float = float("inf")
    best_parameters: NDArray[Any] | None = None
    stopped_early: bool = False
    feeder: dict[str, Any] = field(default_factory=dict)
    fingerprint: dict[str, Any] = field(default_factory=dict)
    training: str | None = None

    @property
    def epochs(self) -> int:
        """Epochs finished."""
        return len(self.records)


class Checkpoints:
    """A run's checkpoints in one folder.

    Parameters
    ----------
    folder : Path
        Where they are.
    every : str
        How often they are written; see `kinds.Cadence`.
    keep : int
        How many are kept.
    each_epoch : bool
        Whether one is written after each epoch, too.
    run : RunFolder, optional
        The run's folder, which has to be the one that the run has taken when one is written.
    """

    def __init__(
        self,
        folder: Path,
        every: str,
        keep: int,
        each_epoch: bool = False,
        run: RunFolder | None = None,
    ) -> None:
        self.folder, self.each_epoch, self.run = folder, each_epoch, run
        self.seconds, self.epochs = cadence(every)
        self.keep = keep
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the time for the next one has come."""
        return self.seconds > 0 and time.monotonic() - self._last >= self.seconds

    def due_after(self, epoch: int) -> bool:
        """Whether the next one is to be written after this epoch."""
        return self.each_epoch or self.due() or (self.epochs > 0 and epoch % self.epochs == 0)

    def save(self, trainer: Trainer, state: RunState) -> Path:
        """Write one, and remove those beyond the last `keep`.

        Raises
        ------
        OutputError
            If it cannot be written; the earlier ones are intact then.
        """
        if self.run is not None:
            self.run.require_held()
        arrays, metadata = trainer.checkpoint_content()
        state.training = self.folder.name
        if state.best_parameters is not None:
            arrays[BEST] = state.best_parameters
        run = {k: v for k, v in vars(state).items() if k != "best_parameters"}
        metadata["run"] = json.dumps(run)
        metadata["checksum"] = _checksum(arrays, metadata)
        path = self.folder / f"checkpoint-{trainer.n_steps:012d}.safetensors"
        with writing(path):
            model_file.write(path, arrays, metadata)
            for old in self.paths()[self.keep :]:
                old.unlink(missing_ok=True)
        self._last = time.monotonic()
        return path

    def size(self, trainer: Trainer, best: bool) -> int:
        """Return the bytes of a checkpoint, about; `best`: with the best epoch's parameters."""
        arrays, _ = trainer.checkpoint_content()
        return sum(a.nbytes for a in arrays.values()) + best * trainer.network.parameters.nbytes

    def paths(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        return sorted(self.folder.glob(CHECKPOINT_FILES), reverse=True)

    def load(self, warn: Callable[[str], None]) -> tuple[Trainer, RunState] | None:
        """Return the newest one that is whole, or None if there is none at all.

        Raises
        ------
        CheckpointError
            If there are some, and all are damaged, or their dropout's masks are an earlier
            version's, or one is of another training of the run.
        """
        paths = self.paths()
        for path in paths:
            try:
                loaded = load(path)
                self._require_own(path, loaded[1])
                return loaded
            except checkpoint.OldMasksError as error:
                raise CheckpointError(f"{path}: {error}") from error
            except (ValueError, OSError) as error:
                reason = getattr(error, "reason", error)
                warn(f"{path} is damaged: the one before is taken ({reason})")
        if paths:
            raise CheckpointError(f"{self.folder}: none of the {len(paths)} checkpoints is whole")
        return None

    def _require_own(self, path: Path, state: RunState) -> None:
        """Refuse a checkpoint of another fold, member or candidate: data and settings are equal."""
        if state.training not in (None, self.folder.name):
            raise CheckpointError(
                f"{path}: the checkpoint does not fit: it was saved in a folder "
                f"{state.training!r}, so it is of another training of this run; put back the one "
                "that was here, or remove it, and this training starts from its beginning"
            )


def load(path: Path) -> tuple[Trainer, RunState]:
    """Return the trainer and the state that `Checkpoints.save` wrote; ValueError if damaged."""
    arrays, metadata = model_file.read(path, checkpoint.FORMAT)
    if metadata.get("checksum") != _checksum(arrays, metadata):
        raise model_file.FileError("the checksum does not fit the content")
    with _damaged():
        state = _state_of(json.loads(metadata["run"]))
    trainer = Trainer.from_checkpoint_content(arrays, metadata)
    with _damaged():
        _require_fit(state, trainer, arrays.get(BEST))
    state.best_parameters = arrays.get(BEST)
    return trainer, state


@contextmanager
def _damaged() -> Iterator[None]:
    """Turn what a damaged checkpoint leads to into FileError."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise model_file.FileError(f"the checkpoint is damaged ({error})") from error


def _state_of(run: Any) -> RunState:
    """Return what a checkpoint says of its run, each part looked at."""
    run = described.mapping(run, "run", described.anything)
    run.pop("epoch_seconds", None)  # of 0.1; the trainer counts them now
    records = described.sequence(run["records"], "records", _record)
    state = RunState(**run | {"records": records})
    if [each["epoch"] for each in records] != list(range(1, len(records) + 1)):
        raise ValueError("records: expected one of each epoch, in order")
    best = float("inf")
    if state.best_epoch is not None:
        if described.whole(state.best_epoch, "best_epoch", 1) > len(records):
            raise ValueError(f"best_epoch: {state.best_epoch} is beyond the {len(records)} epochs")
        best = records[state.best_epoch - 1]["val_loss"]
    if state.best_loss != best:
        raise described.refused(state.best_loss, "best_loss", f"{best}, that of the best epoch")
    described.boolean(state.stopped_early, "stopped_early")
    described.mapping(state.feeder, "feeder", described.anything)
    described.mapping(state.fingerprint, "fingerprint", described.anything)
    for name in ("data", "settings"):
        part = state.fingerprint.get(name, {})
        described.mapping(part, f"fingerprint.{name}", described.anything)
    if state.training is not None:
        described.text(state.training, "training")
    return state


def _record(value: Any, what: str) -> EpochRecord:
    """Return an epoch's numbers, which may be infinite where they count time."""
    record = EpochRecord(**described.mapping(value, what, described.anything))
    described.whole(record["epoch"], f"{what}.epoch", 1)
    for name, number in record.items():
        if number is not None and type(number) not in (int, float):
            raise described.refused(number, f"{what}.{name}", "a number")
    return record


def _require_fit(state: RunState, trainer: Trainer, best: NDArray[Any] | None) -> None:
    """Raise ValueError unless the state and the best parameters are those of this trainer's run."""
    if trainer.n_epochs != state.epochs:
        raise ValueError(
            f"records: {state.epochs} epochs, and the trainer has {trainer.n_epochs} behind it"
        )
    parameters = trainer.network.parameters
    if best is not None and (best.shape, best.dtype) != (parameters.shape, parameters.dtype):
        raise ValueError(f"{BEST}: expected the parameters, got {best.dtype} of shape {best.shape}")


def _checksum(arrays: model_file.Arrays, metadata: dict[str, str]) -> str:
    """Return a hash of the content; safetensors itself has none."""
    total = hashlib.blake2b(digest_size=16)
    for key in sorted(metadata):
        if key != "checksum":
            total.update(f"{key}={metadata[key]}\n".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype} {array.shape}\n".encode())
        total.update(array.view(np.uint8).data if array.size else b"")
    return total.hexdigest()
