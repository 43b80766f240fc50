# SPDX-License-Identifier: BSD-3-Clause
"""The objective: a linear model's loss with a ridge penalty, its gradients, its minimum.

Points w are arrays (..., inputs, outputs), `inputs` with the column of ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import real_number
from fastrelu.losses import BinaryCrossEntropy, as_loss
from fastrelu.network import Network

Array = NDArray[np.float64]

LOSSES = ("squared_error", "cross_entropy", "binary_cross_entropy")
_MOST_PARAMETERS = 4000
_LARGEST = 1e30  # whose fourth powers add up
_CHUNK = 2_000_000  # numbers of an intermediate array


@dataclass(frozen=True)
class Problem:
    """f(w) = mean over the rows of loss(x w, y) + alpha / 2 |w|^2, in float64.

    Attributes
    ----------
    X : ndarray, (n, p)
        The rows, a column of ones the last if there is a bias.
    y : ndarray, (n, K)
        Targets; of cross_entropy 1 at the label, else 0.
    labels : ndarray or None, (n,)
        The labels, for cross_entropy.
    loss : str
        One of `LOSSES`.
    alpha : float
        The penalty.
    """

    X: Array
    y: Array
    labels: NDArray[np.int64] | None
    loss: str
    alpha: float

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of w: inputs, outputs."""
        return self.X.shape[1], self.y.shape[1]

    @property
    def targets(self) -> NDArray[Any]:
        """What the core takes for y."""
        return self.y if self.labels is None else self.labels

    @property
    def curvature(self) -> float:
        """The largest second derivative of a row's loss along any direction of its outputs."""
        return {
            "squared_error": 1.0 / self.shape[1],
            "cross_entropy": 0.5,
            "binary_cross_entropy": 0.25,
        }[self.loss]

    def output_gradients(self, z: Array) -> Array:
        """Return d loss / d z for outputs z (..., n, K)."""
        if self.loss == "squared_error":
            return (z - self.y) / self.shape[1]
        if self.loss == "binary_cross_entropy":
            return _logistic(z) - self.y
        return _softmax(z) - self.y

    def value(self, w: Array) -> float:
        """Return f(w)."""
        z = self.X @ w
        if self.loss == "squared_error":
            rows = 0.5 * ((z - self.y) ** 2).mean(axis=1)
        elif self.loss == "binary_cross_entropy":
            rows = (np.logaddexp(0.0, z) - self.y * z).sum(axis=1)
        else:
            top = z.max(axis=1)
            rows = np.log(np.exp(z - top[:, None]).sum(axis=1)) + top - (self.y * z).sum(axis=1)
        return float(rows.mean() + 0.5 * self.alpha * (w * w).sum())

    def moments(self, w: Array) -> tuple[Array, Array]:
        """Return the gradient of f (..., p, K) and the rows' variance (...,) at each point.

        The variance is the mean over the rows of |g_i - g|^2, g_i the gradient of row i's term.
        """
        points = w.reshape(-1, *self.shape)
        each = max(1, _CHUNK // self.y.size)
        parts = [self._moments(points[i : i + each]) for i in range(0, len(points), each)]
        gradient = np.concatenate([g for g, _ in parts]).reshape(w.shape)
        return gradient, np.concatenate([v for _, v in parts]).reshape(w.shape[:-2])

    def _moments(self, w: Array) -> tuple[Array, Array]:
        n, (p, K) = len(self.X), self.shape
        z = (self.X @ w.transpose(1, 0, 2).reshape(p, -1)).reshape(n, len(w), K)
        dz = self.output_gradients(z.transpose(1, 0, 2))
        data = (self.X.T @ dz.transpose(1, 0, 2).reshape(n, -1)).reshape(p, len(w), K) / n
        g = data.transpose(1, 0, 2)
        squares = (dz * dz).sum(axis=2) @ self.row_squares / n
        return g + self.alpha * w, np.maximum(squares - (g * g).sum(axis=(1, 2)), 0.0)

    @property
    def row_squares(self) -> Array:
        """|x|^2 of each row, (n,)."""
        return np.asarray(np.einsum("ni,ni->n", self.X, self.X))

    def scatter(self, factors: Array | None = None) -> Array:
        """Return the mean over the rows of factor * x x', (p, p)."""
        left = self.X if factors is None else self.X * factors[:, None]
        return np.asarray(left.T @ self.X / len(self.X))

    def hessian(self, w: Array) -> Array:
        """Return the second derivative of f at w, (p K, p K)."""
        p, K = self.shape
        dz = self.output_gradients(self.X @ w)
        P = dz + self.y
        H = np.zeros((p, K, p, K))
        for a in range(K):
            if self.loss == "squared_error":
                H[:, a, :, a] = self.scatter() / K
            elif self.loss == "binary_cross_entropy":
                H[:, a, :, a] = self.scatter(P[:, a] * (1.0 - P[:, a]))
            else:
                for b in range(K):
                    H[:, a, :, b] = self.scatter(P[:, a] * ((a == b) - P[:, b]))
        return H.reshape(p * K, p * K) + self.alpha * np.eye(p * K)

    def minimum(self) -> Array:
        """Return w*, (p, K), to rounding: least squares, or Newton's method."""
        n, (p, K) = len(self.X), self.shape
        if self.loss == "squared_error":
            rows = [self.X / math.sqrt(n * K), math.sqrt(self.alpha) * np.eye(p)]
            targets = [self.y / math.sqrt(n * K), np.zeros((p, K))]
            w, *_ = np.linalg.lstsq(np.vstack(rows), np.vstack(targets), rcond=None)
            return np.asarray(w)
        return self._newton()

    def _newton(self) -> Array:
        w = np.zeros(self.shape)
        value, best, smallest = self.value(w), w, math.inf
        value_is_flat = False
        for _ in range(200):
            gradient = self.moments(w)[0]
            norm = float(np.abs(gradient).max())
            if norm >= 0.5 * smallest and value_is_flat:
                return best
            if norm < smallest:
                best, smallest = w, norm
            step = np.linalg.solve(self.hessian(w), gradient.ravel()).reshape(self.shape)
            slope = float((gradient * step).sum())
            # Where f no longer tells points apart, the gradient still does.
            value_is_flat = slope <= 1e-12 * (abs(value) + 1e-300)
            t = 1.0
            while not value_is_flat and self.value(w - t * step) > value - 1e-4 * t * slope:
                t *= 0.5
                if t < 1e-12:
                    return best
            w = w - t * step
            value = self.value(w)
        raise RuntimeError("w_star: Newton's method did not converge in 200 steps")


def _logistic(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, e) / (1.0 + e))


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def draw_factor(n: int, m: int, sampling: str) -> float:
    """Return c: minibatches of m of n rows have E|G - grad f|^2 = c * the rows' variance."""
    m = min(m, n)
    if sampling == "with_replacement":
        return 1.0 / m
    return 0.0 if m == n else (n - m) / (m * (n - 1.0))


def make_problem(
    X: ArrayLike, y: ArrayLike, loss: Any, alpha: Any, bias: bool, features: Network | None
) -> Problem:
    """Check the arguments and return the problem; errors name the argument."""
    kind = as_loss(loss)
    if kind.name not in LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {kind.name!r}")
    if isinstance(kind, BinaryCrossEntropy) and kind.pos_weight is not None:
        raise ValueError(f"loss: expected one without pos_weight, got {kind!r}")
    alpha = real_number("alpha", alpha, 0.0)
    if alpha == 0 and kind.name != "squared_error":
        raise ValueError(
            f"alpha: expected a number > 0 for {kind.name}, which is strongly convex only with a "
            f"penalty, got {alpha!r}"
        )
    rows = _matrix("X", X)
    if features is not None:
        rows = _hidden_activations(features, rows)
    if bias:
        rows = np.hstack([rows, np.ones((len(rows), 1))])
    labels = None
    if kind.name == "cross_entropy":
        labels = _labels(y, len(rows))
        _check_size(kind.name, rows.shape[1] * (int(labels.max()) + 1))
        targets = np.eye(int(labels.max()) + 1)[labels]
    else:
        targets = _targets(y, len(rows))
        outside = targets[(targets < 0) | (targets > 1)]
        if kind.name == "binary_cross_entropy" and outside.size:
            raise ValueError(f"y: expected targets in [0, 1], got {outside[0]:g}")
    _check_size(kind.name, rows.shape[1] * targets.shape[1])
    for name, values in (("X", rows), ("y", targets)):
        largest = np.abs(values).max()
        if largest > _LARGEST:
            raise ValueError(
                f"{name}: expected numbers of at most {_LARGEST:g}, got {largest:g}; scale them"
            )
    return Problem(np.ascontiguousarray(rows), targets, labels, kind.name, alpha)


def _check_size(loss: str, parameters: int) -> None:
    if loss != "squared_error" and parameters > _MOST_PARAMETERS:
        raise ValueError(
            f"X: expected at most {_MOST_PARAMETERS} parameters for {loss}, since Newton's method "
            f"looks for w*; got {parameters}"
        )


def starting_point(w_1: ArrayLike | None, shape: tuple[int, int], name: str = "w_1") -> Array:
    """Return w_1 as (p, K); zeros for None."""
    if w_1 is None:
        return np.zeros(shape)
    w = np.asarray(w_1, dtype=np.float64)
    if w.shape not in ((shape[0] * shape[1],), shape):
        raise ValueError(f"{name}: expected shape ({shape[0] * shape[1]},), got {w.shape}")
    if not np.isfinite(w).all():
        raise ValueError(f"{name}: expected finite numbers, got infinities or NaN")
    return w.reshape(shape).copy()


def _matrix(name: str, values: Any) -> Array:
    if hasattr(values, "tocsr"):
        raise TypeError(f"{name}: expected a dense array, got a sparse matrix")
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "buif":
            raise TypeError(array.dtype)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}: expected an array of real numbers, got {type(values).__name__}"
        ) from None
    array = array.astype(np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name}: expected shape (n, d), n and d >= 1, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got infinities or NaN")
    return array


def rows_of(X: Any, d: int) -> Array:
    """Return X as float64 rows of width d."""
    rows = _matrix("X", X)
    if rows.shape[1] != d:
        raise ValueError(f"X: expected {d} columns, got {rows.shape[1]}")
    return rows


def _targets(y: Any, n: int) -> Array:
    column = np.asarray(y)
    targets = _matrix("y", column[:, None] if column.ndim == 1 else column)
    if len(targets) != n:
        raise ValueError(f"y: expected {n} rows, as X has, got {len(targets)}")
    return np.ascontiguousarray(targets)


def _labels(y: Any, n: int) -> NDArray[np.int64]:
    labels = np.asarray(y)
    if labels.dtype.kind not in "biu":
        raise TypeError(f"y: expected integer labels, got {labels.dtype}")
    if labels.shape != (n,):
        raise ValueError(f"y: expected shape ({n},), got {labels.shape}")
    labels = labels.astype(np.int64)
    if labels.min() < 0 or labels.max() < 1:
        raise ValueError(
            f"y: expected labels 0 to K - 1 of at least two classes, got {labels.min()} to "
            f"{labels.max()}"
        )
    return labels


def _hidden_activations(net: Any, X: Array) -> Array:
    """Return what the last layer of `net` sees: a network that ends in the identity computes it."""
    if not isinstance(net, Network):
        raise TypeError(f"features: expected a fastrelu.Network, got {net!r}")
    sizes = net.layer_sizes
    if len(sizes) < 3:
        raise ValueError(f"features: expected a network with hidden layers, got {list(sizes)}")
    cut = Network(
        [*sizes[:-1], sizes[-2]],
        bias=net.bias,
        dtype=net.dtype,
        activation=net.activations[: len(sizes) - 2],
        scale=net.scale,
    )
    for to, values in zip(cut.weights[:-1], net.weights[:-1], strict=True):
        to[...] = values
    for to, values in zip(cut.biases[:-1], net.biases[:-1], strict=True):
        to[...] = values
    cut.weights[-1][...] = np.eye(sizes[-2])
    return np.asarray(cut(X), dtype=np.float64)
