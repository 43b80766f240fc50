# SPDX-License-Identifier: BSD-3-Clause
"""A member of a population: a network, its trainer, and how long it is trained on which rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrelu._arguments import whole_number
from fastrelu.divergence import DivergenceError
from fastrelu.epoch import checked_sampling
from fastrelu.history import EpochRecord, History
from fastrelu.network import Network
from fastrelu.trainer import Trainer

__all__ = ["Member"]

NETWORK_KEYS = ("layer_sizes", "bias", "dtype", "activation", "init", "scale", "seed")
TRAINER_KEYS = (
    "loss", "optimizer", "batch_size", "clip_norm", "dropout", "input_scale_rate", "n_shards",
)  # fmt: skip
#: What fit needs to know of a member, beside its network and trainer.
FIT_KEYS = ("epochs", "patience", "sampling", "rows", "validation_rows", "sample_weight")
KEYS = ("name", *NETWORK_KEYS, *TRAINER_KEYS, "shuffle_seed", *FIT_KEYS)


@dataclass
class Member:
    """One network of a population, as `Population.members` lists them.

    Attributes
    ----------
    index : int
        Its place in the population.
    name : str
        Its name, if it has one; else "".
    network, trainer
        The network, and what trains it.
    rows, validation_rows : ndarray of int64, or None
        The rows that it is trained on and evaluated on, of those given to `Population.fit`; None
        for all, and for those of validation_data.
    sample_weight : ndarray of float64, or None
        Weights of its own for all rows given to `Population.fit`.
    epochs, patience : int or None
        Those of its configuration, which take the place of those given to `Population.fit`.
    sampling : str
        How the rows of a step are drawn, as for `Trainer.fit`.
    diverged : DivergenceError or None
        What ended it, if its numbers were no longer finite.

    Examples
    --------
    >>> import fastrelu
    >>> population = fastrelu.Population([{"layer_sizes": [2, 4, 1], "name": "small"}])
    >>> member = population.members[0]
    >>> member.index, member.name, member.network.layer_sizes, member.trainer.batch_size
    (0, 'small', [2, 4, 1], 32)
    """

    index: int
    name: str
    network: Network
    trainer: Trainer
    rows: NDArray[np.int64] | None = None
    validation_rows: NDArray[np.int64] | None = None
    sample_weight: NDArray[np.float64] | None = None
    epochs: int | None = None
    patience: int | None = None
    sampling: str = "shuffle"
    diverged: DivergenceError | None = None
    course: Course = field(default_factory=lambda: Course())

    def __str__(self) -> str:
        return title(self.index, self.name)

    @property
    def epochs_left(self) -> int:
        """The epochs of its fit that it has still to finish, an open one among them.

        Examples
        --------
        >>> import fastrelu
        >>> population = fastrelu.Population([{"layer_sizes": [1, 1]}])
        >>> histories = population.fit([[0.0], [1.0]], [0.0, 1.0], epochs=3)
        >>> population.members[0].epochs_left
        0
        """
        left = self.course.last_epoch - self.trainer.n_epochs
        return 0 if self.course.stopped else max(0, left)

    def restore_best(self) -> None:
        """Give the network the parameters of the lowest validation loss, where they were kept.

        Examples
        --------
        >>> import fastrelu
        >>> population = fastrelu.Population([{"layer_sizes": [2, 4, 1]}])
        >>> population.members[0].restore_best()  # nothing was kept
        """
        if self.course.best is not None:
            self.network.parameters[:] = self.course.best
            self.course.best = None


@dataclass
class Course:
    """Where a member stands in a fit, which may be interrupted and gone on with."""

    first_epoch: int = 0  # finished before the fit began
    last_epoch: int = 0  # to finish, unless the member is stopped
    stopped: bool = False  # by its validation loss, a callback or its divergence
    best_loss: float = np.inf  # on the validation rows
    best: NDArray[Any] | None = None  # the parameters then
    waited: int = 0  # epochs since
    history: History = field(default_factory=History)

    def note(self, record: EpochRecord, parameters: NDArray[Any], patience: int | None) -> None:
        """Take in an epoch: the best so far is kept, and too long a wait stops the member."""
        self.history.append(record)
        if patience is None or record.val_loss is None:
            return
        if record.val_loss < self.best_loss:
            self.best_loss, self.best, self.waited = record.val_loss, parameters.copy(), 0
        else:
            self.waited += 1
            self.stopped = self.stopped or self.waited >= patience


class State(NamedTuple):
    """Where the training of a network stands: its parameters, and what its trainer has of it."""

    parameters: NDArray[Any]
    optimizer: list[NDArray[Any]]
    scales: NDArray[Any] | None  # the factors of the inputs, where they are learned
    core: dict[str, Any]

    @classmethod
    def of(cls, trainer: Trainer) -> State:
        """Return a copy of where a trainer stands."""
        core = trainer._core
        scales = np.array(core.input_scales) if trainer.input_scale_rate else None
        optimizer = [np.array(each) for each in core.optimizer_arrays]
        return cls(trainer.network.parameters.copy(), optimizer, scales, core.state)

    def put_into(self, trainer: Trainer) -> None:
        """Have a trainer, of a network of the same shape, go on from here."""
        trainer.network.parameters[...] = self.parameters
        trainer._core.optimizer_arrays = self.optimizer
        if self.scales is not None:
            trainer._core.input_scales = self.scales
        trainer._core.state = self.core


def title(index: int, name: str) -> str:
    """Return how messages call a member."""
    return f"configs[{index}] ({name!r})" if name else f"configs[{index}]"


def as_member(index: int, config: Any, check_finite: bool) -> Member:
    """Return the member that a configuration describes; errors name it and the key."""
    if not isinstance(config, Mapping):
        raise TypeError(f"configs[{index}]: expected a dict, got {type(config).__name__}")
    name = config.get("name", "")
    if not isinstance(name, str):
        raise TypeError(f"configs[{index}]: name: expected a str, got {name!r}")
    try:
        return _made(index, name, dict(config), check_finite)
    except MemoryError as error:
        raise MemoryError(
            f"{title(index, name)}: layer_sizes: no memory for a network of "
            f"{config.get('layer_sizes')!r}"
        ) from error
    except (TypeError, ValueError) as error:
        raise type(error)(f"{title(index, name)}: {error}") from error


def _made(index: int, name: str, config: dict[str, Any], check_finite: bool) -> Member:
    unknown = [key for key in config if key not in KEYS]
    if unknown:
        raise ValueError(f"{unknown[0]!r}: expected one of {', '.join(KEYS)}")
    if "layer_sizes" not in config:
        raise ValueError("layer_sizes: expected the widths of a network, got none")
    network = Network(
        **{key: config[key] for key in NETWORK_KEYS if key in config}, check_finite=check_finite
    )
    options = {key: config[key] for key in TRAINER_KEYS if key in config}
    if "shuffle_seed" in config:
        options["seed"] = config["shuffle_seed"]
    try:
        trainer = Trainer(network, **options, check_finite=check_finite)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("seed:", "shuffle_seed:", 1)) from error
    epochs, patience = config.get("epochs"), config.get("patience")
    member = Member(
        index,
        name,
        network,
        trainer,
        rows=row_numbers("rows", config.get("rows")),
        validation_rows=row_numbers("validation_rows", config.get("validation_rows")),
        epochs=None if epochs is None else whole_number("epochs", epochs, 0),
        patience=None if patience is None else whole_number("patience", patience, 1),
        sampling=checked_sampling(config.get("sampling", "shuffle")),
    )
    if config.get("sample_weight") is not None:
        member.sample_weight = np.ascontiguousarray(config["sample_weight"], np.float64)
    return member


def row_numbers(key: str, rows: Any) -> NDArray[np.int64] | None:
    """Return an index array, or a mask, as numbers of rows."""
    if rows is None:
        return None
    array = np.asarray(rows)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise ValueError(
            f"{key}: expected a 1-D array of row numbers, or a mask, got {array.dtype} of shape "
            f"{array.shape}"
        )
    if array.dtype.kind == "b":
        array = np.flatnonzero(array)
    if len(array) == 0:
        raise ValueError(f"{key}: expected at least one row, got none")
    if int(array.min()) < 0:
        raise ValueError(f"{key}: expected row numbers from 0 on, got {int(array.min())}")
    return np.ascontiguousarray(array, np.int64)


def check_rows(member: Member, n_rows: int) -> None:
    """Raise ValueError if a member's rows are not among those of the data."""
    for key in ("rows", "validation_rows"):
        rows = getattr(member, key)
        if rows is not None and int(rows.max()) >= n_rows:
            raise ValueError(
                f"{member}: {key}: expected rows 0..{n_rows - 1} of X, got {int(rows.max())}"
            )
