# SPDX-License-Identifier: BSD-3-Clause
"""What is computed for each part of the contract: small, and from numbers that are exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core, losses, optimizers, random, schedules
from fastrelu._catalogue import ACTIVATIONS, LOSSES
from fastrelu.encoded import EncodedRows
from fastrelu.network import Network
from fastrelu.trainer import Trainer

Array = NDArray[Any]
Run = Callable[[int | None], list[Any]]
DTYPES = ("float32", "float64")
FUNCTIONS = ("exp", "log", "log1p", "tanh")
SAMPLES = 20_011  # of all bit patterns of a dtype, evenly spaced

OPTIMIZER_FORMS: dict[str, Any] = {
    "sgd": optimizers.SGD(0.05),
    "sgd_decay": optimizers.SGD(0.05, weight_decay=0.01),
    "momentum": optimizers.SGD(0.02, momentum=0.9, weight_decay=0.01),
    "nesterov": optimizers.SGD(0.02, momentum=0.9, nesterov=True),
    "adam": optimizers.Adam(0.01, weight_decay=0.01),
    "adamw": optimizers.AdamW(0.01, weight_decay=0.02),
    "lion": optimizers.Lion(0.001, weight_decay=0.1),
}
LOSS_FORMS: dict[str, Any] = {name: losses.as_loss(name) for name in LOSSES} | {
    "binary_cross_entropy_weighted": losses.BinaryCrossEntropy(2.5),
}
TRAINING: dict[str, dict[str, Any]] = {
    "shuffle": {},
    "subset": {"sampling": "subset"},
    "with_replacement": {"sampling": "with_replacement"},
    "shards": {"n_shards": 3},
    "clipping": {"clip_norm": 0.05},
    "dropout": {"dropout": [0.25, 0.5]},
    "input_scales": {"input_scale_rate": 4.0},
    "sparse": {"sparse": True},
    "encoded": {"encoded": True},
    "bytes": {"bytes": True},
    "row_weights": {"row_weights": True},
    "without_bias": {"bias": False},
    "one_row": {"batch_size": 1},
}


def whole_numbers(*shape: int) -> NDArray[np.int64]:
    """Return numbers from 0 to 96 that need no library's random numbers."""
    n = int(np.prod(shape))
    return ((np.arange(n, dtype=np.int64) * 2654435761) % 1000003 % 97).reshape(shape)


def targets(loss: Any, rows: int, outputs: int) -> Array:
    """Return targets that a loss takes."""
    domain, numbers = loss.info.domain, whole_numbers(rows, outputs)
    if domain.labels:
        return whole_numbers(rows) % outputs
    if domain.high == 1:
        return numbers % 5 / 4
    return numbers / 32 - (2 if domain.low < 0 else -1 / 64 if domain.open_low else 0)


class _Sparse:
    """Rows in the form of SciPy's CSR matrices, of what SciPy itself is not needed for."""

    def __init__(self, dense: Array) -> None:
        rows, columns = np.nonzero(dense)
        self.shape, self.dtype = dense.shape, dense.dtype
        counts = np.bincount(rows, minlength=len(dense))
        self.indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        self.indices, self.data = columns.astype(np.int32), dense[rows, columns]

    def tocsr(self) -> _Sparse:
        """Return itself."""
        return self


def _elementary(function: str, dtype: str, cut: int | None) -> list[Any]:
    """Return values at bit patterns all over the dtype's range, NaN and infinities among them."""
    bits = np.uint32 if dtype == "float32" else np.uint64
    step = int(np.iinfo(bits).max) // SAMPLES
    x = (np.arange(SAMPLES, dtype=bits) * np.array(step, bits)).view(dtype)
    if function == "log1p":
        x = np.abs(x) % 1  # what losses ask for
        x = np.where(np.isfinite(x), x, 0).astype(dtype)
    return [_core.elementary(function, x)]


def _weights(init: Any, dtype: str, cut: int | None) -> list[Any]:
    return [Network([7, 33, 2], dtype=dtype, init=init, seed=seed).parameters for seed in (0, 9)]


def _network(activation: str, dtype: str) -> Network:
    return Network([70, 150, 33, 3], dtype=dtype, activation=activation, seed=3)


def _forward(activation: str, dtype: str, cut: int | None) -> list[Any]:
    net, X = _network(activation, dtype), (whole_numbers(300, 70) / 64 - 0.75).astype(dtype)
    size = cut or len(X)
    return [np.concatenate([net(X[at : at + size]) for at in range(0, len(X), size)])]


def _backward(activation: str, dtype: str, cut: int | None) -> list[Any]:
    net, X = _network(activation, dtype), (whole_numbers(300, 70) / 64 - 0.75).astype(dtype)
    _, cache = net.forward_cached(X)
    d_out = (whole_numbers(300, 3) / 16 - 3).astype(dtype)
    gradients = net.backward(cache, d_out, inputs=True)
    return [gradients.flat, gradients.inputs]


def _loss(name: str, dtype: str, cut: int | None) -> list[Any]:
    loss, net = LOSS_FORMS[name], Network([5, 16, 3], dtype=dtype, seed=7)
    X, y = (whole_numbers(40, 5) / 64 - 0.75).astype(dtype), targets(loss, 40, 3)
    weights = (whole_numbers(40) + 1) / 8
    plain, weighted = (net.loss_and_gradient(X, y, loss, w) for w in (None, weights))
    chances = net.predict_proba(X, loss)
    return [plain[0], plain[1].flat, weighted[0], weighted[1].flat, chances]


def _optimizer(name: str, dtype: str, cut: int | None) -> list[Any]:
    """200 steps."""
    net = Network([5, 33, 8, 3], dtype=dtype, seed=11)
    trainer = Trainer(net, optimizer=OPTIMIZER_FORMS[name], batch_size=16, seed=4)
    X = (whole_numbers(64, 5) / 64 - 0.75).astype(dtype)
    history = trainer.fit(X, whole_numbers(64, 3) / 64 - 0.5, epochs=50, progress=False)
    return [net.parameters, np.array(history.loss)]


def _training(name: str, dtype: str, cut: int | None) -> list[Any]:
    """Three epochs in which something is not as usual."""
    how = dict(TRAINING[name])
    sparse, as_bytes = how.pop("sparse", False), how.pop("bytes", False)
    encoded = how.pop("encoded", False)
    weights = (whole_numbers(61) + 1) / 8 if how.pop("row_weights", False) else None
    sampling, batch_size = how.pop("sampling", "shuffle"), how.pop("batch_size", 9)
    net = Network(
        [12, 33, 8, 3], dtype=dtype, seed=11, bias=how.pop("bias", True),
        scale=1 / 255 if as_bytes else 1.0,
    )  # fmt: skip
    numbers = whole_numbers(61, 12)
    X: Any = numbers.astype(np.uint8) if as_bytes else (numbers / 64 - 0.75).astype(dtype)
    if sparse:
        X = _Sparse(np.where(numbers % 3 == 0, X, 0).astype(dtype))
    if encoded:
        widths = np.array([5, 1, 4, 2])
        X = EncodedRows(widths, [True, False, True, False], numbers[:, :4] % widths, X[:, 4:8])
    trainer = Trainer(
        net, loss="cross_entropy", optimizer=optimizers.SGD(0.05, momentum=0.5),
        batch_size=batch_size, seed=5, **how,
    )  # fmt: skip
    y = whole_numbers(61) % 3
    history = trainer.fit(X, y, 3, sample_weight=weights, sampling=sampling, progress=False)
    return [net.parameters, np.array(history.loss)]


def _words(cut: int | None) -> list[Any]:
    return [random.words(seed, 1000, first, 21) for seed in (0, 2**64 - 1) for first in (0, 10**9)]


def _permutation(cut: int | None) -> list[Any]:
    return [random.permutation(5, 1000, 2, 3, 1000)]


def _schedules(cut: int | None) -> list[Any]:
    made: list[Callable[[int], float]] = [
        schedules.inverse_time(0.3),
        schedules.step_decay(0.1, 0.5, 7),
        schedules.cosine(0.1, 50, 0.01),
        schedules.warm_up(schedules.constant(0.1), 10),
    ]
    return [np.array([schedule(k) for k in range(1, 51)]) for schedule in made]


def _along(cut: int | None) -> list[Any]:
    net = Network([4, 16, 16, 2], dtype="float64", seed=1)
    line = net.along(np.full(4, -3.0), np.arange(4) - 0.5)
    return [line.knots, line.values]


def _regions(cut: int | None) -> list[Any]:
    found = Network([2, 12, 8, 1], dtype="float64", seed=2).linear_regions((-2, 2, -2, 2))
    return [found.vertices, found.offsets, found.pattern]


def _bounds(dtype: str, cut: int | None) -> list[Any]:
    net = Network([6, 24, 24, 3], dtype=dtype, seed=2)
    return list(net.output_bounds(np.full(6, -1.0), np.arange(6) / 4))


def _runs() -> dict[str, Run]:
    found: dict[str, Run] = {"random.words": _words, "random.permutation": _permutation}
    found |= {"schedules": _schedules, "exact.along": _along, "exact.regions": _regions}
    for dtype in DTYPES:
        for kind, run, names in (
            ("elementary", _elementary, FUNCTIONS),
            ("weights", _weights, ("he_uniform", "glorot_uniform")),
            ("forward", _forward, ACTIVATIONS),
            ("backward", _backward, ACTIVATIONS),
            ("loss", _loss, LOSS_FORMS),
            ("optimizer", _optimizer, OPTIMIZER_FORMS),
            ("training", _training, TRAINING),
        ):
            found |= {f"{kind}.{name}.{dtype}": partial(run, name, dtype) for name in names}
        found[f"exact.bounds.{dtype}"] = partial(_bounds, dtype)
    return dict(sorted(found.items()))


#: Each part's name, and what computes its results for a cut of the rows.
RUNS: dict[str, Run] = _runs()
