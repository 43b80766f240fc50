# SPDX-License-Identifier: BSD-3-Clause
"""A trained model: a network with what turns raw rows into its inputs and its outputs back."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import Network, links, losses, model_file
from fastrelu.app import ensemble
from fastrelu.app.data.meaning import OLD_READING, Reading
from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.readers.choice import nearest_name
from fastrelu.app.data.readers.object_types import ObjectColumn
from fastrelu.app.data.readers.objects import table_from
from fastrelu.app.data.readers.values import as_target, as_weights, row_number
from fastrelu.app.data.table import Table
from fastrelu.app.ensemble import Ensemble
from fastrelu.app.errors import DataError, DataWarning, RowsError
from fastrelu.app.metrics import Scores, predicted
from fastrelu.app.preprocess import Inputs, Target
from fastrelu.app.preprocess.inputs import Seen, warnings_of
from fastrelu.app.preprocess.target import require_domain
from fastrelu.app.run_folder import MODEL
from fastrelu.losses import Loss

NETWORK, PIPELINE, VERSION = "fastrelu.network", "pipeline", 1
BLOCK_ROWS = 8192


class Model:
    """A network that takes raw rows.

    Parameters
    ----------
    network : Network or Ensemble
        The network, or several that predict together (``fastrelu train --seeds``).
    inputs : Inputs
        What makes its inputs of columns or arrays.
    target : Target
        What its outputs mean.
    target_name : str
        The target's name.
    loss : str or Loss
        What it was trained with.
    about : dict, optional
        What else the file says: metrics, settings, rows.

    Attributes
    ----------
    seen : Counter
        What the last call met that training had not, by (what, column): unseen categories, missing
        columns.
    nearest : dict of str to str
        For columns that the last call missed: a column that was there, was not looked at, and has
        nearly the name.
    """

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
        self.seen: Seen = Counter()
        self.nearest: dict[str, str] = {}

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The metrics of its training, by set: "test", "validation", "train"."""
        return dict(self.about.get("metrics") or {})

    @property
    def row_counts(self) -> dict[str, int]:
        """The rows of each set, and those left out."""
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

    def outputs(self, data: Any) -> NDArray[Any]:
        """Return the classes' probabilities, or the predicted values in the target's own unit.

        Parameters
        ----------
        data : frame, mapping, sequence, or array_like (n, p)
            Raw rows: a pandas or polars frame, an Arrow table, a DuckDB relation, a dict of
            columns, a list of dicts, one row as a dict of values; columns are found by name, in any
            order, and read as those of a file are. A column that is missing counts as one without
            values. The columns of an array are those of the training file, in its order. The target
            need not be there.

        Returns
        -------
        ndarray, (n, n_classes) or (n, 1)

        Warns
        -----
        DataWarning
            For each column in which something is what training had not, or that is not there.

        Raises
        ------
        DataError
            If the rows cannot be read.
        """
        return self._outputs(data)

    def predict(self, data: Any) -> NDArray[Any]:
        """Return a label for each row, or the value in the target's own unit.

        Parameters
        ----------
        data : frame, mapping, sequence, or array_like (n, p)
            Raw rows, as `outputs` takes them, with the same warnings.

        Returns
        -------
        ndarray, (n,)
        """
        outputs = self._outputs(data)
        return outputs[:, 0] if self.task == "regression" else self.target.decode(outputs)

    def predict_proba(self, data: Any) -> NDArray[Any]:
        """Return the probability of each class, in the order of `classes`.

        Parameters
        ----------
        data : frame, mapping, sequence, or array_like (n, p)
            Raw rows, as `outputs` takes them, with the same warnings.

        Returns
        -------
        ndarray, (n, n_classes)

        Raises
        ------
        ValueError
            If the model is of a regression.
        """
        if self.task != "classification":
            raise ValueError("predict_proba: the model predicts numbers, not classes")
        return self._outputs(data)

    def _outputs(self, data: Any) -> NDArray[Any]:
        self.forget()
        result = self.table_outputs(self.as_table(data))
        self._warn()
        return result

    def table_outputs(self, table: Table) -> NDArray[Any]:
        """Return what `outputs` does, of a table; what it meets is counted, and not warned of."""
        blocks = [self.meaning(out) for _, out in self.blocks(table)]
        if not blocks:
            return np.empty((0, self.target.n_outputs), self.network.dtype)
        return np.concatenate(blocks)

    def forget(self) -> None:
        """Forget what earlier rows had that training had not."""
        self.seen = Counter()
        self.nearest = {}

    def warnings(self) -> list[str]:
        """Return a sentence for each thing that rows since `forget` had and training had not."""
        return warnings_of(self.seen, self.nearest)

    def _warn(self) -> None:
        for text in self.warnings():
            warnings.warn(text, DataWarning, stacklevel=4)

    def blocks(self, table: Table) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield the network's outputs block by block, with the rows they are of."""
        name = self.network.dtype.name
        for column in set(self.inputs.column_names if table.others else ()) - set(table.names):
            other = nearest_name(column, table.others)
            if other is not None:
                self.nearest[column] = other
        for first in range(0, table.n_rows, BLOCK_ROWS):
            rows = slice(first, min(first + BLOCK_ROWS, table.n_rows))
            X = self.inputs.transform(table.take(rows), None, name, self.seen)
            try:
                yield rows, self.network.forward(X)
            except ValueError as error:
                raise DataError(f"{table.source}: {error}") from error

    def meaning(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return outputs as probabilities, or as values in the target's unit, (n, 1)."""
        if self.task == "regression":
            return predicted(self.target, self.loss, outputs)[:, None]
        return links.inverse(self.loss.info.link, outputs)

    def evaluate(self, data: Any, y: Any = None, sample_weight: Any = None) -> Scores:
        """Return the scores on rows that have a target.

        Parameters
        ----------
        data : frame, mapping, sequence, or array_like (n, p)
            Raw rows, as `outputs` takes them, with the same warnings.
        y : array_like, (n,), optional
            Their targets; by default the column of the target's name.
        sample_weight : array_like, (n,), optional
            Weights of the rows.

        Returns
        -------
        Scores
            ``.result()`` is a dict of the metrics.

        Raises
        ------
        DataError
            If no row has a target, or one has a class that the model does not know or a number
            that is no target of its loss.
        """
        self.forget()
        table = self.as_table(data, need_target=y is None)
        place = row_number()
        if y is not None:
            name, kind = self.target_name, self.target.kind
            read = ObjectColumn("y", name, place, kind if kind == "text" else None, "target")
            table = replace(table, target=as_target("y", name, read.read(y), place))
        if sample_weight is not None:
            weights = as_weights("data", "sample_weight", np.asarray(sample_weight), place)
            table = replace(table, weights=weights)
        for what, values in (("y", table.target), ("sample_weight", table.weights)):
            if values is not None and len(values) != table.n_rows:
                raise RowsError(f"{what}: expected {table.n_rows} values, got {len(values)}")
        scores = self.score([table])
        self._warn()
        return scores

    def score(self, tables: Iterable[Table]) -> Scores:
        """Return the scores on the rows of tables that have a target; see `evaluate`."""
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
        """Return what to read from a file for this model."""
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
        """How the texts of the training data were taken."""
        plain = self.about.get("reading")
        return OLD_READING if plain is None else Reading.from_description(plain)

    def as_table(self, data: Any, need_target: bool = False) -> Table:
        """Return raw rows of any kind as a table; see `outputs`."""
        return table_from(data, self.choice(need_target), need_target=need_target)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model: a file that `fastrelu.load` gives the network of; or an ensemble."""
        arrays, metadata = ensemble.content(self.network)
        pipeline = {
            "version": VERSION,
            "inputs": self.inputs.describe(),
            "target": self.target.describe(),
            "target_name": self.target_name,
            "loss": losses.core_options(self.loss, self.target.n_outputs),
            "about": self.about,
        }
        text = json.dumps(pipeline, allow_nan=False)
        model_file.write(path, arrays, {**metadata, PIPELINE: text})

    def __repr__(self) -> str:
        sizes = "-".join(map(str, self.network.layer_sizes))
        return f"<fastrelu.training.Model of {self.target_name!r}, {self.task}, {sizes}>"


def load_model(path: str | os.PathLike[str]) -> Model:
    """Return the model that ``fastrelu train --out DIR`` wrote.

    Parameters
    ----------
    path : path-like
        ``DIR/model.safetensors``, or ``DIR``.

    Returns
    -------
    Model

    Raises
    ------
    DataError
        If there is no such file, or it is no such model.

    Examples
    --------
    >>> import tempfile
    >>> from fastrelu import training
    >>> from fastrelu.app.cli import main
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     command = ["train", "iris", "--epochs", "1", "--out", folder + "/run", "--quiet"]
    ...     _ = main(command, standalone_mode=False)
    ...     model = training.load_model(folder + "/run")
    test accuracy: 0.7000
    >>> model.task, model.predict(training.read(["iris"])).shape
    ('classification', (150,))
    """
    file = Path(path)
    if file.is_dir():
        file = file / MODEL
        if not file.is_file():
            raise DataError(f"{path}: holds no {MODEL}; is the training finished?")
    try:
        arrays, metadata = model_file.read(file, NETWORK, ensemble.FORMAT)
        network = ensemble.from_content(arrays, metadata)
    except (ValueError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"{file}: not a model of fastrelu ({reason})") from None
    if PIPELINE not in metadata:
        raise DataError(
            f"{file}: a bare network, without the preprocessing that fastrelu train saves; "
            f"fastrelu.load({str(file)!r}) loads it"
        )
    try:
        pipeline = json.loads(metadata[PIPELINE])
        if pipeline["version"] > VERSION:
            raise DataError(f"{file}: written by a later fastrelu; this one is too old for it")
        return Model(
            network,
            Inputs.from_description(pipeline["inputs"]),
            Target.from_description(pipeline["target"]),
            pipeline["target_name"],
            losses.from_settings(pipeline["loss"]),
            pipeline["about"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: the model file is damaged ({error!r})") from None
