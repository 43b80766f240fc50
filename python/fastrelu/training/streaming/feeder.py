# SPDX-License-Identifier: BSD-3-Clause
"""Feeds a trainer from files, block after block, and judges a network by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastrelu import Network, Trainer, _core, optimizers
from fastrelu.training.errors import CheckpointError
from fastrelu.training.feeder import BLOCK_ROWS, Part
from fastrelu.training.metrics import Judge, Scores
from fastrelu.training.split import PARTS
from fastrelu.training.streaming.ahead import ahead
from fastrelu.training.streaming.blocks import CHUNK_ORDER, Block, BlockReader
from fastrelu.training.streaming.parts import NUMBER, Rows
from fastrelu.training.streaming.rows import StreamedRows
from fastrelu.training.table import Table


class StreamFeeder:
    """One training's way through files; it owns two blocks of memory and a thread.

    Parameters
    ----------
    rows : StreamedRows
        The files' rows, made ready.
    block_rows : int
        Rows of a block, a multiple of the batch size.
    batch_size, seed : int
        The trainer's.
    """

    def __init__(self, rows: StreamedRows, block_rows: int, batch_size: int, seed: int) -> None:
        self.rows, self.block_rows = rows, block_rows
        self.batch_size, self.seed = batch_size, seed
        self.n_train = rows.n_rows["train"]
        self._memory: list[Block] = []
        self._reader: BlockReader | None = None
        self._held: Block | None = None  # of the reader: trained on, not to its end
        self._core: _core.Trainer | None = None

    def steps_in_epoch(self) -> int:
        """Return the steps of one epoch."""
        return -(-self.n_train // self.batch_size)

    def run_epoch(self, trainer: Trainer, stop: Callable[[], bool]) -> bool:
        """Go on with the open epoch or a new one; False if `stop` ended it between two steps."""
        self._core = core = trainer._core
        while True:
            state = core.state
            epoch, place = state["epoch"], state["place"]
            if not state["in_epoch"]:
                epoch, place = epoch + 1, 0
            number, done = divmod(place, self.block_rows // self.batch_size)
            block = self._block(epoch, number, stop)
            if block is None or not self._train(trainer, block, done, stop):
                return False
            self._release()
            if not core.state["in_epoch"]:
                self._close_reader()
                return True

    def epoch_loss(self) -> float:
        """Return the training loss of the epoch finished last."""
        assert self._core is not None
        return self._core.epoch_loss()

    def evaluate(self, network: Network, part: str) -> Scores:
        """Return the scores of a part."""
        judge = Judge(network, self.rows.target, self.rows.loss)
        for block in self.judged(part):
            judge.add(block.X, block.y, block.truth, block.loss_weights, block.weights)
        return judge.scores

    def judged(self, part: str) -> Iterator[Part]:
        """Yield the rows of a part in the order of their numbers, `BLOCK_ROWS` at a time."""
        if not self.rows.n_rows[part]:
            return
        self._drop_block_memory()
        ready: list[Part] = []
        count = 0
        parts = ahead(self.rows.of_part(part))
        try:
            for table, which in parts:
                while len(which):
                    some = which[: BLOCK_ROWS - count]
                    ready.append(self.rows.ready(table, some, part))
                    which, count = which[len(some) :], count + len(some)
                    if count == BLOCK_ROWS:
                        yield joined(ready)
                        ready, count = [], 0
        finally:
            parts.close()
        if ready:
            yield joined(ready)

    def state(self) -> dict[str, Any]:
        """Return what has to be the same when the run goes on; the place is the trainer's."""
        return {"block_rows": self.block_rows, "rows": self.rows.n_rows}

    def restore(self, state: dict[str, Any]) -> None:
        """Compare with the state saved.

        Raises
        ------
        CheckpointError
            If the files would be cut into other blocks.
        """
        now = self.state()
        for name in now:
            if state.get(name) != now[name]:
                raise CheckpointError(
                    f"the checkpoint does not fit: {name} of the stream is {now[name]}, and was "
                    f"{state.get(name)} when it was saved"
                )

    def close(self) -> None:
        """Stop the thread and give the memory back."""
        self._drop_block_memory()

    # Blocks

    def _train(self, trainer: Trainer, block: Block, done: int, stop: Callable[[], bool]) -> bool:
        """Take a block's steps but for those done; False if `stop` ended it."""
        core, n = trainer._core, block.n_rows
        weights = None if block.weights is None else block.weights[:n]
        data = core.data(block.X[:n], block.y[:n], weights, False)
        order = block.order[done * self.batch_size :]
        steps = -(-len(order) // self.batch_size)
        with _core.DefaultFloatingPoint():
            rates = optimizers.learning_rates(trainer.optimizer, core.step_count + 1, steps)
        return core.run_block(data, order, rates, self.n_train, lambda: bool(stop()))

    def _block(self, epoch: int, number: int, stop: Callable[[], bool]) -> Block | None:
        """Return a block of an epoch, or None if `stop` said True first."""
        reader = self._reader
        if reader is not None and (reader.epoch, reader.place) != (epoch, number):
            self._close_reader()
        if self._held is not None:
            return self._held
        if self._reader is None:
            fill = _Filler(self.rows, self._visits(epoch), number * self.block_rows)
            self._memory = self._memory or [self.rows.block(self.block_rows) for _ in range(2)]
            self._reader = BlockReader(self._memory, fill, self.seed, epoch, number)
        self._held = self._reader.next(stop)
        return self._held

    def _visits(self, epoch: int) -> list[int]:
        """Return the epoch's order of the chunks."""
        order = _core.permutation(self.seed, CHUNK_ORDER, 0, epoch, len(self.rows.stream.chunks))
        return order.tolist()

    def _release(self) -> None:
        assert self._reader is not None and self._held is not None
        self._reader.release(self._held)
        self._held = None

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = self._held = None

    def _drop_block_memory(self) -> None:
        """Make room for judging; an epoch that is open reads its block again."""
        self._close_reader()
        self._memory = []


class _Filler:
    """Fills blocks with the training rows of chunks in a given order, from one of the rows on."""

    def __init__(self, rows: StreamedRows, visits: list[int], skip: int) -> None:
        self._source = rows
        counts = rows.counts[visits, NUMBER["train"]].cumsum()
        first = int(np.searchsorted(counts, skip, side="right"))
        self._skip = skip - (int(counts[first - 1]) if first else 0)
        self._parts = rows.of_chunks(visits[first:], "train")
        self._table: Table | None = None
        self._left: Rows = np.zeros(0, np.intp)

    def __call__(self, block: Block, at: int) -> int:
        while not len(self._left):
            following = next(self._parts, None)
            if following is None:
                return 0
            self._table, rows = following
            self._left = rows[self._skip :]
            self._skip -= len(rows) - len(self._left)
        assert self._table is not None
        some = self._left[: len(block.X) - at]
        self._left = self._left[len(some) :]
        self._source.fill(block, at, self._table, some)
        return len(some)


def joined(parts: list[Part]) -> Part:
    """Return parts one after another as one."""
    if len(parts) == 1:
        return parts[0]

    def all_of(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays)

    return Part(*(all_of(name) for name in ("X", "y", "truth", "loss_weights", "weights")))


__all__ = ["PARTS", "StreamFeeder"]
