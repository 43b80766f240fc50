# SPDX-License-Identifier: BSD-3-Clause
"""More functions that take arrays: exact mathematics, conformal prediction, metrics, estimators."""

import random
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_arrays import CORE_CALLS, SCALARS, Caller

import fastrelu
from fastrelu import conformal, convergence, exact, quantiles, ranking

ERRORS = (ValueError, TypeError, fastrelu.DivergenceError)


def small(c: Caller) -> fastrelu.Network:
    return fastrelu.Network([3, 3, c.k], dtype=c.net.dtype, seed=1)


def share(c: Caller) -> Any:
    return c.choose.choice([0.9, 0.5, *SCALARS])


def verify(c: Caller) -> None:
    halfspaces = (c.of(2, c.k), c.of(2))
    asked = c.choose.choice([0, 1, (0, 1), halfspaces, *SCALARS])
    ball = None if c.choose.random() < 0.6 else (c.of(3), c.choose.choice([0.5, *SCALARS]))
    small(c).verify(None if ball else c.bounds(), asked, 0.05, ball=ball)


def verify_shape(c: Caller) -> None:
    shape = c.choose.choice(["increasing", "decreasing", "convex", "concave", "x"])
    small(c).verify_shape(c.bounds(), shape, input=c.choose.choice([0, None, 3]), time_limit=0.05)


def to_milp(c: Caller) -> None:
    with tempfile.TemporaryDirectory() as folder:
        small(c).to_milp(Path(folder, "file"), c.bounds(), c.choose.choice([0, 0, *SCALARS]))


def split_intervals(c: Caller) -> None:
    scale = None if c.choose.random() < 0.5 else c.of(30)
    made = conformal.SplitIntervals(c.of(30), c.of(30), scale)
    made.intervals(c.of(c.n), share(c), None if scale is None else c.of(c.n))


def cross_intervals(c: Caller) -> None:
    draw = np.arange(30) % 3
    left_out = draw if c.choose.random() < 0.6 else c.of(30)
    conformal.CrossIntervals(c.of(30), c.of(30), left_out).intervals(c.of(3, c.n), share(c))


def class_sets(c: Caller) -> None:
    labels = np.arange(30) % 3 if c.choose.random() < 0.6 else c.of(30)
    rows = np.random.default_rng(c.n).dirichlet(np.ones(3), 30)
    made = conformal.ClassSets(rows if c.choose.random() < 0.6 else c.of(30, 3), labels)
    made.sets(rows[: c.n] if c.choose.random() < 0.6 else c.of(c.n, 3), share(c))


def weighted_intervals(c: Caller) -> None:
    weights = np.ones(30) if c.choose.random() < 0.6 else c.of(30)
    made = conformal.WeightedIntervals(c.of(30), c.of(30), weights)
    made.intervals(c.of(c.n), np.ones(c.n) if c.choose.random() < 0.5 else c.of(c.n), share(c))


def estimator(c: Caller) -> None:
    kind = c.choose.choice([fastrelu.MLPRegressor, fastrelu.MLPClassifier])
    made = kind(
        hidden_layer_sizes=(2,), max_iter=2, batch_size=2,
        solver=c.choose.choice(["adam", "sgd", "lbfgs"]),
        early_stopping=c.choose.random() < 0.2, warm_start=c.choose.random() < 0.2,
    )  # fmt: skip
    y = np.arange(c.n) % 2 if c.choose.random() < 0.6 else c.y()
    try:
        made.fit(c.X(), y, sample_weight=c.weights())
        made.predict(c.X())
        if made.solver != "lbfgs":
            made.partial_fit(c.X(), y)
    except OverflowError as error:  # scikit-learn's own check of whole numbers that no float holds
        assert "int too large" in str(error)
        raise ValueError from error


def hinges(c: Caller) -> None:
    found = exact.choose_hinges(c.of(15), c.of(15), max_hinges=2)
    exact.hinge_statistics(found.function, c.of(15), c.of(15))


def piecewise_use(c: Caller) -> None:
    f = fastrelu.PiecewiseLinear([0.0, 1.0, 2.0], [0.0, 1.0, -1.0])
    f.integrate(c.of(), c.choose.choice(SCALARS))
    f.lipschitz()
    f(c.of(c.n, 2))


def noise(c: Caller) -> None:
    convergence.gradient_noise(
        c.X(), c.of(c.n), alpha=c.choose.choice([0.1, *SCALARS]), draws=c.choose.choice([10, -1]),
        batch_sizes=c.choose.choice([None, [1], c.of(1)]),
    )  # fmt: skip


def study(c: Caller) -> None:
    convergence.study(
        c.X(), c.of(c.n), alpha=c.choose.choice([0.1, *SCALARS]), n_steps=5, replicates=3
    )


def best_threshold(c: Caller) -> None:
    rule = c.choose.choice(["balanced", "f1", "x"])
    positive = np.arange(c.n) % 2 if c.choose.random() < 0.6 else c.of(c.n)
    ranking.best_threshold(positive, c.of(c.n), c.weights(), rule)


MORE_CALLS: dict[str, Callable[[Caller], object]] = {
    "verify": verify,
    "verify_shape": verify_shape,
    "regions": lambda c: small(c).regions(c.bounds(), max_regions=c.choose.choice([50, *SCALARS])),
    "derivative_bounds": lambda c: small(c).derivative_bounds(c.bounds()),
    "to_milp": to_milp,
    "as_network": lambda c: quantiles.as_network(c.choose.choice([c.net, None]))(c.X()),
    "split_intervals": split_intervals,
    "cross_intervals": cross_intervals,
    "quantile_intervals": lambda c: conformal.QuantileIntervals(c.of(30, 2), c.of(30)).intervals(
        c.of(c.n, 2), share(c)
    ),
    "class_sets": class_sets,
    "weighted_intervals": weighted_intervals,
    "estimator": estimator,
    "hinges": hinges,
    "piecewise_use": piecewise_use,
    "gradient_noise": noise,
    "study": study,
    "best_threshold": best_threshold,
    "rank_rows": lambda c: ranking.rank_rows(c.of(c.n), c.of(c.n), c.weights()).roc_auc,
}
CALLS = CORE_CALLS | MORE_CALLS


def called(name: str, seed: str) -> bool:
    """Whether a call with arrays of this seed returned; what may not be raised is let out."""
    caller = Caller(random.Random(seed))
    before = np.geterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            CALLS[name](caller)
            return True
        except ERRORS:
            return False
        finally:
            assert np.geterr() == before
