# SPDX-License-Identifier: BSD-3-Clause
"""One epoch of a trainer over rows in memory or in blocks, and the checks of what it runs over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from fastrelu import optimizers
from fastrelu.data_set import Block, BlockSource, DataSet

if TYPE_CHECKING:
    from fastrelu.trainer import Trainer

Sampling = Literal["shuffle", "subset", "with_replacement"]
SAMPLINGS = ("shuffle", "subset", "with_replacement")
Poll = Callable[[], bool]


def checked_sampling(sampling: Any) -> Sampling:
    """Return where the rows of a step come from, if it is known."""
    if sampling not in SAMPLINGS:
        raise ValueError(
            f"sampling: expected shuffle, subset or with_replacement, got {sampling!r}"
        )
    kind: Sampling = sampling
    return kind


def check_data(trainer: Trainer, name: str, data: Any) -> None:
    """Raise an error that names the argument if a trainer cannot run over these rows."""
    if isinstance(data, DataSet):
        data.require(name, trainer.network, trainer.loss)
        return
    if not isinstance(data, BlockSource):
        raise TypeError(f"{name}: expected a DataSet from prepare, got {type(data).__name__}")
    if trainer.n_shards != 1:
        raise ValueError(f"{name}: blocks need n_shards=1, got {trainer.n_shards}")
    if data.block_rows % trainer.batch_size or data.block_rows < 1 or data.n_rows < 1:
        raise ValueError(
            f"{name}: expected blocks of a multiple of {trainer.batch_size} rows (batch_size), and "
            f"one row at least, got blocks of {data.block_rows} and {data.n_rows} rows"
        )


def as_data(
    trainer: Trainer, name: str, X: Any, y: Any, sample_weight: Any, check_finite: bool | None
) -> DataSet | BlockSource:
    """Return arrays as a data set; one that is there already as it is, if it fits."""
    if not isinstance(X, (DataSet, BlockSource)):
        if y is None:
            raise TypeError("y: expected targets, got None")
        return trainer.prepare(X, y, sample_weight, check_finite=check_finite)
    for other, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(f"{other}: expected None, as {name} has its own, got {value!r}")
    check_data(trainer, name, X)
    return X


def as_validation(trainer: Trainer, data: Any, check_finite: bool | None) -> DataSet | None:
    """Return what `Trainer.fit` takes as validation_data as a data set."""
    if data is None or isinstance(data, DataSet):
        if data is not None:
            check_data(trainer, "validation_data", data)
        return data
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError(
            f"validation_data: expected (X, y) or (X, y, sample_weight), got {type(data).__name__}"
        )
    X, y, weight = (*data, None)[:3]
    try:
        return trainer.prepare(X, y, weight, check_finite=check_finite)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from error


def require_same_epoch(trainer: Trainer, data: DataSet | BlockSource, sampling: Sampling) -> None:
    """Raise ValueError if an epoch over other rows is to be finished first."""
    state = trainer._core.state
    kind = sampling if isinstance(data, DataSet) else "blocks"
    if state["in_epoch"] and (state["epoch_rows"], state["sampling"]) != (data.n_rows, kind):
        raise ValueError(
            f"X: an interrupted epoch over {state['epoch_rows']} rows with "
            f"sampling={state['sampling']!r} is to be finished first, got {data.n_rows} "
            f"rows with {kind!r} (discard_epoch() gives it up)"
        )


def run(
    trainer: Trainer, data: DataSet | BlockSource, poll: Poll | None, sampling: Sampling
) -> bool:
    """Go on with the open epoch or begin one; whether it is finished, or `poll` has ended it."""
    if not isinstance(data, DataSet):
        return _run_blocks(trainer, data, poll)
    steps = trainer.steps_in_epoch(data.n_rows, sampling) - trainer.epoch_steps
    return trainer._core.run_epoch(data.core, sampling, _rates(trainer, steps), poll)


def _run_blocks(trainer: Trainer, source: BlockSource, poll: Poll | None) -> bool:
    core = trainer._core
    while True:
        state = core.state
        epoch, place = state["epoch"], state["place"]
        if not state["in_epoch"]:
            epoch, place = epoch + 1, 0
        number, done = divmod(place, source.block_rows // trainer.batch_size)
        if not _rest_of_block(trainer, source.block(epoch, number), done, source.n_rows, poll):
            return False
        if not core.state["in_epoch"]:
            return True
        if poll is not None and poll():  # the core asks inside long blocks only
            return False


def _rest_of_block(
    trainer: Trainer, block: Block, done: int, epoch_rows: int, poll: Poll | None
) -> bool:
    """Take a block's steps but for those done; False if `poll` has ended it."""
    data = trainer._core.data(block.X, block.y, block.sample_weight, False)
    order = block.order[done * trainer.batch_size :]
    rates = _rates(trainer, -(-len(order) // trainer.batch_size))
    return trainer._core.run_block(data, order, rates, epoch_rows, poll)


def _rates(trainer: Trainer, steps: int) -> NDArray[Any]:
    """Return the learning rates of the next steps; the last one is noted for the record."""
    rates = optimizers.learning_rates(trainer.optimizer, trainer._core.step_count + 1, steps)
    if len(rates):
        trainer._last_rate = float(rates[-1])
    return rates
