# SPDX-License-Identifier: BSD-3-Clause
"""A model of tables as one network of the columns' own numbers, encoding and all.

A piece of the encoding, clip(u, 0, 1) with u affine in the number, is 1 - relu(1 - relu(u)): equal
to relu(u) - relu(u - 1), but nothing cancels where u is large, and what lies outside is 0 or 1
exactly.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess import PieceInputs
from fastrelu.app.preprocess.column_inputs import read_columns, values_of
from fastrelu.app.preprocess.columns import as_texts, find_columns
from fastrelu.app.preprocess.piece_inputs import FARTHEST, LARGEST, PieceNumber
from fastrelu.app.tabular.rows import further_table
from fastrelu.network import Network

Array = NDArray[Any]
Floats = NDArray[np.float64]
Layer = tuple[Floats, Floats]
#: Largest error of u that an offset may bring about; with more the numbers are centred first.
ROUNDING = 1e-9


class Raw:
    """Not to be used itself; see `TabularClassifier` and `TabularRegressor`."""

    networks_: list[Network]
    inputs_: PieceInputs
    _choice: ColumnChoice

    def _in_unit(self, outputs: Floats, differences: bool) -> Floats:
        raise NotImplementedError

    @property
    def raw_input_names_(self) -> list[str]:
        """The name of each input of `as_network`, and of each column of `raw_inputs`.

        Raises
        ------
        NotFittedError
            If the model has not been fitted.

        Examples
        --------
        >>> import fastrelu
        >>> X, y = [[0.0, "a"], [1.0, "b"], [None, "b"]] * 20, [5.0, 7.0, 8.0] * 20
        >>> model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, y)
        >>> model.raw_input_names_
        ['x0', 'x0 is missing', 'x1 = a', 'x1 = b']
        """
        check_is_fitted(self)
        names: list[str] = []
        for number in self.inputs_.numbers:
            names.append(f"{number.name}: {number.part}" if number.part else number.name)
            names += [f"{number.name} is missing"] * number.indicator
        return names + [name for text in self.inputs_.texts for name in text.input_names]

    def raw_inputs(self, X: Any) -> Floats:
        """Return the inputs of `as_network` for some rows.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows, as for `fit`.

        Returns
        -------
        ndarray of float64, (n, inputs)
            In the order of ``raw_input_names_``: numbers as they are, and the parts of dates; 1 or
            0 for each category that has an input, and for whether a number is missing. A missing
            number itself is the least of the fit; where the fit lacked none, the median.

        Raises
        ------
        ValueError, TypeError
            If a column is not there, or the rows cannot be read.

        Examples
        --------
        >>> import fastrelu
        >>> X, y = [[0.0, "a"], [1.0, "b"], [None, "b"]] * 20, [5.0, 7.0, 8.0] * 20
        >>> model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, y)
        >>> model.raw_inputs([[3.0, "b"], [None, "new"]]).tolist()
        [[3.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]]
        """
        check_is_fitted(self)
        table = further_table(self, X, self._choice)
        try:
            return _raw_rows(self.inputs_, table)
        except DataError as error:
            raise ValueError(str(error)) from error

    def as_network(self, dtype: str = "float64") -> Network:
        """Return the model as one network of the columns' own numbers.

        Its first layers are the encoding, its next ones all members side by side, its outputs their
        mean: so that `Network.along`, `local_affine`, `linear_regions`, `output_bounds`,
        `maximize`, `to_milp`, `to_onnx` and `to_c` speak of the table's own units.

        Parameters
        ----------
        dtype : {"float64", "float32"}
            That of the network. With "float64" its outputs differ from the members' by their
            float32 roundings.

        Returns
        -------
        Network
            Inputs as `raw_inputs` returns them. Outputs: what `TabularRegressor.predict` returns,
            or with a log link the mean of its members' logarithms; of a classifier the mean of the
            members' outputs, whose softmax is the geometric mean of their probabilities, where
            `predict_proba` returns the arithmetic one.

        Raises
        ------
        ValueError
            If no column says anything, or numbers lie too close together for the dtype.

        Notes
        -----
        With p pieces, flags and categories together, one of its layers has p times p weights, most
        of them 0: 2,000 of them make 32 MB.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> X = np.random.default_rng(0).normal(size=(300, 2))
        >>> model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, X[:, 0])
        >>> net = model.as_network()
        >>> bool(np.allclose(net(model.raw_inputs(X))[:, 0], model.predict(X), atol=1e-5))
        True
        >>> low, high = net.output_bounds([-3.0, -3.0], [3.0, 3.0])
        >>> bool((low <= model.predict(X).min()) and (model.predict(X).max() <= high))
        True
        """
        names = self.raw_input_names_
        if not names:
            raise ValueError("as_network: no column says anything in the rows of the fit")
        *encoding, (back, base) = _encoding(self.inputs_, np.dtype(dtype))
        (W, b), *rest = _members(self.networks_)
        layers = [*encoding, (back @ W, base @ W + b), *rest]
        W, b = layers[-1]
        outputs = self._in_unit(np.zeros((1, len(b))), False)[0]
        scale = self._in_unit(np.eye(len(b)), True)  # diagonal
        layers[-1] = (W @ scale, b @ scale + outputs)
        return _network(layers, dtype)


def _raw_rows(inputs: PieceInputs, table: Table) -> Floats:
    """Return a table's rows as the composed network reads them."""
    names = inputs.column_names
    if not names:
        return np.empty((len(table), 0))
    found = dict(zip(names, find_columns(table, names, inputs.file_order), strict=True))
    parts = [(number.name, number.part) for number in inputs.numbers]
    columns: list[ArrayLike] = []
    for number, column in zip(
        inputs.numbers, values_of(read_columns(table, found, parts), parts), strict=True
    ):
        values = np.full(len(table), np.nan) if column is None else np.asarray(column, np.float64)
        if np.isinf(values).any():
            raise DataError(f"X: column {number.name!r}: expected finite numbers, got an infinity")
        missing = np.isnan(values)
        instead = number.edges[0] if number.gap else number.centre
        columns.append(np.where(missing, instead, values).clip(-LARGEST, LARGEST))
        if number.indicator:
            columns.append(missing)
    for text in inputs.texts:
        column = as_texts(table, text.name, found[text.name])
        where = text.places(np.full(len(table), "", object) if column is None else column,
                            Counter())  # fmt: skip
        columns += [where == k for k in range(text.n_inputs)]
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def _spans(number: PieceNumber) -> list[tuple[float, float, float]]:
    """Return (low, unit, most) of each of a number's inputs but for a constant.

    Each is clip((x - low) / unit, 0, most): the scaled number first, then the pieces.
    """
    with np.errstate(over="ignore"):
        low = max(float(number.edges[0]), number.centre - FARTHEST * number.width)
        high = min(float(number.edges[-1]), number.centre + FARTHEST * number.width)
    found = [(low, number.width, (high - low) / number.width)]
    if number.n_pieces:
        steps = np.diff(number.edges)
        found += [(float(b), float(s), 1.0) for b, s in zip(number.edges, steps, strict=False)]
    return found


def _encoding(inputs: PieceInputs, dtype: np.dtype[Any]) -> list[Layer]:
    """Return the layers of the encoding; the last one has no ReLU after it, and no cancellation."""
    spans = [_spans(number) for number in inputs.numbers]
    starts = np.array([float(number.edges[0]) for number in inputs.numbers])
    ratio = max((abs(low) / unit for each in spans for low, unit, _ in each), default=0.0)
    layers: list[Layer] = []
    n_raw = sum(1 + n.indicator for n in inputs.numbers) + sum(t.n_inputs for t in inputs.texts)
    if ratio * np.finfo(dtype).eps > ROUNDING:  # centre first: below the least all is constant
        at, shift = 0, np.zeros(n_raw)
        for number, start in zip(inputs.numbers, starts, strict=True):
            shift[at] = -start
            at += 1 + number.indicator
        layers.append((np.eye(n_raw), shift))
    else:
        starts[:] = 0.0
    hinges = np.zeros((n_raw, inputs.n_inputs))
    offset, most = np.zeros(inputs.n_inputs), np.zeros(inputs.n_inputs)
    out, base = np.ones(inputs.n_inputs), np.zeros(inputs.n_inputs)
    flags: dict[str, int] = {}
    lowest: list[tuple[str, int, float]] = []
    row = at = 0
    for number, each, start in zip(inputs.numbers, spans, starts, strict=True):
        if number.gap:  # a missing number is zeros, the scaled one, too
            lowest.append((number.name, at, (each[0][0] - number.centre) / number.width))
        base[at] = (each[0][0] - number.centre) / number.width
        for low, unit, top in each:
            with np.errstate(over="ignore", divide="ignore"):
                hinges[row, at], offset[at] = 1.0 / unit, -(low - start) / unit
            most[at], out[at] = top, -1.0
            at += 1
        row += 1
        if number.indicator:
            hinges[row, at], flags[number.name] = 1.0, at
            row, at = row + 1, at + 1
    while row < n_raw:
        hinges[row, at] = 1.0
        row, at = row + 1, at + 1
    # relu(most - relu(u)) of what is clipped; flags and categories go through.
    layers += [(hinges, offset), (np.diag(out), np.where(out < 0, most, 0.0))]
    back = np.diag(out)
    for name, place, value in lowest:
        back[flags[name], place] = -value
    layers.append((back, np.where(out < 0, most, 0.0) + base))
    return layers


def _members(networks: list[Network]) -> list[Layer]:
    """Return the layers of all members side by side, the last one their mean."""
    found: list[Layer] = []
    depth = len(networks[0].weights)
    for k in range(depth):
        blocks = [net.weights[k].astype(np.float64) for net in networks]
        b = np.concatenate([net.biases[k].astype(np.float64) for net in networks])
        if k == 0:
            W = np.concatenate(blocks, axis=1)
        else:
            rows, columns = blocks[0].shape
            W = np.zeros((rows * len(blocks), columns * len(blocks)))
            for m, block in enumerate(blocks):
                W[m * rows : (m + 1) * rows, m * columns : (m + 1) * columns] = block
        found.append((W, b))
    W, b = found[-1]
    mean = np.tile(np.eye(len(b) // len(networks)), (len(networks), 1)) / len(networks)
    found[-1] = (W @ mean, b @ mean)
    return found


def _network(layers: list[Layer], dtype: str) -> Network:
    """Return the network of these layers."""
    sizes = [len(layers[0][0]), *(len(b) for _, b in layers)]
    net = Network(sizes, dtype=dtype, seed=0)
    with np.errstate(over="ignore"):
        for k, (W, b) in enumerate(layers):
            net.weights[k][...], net.biases[k][...] = W, b
    if not np.isfinite(net.parameters).all():
        raise ValueError(f"as_network: numbers lie too close together for {dtype}")
    return net
