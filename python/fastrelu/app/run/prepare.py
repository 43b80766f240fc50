# SPDX-License-Identifier: BSD-3-Clause
"""From data to rows that a network can be trained on, in memory or streamed: one pipeline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import Reading, ReadOptions
from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.sample import evenly, spread_sample
from fastrelu.app.data.split import (
    NONE,
    NUMBER,
    PARTS,
    GivenSplit,
    Split,
    ThresholdSplit,
    rows_of,
)
from fastrelu.app.data.stream import plain_files
from fastrelu.app.data.stream.budget import Share, share
from fastrelu.app.data.stream.memory import TableSource
from fastrelu.app.data.stream.source import (
    Source,
    Stream,
    every_target,
    files_fingerprint,
    numbered,
)
from fastrelu.app.data.table import Table
from fastrelu.app.errors import ConfigError, DataError
from fastrelu.app.kinds import size
from fastrelu.app.preprocess import (
    Accumulator,
    Examples,
    InputOptions,
    Inputs,
    Target,
    TargetAccumulator,
)
from fastrelu.app.preprocess.inputs import Seen, warnings_of
from fastrelu.app.preprocess.target import require_domain
from fastrelu.app.run.choices import choose_loss, resolve
from fastrelu.app.run.feeder import Feeder, MemoryFeeder
from fastrelu.app.run.parts import learn_task, refuse_absent, split_of
from fastrelu.app.run.rows import LaterExamples, SplitRows
from fastrelu.app.run.stream_feeder import StreamFeeder
from fastrelu.app.settings import Settings
from fastrelu.epoch import Sampling
from fastrelu.losses import Loss

# What is looked at of a stream for a report: rows and bytes at most; from so many chunks at least.
SAMPLED_ROWS, SAMPLED_BYTES, SAMPLED_CHUNKS = 50_000, 1 << 25, 16
LARGE = 1e15  # numbers as large may not be the network's, once they are scaled
KEPT_SHARE = 1 / 8  # of the memory, for what is kept of all rows while a stream is split


@dataclass
class Prepared:
    """Data ready for training, in memory or streamed; only read, so that many may share it.

    Attributes
    ----------
    given : Settings
        The user's choices.
    settings : Settings
        With every choice made; see `resolve`.
    split_rows : SplitRows
        The rows, the part of each, and what is done to them.
    parts : dict of Examples and LaterExamples, or None
        In memory: "train" and "validation", ready for the network, and "test", which is asked for
        once, when all is done, and so does not take memory while training does.
    share : Share or None
        Streamed: how the memory is used.
    dropped : int
        Rows without a target or weight.
    notes : list of str
        What the user should know.
    """

    given: Settings
    settings: Settings
    split_rows: SplitRows
    parts: dict[str, Examples | LaterExamples] | None
    share: Share | None
    dropped: int
    notes: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """Where the rows come from."""
        return self.split_rows.source.source

    @property
    def n_rows(self) -> int:
        """Rows read, those left out included."""
        return self.split_rows.source.n_rows

    @property
    def reading(self) -> Reading | None:
        """How texts were taken."""
        return self.split_rows.source.reading

    @property
    def target_name(self) -> str:
        """The target's name."""
        return self.split_rows.source.target_name or "target"

    @property
    def inputs(self) -> Inputs:
        """What is done to the inputs."""
        return self.split_rows.inputs

    @property
    def target(self) -> Target:
        """What is learned."""
        return self.split_rows.target

    @property
    def loss(self) -> Loss:
        """With which loss."""
        return self.split_rows.loss

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What tells the data from others.

        With shards that of the files, where there are some: no process may have all rows.
        """
        source = self.split_rows.source
        paths = plain_files(self.given.data) if self.given.shards is not None else []
        if not paths:
            return source.fingerprint()
        return files_fingerprint(source.n_rows, source.names[:1000], source.target_name, paths)

    @property
    def table(self) -> Table:
        """All rows, of data in memory."""
        assert isinstance(self.split_rows.source, TableSource)
        return self.split_rows.source.table

    @cached_property
    def rows(self) -> dict[str, NDArray[np.intp]]:
        """The rows of each part, of data in memory."""
        numbers = self.split_rows.split.numbers(self.table, 0)
        return {part: rows_of(numbers, part) for part in PARTS}

    def with_settings(self, settings: Settings) -> Prepared:
        """Return the same rows, in memory, for a training with other settings, all choices made.

        Split and preprocessing stay; the rows' weights in the loss follow the settings.
        """
        assert self.parts is not None
        if settings.class_weight == self.settings.class_weight:
            return replace(self, settings=settings)
        own = self.split_rows
        own = replace(own, class_weights=class_factors(settings, own.source, own.split, own.target))
        parts: dict[str, Examples | LaterExamples] = {}
        for name, part in self.parts.items():
            if isinstance(part, LaterExamples):
                parts[name] = replace(part, own=own)
            else:
                weights = own.loss_weights(part.truth, part.weights)
                parts[name] = replace(part, loss_weights=weights)
        return replace(self, settings=settings, split_rows=own, parts=parts)

    def feeder(self) -> Feeder:
        """Return a way through the data for one training."""
        settings = self.settings
        assert settings.batch_size is not None
        if self.parts is None:
            assert self.share is not None
            return StreamFeeder(self.split_rows, self.share, settings.batch_size, settings.seed)
        sampling = cast(Sampling, settings.sampling)
        shards = settings.shards or 1
        return MemoryFeeder(
            self.parts, self.target, self.loss, settings.batch_size, sampling, shards
        )

    def give_back(self, part: str) -> None:
        """Give back a part's examples in memory, when it is trained on and judged no more."""
        if self.parts is not None:
            self.parts.pop(part, None)  # the feeders', too

    def forget_rows(self) -> None:
        """Give back the raw rows in memory, when nothing asks for them any more."""
        if isinstance(self.split_rows.source, TableSource):
            self.split_rows.source.forget()

    def counts(self) -> dict[str, int]:
        """Return the rows of each part, and those left out."""
        return self.split_rows.n_rows | {"dropped": self.dropped}

    def sample(self, part: str, most: int) -> Table:
        """Return raw rows of a part, `most` or about so many, evenly spread over it.

        Of a stream they come from some chunks, from all if it has no more rows than that.
        """
        own = self.split_rows
        counts = own.counts[:, NUMBER[part]]
        visits = np.flatnonzero(counts)
        if self.parts is None:
            row_bytes = cast(Stream, own.source).raw_row_bytes
            most = min(most, SAMPLED_ROWS, SAMPLED_BYTES // max(1, int(row_bytes)))
            enough = -(-len(visits) * most // max(1, int(counts.sum())))  # that hold so many rows
            visits = evenly(visits, max(SAMPLED_CHUNKS, enough))
        if not len(visits):
            return self.table.take(np.zeros(0, np.intp))
        return spread_sample(own.of_chunks(visits.tolist(), part), int(counts[visits].sum()), most)

    def training_rows(self) -> tuple[Table, NDArray[np.intp] | None]:
        """Return a table and its training rows: all, of a stream some, evenly spread."""
        if self.parts is None:
            return self.sample("train", SAMPLED_ROWS), None
        return self.table, self.rows["train"]


def column_choice(settings: Settings) -> ColumnChoice:
    """Return what the settings say about the columns."""
    kind, _, name = settings.split.partition(":")
    return ColumnChoice(
        target=settings.target,
        features=settings.features,
        ignore=settings.ignore,
        weights=settings.weights,
        categorical=settings.categorical,
        extra=() if kind == "random" else (name,),
        x=settings.x,
        y=settings.y,
        sql=settings.sql,
        table=settings.table,
        options=read_options(settings),
    )


def read_options(settings: Any) -> ReadOptions:
    """Return what settings, or the flags of a command, say about the reading of texts."""
    return ReadOptions(**{each.name: getattr(settings, each.name) for each in fields(ReadOptions)})


def input_options(settings: Settings) -> InputOptions:
    """Return what the settings say about the preprocessing."""
    kind, _, width = settings.categories.partition(":")
    return InputOptions(
        standardize=settings.scaling, categories=kind, hash_width=int(width) if width else 64
    )


def prepare(
    data: Table | Source,
    settings: Settings,
    rows: dict[str, NDArray[np.intp]] | None = None,
    former: bool = False,
) -> Prepared:
    """Split data and learn from the training rows what is done to them.

    A pass over the targets learns the task, others make the split; two passes over all columns
    learn means, then deviations. A table in memory is a source of one chunk.

    Parameters
    ----------
    data : Table or Source
        Rows in memory, or a stream; those without a target are left out.
    settings : Settings
        The user's choices.
    rows : dict of ndarray, optional
        The rows of each part of a table, instead of the settings' split.
    former : bool
        Whether a stream is split, and its classes are weighed, as by fastrelu 0.1.

    Raises
    ------
    DataError
        If the rows are too few, the target does not fit the task, or the memory allowed is too
        little for a stream.
    ConfigError
        If a setting does not fit the task, or a stream.
    """
    source: Source = TableSource(data) if isinstance(data, Table) else data
    streamed = not isinstance(source, TableSource)
    if streamed and settings.shards is not None:
        raise ConfigError(
            "--shards cuts rows in memory, and the data are larger than --memory; give more "
            "--memory, or leave --shards out"
        )
    if streamed and settings.sampling != "shuffle":
        raise ConfigError(
            f"--sampling {settings.sampling} draws from all rows, and the data are larger than "
            "--memory; leave it out, or give more --memory"
        )
    targets = partial(every_target, source)
    task = learn_task(source.source, targets, settings)
    split: Split
    if rows is not None:
        split = GivenSplit.of(rows, source.n_rows)
    elif former and settings.split == "random":
        split = ThresholdSplit(settings.seed, settings.validation, settings.test)
    else:
        most = size(settings.memory) * KEPT_SHARE if streamed else math.inf
        split = split_of(settings, source.source, source.n_rows, targets, task, most)
    loss = choose_loss(settings, task[0].task)
    learned = _learn(source, settings, split, task[0].task, loss)
    own, chosen, dropped, notes = made_ready(
        source, settings, split, loss, learned, given=rows is not None, former=former
    )
    if not streamed:
        parts = _examples(own, notes)
        notes += _beyond(own, parts, settings)
        return Prepared(settings, chosen, own, parts, None, dropped, notes)
    if learned.large:  # what they are refused for is not found after the training
        for part in ("validation", "test"):
            for piece, which in own.of_part(part):
                LaterExamples(own, piece, which).check(Counter())
    assert chosen.batch_size is not None
    shared = share(cast(Stream, source), own.row_bytes, chosen.batch_size, size(settings.memory))
    notes.append(
        f"read in blocks of {shared.block_rows:,} training rows, shuffled inside, from "
        f"{len(source.chunks):,} pieces in random order (--memory {settings.memory})"
    )
    return Prepared(settings, chosen, own, None, shared, dropped, notes)


def made_ready(
    source: Source,
    settings: Settings,
    split: Split,
    loss: Loss,
    learned: Learned,
    given: bool = False,
    former: bool = False,
) -> tuple[SplitRows, Settings, int, list[str]]:
    """Return what is done to the rows, the settings with every choice made, and what to tell.

    Parameters
    ----------
    source, settings, split, loss, learned
        The rows, the user's choices, and what has been made of them.
    given : bool
        Whether the parts were given: then classes may be in no training row.
    former : bool
        As for `prepare`.

    Returns
    -------
    own : SplitRows
    chosen : Settings
    dropped : int
        Rows without a target or weight.
    notes : list of str
        What the user should know.
    """
    if not given:
        refuse_absent(source.source, source.target_name, learned.target)
    target = learned.target.for_loss(loss)
    n_train = int(learned.counts[:, NUMBER["train"]].sum())
    chosen = resolve(settings, target, n_train)
    own = SplitRows(
        source, split, learned.counts[:, :NONE], learned.inputs, target, loss, chosen.dtype,
        learned.weighted, class_factors(chosen, source, split, target, former), former,
    )  # fmt: skip
    dropped = int(learned.counts[:, NONE].sum())
    notes = list(source.notes)
    if dropped:
        notes.append(f"{dropped} of {source.n_rows} rows have no target or weight: left out")
    return own, chosen, dropped, [*notes, *learned.inputs.notes]


class Learned(NamedTuple):
    """What two passes over a source have learned.

    `counts` are (chunks, parts and none); `large`: whether rows of a stream that are not trained on
    hold numbers that may be too large for the network's dtype.
    """

    inputs: Inputs
    target: Target
    counts: NDArray[np.int64]
    weighted: bool
    large: bool


def _learn(source: Source, settings: Settings, split: Split, task: str, loss: Loss) -> Learned:
    inputs, target = Accumulator(input_options(settings)), TargetAccumulator(task)
    counts = np.zeros((len(source.chunks), NONE + 1), np.int64)
    weighted = False
    for c, table, numbers in _passed(source, split):
        weighted = table.weights is not None
        counts[c] += np.bincount(numbers, minlength=NONE + 1)
        require_domain(table, np.flatnonzero(numbers != NONE), loss, settings.dtype)
        train = rows_of(numbers, "train")
        inputs.first(table, train)
        target.first(table, train)
    if counts[:, NUMBER["train"]].sum() < 2:
        raise DataError(f"{source.source}: expected at least 2 rows to train on")
    inputs.finish_first()
    target.finish_first()
    large, held = False, isinstance(source, TableSource)
    for _, table, numbers in _passed(source, split):
        train = rows_of(numbers, "train")
        inputs.second(table, train)
        target.second(table, train)
        large = large or (not held and _large(table, ~np.isin(numbers, (NUMBER["train"], NONE))))
    return Learned(inputs.finish(), target.finish(), counts, weighted, large)


def _large(table: Table, which: NDArray[np.bool_]) -> bool:
    """Return whether some rows of a stream hold numbers of at least `LARGE`, or infinities."""
    every = table.columns.values() if table.matrix is None else [table.matrix]
    floats = [values for values in every if values.dtype.kind == "f"]
    return any(bool((np.abs(values[which]) >= LARGE).any()) for values in floats)


def _passed(source: Source, split: Split) -> Iterator[tuple[int, Table, NDArray[np.uint8]]]:
    """Yield (number of the chunk, some of its rows, the part of each) for all rows."""
    for c, chunk in enumerate(source.chunks):
        for at, table in numbered(chunk, source.parts(chunk)):
            yield c, table, split.numbers(table, at)


def _examples(own: SplitRows, notes: list[str]) -> dict[str, Examples | LaterExamples]:
    """Return each part of a table ready for the network; note what training has not seen."""
    (table,) = own.source.parts(own.source.chunks[0])
    numbers = own.split.numbers(table, 0)
    parts: dict[str, Examples | LaterExamples] = {}
    for part in PARTS:
        seen: Seen = Counter()
        rows = rows_of(numbers, part)
        if part == "test":
            parts[part] = later = LaterExamples(own, table, rows)
            later.check(seen)  # what they are refused for is not found after the training
        else:
            parts[part] = own.ready(table, rows, seen)
        notes += [f"{part}: {text}" for text in warnings_of(seen)]
    return parts


def _beyond(
    own: SplitRows, parts: dict[str, Examples | LaterExamples], settings: Settings
) -> list[str]:
    """Return what to say of columns that have become inputs which take more than is allowed.

    How many inputs the categories become is known only once the columns have been read.
    """
    held = [part.X for part in parts.values() if isinstance(part, Examples)]
    taken = sum(X.nbytes for X in held if isinstance(X, np.ndarray))
    n = own.inputs.n_inputs
    if taken <= size(settings.memory) or n <= len(own.source.names):
        return []
    return [
        f"--memory {settings.memory} counts columns as they are read; the {n:,} inputs that they "
        f"become take {taken / 1e6:,.0f} MB in memory"
    ]


def class_factors(
    settings: Settings, source: Source, split: Split, target: Target, former: bool = False
) -> NDArray[np.float64] | None:
    """Return the classes' factors for --class-weight balanced, from all training rows.

    Each counts with its weight; `former`: as one, as in the streams of fastrelu 0.1.
    """
    if settings.class_weight != "balanced":
        return None
    n = np.zeros(len(target.classes))
    for first, table in every_target(source):
        assert table.target is not None
        train = rows_of(split.numbers(table, first), "train")
        weights = 1.0 if table.weights is None or former else table.weights[train]
        np.add.at(n, target.encode(table.target[train]), weights)  # row after row
    factors: NDArray[np.float64] = n.sum() / (len(n) * np.maximum(n, 1e-300))
    return factors
