# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a fit: what is asked of them, wherever they are, and those that are all here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.table import Table
from fastrelu.app.preprocess import PieceInputs, PieceOptions, fit_pieces
from fastrelu.encoded import EncodedRows
from fastrelu.history import History
from fastrelu.population import Population

Array = NDArray[Any]
Inputs = Array | EncodedRows


class TrainingInputs(Protocol):
    """The encoded rows of a fit, as members are trained on them.

    Attributes
    ----------
    whole : bool
        Whether all rows are in this process. If so, `fit` takes all options of `Population.fit`.
    """

    @property
    def whole(self) -> bool:
        """Whether all rows are in this process."""
        ...

    @property
    def n_inputs(self) -> int:
        """The number of inputs of a row."""
        ...

    def fit(self, population: Population, y: Array, epochs: int, **options: Any) -> list[History]:
        """Train members.

        Parameters
        ----------
        population : Population
            The members, their rows by number.
        y : ndarray
            The targets of all rows.
        epochs : int
            The epochs of each member.
        options
            As for `Population.fit`: ``sample_weight``, ``patience``, ``progress``.
        """
        ...

    def outputs(
        self, functions: Sequence[Callable[[Inputs], Array]], rows: Sequence[Array]
    ) -> Iterator[Array]:
        """Yield what each of some functions says of its rows, one after the other.

        Parameters
        ----------
        functions : sequence of callable
            Each says something, (m, ...), of m rows, of each by itself.
        rows : sequence of ndarray of int
            The numbers of each function's rows, ascending.
        """
        ...


class TrainingRows(Protocol):
    """The raw rows of a fit.

    Attributes
    ----------
    table : Table
        Those of this process, by columns.
    """

    @property
    def table(self) -> Table:
        """The rows of this process."""
        ...

    def __len__(self) -> int: ...

    def take(self, rows: Array) -> Self:
        """Return some of the rows, whose numbers ascend."""
        ...

    def fit_pieces(self, options: PieceOptions) -> PieceInputs:
        """Return the inputs by pieces that the rows lead to; see `fit_pieces`."""
        ...

    def encoded(self, inputs: PieceInputs) -> TrainingInputs:
        """Return the rows as inputs of networks."""
        ...

    def collect(self, rows: Array) -> Table:
        """Return a few of the rows, in any order, where they are needed whole."""
        ...


def encoded_table(inputs: PieceInputs, table: Table) -> Inputs:
    """Return the rows of a table as networks are trained on them: zeros if nothing tells them."""
    return inputs.encode(table) if inputs.n_inputs else np.zeros((len(table), 1), np.float32)


class WholeInputs:
    """Encoded rows that are all in this process.

    Parameters
    ----------
    X : EncodedRows or ndarray, (n, d_in)
        The rows.
    """

    whole = True

    def __init__(self, X: Inputs) -> None:
        self.X = X

    @property
    def n_inputs(self) -> int:
        """The number of inputs of a row."""
        return int(self.X.shape[1])

    def fit(self, population: Population, y: Array, epochs: int, **options: Any) -> list[History]:
        """Train members."""
        return population.fit(self.X, y, epochs, **options)

    def outputs(
        self, functions: Sequence[Callable[[Inputs], Array]], rows: Sequence[Array]
    ) -> Iterator[Array]:
        """Yield what each of some functions says of its rows."""
        for function, own in zip(functions, rows, strict=True):
            yield function(self.X[own])


class WholeRows:
    """Raw rows that are all in this process.

    Parameters
    ----------
    table : Table
        The rows, by columns.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def take(self, rows: Array) -> WholeRows:
        """Return some of the rows."""
        return WholeRows(self.table.take(rows))

    def fit_pieces(self, options: PieceOptions) -> PieceInputs:
        """Return the inputs by pieces that the rows lead to."""
        return fit_pieces(self.table, None, options)

    def encoded(self, inputs: PieceInputs) -> WholeInputs:
        """Return the rows as inputs of networks."""
        return WholeInputs(encoded_table(inputs, self.table))

    def collect(self, rows: Array) -> Table:
        """Return some of the rows."""
        columns = {name: column[rows] for name, column in self.table.columns.items()}
        return Table(self.table.source, len(rows), columns=columns)
