# SPDX-License-Identifier: BSD-3-Clause
"""A run of the command that the processes of mpiexec share: who they are, and what each does."""

from __future__ import annotations

import os
import sys
from typing import Any

from fastrelu import Trainer, __version__
from fastrelu.app.data.stream.runs import SharedRuns
from fastrelu.app.data.stream.source import WRITTEN
from fastrelu.app.errors import ConfigError, DataError
from fastrelu.app.run.checkpoint import Checkpoints
from fastrelu.app.run.loop import Training
from fastrelu.app.run.prepare import Prepared
from fastrelu.app.run.resumed import compare
from fastrelu.app.run.session import Loaded, Session
from fastrelu.app.run.shared_rows import SharedPrepared, prepare_shared
from fastrelu.app.settings import Settings, as_dict, flag, shown
from fastrelu.distributed import Communicator, as_communicator
from fastrelu.distributed.communicator import differences

#: Where launchers say how many processes they have started, and which this one is.
LAUNCHERS = (
    ("PMI_SIZE", "PMI_RANK"),
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("MPI_LOCALNRANKS", "MPI_LOCALRANKID"),
)


def communicator() -> Communicator | None:
    """Return the processes that mpiexec has started, or None for one alone.

    Raises
    ------
    ConfigError
        If it has started several without mpi4py, each of which would train on its own.
    """
    if "mpi4py" in sys.modules:
        from mpi4py import MPI

        return as_communicator(MPI.COMM_WORLD)
    for size, rank in LAUNCHERS:
        if os.environ.get(size, "1").isdecimal() and int(os.environ.get(size, "1")) > 1:
            if os.environ.get(rank, "0") != "0":
                raise SystemExit(ConfigError.exit_code)  # the first says why
            raise ConfigError(
                f"mpiexec has started {os.environ[size]} processes without mpi4py (extra mpi), and "
                "each would train on its own; start them as mpiexec -n "
                f"{os.environ[size]} python -m mpi4py -m fastrelu train ..."
            )
    return None


def check_settings(comm: Communicator, settings: Settings) -> None:
    """Raise ConfigError unless these processes can share such a run, all with the same settings."""
    found = differences(comm, {"version of fastrelu": __version__, **_compared(settings)})
    if found is not None:
        raise ConfigError(f"the processes of mpiexec differ: {found}")
    if settings.shards is None:
        raise ConfigError(
            f"mpiexec has started {comm.size} processes, and --shards is not given: it says into "
            "how many runs the rows are cut, which the processes share, and enters the bits"
        )
    if settings.shards < comm.size:
        raise ConfigError(
            f"--shards {settings.shards} are shared by as many processes at most, and mpiexec has "
            f"started {comm.size}"
        )
    for name in ("seeds", "folds", "search"):
        if getattr(settings, name):
            raise ConfigError(f"--{name} trains several networks, and mpiexec shares one")


def _compared(settings: Settings) -> dict[str, Any]:
    """Return the settings that all processes need to have alike, by their flags."""
    return {flag(name): value for name, value in as_dict(settings).items()}


class SharedSession(Session):
    """A session of one network whose shards several processes share.

    Rank 0 has the folder, judges the network and talks to the user.

    Parameters
    ----------
    comm : Communicator
        The processes.
    settings, folder, watcher, say, command
        As for `Session`; the folder is None on all ranks but 0.
    """

    comm: Communicator
    runs: SharedRuns | None = None  # where each process has a run of the rows alone

    def __init__(self, comm: Communicator, settings: Settings, *more: Any) -> None:
        super().__init__(settings, *more)
        self.comm = comm

    def _resume(self) -> dict[str, Any]:
        loaded = metrics = content = None
        if self.folder is not None:
            checkpoints = Checkpoints(self.folder.checkpoints, self.settings.checkpoint_every, 1)
            loaded = checkpoints.load(lambda text: self.say(f"warning: {text}"))
        if loaded is not None:
            metrics = self._finished(loaded[1])
            content = (*loaded[0].checkpoint_content(), loaded[1])
        metrics, content = self.comm.broadcast((metrics, content))
        if metrics is not None:
            return metrics if self.comm.rank == 0 else {}
        prepared = self._prepared(None if content is None else content[2].feeder)
        if content is None:
            self.say("no checkpoint yet: the run starts from its beginning")
            return self._train(prepared, None)
        arrays, metadata, state = content
        compare(state.fingerprint, self._fingerprint(prepared), self.say)
        trainer = Trainer.from_checkpoint_content(arrays, metadata, comm=self.comm)
        self.say(f"resumed: {state.epochs} epochs and {trainer.n_steps} steps are done")
        if self.folder is not None:
            self._save_settings()
        return self._train(prepared, (trainer, state))

    def _loaded(self, began: Any) -> Prepared:
        """Read this process's run of the rows; the whole of a format that has no runs."""
        self.runs = None
        prepared = prepare_shared(self.comm, self.settings)
        if isinstance(prepared, SharedPrepared):
            self.runs = prepared.runs
            return prepared
        return super()._loaded(began)

    def _prepared(self, began: Any = None) -> Prepared:
        prepared = super()._prepared(began)
        target = prepared.target
        of_data = dict(prepared.fingerprint)
        of_data.pop(WRITTEN, None)  # each machine may have copies of its own
        found = differences(
            self.comm,
            {
                "inputs": prepared.inputs.n_inputs,
                "target": (prepared.target_name, target.task, tuple(map(str, target.classes))),
                "training rows": prepared.counts()["train"],
                **of_data,
            },
        )
        if found is not None:
            raise DataError(f"the processes of mpiexec have read different data: {found}")
        shards = self.settings.shards
        assert shards is not None
        if prepared.counts()["train"] < shards:
            raise DataError(
                f"{prepared.counts()['train']} training rows are too few for --shards "
                f"{shown(shards)}: a process would have none"
            )
        self.say(f"processes: {self.comm.size} share {shards} shards")
        return prepared

    def _train(self, prepared: Prepared, loaded: Loaded | None) -> dict[str, Any]:
        metrics = super()._train(prepared, loaded)
        self.comm.gather(None)  # rank 0 has written all, or has said why not
        return metrics

    def _asked(self) -> int:
        return int(max(self.comm.gather(self.interrupt.asked or 0)))

    def _finish(self, training: Training, prepared: Prepared) -> dict[str, Any]:
        if self.comm.rank == 0:
            metrics = super()._finish(training, prepared)
            if self.runs is not None:
                self.runs.end()
            return metrics
        training.feeder.close()
        while self.runs is not None and self.runs.serve_one():
            pass
        return {}


__all__ = ["SharedSession", "check_settings", "communicator"]
