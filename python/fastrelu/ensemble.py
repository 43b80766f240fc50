# SPDX-License-Identifier: BSD-3-Clause
"""Networks that predict together: their mean, how far they are apart, one file for all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import losses, model_file
from fastrelu._arguments import MatrixLike, reals
from fastrelu.conformal import ClassSets, SplitIntervals
from fastrelu.losses import Loss
from fastrelu.network import Network

__all__ = ["Ensemble"]

FORMAT = "fastrelu.ensemble"  # the format that the files name
#: What files call the links.
LINKS = {"identity": "identity", "softmax": "softmax", "logistic": "logistic", "log": "exp",
         "ordered": "ordered"}  # fmt: skip

#: Up to so many rows the members' outputs are kept side by side and summed in one call.
FEW_ROWS = 1024


class Ensemble:
    """Networks of any shapes with the same inputs and outputs, whose predictions are averaged.

    Parameters
    ----------
    networks : sequence of Network
        The members, one at least.
    loss : str or loss object
        The loss that they were trained with; its link makes predictions of their outputs:
        probabilities, means, or for an identity link the outputs themselves.

    Attributes
    ----------
    networks : list of Network
        The members.
    loss : Loss
        The loss, an object.

    Raises
    ------
    TypeError, ValueError
        If there is no network, or their inputs or outputs differ; or if `loss` is none.

    References
    ----------
    Lakshminarayanan, Pritzel and Blundell (2017), Simple and scalable predictive uncertainty
    estimation using deep ensembles.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> y = np.abs(X[:, 0])
    >>> population = fastrelu.Population(
    ...     [{"layer_sizes": [3, width, 1], "seed": width} for width in (4, 8, 16)]
    ... )
    >>> histories = population.fit(X, y, epochs=20)
    >>> ensemble = fastrelu.Ensemble(population.networks)
    >>> ensemble
    <fastrelu.Ensemble of 3 networks, 3 inputs, 1 outputs, squared_error>
    >>> ensemble.predict(X).shape, ensemble.members(X).shape, len(ensemble)
    ((200, 1), (3, 200, 1), 3)
    >>> bool((ensemble.spread(X) > 0).all())
    True
    """

    def __init__(self, networks: Iterable[Network], loss: str | Loss = "squared_error") -> None:
        if not isinstance(networks, Iterable):
            raise TypeError(f"networks: expected networks, got {type(networks).__name__}")
        self.networks = list(networks)
        self.loss = losses.as_loss(loss)
        if not self.networks:
            raise ValueError("networks: expected at least one, got none")
        for k, net in enumerate(self.networks):
            if not isinstance(net, Network):
                raise TypeError(f"networks[{k}]: expected a fastrelu.Network, got {net!r}")
            ends = net.layer_sizes[0], net.layer_sizes[-1]
            if ends != self._ends:
                raise ValueError(
                    f"networks[{k}]: expected {self._ends[0]} inputs and {self._ends[1]} outputs, "
                    f"as networks[0] has, got {ends[0]} and {ends[1]}"
                )
        self._identity = self.loss.info.link == "identity"
        self._alike = self._identity and len({net.dtype for net in self.networks}) == 1
        self._calibration: SplitIntervals | ClassSets | None = None
        self._normalised = False

    @property
    def _ends(self) -> tuple[int, int]:
        first = self.networks[0].layer_sizes
        return first[0], first[-1]

    def __len__(self) -> int:
        return len(self.networks)

    def __repr__(self) -> str:
        inputs, outputs = self._ends
        return (
            f"<fastrelu.Ensemble of {len(self)} networks, {inputs} inputs, {outputs} outputs, "
            f"{self.loss.name}>"
        )

    # Predictions

    def members(self, X: MatrixLike) -> NDArray[np.float64]:
        """Return the predictions of each member.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows.

        Returns
        -------
        ndarray of float64, (members, n, d_out)
            What `Network.predict_proba` gives for the loss.

        Raises
        ------
        TypeError, ValueError
            If X does not fit.

        Examples
        --------
        >>> import fastrelu
        >>> nets = [fastrelu.Network([2, n, 1], seed=n) for n in (3, 5)]
        >>> fastrelu.Ensemble(nets).members([[1.0, 2.0]]).shape
        (2, 1, 1)
        """
        return np.stack([self._prediction(net, X) for net in self.networks]).astype(np.float64)

    def predict(self, X: MatrixLike) -> NDArray[np.float64]:
        """Return the mean of the members' predictions.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows.

        Returns
        -------
        ndarray of float64, (n, d_out)
            The mean after the link: of probabilities, not of what they come from.

        Examples
        --------
        >>> import fastrelu
        >>> nets = [fastrelu.Network([1, 1]) for _ in range(2)]
        >>> for net, slope in zip(nets, (1, 3)):
        ...     net.parameters[:] = [slope, 0]
        >>> fastrelu.Ensemble(nets).predict([[1.0], [2.0]]).tolist()
        [[2.0], [4.0]]
        """
        shape: tuple[int, ...] = getattr(X, "shape", ())
        if self._alike and len(shape) == 2 and 0 < shape[0] <= FEW_ROWS:
            # A sum over a stack is one call, not one for each member: few rows take no longer.
            first = self.networks[0]
            stack = np.empty((len(self), shape[0], self._ends[1]), first.dtype)
            for net, out in zip(self.networks, stack, strict=True):
                net(X, out)
            total: NDArray[np.float64] = np.add.reduce(stack, axis=0, dtype=np.float64)
        else:
            total = self._prediction(self.networks[0], X).astype(np.float64)
            for net in self.networks[1:]:
                total += self._prediction(net, X)
        total /= len(self)
        return total

    def _prediction(self, net: Network, X: MatrixLike) -> NDArray[Any]:
        # Outputs that are predictions come by the shorter call.
        return net(X) if self._identity else net.predict_proba(X, self.loss)

    def spread(self, X: MatrixLike) -> NDArray[np.float64]:
        """Return how far the members are apart: the standard deviation of their predictions.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows.

        Returns
        -------
        ndarray of float64, (n, d_out)
            The root of the mean squared distance from their mean; 0 for one member.

        Examples
        --------
        >>> import fastrelu
        >>> nets = [fastrelu.Network([1, 1]) for _ in range(2)]
        >>> for net, slope in zip(nets, (1, 3)):
        ...     net.parameters[:] = [slope, 0]
        >>> fastrelu.Ensemble(nets).spread([[1.0], [2.0]]).tolist()
        [[1.0], [2.0]]
        """
        return np.asarray(self.members(X).std(axis=0))

    def quantiles(self, X: MatrixLike, levels: ArrayLike) -> NDArray[np.float64]:
        """Return quantiles of the members' predictions, which say how they differ.

        They are no bounds on targets: `predict_interval` gives those.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows.
        levels : array_like, (q,)
            Levels from 0 to 1.

        Returns
        -------
        ndarray of float64, (q, n, d_out)
            The quantiles, by linear interpolation between members.

        Raises
        ------
        ValueError
            If a level is not in [0, 1].

        Examples
        --------
        >>> import fastrelu
        >>> nets = [fastrelu.Network([1, 1], seed=s) for s in range(5)]
        >>> low, middle, high = fastrelu.Ensemble(nets).quantiles([[1.0]], [0.1, 0.5, 0.9])
        >>> bool(low <= middle <= high)
        True
        """
        q = reals("levels", levels)
        if q.ndim != 1 or not ((q >= 0) & (q <= 1)).all():
            raise ValueError(f"levels: expected levels from 0 to 1, got {levels!r}")
        return np.asarray(np.quantile(self.members(X), q, axis=0))

    # Intervals and sets that hold

    def calibrate(self, X: MatrixLike, y: ArrayLike, *, normalised: bool = False) -> None:
        """Learn from rows that no member was trained on how wrong the predictions are.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows; none of them may have trained a member, or watched when it ended.
        y : array_like
            Their targets, (n, d_out) ((n,) also for one output), or integer labels, (n,).
        normalised : bool
            For regression: whether intervals are wide where the members are far apart (`spread`),
            which needs two members at least.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> net = fastrelu.Network([1, 1])
        >>> net.parameters[:] = 0
        >>> ensemble = fastrelu.Ensemble([net])
        >>> ensemble.calibrate(np.zeros((9, 1)), np.arange(9.0))
        >>> ensemble.predict_interval([[0.0]], coverage=0.9).tolist()
        [[-8.0, 8.0]]
        """
        predicted = self.predict(X)
        if self.loss.info.domain.labels:
            if normalised:
                raise ValueError("normalised: expected False for classes, got True")
            self._calibration = ClassSets(predicted, y)
        else:
            if normalised and len(self) < 2:
                raise ValueError("normalised: expected two members at least, got one")
            self._calibration = SplitIntervals(predicted, y, self.spread(X) if normalised else None)
        self._normalised = bool(normalised)

    def predict_interval(self, X: MatrixLike, coverage: float = 0.9) -> NDArray[np.float64]:
        """Return intervals that hold the targets with at least this probability.

        They hold for rows that come from where those of `calibrate` came from, whatever the
        networks are (split conformal prediction; `fastrelu.conformal`).

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows.
        coverage : float
            The probability, in (0, 1).

        Returns
        -------
        ndarray of float64, (n, 2), or (n, d_out, 2) for several outputs
            Lower and upper ends, of each output on its own; infinite where too few rows were there
            to calibrate.

        Raises
        ------
        ValueError
            If `calibrate` has not been called, an argument does not fit, or the loss is for
            classes.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(600, 2))
        >>> y = np.abs(X[:, 0]) + 0.1 * rng.normal(size=600)
        >>> population = fastrelu.Population(
        ...     [{"layer_sizes": [2, 16, 1], "seed": s} for s in range(3)]
        ... )
        >>> histories = population.fit(X[:200], y[:200], epochs=30)
        >>> ensemble = fastrelu.Ensemble(population.networks)
        >>> ensemble.calibrate(X[200:400], y[200:400], normalised=True)
        >>> low, high = ensemble.predict_interval(X[400:], 0.9).T
        >>> bool(0.85 < np.mean((y[400:] >= low) & (y[400:] <= high)) < 0.95)
        True
        """
        if not isinstance(self._calibration, SplitIntervals):
            raise ValueError(
                "coverage: expected a regression whose calibrate(X, y) has been called"
            )
        scale = self.spread(X) if self._normalised else None
        return self._calibration.intervals(self.predict(X), coverage, scale)

    def predict_set(self, X: MatrixLike, coverage: float = 0.9) -> NDArray[np.bool_]:
        """Return the classes among which the right one is, with at least this probability.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows.
        coverage : float
            The probability, in (0, 1).

        Returns
        -------
        ndarray of bool, (n, classes)
            Whether each class is in the row's set, which may be empty, or hold all.

        Raises
        ------
        ValueError
            If `calibrate` has not been called, an argument does not fit, or the loss is not for
            classes.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(600, 2))
        >>> y = np.sum(X > 0, axis=1)
        >>> net = fastrelu.Network([2, 16, 3])
        >>> history = fastrelu.Trainer(net, loss="cross_entropy").fit(X[:200], y[:200], epochs=30)
        >>> ensemble = fastrelu.Ensemble([net], loss="cross_entropy")
        >>> ensemble.calibrate(X[200:400], y[200:400])
        >>> sets = ensemble.predict_set(X[400:])
        >>> bool(sets[np.arange(200), y[400:]].mean() > 0.8)
        True
        """
        if not isinstance(self._calibration, ClassSets):
            raise ValueError(
                "coverage: expected a loss for classes, and calibrate(X, y) to have been called"
            )
        return self._calibration.sets(self.predict(X), coverage)

    # Files

    def save(self, path: Any) -> None:
        """Write all members to one safetensors file, without what `calibrate` has learnt.

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
        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastrelu
        >>> ensemble = fastrelu.Ensemble([fastrelu.Network([2, n, 1]) for n in (3, 4)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "ensemble.safetensors")
        ...     ensemble.save(path)
        ...     again = fastrelu.Ensemble.load(path)
        >>> bool((again.predict([[1.0, 2.0]]) == ensemble.predict([[1.0, 2.0]])).all())
        True
        """
        arrays, metadata = networks_content(self.networks, LINKS[self.loss.info.link])
        settings = losses.core_options(self.loss, self._ends[1])
        model_file.write(path, arrays, {**metadata, "loss": json.dumps(settings)})

    @classmethod
    def load(cls, path: Any) -> Ensemble:
        """Return the ensemble that `save` wrote.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        Ensemble
            Its predictions have the bits of those of the ensemble saved.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, or it is none of an ensemble.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastrelu
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "ensemble.safetensors")
        ...     fastrelu.Ensemble([fastrelu.Network([2, 3])], "cross_entropy").save(path)
        ...     fastrelu.Ensemble.load(path)
        <fastrelu.Ensemble of 1 networks, 2 inputs, 3 outputs, cross_entropy>
        """
        arrays, metadata = model_file.read(path, FORMAT)
        networks, link = networks_from(arrays, metadata)
        with model_file._damaged("the ensemble"):
            loss: str | Loss
            if "loss" in metadata:
                loss = losses.from_settings(json.loads(metadata["loss"]))
            else:  # a model of the command: its first loss with that link
                loss = {
                    "identity": "squared_error",
                    "softmax": "cross_entropy",
                    "logistic": "binary_cross_entropy",
                    "exp": "poisson",
                }[link]
            return cls(networks, loss)


def networks_content(
    networks: Sequence[Network], link: str
) -> tuple[model_file.Arrays, dict[str, str]]:
    """Return networks as what a file holds of them."""
    arrays: model_file.Arrays = {}
    each = []
    for k, net in enumerate(networks):
        own, metadata = model_file.network_content(net)
        arrays |= {f"member.{k}.{name}": array for name, array in own.items()}
        each.append(metadata)
    about = {"members": len(networks), "link": link, "networks": each}
    return arrays, {"format": FORMAT, **each[0], "ensemble": json.dumps(about)}


def networks_from(arrays: model_file.Arrays, metadata: dict[str, str]) -> tuple[list[Network], str]:
    """Return the networks and the link that `networks_content` described."""
    try:
        about = json.loads(metadata["ensemble"])
        count, link = int(about["members"]), str(about["link"])
        held = {name.split(".")[1] for name in arrays if name.startswith("member.")}
        if count != len(held) or count < 1 or link not in LINKS.values():
            raise ValueError(f"{count} members, arrays of {len(held)}, link {link!r}")
        each = about.get("networks", [metadata] * count)  # at first all were alike
        if len(each) != count or not all(isinstance(m, dict) for m in each):
            raise ValueError(f"{count} members, {len(each)} described")
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise model_file.FileError(f"the model file is damaged ({error!r})") from error
    networks = []
    for k in range(count):
        start = f"member.{k}."
        own = {name[len(start) :]: a for name, a in arrays.items() if name.startswith(start)}
        networks.append(model_file.network_from(own, each[k]))
    return networks, link
