# SPDX-License-Identifier: BSD-3-Clause
"""Learn from a stream, in two passes, what is done to its inputs and its target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import Reading
from fastrelu.app.data.sample import evenly, spread_sample
from fastrelu.app.data.split import PARTS
from fastrelu.app.data.stream.budget import Share, share
from fastrelu.app.data.stream.parts import NONE, Membership, rows_of
from fastrelu.app.data.stream.source import Stream
from fastrelu.app.data.table import Table
from fastrelu.app.errors import ConfigError, DataError
from fastrelu.app.kinds import size
from fastrelu.app.preprocess import Accumulator, Inputs, Target, TargetAccumulator
from fastrelu.app.preprocess.target import require_domain
from fastrelu.app.run.feeder import Feeder
from fastrelu.app.run.prepare import MIN_ROWS, choose_loss, input_options, resolve
from fastrelu.app.run.stream_feeder import StreamFeeder
from fastrelu.app.run.stream_rows import StreamedRows
from fastrelu.app.settings import Settings
from fastrelu.losses import Loss

# What is looked at for a report: rows, bytes of them, and chunks that they come from.
SAMPLED_ROWS, SAMPLED_BYTES, SAMPLED_CHUNKS = 50_000, 1 << 25, 16


@dataclass
class PreparedStream:
    """A stream ready for training; what `training.prepare.Prepared` is for data in memory.

    Attributes
    ----------
    settings : Settings
        With every choice made.
    rows : StreamedRows
        The rows, made ready as they are read.
    share : Share
        How the memory is used.
    dropped : int
        Rows without a target or weight.
    notes : list of str
        What the user should know.
    """

    settings: Settings
    rows: StreamedRows
    share: Share
    dropped: int
    notes: list[str]

    @property
    def source(self) -> str:
        """What is read, for messages."""
        return self.rows.stream.source

    @property
    def n_rows(self) -> int:
        """Rows of all files."""
        return self.rows.stream.n_rows

    @property
    def reading(self) -> Reading | None:
        """How texts were taken."""
        return self.rows.stream.reading

    @property
    def target_name(self) -> str:
        """The target's name."""
        return self.rows.stream.target_name or "target"

    @property
    def inputs(self) -> Inputs:
        """What is done to the inputs."""
        return self.rows.inputs

    @property
    def target(self) -> Target:
        """What is learned."""
        return self.rows.target

    @property
    def loss(self) -> Loss:
        """With which loss."""
        return self.rows.loss

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What tells the files from others."""
        return self.rows.stream.fingerprint()

    def feeder(self) -> Feeder:
        """Return a way through the data for one training."""
        assert self.settings.batch_size is not None
        return StreamFeeder(self.rows, self.share, self.settings.batch_size, self.settings.seed)

    def counts(self) -> dict[str, int]:
        """Return the rows of each part, and those left out."""
        return self.rows.n_rows | {"dropped": self.dropped}

    def sample(self, part: str, most: int) -> Table:
        """Return raw rows of a part, about `most`, evenly spread over some chunks of the files."""
        counts = self.rows.counts[:, PARTS.index(part)]
        visits = evenly(np.flatnonzero(counts), SAMPLED_CHUNKS)
        most = min(most, SAMPLED_ROWS, SAMPLED_BYTES // max(1, int(self.rows.stream.raw_row_bytes)))
        return spread_sample(
            self.rows.of_chunks(visits.tolist(), part), int(counts[visits].sum()), most
        )

    def training_rows(self) -> tuple[Table, NDArray[np.intp] | None]:
        """Return a table of training rows: some, evenly spread."""
        return self.sample("train", SAMPLED_ROWS), None


def prepare_stream(stream: Stream, settings: Settings) -> PreparedStream:
    """Pass over a stream twice: rows of each part and means, then deviations.

    Parameters
    ----------
    stream : Stream
        The data; rows without a target are left out.
    settings : Settings
        The user's choices.

    Raises
    ------
    DataError
        If the rows are too few, the target does not fit the task, or the memory allowed is too
        little.
    ConfigError
        If a setting does not fit the task, or a stream.
    """
    membership = _membership(settings)
    inputs, target = Accumulator(input_options(settings)), TargetAccumulator(settings.task)
    counts = np.zeros((len(stream.chunks), NONE + 1), np.int64)
    weighted = False
    for c, table, parts in _pass(stream, membership):
        weighted = table.weights is not None
        counts[c] += np.bincount(parts, minlength=NONE + 1)
        train = rows_of(parts, "train")
        inputs.first(table, train)
        target.first(table, train)
    dropped = int(counts[:, NONE].sum())
    _check_counts(stream, counts)
    inputs.finish_first()
    target.finish_first()
    loss = choose_loss(settings, target.task)
    for _, table, parts in _pass(stream, membership):
        train = rows_of(parts, "train")
        inputs.second(table, train)
        target.second(table, train)
        require_domain(table, np.flatnonzero(parts != NONE), loss, settings.dtype)
    learned = target.finish().for_loss(loss)
    n_train = int(counts[:, 0].sum())
    settings = resolve(settings, learned, n_train)
    rows = StreamedRows(
        stream, membership, counts[:, :NONE], inputs.finish(), learned, loss, settings.dtype,
        weighted, _class_weights(stream, settings, learned),
    )  # fmt: skip
    assert settings.batch_size is not None
    shared = share(stream, rows.row_bytes, settings.batch_size, size(settings.memory))
    notes = [*stream.notes, *rows.inputs.notes]
    if dropped:
        notes.append(f"{dropped} of {stream.n_rows} rows have no target or weight: left out")
    notes.append(
        f"read in blocks of {shared.block_rows:,} training rows, shuffled inside, from "
        f"{len(stream.chunks):,} pieces in random order (--memory {settings.memory})"
    )
    return PreparedStream(settings, rows, shared, dropped, notes)


def _membership(settings: Settings) -> Membership:
    if settings.sampling != "shuffle":
        raise ConfigError(
            f"--sampling {settings.sampling} draws from all rows, and the data are larger than "
            "--memory; leave it out, or give more --memory"
        )
    kind, _, name = settings.split.partition(":")
    if kind == "time":
        raise ConfigError(
            "--split time needs all rows in memory to order them, and the data are larger than "
            "--memory; give --split column:COL, or more --memory"
        )
    return Membership(
        settings.seed, settings.validation, settings.test, name if kind == "column" else None
    )


def _pass(stream: Stream, membership: Membership) -> Iterator[tuple[int, Table, NDArray[np.uint8]]]:
    """Yield (chunk number, some of its rows, each row's part) for the whole stream."""
    for c, chunk in enumerate(stream.chunks):
        at = chunk.first_row
        for table in stream.parts(chunk):
            yield c, table, membership.numbers(table, at)
            at += table.n_rows


def _check_counts(stream: Stream, counts: Any) -> None:
    used = int(counts[:, :NONE].sum())
    if used < MIN_ROWS:
        raise DataError(
            f"{stream.source}: expected at least {MIN_ROWS} rows with a target, got {used}"
        )
    if counts[:, 0].sum() < 2:
        raise DataError(f"{stream.source}: {used} rows are too few to train, validate and test")


def _class_weights(stream: Stream, settings: Settings, target: Target) -> Any:
    """Return the classes' factors for --class-weight balanced; refuse classes without rows."""
    absent = [c for c, n in zip(target.classes, target.counts, strict=False) if not n]
    if absent:
        raise DataError(
            f"{stream.source}: class {absent[0]!r} of target {stream.target_name!r} is in no "
            "training row; give the split a larger training part or leave its rows out"
        )
    if settings.class_weight != "balanced":
        return None
    n = np.array(target.counts, np.float64)
    return n.sum() / (len(n) * n)


__all__ = ["PARTS", "PreparedStream", "prepare_stream"]
