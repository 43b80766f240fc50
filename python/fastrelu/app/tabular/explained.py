# SPDX-License-Identifier: BSD-3-Clause
"""What the estimators of tables say about themselves: importances, curves, contributions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess import PieceInputs
from fastrelu.app.tabular import sample as samples
from fastrelu.app.tabular.curves import mean_curve
from fastrelu.app.tabular.named import column_named
from fastrelu.app.tabular.parted import Parted
from fastrelu.app.tabular.rows import further_table
from fastrelu.app.tabular.sample import Sample
from fastrelu.network import Network
from fastrelu.sklearn.threads import thread_limit

Array = NDArray[Any]
Floats = NDArray[np.float64]
CURVE_ROWS = 100
BLOCK_ROWS = 256  # whose affine maps are in memory at once


class Explained:
    """Not to be used itself; see `TabularClassifier` and `TabularRegressor`."""

    networks_: list[Network]
    inputs_: PieceInputs
    n_threads: int | None
    _choice: ColumnChoice
    _sample: Sample
    _importances: Floats | None

    # What the two classes add

    def _encoded_rows(self, table: Table) -> Array:
        raise NotImplementedError

    def _mean_of(self, X: Array) -> Floats:
        """Return the mean prediction for encoded rows, (n, K), in the unit of y."""
        raise NotImplementedError

    def _in_unit(self, outputs: Floats, differences: bool) -> Floats:
        """Return a network's outputs, or differences of them, (n, K), in the unit of the link."""
        raise NotImplementedError

    def _straight(self) -> bool:
        """Whether predictions are the outputs themselves, up to their unit."""
        raise NotImplementedError

    # What is public

    @property
    def feature_importances_(self) -> Floats:
        """How much worse predictions are where one column's values are shuffled, (p,).

        The mean increase of the loss over five shuffles of up to 1,024 rows, each predicted by the
        members that left it out, divided by the loss of a model that knows nothing: for the squared
        error the fall of R2, for classes that of the share of the log loss which is explained. It
        may be slightly below 0; it is 0 for a column that the model does not look at. Columns that
        say the same share what they say, and may all look unimportant. Computed when it is first
        asked for, the same bits each time.

        Raises
        ------
        NotFittedError
            If the model has not been fitted.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> X = np.random.default_rng(0).normal(size=(300, 3))
        >>> model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, X[:, 1])
        >>> int(model.feature_importances_.argmax())
        1
        """
        check_is_fitted(self)
        if self._importances is None:
            kept = self._sample
            with thread_limit(self.n_threads):
                self._importances = samples.permutation_losses(
                    self.networks_,
                    self._encoded_rows(kept.table),
                    list(samples.inputs_of(self.inputs_).values()),
                    kept,
                )
        return self._importances.copy()

    def partial_dependence(self, feature: Any, grid: Any = None, X: Any = None) -> Bunch:
        """Return the mean prediction as a function of one column.

        Parameters
        ----------
        feature : str or int
            The column, by name or place.
        grid : array_like, (g,), optional
            Values of it. By default, for a number: where predictions are the outputs (a regressor
            whose link is the identity), all knots of the exact curve, which is linear between
            them; else the edges of the encoding. For a column of categories: each that has an
            input. For a date: the edges of its days.
        X : DataFrame, Arrow table, or array_like of shape (n, p), optional
            The rows over which the mean is taken, all of equal weight; 100 of the fit by default.

        Returns
        -------
        Bunch
            ``grid``, (g,): the values. ``average``: the mean predictions there, (g,) for one
            target, else (g, K), or (g, n_classes) probabilities; each is the mean of the
            predictions of the rows with that value, up to float32 rounding. ``exact``: whether the
            average is linear between neighbours of the grid, up to rounding, and constant outside.

        Raises
        ------
        ValueError, TypeError
            If there is no such column, or the model does not look at it; or a value is none of it.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> X = np.random.default_rng(0).normal(size=(300, 2))
        >>> model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, np.abs(X[:, 1]))
        >>> curve = model.partial_dependence(1)
        >>> bool(abs(curve.grid[curve.average.argmin()]) < 0.4), curve.exact
        (True, True)
        >>> model.partial_dependence(1, [-1.0, 0.0, 1.0]).average.shape
        (3,)
        """
        check_is_fitted(self)
        name = self._column(feature)
        place = samples.inputs_of(self.inputs_)[name]
        table = self._sample.table.take(slice(0, CURVE_ROWS))
        if X is not None:
            table = further_table(self, X, self._choice)
            if not len(table):
                raise ValueError("X: expected one row or more, got 0 sample(s)")
        kind = self.inputs_.columns[name]
        rows = self._encoded_rows(table)
        if grid is None and not len(place):
            raise ValueError(
                f"feature: column {feature!r} says nothing in the rows of the fit, and the model "
                "does not look at it: give a grid"
            )
        if grid is None and self._straight() and kind == "numeric":
            (number,) = [n for n in self.inputs_.numbers if n.name == name]
            if len(number.bends) > 1:
                knots, values = mean_curve(self.networks_, rows, place, number)
                return self._curve(knots, self._in_unit(values, False), True)
        usual = samples.usual_grid(self.inputs_, name)
        values = usual if grid is None else samples.typed(str(feature), kind, grid)
        found = []
        with thread_limit(self.n_threads):
            for step in self._encoded_values(table, name, values):
                rows[:, place] = step
                found.append(self._mean_of(rows).mean(axis=0))
        return self._curve(values, np.array(found), False)

    def explain(self, X: Any) -> Bunch:
        """Return what each column contributes to the prediction of each row.

        Around a row, each member is an affine map of the encoded columns
        (`fastrelu.Network.local_affine`). A column's contribution is that map's part for its
        inputs, times how far they are from their mean over rows of the fit, averaged over the
        members. It is exact for this row, and says nothing of rows in other pieces.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows.

        Returns
        -------
        Bunch
            ``contributions``, (n, p) for one target, else (n, p, K) or (n, p, n_classes), in the
            order of the columns ``names``; ``base``, (n,) or (n, K): what the row's own map says
            of the mean inputs; ``output``: the base and all contributions, added. For a regressor
            whose link is the identity the output is the prediction, up to the rounding of float32
            in the members (about 1e-6 of the spread of y, more for wide networks). For classes and
            log links it is the mean of what the members say before the link: logarithms of
            probabilities up to one number for each row, or of the mean.

        Raises
        ------
        ValueError, TypeError
            If a column is not there, or the rows cannot be read.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> X = np.random.default_rng(0).normal(size=(300, 2))
        >>> model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, X[:, 1])
        >>> found = model.explain(X[:5])
        >>> found.contributions.shape, found.names
        ((5, 2), ['x0', 'x1'])
        >>> bool(np.allclose(found.output, model.predict(X[:5]), atol=1e-4))
        True
        """
        check_is_fitted(self)
        rows = self._encoded_rows(further_table(self, X, self._choice))
        mean = self._encoded_rows(self._sample.table).mean(axis=0, dtype=np.float64)
        places = samples.inputs_of(self.inputs_)
        parts = np.zeros((len(rows), len(places), self.networks_[0].layer_sizes[-1]))
        output = np.zeros((len(rows), parts.shape[2]))
        with thread_limit(self.n_threads):
            for network in self.networks_:
                parted = Parted(network, rows)
                weights = network.weights[0].astype(np.float64)
                for low in range(0, len(rows), BLOCK_ROWS):
                    some = slice(low, low + BLOCK_ROWS)
                    slopes, found = parted.slopes(some)
                    output[some] += found
                    for j, place in enumerate(places.values()):
                        sums = (rows[some][:, place] - mean[place]) @ weights[place]
                        parts[some, j] += np.einsum("nku,nu->nk", slopes, sums)
        base = output - parts.sum(axis=1)
        parts = self._in_unit(parts / len(self.networks_), True)
        base = self._in_unit(base / len(self.networks_), False)
        output = base + parts.sum(axis=1)
        if self._one_output():
            parts, base, output = parts[:, :, 0], base[:, 0], output[:, 0]
        return Bunch(contributions=parts, base=base, output=output, names=self._names())

    # Its parts

    def _one_output(self) -> bool:
        """Whether results have no axis for several targets."""
        raise NotImplementedError

    def _names(self) -> list[str]:
        given = getattr(self, "feature_names_in_", None)
        return list(map(str, self.inputs_.columns if given is None else given))

    def _column(self, feature: Any) -> str:
        return column_named("feature", feature, self._names(), list(self.inputs_.columns))

    def _encoded_values(self, table: Table, name: str, values: Array) -> Array:
        try:
            return samples.encoded_grid(self.inputs_, table, name, values)
        except DataError as error:
            raise ValueError(str(error)) from error

    def _curve(self, grid: Array, average: Floats, exact: bool) -> Bunch:
        shown = average[:, 0] if self._one_output() else average
        return Bunch(grid=grid, average=shown, exact=exact)
