# SPDX-License-Identifier: BSD-3-Clause
"""The steps of an epoch: over a data set, or block by block; what a divergence leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fastrelu import _core, optimizers
from fastrelu._core import Trainer as CoreTrainer
from fastrelu.data_set import BlockSource, DataSet
from fastrelu.divergence import DivergenceError

if TYPE_CHECKING:
    from fastrelu.epoch import EpochMethods, Sampling

__all__ = ["Poll"]

Poll = Callable[[], bool]


def run(
    trainer: EpochMethods,
    state: dict[str, Any],
    data: DataSet | BlockSource,
    poll: Poll | None,
    sampling: Sampling,
    check_finite: bool,
) -> NDArray[Any] | None:
    """Go on with the open epoch or begin one, from the state that the core is in.

    `check_finite`: whether infinities and NaN in blocks are refused; a data set has been checked.
    Returns the learning rates of the steps taken last; None if `poll` has ended it before its end.
    """
    if not isinstance(data, DataSet):
        return _run_blocks(trainer, data, poll, check_finite)
    core = trainer._core
    steps = core.steps_in_epoch(data.n_rows, sampling)
    if state["in_epoch"]:
        steps -= state["place"]
    rates = _rates(trainer, state["step"] + 1, steps)
    finished = core.run_epoch(data.core, sampling, rates, poll)
    raise_if_diverged(core)
    return rates if finished else None


def raise_if_diverged(core: CoreTrainer) -> None:
    """Raise what is to be said about a run that has ended because a number was not finite."""
    if core.divergence is not None:
        raise DivergenceError(*core.divergence)


def end_run(core: CoreTrainer) -> None:
    """Raise DivergenceError if the last steps have left parameters that are not finite."""
    if not core.keep_finite():
        raise_if_diverged(core)


def _run_blocks(
    trainer: EpochMethods, source: BlockSource, poll: Poll | None, check_finite: bool
) -> NDArray[Any] | None:
    core, batch = trainer._core, trainer.batch_size
    while True:
        state = core.state
        epoch, place = state["epoch"], state["place"]
        if not state["in_epoch"]:
            epoch, place = epoch + 1, 0
        number, done = divmod(place, source.block_rows // batch)
        block = source.block(epoch, number)
        try:
            data = core.data(block.X, block.y, block.sample_weight, check_finite)
        except (TypeError, ValueError) as error:
            raise type(error)(f"block {number} of epoch {epoch}: {error}") from error
        rates = take_block(trainer, data, block.order[done * batch :], source.n_rows, poll)
        if rates is None:
            return None
        if not core.state["in_epoch"]:
            return rates
        if poll is not None and poll():  # the core asks inside long blocks only
            return None


def take_block(
    trainer: EpochMethods,
    data: _core.DataSet,
    order: NDArray[Any],
    epoch_rows: int,
    poll: Poll | None,
) -> NDArray[Any] | None:
    """Take the steps of a block of an epoch of so many rows; its first one opens the epoch.

    Returns their learning rates; None if `poll` has ended them before the last.
    """
    core = trainer._core
    steps = -(-len(order) // trainer.batch_size)
    rates = _rates(trainer, core.state["step"] + 1, steps)
    taken = core.run_block(data, order, rates, epoch_rows, poll)
    raise_if_diverged(core)
    return rates if taken else None


def _rates(trainer: EpochMethods, first: int, steps: int) -> NDArray[Any]:
    """Return the learning rates of steps; those of a constant are kept, as epochs may be short."""
    rate = trainer.optimizer.learning_rate
    if callable(rate):
        return optimizers.learning_rates(trainer.optimizer, first, steps)
    if trainer._rates[0] != (rate, steps):
        trainer._rates = (rate, steps), optimizers.learning_rates(trainer.optimizer, first, steps)
    return trainer._rates[1]
