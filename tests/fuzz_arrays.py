# SPDX-License-Identifier: BSD-3-Clause
"""Every function that takes arrays, called with arrays of all kinds, most of which do not fit.

fuzz_calls.py has more of them; tests/test_fuzz.py makes some thousands of calls, scripts/fuzz.py as
many as time allows.
"""

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastrelu
from fastrelu import convergence
from fastrelu.piecewise import PiecewiseLinear

DTYPES = [
    "f4", "f8", "f8", ">f4", "f2", "g", "i1", "u1", "i4", "i8", "u8", "?", "c8", "O", "U3", "S3",
    "M8[s]", "m8[s]", "f4,f4", "V4",
]  # fmt: skip
ODD = [0.0, -0.0, 1.0, -1.5, np.nan, np.inf, -np.inf, 1e300, -1e38, 1e-320, 5e-324, 2.0**63, -1.0]
ODD_OBJECTS = [None, "", "x", "nan", b"\0", 10**400, 1 + 2j, [], {}, object(), np.float64(3)]
SIZES = [0, 1, 1, 2, 3, 3, 4, 5, 9]
SCALARS = [None, 0, 1, -1, 3, 2.5, 10**400, float("nan"), "x", True, b"", [], 2**63, -(2**70), 0.9]


def numbers(choose: random.Random, shape: tuple[int, ...]) -> np.ndarray:
    """Values of a shape: most often small ones, else odd ones among them."""
    draw = np.random.default_rng(choose.getrandbits(32))
    values = draw.normal(size=shape)
    if choose.random() < 0.3:
        values = np.where(draw.random(shape) < 0.2, draw.choice(ODD, shape), values)
    if choose.random() < 0.3:
        values = np.rint(values * 2)
    return values


def laid(choose: random.Random, array: np.ndarray) -> np.ndarray:
    """The same values with other strides, backwards, read-only, or not aligned."""
    match choose.randrange(8):
        case 0:
            return np.asfortranarray(array)
        case 1 if array.ndim:
            return array[::-1]
        case 2 if array.ndim:
            return np.repeat(array, 2, axis=-1)[..., ::2]
        case 3:
            array.flags.writeable = False
            return array
        case 4 if array.size and array.dtype.kind in "fiu":
            shifted = np.zeros(array.nbytes + 1, np.uint8)
            shifted[1:] = np.frombuffer(array.tobytes(), np.uint8)
            return shifted[1:].view(array.dtype).reshape(array.shape)
        case 5 if array.ndim == 2 and len(array):
            return np.broadcast_to(array[:1], array.shape)
    return array


def array_like(choose: random.Random, shape: tuple[int, ...]) -> Any:
    """Something that may be given where an array of this shape is expected."""
    kind = choose.random()
    if choose.random() < 0.4:
        return np.random.default_rng(choose.getrandbits(32)).normal(size=shape)
    if kind < 0.04:
        return choose.choice(SCALARS)
    if kind < 0.2:  # another shape
        shape = tuple(choose.choice(SIZES) for _ in range(choose.choice((0, 1, 1, 2, 2, 3, 4))))
    values = np.asarray(numbers(choose, shape))
    if kind < 0.3:
        return values.tolist()
    if kind < 0.5:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                values = values.astype(choose.choice(DTYPES))
            except (TypeError, ValueError):
                pass
        if values.dtype == object and values.size:
            values.flat[choose.randrange(values.size)] = choose.choice(ODD_OBJECTS)
    elif kind < 0.7:
        values = values.astype(np.float32)
    elif kind < 0.78 and values.ndim == 2:
        return sparse(choose, values)
    elif kind < 0.8:
        return np.ma.masked_invalid(values)
    return laid(choose, values)


def sparse(choose: random.Random, values: np.ndarray) -> Any:
    """Rows in a format of SciPy's, whose places may have been damaged."""
    made = sp.csr_matrix(np.where(values > 0, values, 0).astype(choose.choice(["f4", "f8", "i4"])))
    if choose.random() < 0.4:
        made = made.asformat(choose.choice(["csc", "coo", "lil", "bsr", "dia"]))
        if made.format not in ("csc", "bsr"):
            return made
    if choose.random() < 0.5:
        part = choose.choice([made.indices, made.indptr])
        if len(part):
            part[choose.randrange(len(part))] = choose.choice([-1, 0, 7, 2**31 - 1, -(2**31)])
    if choose.random() < 0.2:
        made.data = made.data[:-1]
    return made


class Caller:
    """What the functions are called on, and arrays for n rows, 3 inputs and k outputs."""

    def __init__(self, choose: random.Random) -> None:
        self.choose = choose
        self.n, self.k = choose.choice([1, 2, 5, 9]), choose.choice([1, 2, 3])
        dtype = choose.choice(["float32", "float64"])
        activation = choose.choice(["relu", "relu", "relu", "tanh"])
        self.net = fastrelu.Network([3, 4, self.k], dtype=dtype, activation=activation)
        self.loss = choose.choice(
            ["squared_error", "cross_entropy", "poisson", "quantile", "huber"]
        )

    def of(self, *shape: int) -> Any:
        return array_like(self.choose, shape)

    def X(self) -> Any:  # noqa: N802
        return self.of(self.n, 3)

    def y(self) -> Any:
        if self.loss == "cross_entropy" and self.choose.random() < 0.7:
            return laid(self.choose, np.arange(self.n) % self.k)
        return self.of(self.n, self.k) if self.choose.random() < 0.6 else self.of(self.n)

    def weights(self) -> Any:
        return None if self.choose.random() < 0.6 else self.of(self.n)

    def out(self, *shape: int) -> Any:
        if self.choose.random() < 0.6:
            return None
        if self.choose.random() < 0.5:
            return np.empty(shape, self.net.dtype)
        return self.of(*shape)

    def box(self) -> tuple[Any, Any]:
        """Lower and upper bounds of the inputs, most often in this order."""
        lower, upper = self.of(3), self.of(3)
        if self.choose.random() < 0.7:
            lower = np.random.default_rng(self.n).normal(size=3)
            if isinstance(upper, np.ndarray) and upper.shape == (3,) and upper.dtype.kind == "f":
                upper = lower + abs(upper)
        return lower, upper

    def bounds(self) -> Any:
        lower, upper = self.box()
        whole = isinstance(upper, np.ndarray) and upper.shape == (3,) == np.shape(lower)
        return np.stack([lower, upper], axis=1) if whole else self.of(3, 2)

    def check(self) -> Any:
        return self.choose.choice([None, True, False])

    def trainer(self) -> fastrelu.Trainer:
        sizes = {"batch_size": self.choose.choice([1, 2, 3, 32]), "loss": self.loss}
        optimizer = self.choose.choice(["sgd", "adam", "lion"])
        return fastrelu.Trainer(self.net, optimizer=optimizer, **sizes)


def fit(c: Caller) -> None:
    held_out = None if c.choose.random() < 0.6 else (c.X(), c.y())
    sampling = c.choose.choice(["shuffle", "with_replacement", "subset", "ordered", "x"])
    given = {"sample_weight": c.weights(), "validation_data": held_out, "check_finite": c.check()}
    c.trainer().fit(c.X(), c.y(), c.choose.choice([1, 1, 2, 0]), sampling=sampling, **given)


def backward(c: Caller) -> None:
    outputs, cache = c.net.forward_cached(np.ones((c.n, 3)))
    c.net.backward(cache, c.of(*outputs.shape), inputs=c.choose.random() < 0.5)


def encoded(c: Caller) -> None:
    widths = [2, 3] if c.choose.random() < 0.8 else c.of(2)
    ramps = [True, False] if c.choose.random() < 0.8 else c.of(2)
    places = (
        np.abs(numbers(c.choose, (c.n, 2))).clip(0, 3).astype(c.choose.choice(["i4", "i8", "u1"]))
    )
    places = places if c.choose.random() < 0.8 else c.of(c.n, 2)
    rows = fastrelu.EncodedRows(widths, ramps, places, c.of(c.n, 2))
    rows.toarray()
    net = fastrelu.Network([rows.shape[1], 3, c.k])
    net(rows)
    fastrelu.Trainer(net, loss=c.loss).fit(rows, c.y(), 1)


def edges(c: Caller) -> None:
    of = [c.of(c.choose.choice([2, 3])) for _ in range(3)]
    of = [np.sort(e) if isinstance(e, np.ndarray) and e.ndim == 1 else e for e in of]
    fastrelu.EncodedRows.from_edges(c.X(), of).toarray()


def piecewise(c: Caller) -> None:
    knots = c.of(3)
    if isinstance(knots, np.ndarray) and knots.ndim == 1 and knots.dtype.kind in "fi":
        knots = np.sort(knots)
    f = PiecewiseLinear(knots, c.of(3), c.of(), c.of())
    f(c.of(c.n))
    f.derivative(c.of(c.n))
    f.simplify(0.1)
    fastrelu.maximum(f, f.compose(f) if len(f.knots) < 9 else f)
    f.to_network()


def piecewise_fit(c: Caller) -> None:
    n_hinges = c.choose.choice([None, 0, 1, 2, "auto", -1])
    PiecewiseLinear.fit(
        c.of(7), c.of(7), n_hinges=n_hinges, sample_weight=c.choose.choice([None, c.of(7)])
    )


def population(c: Caller) -> None:
    made = fastrelu.Population([{"layer_sizes": [3, 2, c.k], "loss": c.loss}] * 2)
    made.fit(c.X(), c.y(), 1, sample_weight=c.weights())
    made.predict(c.X())


def ensemble(c: Caller) -> None:
    made = fastrelu.Ensemble([c.net, c.net.copy()])
    match c.choose.randrange(3):
        case 0:
            made.predict(c.X())
        case 1:
            made.quantiles(c.X(), c.of(2))
        case 2:
            made.calibrate(c.of(30, 3), c.of(30, c.k))
            made.predict_interval(c.X(), c.choose.choice([0.9, *SCALARS[:6]]))


def regions(c: Caller) -> None:
    window = (-1.0, 1.0, -2.0, 1.0) if c.choose.random() < 0.7 else c.of(4)
    net = fastrelu.Network([3, 4, c.k], dtype=c.net.dtype)
    given = {"origin": c.of(3), "u": c.of(3), "v": c.of(3)}
    net.linear_regions(window, **given, max_regions=c.choose.choice([100, 100, *SCALARS]))


CORE_CALLS: dict[str, Callable[[Caller], object]] = {
    "forward": lambda c: c.net(c.X(), c.out(c.n, c.k), check_finite=c.check()),
    "forward_cached": lambda c: c.net.forward_cached(c.X(), check_finite=c.check()),
    "predict_proba": lambda c: c.net.predict_proba(c.X(), c.loss),
    "loss": lambda c: c.net.loss(c.X(), c.y(), c.loss, c.weights(), check_finite=c.check()),
    "loss_and_gradient": lambda c: c.net.loss_and_gradient(c.X(), c.y(), c.loss, c.weights()),
    "per_sample_gradients": lambda c: c.net.per_sample_gradients(
        c.X(), c.y(), c.loss, out=c.out(c.n, c.net.n_parameters)
    ),
    "jacobian": lambda c: c.net.jacobian(c.X(), out=c.out(c.n, c.k, 3)),
    "backward": backward,
    "along": lambda c: c.net.along(c.of(3), c.of(3)),
    "local_affine": lambda c: c.net.local_affine(c.X()),
    "linear_regions": regions,
    "lipschitz": lambda c: c.net.lipschitz(c.bounds(), c.choose.choice([2, 1, np.inf, *SCALARS])),
    "output_bounds": lambda c: c.net.output_bounds(*c.box(), sums=c.out(2, c.k)),
    "layer_bounds": lambda c: c.net.layer_bounds(*c.box()),
    "maximize": lambda c: c.net.maximize(c.bounds(), c.choose.choice([0, 0, *SCALARS]), 0.1),
    "step": lambda c: c.trainer().step(c.X(), c.y(), c.weights()),
    "evaluate": lambda c: c.trainer().evaluate(c.X(), c.y(), c.weights()),
    "prepare": lambda c: c.trainer().prepare(c.X(), c.y(), c.weights(), check_finite=c.check()),
    "fit": fit,
    "relu": lambda c: fastrelu.relu(c.X(), c.out(c.n, 3)),
    "relu_backward": lambda c: fastrelu.relu_backward(c.X(), c.X(), c.out(c.n, 3)),
    "linear_relu": lambda c: fastrelu.linear_relu(c.X(), c.of(3, c.k), c.of(c.k), c.out(c.n, c.k)),
    "encoded": encoded,
    "edges": edges,
    "piecewise": piecewise,
    "piecewise_fit": piecewise_fit,
    "fit_population": population,
    "ask_ensemble": ensemble,
    "from_jax": lambda c: fastrelu.from_jax([(c.of(3, 2), c.of(2)), (c.of(2, 1), c.of(1))]),
    "bound": lambda c: convergence.bound(c.of(c.n), c.choose.choice(SCALARS), 2.0),
    "estimate_constants": lambda c: convergence.estimate_constants(
        c.X(), c.of(c.n), alpha=c.choose.choice([1.0, *SCALARS])
    ),
}
