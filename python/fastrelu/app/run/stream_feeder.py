# SPDX-License-Identifier: BSD-3-Clause
"""Feeds a trainer from files, block after block, and judges a network by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import fastrelu
from fastrelu import EpochRecord, Network, Trainer, get_num_threads
from fastrelu.app.data.split import NUMBER
from fastrelu.app.data.stream.budget import Share
from fastrelu.app.data.stream.ready import ReadyRows
from fastrelu.app.errors import CheckpointError
from fastrelu.app.metrics import Scores, evaluate
from fastrelu.app.preprocess import BATCH_ROWS, Examples, Target, in_batches, joined
from fastrelu.app.run.blocks import Block, EpochBlocks, reading_threads
from fastrelu.app.run.kept_examples import KeptExamples
from fastrelu.app.run.rows import SplitRows
from fastrelu.threads import Threads

# By so much the blocks of a checkpoint may differ from those that --memory allows now.
OTHERWISE_COUNTED = 1 / 8


class StreamFeeder:
    """One training's way through files; it owns the memory of a block.

    Parameters
    ----------
    rows : SplitRows
        The files' rows, made ready.
    share : Share
        What the memory allows: rows of a block, how many threads fill it, rows judged at once.
    batch_size, seed : int
        The trainer's.
    """

    collective: ClassVar[bool] = False

    def __init__(self, rows: SplitRows, share: Share, batch_size: int, seed: int) -> None:
        self.rows, self.block_rows = rows, share.block_rows
        self._judged_rows = min(BATCH_ROWS, share.judged_rows)
        self._readers = min(share.readers, get_num_threads())
        self._pool: Threads | None = None
        self.batch_size, self.seed = batch_size, seed
        self.n_train = self.n_rows = rows.n_rows["train"]
        self._block: Block | None = None
        self._blocks: EpochBlocks | None = None
        self._kept: ReadyRows | None = None
        self._watched: KeptExamples | None = None

    def steps_in_epoch(self) -> int:
        """Return the steps of one epoch."""
        return -(-self.n_train // self.batch_size)

    def run_epoch(self, trainer: Trainer, stop: Callable[[], bool]) -> EpochRecord | None:
        """Go on with the open epoch or a new one; None if `stop` ended it between two steps."""
        record = trainer.run_epoch(self, stop=stop)
        if record is not None:
            self._close_blocks()
        return record

    def block(self, epoch: int, number: int) -> fastrelu.Block:
        """Return a block of an epoch, for the trainer; it stays until another is asked for."""
        block = self._filled(epoch, number)
        n = block.n_rows
        weights = None if block.weights is None else block.weights[:n]
        return fastrelu.Block(block.X[:n], block.y[:n], weights, block.order)

    def evaluate(self, network: Network, part: str, target: Target | None = None) -> Scores:
        """Return the scores of a part; see `Feeder.evaluate`."""
        return evaluate(network, self.batches(part), target or self.rows.target, self.rows.loss)

    def batches(self, part: str) -> Iterator[Examples]:
        """Yield the rows of a part in the order of their numbers, in pieces of batches."""
        yield from in_batches(self._pieces(part))

    def _pieces(self, part: str) -> Iterator[Examples]:
        """Yield the rows of a part, as many at once as the memory allows."""
        n = self.rows.n_rows[part]
        if not n:
            return
        if part != "validation":  # which is asked for after each epoch
            yield from self._read(part)
            return
        if self._watched is None:
            self._watched = KeptExamples(n)
        if self._watched.complete:
            yield from self._watched.pieces(self._judged_rows)
            return
        at = 0
        for some in self._read(part):
            self._watched.put(at, some)
            at += len(some)
            yield some

    def _read(self, part: str) -> Iterator[Examples]:
        """Yield the rows of a part from the files."""
        ready: list[Examples] = []
        wanted = self._judged_rows
        left = BATCH_ROWS - wanted  # of the batch, after this piece
        for table, which in self.rows.of_part(part):
            while len(which):
                some = which[:wanted]
                ready.append(self.rows.ready(table, some))
                which, wanted = which[len(some) :], wanted - len(some)
                if not wanted:
                    yield joined(ready)
                    ready, left = [], left or BATCH_ROWS
                    wanted = min(self._judged_rows, left)
                    left -= wanted
        if ready:
            yield joined(ready)

    def state(self) -> dict[str, Any]:
        """Return what has to be the same when the run goes on; the place is the trainer's."""
        state = {"block_rows": self.block_rows, "rows": self.rows.n_rows}
        return state if self.rows.former else state | {"split": "ranks"}

    def restore(self, state: dict[str, Any]) -> None:
        """Compare with the state saved, and go on with its blocks.

        An earlier version may have counted otherwise what is read beside a block, so that its
        blocks are a little larger or smaller than they would be now.

        Raises
        ------
        CheckpointError
            If the files would be cut into other blocks.
        """
        saved = state.get("block_rows")
        if (
            type(saved) is int
            and abs(saved - self.block_rows) <= OTHERWISE_COUNTED * self.block_rows
            and saved % self.batch_size == 0
        ):
            self.block_rows = saved
        now = self.state()
        for name in now:
            if state.get(name) != now[name]:
                raise CheckpointError(
                    f"the checkpoint does not fit: {name} of the stream is {now[name]}, and was "
                    f"{state.get(name)} when it was saved"
                )

    def close(self) -> None:
        """Close the files and give the memory back."""
        self._close_blocks()
        self._block = self._kept = None
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    # Blocks

    def _filled(self, epoch: int, number: int) -> Block:
        """Return an epoch's block of this number."""
        blocks = self._blocks
        if blocks is not None and blocks.epoch == epoch:
            if blocks.number == number and self._block is not None:
                return self._block  # an interrupted one
            if blocks.number == number - 1:
                return blocks.next()
        self._close_blocks()
        if self._block is None:
            self._block = Block(*self.rows.empty(self.block_rows))
        if self._pool is None:  # kept: new threads would start with new memory at every block
            self._pool = reading_threads(self._readers)
        if self._kept is None:
            self._kept = ReadyRows(self.rows.counts[:, NUMBER["train"]], self._block.arrays())
        self._blocks = EpochBlocks(
            self.rows, self._block, self._pool, self.seed, epoch, number, self._kept
        )
        return self._blocks.next()

    def _close_blocks(self) -> None:
        if self._blocks is not None:
            self._blocks.close()
        self._blocks = None
