# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a fit that ranks make together: each keeps its own, raw and encoded.

What all rows decide is decided column by column: what a column is, and where its pieces end. The
rows of a member's next steps come to the rank that trains it, a block at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.table import Table, kind_of
from fastrelu.app.preprocess import PieceInputs, PieceOptions
from fastrelu.app.preprocess.piece_fit import pieces_of, put_together
from fastrelu.app.tabular.by_column import by_column
from fastrelu.app.tabular.training_rows import Inputs, encoded_table
from fastrelu.distributed import Communicator, RankRows, fit_rank_rows
from fastrelu.distributed.communicator import together
from fastrelu.history import History
from fastrelu.population import Population

Array = NDArray[Any]


class RankTable:
    """Raw rows of which each rank has its own; they are numbered in the order of ranks.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    table : Table
        The rows of this rank, by columns, which are the same on all ranks.
    """

    def __init__(self, comm: Communicator, table: Table) -> None:
        self.comm, self.table = comm, table
        self.counts: list[int] = comm.gather(len(table))
        self._first = sum(self.counts[: comm.rank])

    def __len__(self) -> int:
        return sum(self.counts)

    def _own(self, rows: Array) -> Array:
        """Return which of some rows are this rank's, by their places in its table."""
        own = rows - self._first
        return own[(own >= 0) & (own < len(self.table))]

    def take(self, rows: Array) -> RankTable:
        """Return some of the rows, whose numbers ascend."""
        return RankTable(self.comm, self.table.take(self._own(rows)))

    def fit_pieces(self, options: PieceOptions) -> PieceInputs:
        """Return the inputs by pieces that the rows of all ranks lead to."""
        names, size = list(self.table.columns), self.comm.size

        def work(j: int, parts: list[Any]) -> list[Any]:
            column = np.concatenate(parts)
            whole = Table(self.table.source, len(column), columns={names[j]: column})
            return [pieces_of(whole, names[j], None, options)] * size

        found = by_column(
            self.comm, len(names), len(self), lambda j: self.table.columns[names[j]], work
        )
        kinds = {name: kind_of(column) for name, column in self.table.columns.items()}
        return put_together(self.table.source, kinds, found)

    def encoded(self, inputs: PieceInputs) -> RankInputs:
        """Return the rows as inputs of networks; each rank its own."""
        with together(self.comm, (Exception,)):
            X = encoded_table(inputs, self.table)
        return RankInputs(RankRows(self.comm, X))

    def collect(self, rows: Array) -> Table:
        """Return a few of the rows, in any order, on every rank."""
        own = self._own(rows)
        parts = self.comm.gather({name: each[own] for name, each in self.table.columns.items()})
        # As the parts have come: those of rank 0, each in the order of `rows`.
        owner = np.searchsorted(np.cumsum(self.counts), rows, side="right")
        places = np.empty(len(rows), np.intp)
        places[np.argsort(owner, kind="stable")] = np.arange(len(rows))
        columns = {
            name: np.concatenate([part[name] for part in parts])[places]
            for name in self.table.columns
        }
        return Table(self.table.source, len(rows), columns=columns)


class RankInputs:
    """Encoded rows of which each rank has its own.

    Parameters
    ----------
    rows : RankRows
        The rows.
    """

    whole = False

    def __init__(self, rows: RankRows) -> None:
        self.rows = rows

    @property
    def n_inputs(self) -> int:
        """The number of inputs of a row."""
        return self.rows.n_inputs

    def fit(self, population: Population, y: Array, epochs: int, **options: Any) -> list[History]:
        """Train members, some on each rank, which all then have."""
        return fit_rank_rows(population, self.rows, y, epochs, **options)

    def outputs(
        self, functions: Sequence[Callable[[Inputs], Array]], rows: Sequence[Array]
    ) -> Iterator[Array]:
        """Yield what each of some functions says of its rows: each rank asks it of its own."""
        comm = self.rows.comm
        for function, some in zip(functions, rows, strict=True):
            with together(comm, (Exception,)):
                own = function(self.rows.X[self.rows.own(some)])
            yield np.concatenate(comm.gather(own))
