# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of a trainer: what they hold, and the trainer that goes on from one."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastrelu import _shared, losses, optimizers
from fastrelu._uncopied import Uncopied
from fastrelu.optimizers import LearningRate

if TYPE_CHECKING:
    from fastrelu.model_file import Arrays
    from fastrelu.trainer import Trainer

__all__ = ["FORMAT", "OldMasksError"]

FORMAT = "fastrelu.checkpoint"  # the format that the files name
#: How dropout's masks are drawn (docs/arithmetic.md). Version 1, which files do not name, took a
#: word of 64 bits for each unit.
MASKS = 2
#: Numbers whose every bit counts: written in hexadecimal.
EXACT = ("loss_sum", "weight_sum", "power_1", "power_2", "seconds")
AnyTrainer = TypeVar("AnyTrainer", bound="CheckpointMethods")


class OldMasksError(ValueError):
    """A checkpoint of a training with dropout whose masks another version drew in another way.

    Examples
    --------
    >>> import json
    >>> import fastrelu
    >>> trainer = fastrelu.Trainer(fastrelu.Network([2, 4, 1]), dropout=0.5)
    >>> arrays, metadata = trainer.checkpoint_content()
    >>> settings = json.loads(metadata["trainer"])
    >>> del settings["masks"]  # as earlier versions wrote it
    >>> metadata["trainer"] = json.dumps(settings)
    >>> try:
    ...     fastrelu.Trainer.from_checkpoint_content(arrays, metadata)
    ... except fastrelu.checkpoint.OldMasksError as error:
    ...     print(str(error)[:54])
    dropout: this checkpoint is of a training with dropout
    """


class CheckpointMethods(Uncopied):
    """The methods of Trainer for checkpoints; their docstrings address Trainer's users."""

    def save_checkpoint(self, path: Any) -> None:
        """Write a checkpoint, from which training goes on to the same bits, to a safetensors file.

        It holds the parameters, the optimizer's state, the settings, the number of steps, and for
        an open epoch the place in it and its partial loss. It holds no data and no pickle.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced only once the new one is complete.

        Raises
        ------
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastrelu
        >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
        >>> trainer = fastrelu.Trainer(fastrelu.Network([1, 1]))
        >>> history = trainer.fit(X, y, epochs=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "checkpoint.safetensors")
        ...     trainer.save_checkpoint(path)
        ...     again = fastrelu.Trainer.from_checkpoint(path)
        >>> again.fit(X, y).loss == trainer.fit(X, y).loss
        True
        """
        from fastrelu import model_file

        model_file.write(path, *self.checkpoint_content())

    @classmethod
    def from_checkpoint(
        cls: type[AnyTrainer],
        path: Any,
        *,
        learning_rate: LearningRate | None = None,
        comm: Any = None,
    ) -> AnyTrainer:
        """Return the trainer that `save_checkpoint` wrote, with a network of its own.

        Parameters
        ----------
        path : path-like
            The checkpoint.
        learning_rate : float or callable, optional
            Needed if the learning rate was a function of your own, which a checkpoint cannot hold;
            otherwise it replaces the one saved.
        comm : Communicator or mpi4py.MPI.Comm, optional
            As for `Trainer`: any number of ranks up to n_shards, whoever wrote the checkpoint. Each
            rank reads it.

        Returns
        -------
        Trainer
            Its next steps give the same bits as if there had been no interruption.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, it is not a checkpoint, or its learning rate is missing; an
            `OldMasksError` if an earlier version drew its dropout's masks in another way.

        Warns
        -----
        RuntimeWarning
            If parameters are NaN or infinite; they are loaded all the same.

        Examples
        --------
        See `save_checkpoint`. A new learning rate takes the place of the one saved:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastrelu
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "checkpoint.safetensors")
        ...     fastrelu.Trainer(fastrelu.Network([1, 1])).save_checkpoint(path)
        ...     trainer = fastrelu.Trainer.from_checkpoint(path, learning_rate=0.5)
        >>> trainer.optimizer.learning_rate
        0.5
        """
        from fastrelu import model_file

        content = model_file.read(path, FORMAT)
        trainer = cls.from_checkpoint_content(*content, learning_rate=learning_rate, comm=comm)
        model_file.warn_unless_finite(path, cast("Trainer", trainer).network)
        return trainer

    def checkpoint_content(self) -> tuple[Arrays, dict[str, str]]:
        """Return what a checkpoint holds, to keep it in a place of your own.

        Returns
        -------
        arrays : dict of str to ndarray
            Copies of the parameters and of the optimizer's state.
        metadata : dict of str to str
            The shape of the network, the settings of the trainer, and its place in training.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> X, y = np.eye(4), np.arange(4.0)
        >>> trainer = fastrelu.Trainer(fastrelu.Network([4, 1]), optimizer=fastrelu.Adam())
        >>> history = trainer.fit(X, y, epochs=2)
        >>> arrays, metadata = trainer.checkpoint_content()
        >>> sorted(arrays)
        ['biases.0', 'optimizer.0', 'optimizer.1', 'weights.0']
        >>> again = fastrelu.Trainer.from_checkpoint_content(arrays, metadata)
        >>> again.step(X, y) == trainer.step(X, y)
        True
        """
        from fastrelu import model_file

        trainer = cast("Trainer", self)
        with trainer.network._reading():  # all of one moment
            arrays, metadata = model_file.network_content(trainer.network)
            for i, array in enumerate(trainer._core.optimizer_arrays):
                arrays[f"optimizer.{i}"] = array
            if trainer.input_scale_rate:
                arrays["input_scales"] = trainer._core.input_scales
            state = trainer._core.state
        state["seconds"] = trainer._seconds if state["in_epoch"] else 0.0
        state |= {name: float(state[name]).hex() for name in EXACT}
        return arrays, {
            "format": FORMAT,
            **metadata,
            "trainer": json.dumps(_settings_of(trainer)),
            "state": json.dumps(state),
        }

    @classmethod
    def from_checkpoint_content(
        cls: type[AnyTrainer],
        arrays: Arrays,
        metadata: dict[str, str],
        *,
        learning_rate: LearningRate | None = None,
        comm: Any = None,
    ) -> AnyTrainer:
        """Return the trainer that `checkpoint_content` described, with a network of its own.

        Parameters
        ----------
        arrays, metadata : dict
            The results of `checkpoint_content`.
        learning_rate : float or callable, optional
            As for `from_checkpoint`.
        comm : Communicator or mpi4py.MPI.Comm, optional
            As for `from_checkpoint`.

        Returns
        -------
        Trainer
            Its next steps give the same bits as those of the trainer described.

        Raises
        ------
        ValueError
            If something is missing or does not fit; an `OldMasksError` as for `from_checkpoint`.

        Examples
        --------
        >>> import fastrelu
        >>> trainer = fastrelu.Trainer(fastrelu.Network([2, 1]), batch_size=7)
        >>> fastrelu.Trainer.from_checkpoint_content(*trainer.checkpoint_content()).batch_size
        7
        """
        from fastrelu import model_file

        with model_file._damaged("the checkpoint"):
            settings = json.loads(metadata["trainer"])
            if not isinstance(settings, dict):
                raise TypeError(f"expected the settings of a trainer, got {settings!r}")
            state = {"seconds": "0x0p+0"} | json.loads(metadata["state"])  # 0.1 had no seconds
            state |= {name: float.fromhex(state[name]) for name in EXACT}
            rate = learning_rate if learning_rate is not None else settings["learning_rate"]
            n_shards = settings["n_shards"]
        _check_masks(settings)
        comm = None if comm is None else _shared.communicator(comm, n_shards)
        if rate is None:
            raise ValueError(
                "learning_rate: expected the callable that the checkpoint was made with, got None; "
                "a checkpoint cannot hold it"
            )
        network = model_file.network_from(arrays, metadata)
        with model_file._damaged("the checkpoint"):
            made = cast("Any", cls)(network, comm=comm, **_arguments(settings, rate))
            trainer = cast("Trainer", made)
            count = len(trainer._core.optimizer_arrays)
            trainer._core.optimizer_arrays = [arrays[f"optimizer.{i}"] for i in range(count)]
            if trainer.input_scale_rate:
                trainer._core.input_scales = arrays["input_scales"]
            trainer._seconds = state.pop("seconds")
            trainer._core.state = state
        return cast(AnyTrainer, made)


def _settings_of(trainer: Trainer) -> dict[str, Any]:
    """Return what a trainer was made with, as plain values; a rate of the user's own is None."""
    from fastrelu import schedules

    settings = {k: v for k, v in asdict(trainer.optimizer).items() if k != "learning_rate"}
    rate = trainer.optimizer.learning_rate
    return {
        **losses.core_options(trainer.loss, trainer.network.layer_sizes[-1]),
        "optimizer": trainer.optimizer.name,
        "optimizer_settings": settings,
        "learning_rate": schedules.as_description(rate) if callable(rate) else rate,
        "batch_size": trainer.batch_size,
        "seed": trainer.seed,
        "clip_norm": trainer.clip_norm,
        "dropout": trainer.dropout,
        **({"masks": MASKS} if any(trainer.dropout) else {}),
        **({"input_scale_rate": trainer.input_scale_rate} if trainer.input_scale_rate else {}),
        "n_shards": trainer.n_shards,
        "check_finite": trainer.check_finite,
    }


def _check_masks(settings: dict[str, Any]) -> None:
    """Raise OldMasksError if the settings have dropout with masks that are not drawn any more."""
    rates, masks = settings.get("dropout", 0.0), settings.get("masks", 1)
    if masks != MASKS and (any(rates) if isinstance(rates, list) else rates):
        raise OldMasksError(
            f"dropout: this checkpoint is of a training with dropout {rates} whose masks another "
            f"version of fastrelu drew in another way (version {masks} of the masks; this fastrelu "
            f"draws version {MASKS}), so that it cannot go on to the same bits; train anew, or go "
            "on with the version that wrote it"
        )


def _arguments(settings: dict[str, Any], rate: Any) -> dict[str, Any]:
    """Return the arguments of a trainer from what `_settings_of` has described."""
    from fastrelu import schedules

    if isinstance(rate, dict):
        rate = schedules.from_description(rate)
    more = settings["optimizer_settings"]
    return {
        "loss": losses.from_settings(settings),
        "optimizer": optimizers.as_optimizer(settings["optimizer"], learning_rate=rate, **more),
        "batch_size": settings["batch_size"],
        "seed": settings["seed"],
        "clip_norm": settings["clip_norm"],
        "dropout": settings.get("dropout", 0.0),  # 0.1 had none
        "input_scale_rate": settings.get("input_scale_rate", 0.0),
        "n_shards": settings["n_shards"],
        "check_finite": settings["check_finite"],
    }
