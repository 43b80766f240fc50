# SPDX-License-Identifier: BSD-3-Clause
"""A trained model: a network with what turns raw rows into its inputs and its outputs back."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import Network, links, losses, model_file
from fastrelu.app.data.meaning import OLD_READING, Reading
from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess import Inputs, Target
from fastrelu.app.preprocess.inputs import Seen
from fastrelu.app.preprocess.target import require_domain
from fastrelu.app.run import ensemble
from fastrelu.app.run.ensemble import Ensemble
from fastrelu.app.run.metrics import Scores, predicted
from fastrelu.app.run.run_folder import MODEL
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
        data : Table, DataFrame, mapping of columns, or array_like (n, p)
            Raw rows. Columns are found by name, in any order; a column that is missing counts as
            one without values. The target need not be there.

        Returns
        -------
        ndarray, (n, n_classes) or (n, 1)
        """
        self.seen = Counter()
        table = self.as_table(data)
        blocks = [self.meaning(out) for _, out in self.blocks(table)]
        if not blocks:
            return np.empty((0, self.target.n_outputs), self.network.dtype)
        return np.concatenate(blocks)

    def predict(self, data: Any) -> NDArray[Any]:
        """Return a label for each row, or the value in the target's own unit.

        Parameters
        ----------
        data : Table, DataFrame, mapping of columns, or array_like (n, p)
            Raw rows, as `outputs` takes them.

        Returns
        -------
        ndarray, (n,)
        """
        outputs = self.outputs(data)
        return outputs[:, 0] if self.task == "regression" else self.target.decode(outputs)

    def predict_proba(self, data: Any) -> NDArray[Any]:
        """Return the probability of each class, in the order of `classes`.

        Parameters
        ----------
        data : Table, DataFrame, mapping of columns, or array_like (n, p)
            Raw rows, as `outputs` takes them.

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
        return self.outputs(data)

    def blocks(self, table: Table) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield the network's outputs block by block, with the rows they are of."""
        name = self.network.dtype.name
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

    def evaluate(self, tables: Table | Iterable[Table]) -> Scores:
        """Return the scores on the rows of a table, or of several, that have a target.

        Raises
        ------
        DataError
            If no row has one, or one has a class that the model does not know or a number that is
            no target of its loss.
        """
        self.seen = Counter()
        scores = Scores(self.target, self.loss)
        source = "the data"
        for table in [tables] if isinstance(tables, Table) else tables:
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
            reading=self.reading,
        )

    @property
    def reading(self) -> Reading:
        """How the texts of the training data were taken."""
        plain = self.about.get("reading")
        return OLD_READING if plain is None else Reading.from_description(plain)

    def as_table(self, data: Any) -> Table:
        """Return raw rows of any kind as a table."""
        if isinstance(data, Table):
            return data
        if isinstance(data, Mapping) or hasattr(data, "columns"):
            columns = {str(name): _column(data[name]) for name in data if name != self.target_name}
            lengths = {len(values) for values in columns.values()}
            if len(lengths) != 1:
                raise ValueError(f"data: expected columns of one length, got {sorted(lengths)}")
            return Table("data", lengths.pop(), columns)
        matrix = data if hasattr(data, "tocsr") else np.asarray(data)
        if matrix.ndim != 2:
            raise ValueError(f"data: expected rows and columns, got shape {matrix.shape}")
        matrix = matrix.tocsr() if hasattr(matrix, "tocsr") else matrix
        return self._matrix_table(matrix)

    def _matrix_table(self, matrix: Any) -> Table:
        names = self.inputs.column_names
        if matrix.shape[1] != len(names):
            raise ValueError(f"data: expected {len(names)} columns, got {matrix.shape[1]}")
        if not self.inputs.kinds:
            return Table("data", matrix.shape[0], matrix=matrix, matrix_names=names)
        dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
        columns = {name: _column(dense[:, j]) for j, name in enumerate(names)}
        return Table("data", dense.shape[0], columns)

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


def _column(values: Any) -> NDArray[Any]:
    """Return a column as a table has it: numbers, text with "" for none, or dates."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"data: expected columns of shape (n,), got {array.shape}")
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    if array.dtype.kind in "iuf":
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    texts = ["" if v is None or v != v else str(v) for v in array.tolist()]
    result = np.empty(len(texts), object)
    result[:] = texts
    return result
