# SPDX-License-Identifier: BSD-3-Clause
"""Learn from a stream, in two passes, what is done to its inputs and its target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import Reading
from fastrelu.app.data.sample import evenly, spread_sample
from fastrelu.app.data.split import NONE, PARTS, Split, ThresholdSplit, rows_of
from fastrelu.app.data.stream.budget import Share, share
from fastrelu.app.data.stream.source import Stream
from fastrelu.app.data.table import Table
from fastrelu.app.errors import ConfigError, DataError
from fastrelu.app.kinds import size
from fastrelu.app.preprocess import Accumulator, Inputs, Target, TargetAccumulator
from fastrelu.app.run.feeder import Feeder
from fastrelu.app.run.parts import learn_task, refuse_absent, require_domain, split_of
from fastrelu.app.run.prepare import choose_loss, input_options, resolve
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


def prepare_stream(
    stream: Stream, settings: Settings, split: Split | None = None
) -> PreparedStream:
    """Pass over a stream's targets, then twice over all of it: means, then deviations.

    Parameters
    ----------
    stream : Stream
        The data; rows without a target are left out.
    settings : Settings
        The user's choices.
    split : Split, optional
        Instead of the one that the settings ask for.

    Raises
    ------
    DataError
        If the rows are too few, the target does not fit the task, or the memory allowed is too
        little.
    ConfigError
        If a setting does not fit the task, or a stream.
    """
    if settings.sampling != "shuffle":
        raise ConfigError(
            f"--sampling {settings.sampling} draws from all rows, and the data are larger than "
            "--memory; leave it out, or give more --memory"
        )
    task = learn_task(stream.source, partial(_targets, stream), settings.task)
    if split is None:
        split = split_of(settings, stream.source, stream.n_rows, partial(_targets, stream), task)
    inputs, target = Accumulator(input_options(settings)), TargetAccumulator(task.task)
    counts = np.zeros((len(stream.chunks), NONE + 1), np.int64)
    weighted = False
    for c, table, parts in _pass(stream, split):
        weighted = table.weights is not None
        counts[c] += np.bincount(parts, minlength=NONE + 1)
        train = rows_of(parts, "train")
        inputs.first(table, train)
        target.first(table, train)
    dropped = int(counts[:, NONE].sum())
    if counts[:, 0].sum() < 2:
        raise DataError(f"{stream.source}: expected at least 2 rows to train on")
    inputs.finish_first()
    target.finish_first()
    for _, table, parts in _pass(stream, split):
        train = rows_of(parts, "train")
        inputs.second(table, train)
        target.second(table, train)
    learned = target.finish()
    refuse_absent(stream.source, stream.target_name, learned)
    loss = choose_loss(settings, learned)
    require_domain(loss, partial(_targets, stream))
    if loss.name == "poisson":
        learned = replace(learned, mean=0.0, std=1.0)
    n_train = int(counts[:, 0].sum())
    settings = resolve(settings, learned, n_train)
    rows = StreamedRows(
        stream, split, counts[:, :NONE], inputs.finish(), learned, loss, settings.dtype,
        weighted, _class_weights(stream, settings, learned, split),
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


def _pass(stream: Stream, split: Split) -> Iterator[tuple[int, Table, NDArray[np.uint8]]]:
    """Yield (chunk number, some of its rows, each row's part) for the whole stream."""
    for c, chunk in enumerate(stream.chunks):
        at = chunk.first_row
        for table in stream.parts(chunk):
            yield c, table, split.numbers(table, at)
            at += table.n_rows


def _targets(stream: Stream) -> Iterator[tuple[int, Table]]:
    """Yield the first row and the targets, weights and extra columns of tables of all rows."""
    for chunk in stream.chunks:
        at = chunk.first_row
        for table in stream.targets(chunk):
            yield at, table
            at += table.n_rows


def _class_weights(
    stream: Stream, settings: Settings, target: Target, split: Split
) -> NDArray[np.float64] | None:
    """Return the classes' factors for --class-weight balanced, from all training rows."""
    if settings.class_weight != "balanced":
        return None
    n = np.zeros(len(target.classes))
    for first, table in _targets(stream):
        assert table.target is not None
        train = rows_of(split.numbers(table, first), "train")
        former = isinstance(split, ThresholdSplit)  # 0.1 counted a stream's rows
        weights = 1.0 if table.weights is None or former else table.weights[train]
        np.add.at(n, target.encode(table.target[train]), weights)  # row after row
    factors: NDArray[np.float64] = n.sum() / (len(n) * np.maximum(n, 1e-300))
    return factors


__all__ = ["PARTS", "PreparedStream", "prepare_stream"]
