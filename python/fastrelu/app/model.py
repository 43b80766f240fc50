# SPDX-License-Identifier: BSD-3-Clause
"""A trained model: a network with what turns raw rows into its inputs and its outputs back."""

from __future__ import annotations

import json
import os
import warnings
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import losses, model_file
from fastrelu.app import described, ensemble
from fastrelu.app.data.meaning import Reading
from fastrelu.app.data.readers.object_types import ObjectColumn
from fastrelu.app.data.readers.values import as_target, as_weights, row_number
from fastrelu.app.errors import DataError, DataWarning, RowsError
from fastrelu.app.metrics import Scores
from fastrelu.app.preprocess import Inputs, Target
from fastrelu.app.run_folder import MODEL
from fastrelu.app.table_model import TableModel
from fastrelu.app.usual import PRESETS, SINGLE
from fastrelu.ensemble import FORMAT as ENSEMBLE

#: Metrics that lie between 0 and 1.
SHARES = ("accuracy", "balanced_accuracy", "roc_auc", "average_precision")
NETWORK, PIPELINE, VERSION = "fastrelu.network", "pipeline", 1


class Model(TableModel):
    """A network that takes raw rows, as ``fastrelu train`` makes it and `load_model` loads it.

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

    Examples
    --------
    >>> from fastrelu import training
    >>> table = training.read(["iris"])
    >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
    >>> net = fastrelu.Network([4, 3])  # not trained
    >>> about = {"metrics": {"test": {"accuracy": 0.4}}, "rows": {"test": 30}, "epoch_used": 7}
    >>> model = training.Model(net, inputs, target, "target", "cross_entropy", about)
    >>> model.task, model.classes
    ('classification', ['setosa', 'versicolor', 'virginica'])
    >>> model.metrics, model.row_counts, model.epoch_used
    ({'test': {'accuracy': 0.4}}, {'test': 30}, 7)
    >>> len(model.predict(table.matrix[:2])), model.reading.file
    (2, {})
    """

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
            Probabilities or values.

        Warns
        -----
        DataWarning
            For each column in which something is what training had not, or that is not there.

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
        >>> model.outputs(np.zeros((2, 4))).shape
        (2, 3)
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
            Labels, or numbers.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> model.predict(np.zeros((2, 4))).shape
        (2,)
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
            Each row's sum is 1.

        Raises
        ------
        ValueError
            If the model predicts numbers.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> model.predict_proba(np.zeros((2, 4))).sum(axis=1).round(4)
        array([1., 1.], dtype=float32)
        """
        if self.task != "classification":
            raise ValueError("predict_proba: the model predicts numbers, not classes")
        return self._outputs(data)

    def _outputs(self, data: Any) -> NDArray[Any]:
        table, asked = self.as_table(data), self._for_one_call()
        result = asked.table_outputs(table)
        self._warn(asked)
        return result

    def _for_one_call(self) -> Model:
        """Return this model once more: what other threads' calls meet is not mixed with its own."""
        asked = copy(self)
        asked.forget()
        return asked

    def _warn(self, asked: Model) -> None:
        """Warn of what one call has met, and keep it as that of the last one."""
        self.seen, self.nearest = asked.seen, asked.nearest
        for text in asked.warnings():
            warnings.warn(text, DataWarning, stacklevel=4)

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

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> sorted(model.evaluate(np.zeros((2, 4)), y=["setosa", "virginica"]).result())
        ['accuracy', 'average_precision', 'balanced_accuracy', 'brier', 'loss', 'roc_auc']
        """
        table, asked = self.as_table(data, need_target=y is None), self._for_one_call()
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
        scores = asked.score([table])
        self._warn(asked)
        return scores

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, from which `load_model` loads it.

        `fastrelu.load` loads the network alone, unless it is an ensemble.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced only once the new one is whole.

        Raises
        ------
        OSError
            If it cannot be written.

        Examples
        --------
        >>> from fastrelu import training
        >>> table = training.read(["iris"])
        >>> inputs, target = training.fit_inputs(table), training.fit_target(table)
        >>> net = fastrelu.Network([4, 3])
        >>> model = training.Model(net, inputs, target, "target", "cross_entropy")
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(folder + "/model.safetensors")
        ...     training.load_model(folder + "/model.safetensors")
        <fastrelu.training.Model of 'target', classification, 4-3>
        """
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


def _metrics(plain: Any, what: str) -> dict[str, Any]:
    """Return the metrics of one part; one that cannot be computed is None."""
    found = described.mapping(plain, what, described.anything)
    for name, value in found.items():
        if value is not None:
            number = described.number(value, f"{what}.{name}")
            if name in SHARES and not 0 <= number <= 1 + 1e-9:  # up to roundings of weights
                raise described.refused(value, f"{what}.{name}", "0 to 1")
    return found


def _about(plain: Any) -> dict[str, Any]:
    """Return what else a file says of its model, the parts that are used looked at."""
    about = described.mapping(plain, "about", described.anything)
    for key in ("metrics", "rows", "settings", "recipe", "reading"):  # null is as if it were not
        if about.get(key, "") is None:
            del about[key]
    described.mapping(about.get("metrics", {}), "metrics", _metrics)
    described.mapping(about.get("rows", {}), "rows", described.whole)
    for key in ("epochs", "epoch_used"):
        if about.get(key) is not None:
            described.whole(about[key], key)
    described.text(about.get("fastrelu", ""), "fastrelu")
    settings = described.mapping(about.get("settings", {}), "settings", described.anything)
    described.one_of(settings.get("preset", SINGLE), "settings.preset", (*PRESETS, SINGLE))
    for key in ("early_stopping", "epochs", "batch_size", "seed"):
        described.whole(settings.get(key, 0), f"settings.{key}")
    if "recipe" in about:
        recipe = described.mapping(about["recipe"], "recipe", described.anything)
        described.text(recipe["candidate"], "recipe.candidate")
        described.number(recipe["shrinkage"], "recipe.shrinkage")
        described.sequence(recipe["candidates"], "recipe.candidates", described.anything)
    if "reading" in about:
        Reading.from_description(about["reading"])
    return about


def _require_fit(model: Model) -> None:
    """Raise ValueError unless a model's network, preprocessing, target and loss fit each other."""
    network, inputs, target = model.network, model.inputs, model.target
    networks = network.networks if isinstance(network, ensemble.Ensemble) else [network]
    sizes = (inputs.n_inputs, target.n_outputs)
    for net in networks:
        if (net.layer_sizes[0], net.layer_sizes[-1]) != sizes:
            raise described.refused(net.layer_sizes, "layer_sizes", f"{sizes[0]}, ..., {sizes[1]}")
        if net.scale != float(net.dtype.type(inputs.scale)):
            raise described.refused(net.scale, "scale", f"{inputs.scale!r}, as the inputs need it")
        if not np.isfinite(net.parameters).all():
            raise ValueError("the network's parameters are not all finite numbers")
    labels = model.loss.info.domain.labels
    if labels != (target.task == "classification"):
        raise described.refused(model.loss.name, "loss", f"one for {target.task}")
    losses.core_options(model.loss, target.n_outputs)  # its numbers fit
    if isinstance(network, ensemble.Ensemble):
        described.one_of(network.link, "link", [ensemble.link_of(model.loss)])


def load_model(path: str | os.PathLike[str]) -> Model:
    """Return the model that ``fastrelu train --out DIR`` wrote.

    Parameters
    ----------
    path : path-like
        ``DIR/model.safetensors``, or ``DIR``.

    Returns
    -------
    Model
        The model; its predictions have the bits of those of the command.

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
    if os.path.isdir(path):  # which raises nothing of paths that the system refuses
        file = file / MODEL
        if not os.path.isfile(file):
            raise DataError(f"{path}: holds no {MODEL}; is the training finished?")
    try:
        arrays, metadata = model_file.read(file, NETWORK, ENSEMBLE)
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
        pipeline = described.parsed(metadata[PIPELINE])
        if described.whole(pipeline["version"], "version") > VERSION:
            raise DataError(f"{file}: written by a later fastrelu; this one is too old for it")
        model = Model(
            network,
            Inputs.from_description(pipeline["inputs"]),
            Target.from_description(pipeline["target"]),
            described.text(pipeline["target_name"], "target_name"),
            losses.from_settings(pipeline["loss"]),
            _about(pipeline["about"]),
        )
        _require_fit(model)
        return model
    except (DataError, MemoryError):
        raise
    except Exception as error:  # what a file holds may lead to any
        raise DataError(f"{file}: the model file is damaged ({error!r:.200})") from None
