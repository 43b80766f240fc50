# SPDX-License-Identifier: BSD-3-Clause
"""A model of tables: a network with what turns columns into its inputs and its outputs back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import Network, links, losses
from fastrelu.app.data.meaning import OLD_READING, Reading
from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.readers.choice import nearest_name
from fastrelu.app.data.readers.objects import table_from
from fastrelu.app.data.table import Table
from fastrelu.app.ensemble import Ensemble
from fastrelu.app.errors import DataError
from fastrelu.app.metrics import Scores, predicted
from fastrelu.app.preprocess import Inputs, PieceInputs, Target
from fastrelu.app.preprocess.inputs import Seen, warnings_of
from fastrelu.app.preprocess.target import require_domain
from fastrelu.losses import Loss

BLOCK_ROWS = 8192


class TableModel:
    """A network that takes tables: what `Model` is made of, and what the command uses of it.

    The arguments and attributes are those of `Model`; `seen` and `nearest` collect what all calls
    since `forget` met.
    """

    _read: tuple[Any, Reading] = (None, OLD_READING)  # a description, and what it describes

    def __init__(
        self,
        network: Network | Ensemble,
        inputs: Inputs,
        target: Target,
        target_name: str,
        loss: str | Loss,
        about: dict[str, Any] | None = None,
    ) -> None:
        self.network, self.inputs, self.target = network, inputs, target
        self.target_name = target_name
        self.loss = losses.as_loss(loss)
        self.about = about or {}
        if isinstance(inputs, PieceInputs) and (self.about.get("settings") or {}).get("monotone"):
            inputs.ordered = True
        self.seen: Seen = Counter()
        self.nearest: dict[str, str] = {}

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The metrics of its training, by part: "test", "validation", "train"."""
        return dict(self.about.get("metrics") or {})

    @property
    def row_counts(self) -> dict[str, int]:
        """The number of rows of each part, and of those left out."""
        return dict(self.about.get("rows") or {})

    @property
    def epoch_used(self) -> int | None:
        """The epoch after which it had these parameters; None if that is not known."""
        epoch: int | None = self.about.get("epoch_used")
        return epoch

    @property
    def task(self) -> str:
        """The task: classification or regression."""
        return self.target.task

    @property
    def classes(self) -> list[Any]:
        """The classes, in the order of `predict_proba`'s columns; [] in regression."""
        return list(self.target.classes)

    def table_outputs(self, table: Table) -> NDArray[Any]:
        """Return what `Model.outputs` does, for a table; what it meets is counted, not warned of.

        Parameters
        ----------
        table : Table
            Rows as `as_table`, or `training.read` with `choice`, returns them.

        Returns
        -------
        ndarray, (n, n_classes) or (n, 1)
            The classes' probabilities, or the predicted values in the target's own unit.

        Raises
        ------
        DataError
            If the rows do not fit.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> model.table_outputs(table).shape
        (150, 3)
        """
        blocks = [self.meaning(out) for _, out in self.blocks(table)]
        if not blocks:
            return np.empty((0, self.target.n_outputs), self.network.dtype)
        return np.concatenate(blocks)

    def forget(self) -> None:
        """Forget what earlier rows had that training had not: `seen` and `nearest` are then empty.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> outputs = model.table_outputs(model.as_table({"sepal length (cm)": [5.0]}))
        >>> model.forget()
        >>> model.warnings()
        []
        """
        self.seen = Counter()
        self.nearest = {}

    def warnings(self) -> list[str]:
        """Return a sentence for each thing that rows since `forget` had and training had not.

        Returns
        -------
        list of str
            The sentences, by column.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> outputs = model.table_outputs(model.as_table({"sepal length (cm)": [5.0]}))
        >>> model.warnings()[0]
        "column 'petal length (cm)': not there: taken as missing in 1 rows"
        """
        return warnings_of(self.seen, self.nearest)

    def blocks(self, table: Table) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield the network's outputs for a table, block after block.

        Parameters
        ----------
        table : Table
            Rows as `as_table`, or `training.read` with `choice`, returns them.

        Yields
        ------
        rows : slice
            The rows of the block.
        outputs : ndarray, (rows, n_outputs)
            The network's outputs for them; `meaning` makes predictions of these.

        Raises
        ------
        DataError
            If the rows do not fit, or a class could not be told from the outputs of one since they
            are not finite.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> [(rows, outputs.shape) for rows, outputs in model.blocks(table)]
        [(slice(0, 150, None), (150, 3))]
        """
        name = self.network.dtype.name
        for column in set(self.inputs.column_names if table.others else ()) - set(table.names):
            other = nearest_name(column, table.others)
            if other is not None:
                self.nearest[column] = other
        for first in range(0, table.n_rows, BLOCK_ROWS):
            rows = slice(first, min(first + BLOCK_ROWS, table.n_rows))
            X = self.inputs.for_network(table.take(rows), None, name, self.seen)
            try:
                outputs = self.network.forward(X)
            except ValueError as error:
                raise DataError(f"{table.source}: {error}") from error
            self._require_classes(table, first, outputs)
            yield rows, outputs

    def _require_classes(self, table: Table, first: int, outputs: NDArray[Any]) -> None:
        """Raise DataError for outputs whose probabilities would be NaN, and their class wrong."""
        if self.task != "classification" or np.isfinite(outputs).all():
            return
        row = table.first_row + first + int(np.argmin(np.isfinite(outputs).all(axis=1)))
        raise DataError(
            f"{table.source}: row {row + 1}: the network's outputs are not finite numbers: its "
            f"weights, or the row's values, are too large for {self.network.dtype.name}"
        )

    def meaning(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return what the network's outputs mean.

        Parameters
        ----------
        outputs : ndarray, (n, n_outputs)
            The network's outputs.

        Returns
        -------
        ndarray, (n, n_classes) or (n, 1)
            The classes' probabilities, or the predicted values in the target's own unit.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> model.meaning(np.zeros((1, 3))).round(4)
        array([[0.3333, 0.3333, 0.3333]])
        """
        if self.task == "regression":
            return predicted(self.target, self.loss, outputs)[:, None]
        return links.inverse(self.loss.info.link, outputs)

    def score(self, tables: Iterable[Table]) -> Scores:
        """Return the scores on the rows of tables that have a target; see `Model.evaluate`.

        Parameters
        ----------
        tables : iterable of Table
            Rows with their targets, and weights where they have some.

        Returns
        -------
        Scores
            ``.result()`` is a dict of the metrics.

        Raises
        ------
        DataError
            If no row has a target, or a target does not suit the model.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> model.score([table]).rows
        150
        """
        scores = Scores(self.target, self.loss)
        source = "the data"
        for table in tables:
            source = table.source
            used = np.flatnonzero(~table.missing_target())
            if len(used):
                require_domain(table, used, self.loss, self.network.dtype.name)
                self._score(scores, table.take(used))
        if not scores.rows:
            raise DataError(f"{source}: no row has a target {self.target_name!r} to compare with")
        return scores

    def _score(self, scores: Scores, table: Table) -> None:
        assert table.target is not None
        classification = self.task == "classification"
        truth = self.target.encode(table.target) if classification else table.target
        if truth.dtype == object:
            raise DataError(
                f"{table.source}: target {self.target_name!r}: expected numbers, got text such as "
                f"{truth[0]!r}"
            )
        for rows, out in self.blocks(table):
            scores.add(truth[rows], out, None if table.weights is None else table.weights[rows])

    def choice(self, need_target: bool) -> ColumnChoice:
        """Return what to read from a file for this model.

        Parameters
        ----------
        need_target : bool
            Whether the target is needed too.

        Returns
        -------
        ColumnChoice
            For `training.read`.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> model.choice(need_target=True).target, model.choice(need_target=False).width
        ('target', 4)
        """
        kinds = self.inputs.kinds
        return ColumnChoice(
            target=self.target_name if need_target else None,
            kinds=kinds,
            width=None if kinds else len(self.inputs.column_names),
            order=tuple(self.inputs.file_order) if kinds else (),
            reading=self.reading,
        )

    @property
    def reading(self) -> Reading:
        """How the texts of the training data were read."""
        plain = self.about.get("reading")
        if plain is None:
            return OLD_READING
        kept = self._read
        if kept[0] is not plain:  # once, as a request of one row takes no longer than this
            kept = self._read = (plain, Reading.from_description(plain))
        return kept[1]

    def as_table(self, data: Any, need_target: bool = False) -> Table:
        """Return raw rows as a table.

        Parameters
        ----------
        data : frame, mapping, sequence, or array_like (n, p)
            Raw rows, as `Model.outputs` takes them.
        need_target : bool
            Whether the target is needed too.

        Returns
        -------
        Table
            The columns that the model takes.

        Raises
        ------
        DataError
            If the rows cannot be read.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> model.as_table(np.ones((2, 4))).n_rows
        2
        """
        return table_from(data, self.choice(need_target), need_target=need_target)
