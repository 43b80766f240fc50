# SPDX-License-Identifier: BSD-3-Clause
"""Models of tables that rise or fall with some columns for certain."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

import fastrelu  # noqa: E402
from fastrelu import losses  # noqa: E402
from fastrelu.app.tabular import monotone  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:X. column .* values beyond the training range")


def fast(**parameters):
    return fastrelu.TabularRegressor("fast", **{"random_state": 0, **parameters})


def rows_of(n, seed=0):
    """Rows whose target goes up and down with both columns, and has far values."""
    rng = np.random.default_rng(seed)
    X = np.c_[rng.normal(size=n), rng.standard_t(2, size=n), rng.normal(size=(n, 2))]
    X[::9, 1] = np.nan
    y = np.sin(3 * X[:, 0]) + 0.5 * X[:, 0] * X[:, 2] - np.nan_to_num(X[:, 1]).clip(-3, 3)
    return X, y + 0.3 * rng.standard_t(2, size=n)


def sweeps(X, column, values):
    """Yield, for some rows, copies with each of the values in a column."""
    for row in X[:12]:
        copies = np.tile(row, (len(values), 1))
        copies[:, column] = values
        yield copies


def steps(predict, X, column):
    """Return the differences of predictions for ascending values, near and far."""
    rng = np.random.default_rng(1)
    there = X[~np.isnan(X[:, column]), column]
    close = there[0] + np.arange(40) * 1e-8
    values = np.sort(np.r_[there, rng.normal(size=200), close, -1e9, 1e9])
    return np.concatenate([np.diff(predict(copies)) for copies in sweeps(X, column, values)])


LOSSES = ["squared_error", "absolute_error", losses.Quantile(0.9), losses.Quantile(0.1)]
LOSSES += [losses.Expectile(0.9)]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_it_holds_to_the_bit(loss):
    X, y = rows_of(250)
    model = fast(loss=loss, monotone={0: 1, 1: -1}).fit(X, y)
    up, down = steps(model.predict, X, 0), steps(model.predict, X, 1)
    assert up.min() >= 0.0
    assert up.max() > 0.0
    assert down.max() <= 0.0
    assert down.min() < 0.0
    free = fast(loss=loss).fit(X, y)
    assert steps(free.predict, X, 0).min() < 0.0
    low, high = model.predict_interval(X[:20]).T
    assert np.allclose(high - low, high[0] - low[0])


def test_it_holds_against_the_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = -2 * X[:, 0] + X[:, 1]
    for preset in ("fast", "default"):
        model = fastrelu.TabularRegressor(preset, random_state=0, monotone={0: 1}).fit(X, y)
        assert steps(model.predict, X, 0).min() >= 0.0
        assert model.partial_dependence(0).average.std() < 0.1  # as little as it may
        assert model.partial_dependence(1).average.std() > 0.3
        curve = model.partial_dependence(0)
        assert np.diff(curve.average).min() > -1e-9


def test_what_is_so_anyway_costs_little():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 5))
    y = np.exp(X[:, 0] / 2) + np.arctan(3 * X[:, 1]) * (1 + (X[:, 2] > 0)) + X[:, 3] ** 2
    y += 0.3 * rng.normal(size=1200)
    bound = fast(monotone={0: 1, 1: 1}).fit(X[:400], y[:400]).score(X[400:], y[400:])
    free = fast().fit(X[:400], y[:400]).score(X[400:], y[400:])
    assert bound > free - 0.02
    assert bound > 0.85


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie"])
def test_log_links(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(250, 3))
    y = rng.gamma(2.0, np.exp(np.sin(3 * X[:, 0]) + X[:, 1])) + 0.01
    model = fast(loss=loss, monotone={0: 1}).fit(X, y, exposure=np.full(250, 2.0))

    def predict(copies):
        return np.log(model.predict(copies, exposure=np.ones(len(copies))))

    assert steps(predict, X, 0).min() > -1e-6
    table = model.inputs_
    assert all(bounds_of(model, {"x0": 1}, table, [1]).hold(net) for net in model.networks_)


def bounds_of(model, directions, inputs, outputs):
    hidden = model.networks_[0].layer_sizes[1:-1]
    return monotone.Bounds(inputs, directions, hidden, outputs)


def test_probabilities():
    X, y = rows_of(300)
    model = fastrelu.TabularClassifier("fast", random_state=0, monotone={0: -1}).fit(X, y > 0)
    assert steps(lambda rows: model.predict_proba(rows)[:, 1], X, 0).max() < 1e-6
    assert steps(lambda rows: model.predict_proba(rows)[:, 1], X, 0).min() < -0.01
    bounds = bounds_of(model, {"x0": -1}, model.inputs_, [-1, 1])
    assert all(bounds.hold(net) for net in model.networks_)
    free = fastrelu.TabularClassifier("fast", random_state=0).fit(X, y > 0)
    assert not any(bounds.hold(net) for net in free.networks_)
    with pytest.raises(ValueError, match="monotone: expected two classes, got 3"):
        fastrelu.TabularClassifier("fast", monotone={0: 1}).fit(X, np.arange(300) % 3)


def test_names_and_other_columns():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, 300), "group": rng.choice(list("abc"), 300),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, 300), "D"),
            "member": rng.random(300) < 0.5,
        }
    )  # fmt: skip
    y = np.abs(frame["age"] - 50) + 10 * (frame["group"] == "a") - 5.0 * frame["member"]
    model = fast(monotone={"age": 1, "member": -1}).fit(frame, y)
    for i in range(5):
        copies = frame.iloc[[i] * 70].assign(age=np.arange(15, 85))
        assert np.diff(model.predict(copies)).min() >= 0.0
    flags = [model.predict(frame.assign(member=flag)) for flag in (False, True)]
    assert (flags[1] <= flags[0]).all()
    alone = fast(monotone={0: -1}).fit(frame[["age"]], y)  # no unit is free then
    assert np.diff(alone.predict(pd.DataFrame({"age": np.arange(15, 85)}))).max() <= 0.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": 1}, r"monotone: expected a column among 'age', 'group', got 'size'"),
        ({7: 1}, r"monotone: expected columns 0\.\.1, got 7"),
        ({"age": 2}, "monotone: column 'age': expected 1, -1 or 0, got 2"),
        ({"age": "up"}, "monotone: column 'age': expected 1, -1 or 0, got 'up'"),
        ({"age": 1, 0: 1}, "monotone: column 0 is named twice"),
        ({"group": 1}, "monotone: column 'group': expected numbers, got texts"),
        ([1], "monotone"),
    ],
)
def test_constraints_are_checked(given, words):
    frame = pd.DataFrame({"age": [1.0, 2.0, 3.0], "group": ["a", "b", "b"]})
    with pytest.raises(ValueError, match=words):
        fast(monotone=given).fit(frame, [1.0, 2.0, 3.0])


def test_the_same_bits_on_any_number_of_threads():
    X, y = rows_of(120)
    models = [
        fastrelu.TabularRegressor(random_state=0, n_threads=n, monotone={0: 1}).fit(X, y)
        for n in (1, 2, 5)
    ]
    for model in models[1:]:
        assert (model.predict(X) == models[0].predict(X)).all()


def test_no_direction_is_no_constraint():
    X, y = rows_of(120)
    assert (fast(monotone={0: 0}).fit(X, y).predict(X) == fast().fit(X, y).predict(X)).all()
    assert (fast(monotone={}).fit(X, y).predict(X) == fast().fit(X, y).predict(X)).all()


def test_a_limit_of_time_ends_the_fit():
    X, y = rows_of(4000)
    model = fastrelu.TabularRegressor(time_limit=0.05, random_state=0, monotone={0: 1}).fit(X, y)
    assert max(model.n_epochs_) < 30
    assert steps(model.predict, X[:300], 0).min() >= 0.0


def test_scikit_learns_checks():
    reason = "rows are drawn into folds and minibatches"
    expected = {"check_sample_weight_equivalence_on_dense_data": reason}
    check_estimator(fast(monotone={0: 1}), expected_failed_checks=expected, on_skip=None)
