# SPDX-License-Identifier: BSD-3-Clause
"""What models of tables say about themselves: importances, curves, contributions."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.feature_selection import SelectFromModel  # noqa: E402
from sklearn.inspection import partial_dependence  # noqa: E402

import fastrelu  # noqa: E402
from fastrelu.app.preprocess.piece_inputs import PieceNumber  # noqa: E402
from fastrelu.app.tabular.curves import mean_curve  # noqa: E402


def frame_of(n, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=n),
            "colour": rng.choice(["red", "blue", "green"], n),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "noise": rng.normal(size=n),
            "one": 1.0,
            "flag": rng.random(n) < 0.5,
        }
    )
    y = np.abs(frame["size"]) + 2 * (frame["colour"] == "red") + 0.5 * frame["flag"]
    frame.loc[::7, "size"] = np.nan
    return frame, y.to_numpy(float)


@pytest.fixture(scope="module")
def regressor():
    frame, y = frame_of(400)
    return fastrelu.TabularRegressor("fast", random_state=0).fit(frame, y), frame


@pytest.fixture(scope="module")
def classifier():
    frame, y = frame_of(400)
    labels = np.digitize(y, [0.8, 2.0])
    return fastrelu.TabularClassifier("fast", random_state=0).fit(frame, labels), frame


def test_importances_find_what_matters(regressor, classifier):
    for model, frame in (regressor, classifier):
        found = dict(zip(frame.columns, model.feature_importances_, strict=True))
        assert found["colour"] > found["size"] > found["flag"] > 0.01
        assert found["one"] == 0.0
        assert abs(found["noise"]) < 0.05
        assert 0.3 < found["colour"] < 2.5  # shuffling can cost more than all that is explained


def test_importances_are_the_same_each_time(regressor):
    model, _ = regressor
    again = clone(model).fit(*frame_of(400))
    copied = pickle.loads(pickle.dumps(again))  # before it has been asked
    assert (again.feature_importances_ == model.feature_importances_).all()
    assert (copied.feature_importances_ == model.feature_importances_).all()
    model.feature_importances_[:] = 7  # a copy
    assert (again.feature_importances_ == model.feature_importances_).all()
    with pytest.raises(NotFittedError):
        _ = fastrelu.TabularRegressor().feature_importances_


def test_importances_are_losses_of_shuffled_rows():
    X = np.random.default_rng(0).normal(size=(60, 3))
    model = fastrelu.TabularRegressor("fast", n_members=2, random_state=0).fit(X, X[:, 1])
    kept = model._sample
    rows, y = np.c_[tuple(kept.table.columns.values())], kept.problem.y[:, 0]
    random = np.random.RandomState(kept.seed)
    expected = np.zeros(3)
    for order in [random.permutation(len(rows)) for _ in range(5)]:
        for j in range(3):
            shuffled = rows.copy()
            shuffled[:, j] = rows[order, j]
            for sign, some in ((1, shuffled), (-1, rows)):
                encoded = model.inputs_.transform(_table(model, some))
                each = np.stack([net(encoded)[:, 0] for net in model.networks_], axis=1)
                z = (each * kept.by).sum(axis=1) / kept.by.sum(axis=1)
                expected[j] += sign * np.mean((z - y) ** 2) / np.mean(y**2) / 5
    np.testing.assert_allclose(model.feature_importances_, expected, rtol=1e-4, atol=1e-5)


def test_importances_select_columns():
    X = np.random.default_rng(0).normal(size=(300, 5))
    select = SelectFromModel(fastrelu.TabularRegressor("fast", random_state=0), threshold=0.1)
    assert select.fit(X, X[:, 1] + X[:, 4]).get_support().tolist() == [0, 1, 0, 0, 1]


@pytest.mark.parametrize("preset", ["fast", "default"])
@pytest.mark.parametrize("tails", [False, True])
def test_the_curve_of_a_number_is_exact(preset, tails):
    rng = np.random.default_rng(0)
    X = rng.standard_t(1, size=(300, 3)) if tails else rng.normal(size=(300, 3))
    X[::5, 0] = np.nan
    y = np.c_[np.arctan(X[:, 1]) * X[:, 2].clip(-1, 1), X[:, 1].clip(-2, 2)]
    model = fastrelu.TabularRegressor(preset, random_state=0).fit(X, y)
    rows = X[:20]
    for j in range(3):
        curve = model.partial_dependence(j, X=rows)
        assert curve.exact
        assert (np.diff(curve.grid) > 0).all()
        assert curve.grid[0] == np.nanmin(X[:, j])
        assert curve.grid[-1] == np.nanmax(X[:, j])
        low, high = np.nanquantile(X[:, j], [0.05, 0.95])
        for value in [*rng.uniform(low, high, 20), *curve.grid[::37]]:
            there = rows.copy()
            there[:, j] = value
            expected = model.predict(there).mean(axis=0)
            found = [np.interp(value, curve.grid, column) for column in curve.average.T]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("edges", [[0.0, 1.0], [0.0, 1e-9, 1e6, 1e12]])
def test_a_linear_network_bends_where_its_encoding_does(edges):
    number = PieceNumber("x", "", 0.5, 1.0, np.array(edges), False, False)
    place = np.arange(number.n_inputs) + 1
    net = fastrelu.Network([number.n_inputs + 2, 2], seed=1)
    rows = np.random.default_rng(0).normal(size=(3, number.n_inputs + 2)).astype("float32")
    knots, values = mean_curve([net], rows, place, number)
    assert knots.tolist() == number.bends.tolist()
    for value, found in zip(knots, values, strict=True):
        number.write(np.full(3, value), rows[:, place[0] : place[-1] + 1])
        np.testing.assert_allclose(found, net(rows).mean(axis=0), rtol=1e-5, atol=1e-6)


def test_given_values_are_predicted(regressor, classifier):
    day = np.array(["2024-02-03", "2025-01-01"], "datetime64[D]")
    values = {
        "size": [-1.0, 0.5, np.nan], "colour": ["red", "violet", None], "since": day,
        "flag": [0.0, 1.0], "one": [1.0, 2.0],
    }  # fmt: skip
    for (model, frame), classes in ((regressor, False), (classifier, True)):
        predict = model.predict_proba if classes else model.predict
        for name, grid in values.items():
            curve = model.partial_dependence(name, grid, frame[:50])
            assert not curve.exact
            for value, found in zip(grid, curve.average, strict=True):
                there = frame[:50].assign(**{name: [value] * 50}).astype({name: frame[name].dtype})
                np.testing.assert_allclose(found, predict(there).mean(axis=0), rtol=1e-6)


def test_the_usual_grids(regressor, classifier):
    model, frame = classifier
    curve = model.partial_dependence("size")
    assert not curve.exact
    assert curve.average.shape == (len(curve.grid), 3)
    np.testing.assert_allclose(curve.average.sum(axis=1), 1.0)
    assert model.partial_dependence("colour").grid.tolist() == ["blue", "green", "red"]
    days = model.partial_dependence(2).grid
    assert days[0] == frame["since"].min()
    assert days[-1] == frame["since"].max()
    colours = regressor[0].partial_dependence("colour")
    assert colours.average.argmax() == 2
    assert colours.average.shape == (3,)
    with pytest.raises(ValueError, match=r"'one' says nothing.*give a grid"):
        model.partial_dependence("one")
    with pytest.raises(
        ValueError,
        match=r"feature: expected a column among 'size'.*got 'sizes' \(did you mean 'size'",
    ):
        model.partial_dependence("sizes")
    with pytest.raises(ValueError, match=r"feature: expected columns 0\.\.5, got 6"):
        model.partial_dependence(6)
    with pytest.raises(ValueError, match="grid: column 'size': expected numbers"):
        model.partial_dependence("size", ["much"])
    with pytest.raises(ValueError, match="grid: column 'size': expected finite numbers"):
        model.partial_dependence("size", [np.inf])
    with pytest.raises(ValueError, match="grid: expected one value or more"):
        model.partial_dependence("size", [])
    with pytest.raises(ValueError, match="X: expected one row or more"):
        model.partial_dependence("size", X=frame[:0])


def test_it_says_what_scikit_learn_says():
    X = np.random.default_rng(0).normal(size=(200, 2))
    model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, np.abs(X[:, 0]))
    expected = partial_dependence(model, X, [0], grid_resolution=20)
    curve = model.partial_dependence(0, expected["grid_values"][0], X)
    np.testing.assert_allclose(curve.average, expected["average"][0], rtol=1e-6)


def test_contributions_add_up(regressor, classifier):
    model, frame = regressor
    found = model.explain(frame)
    assert found.names == frame.columns.tolist()
    assert found.contributions.shape == frame.shape
    np.testing.assert_allclose(found.output, found.base + found.contributions.sum(axis=1))
    np.testing.assert_allclose(found.output, model.predict(frame), rtol=1e-5, atol=1e-5)
    assert (found.contributions[:, 4] == 0).all()
    red = frame["colour"] == "red"
    assert (found.contributions[red, 1] > 0.5).all()
    assert (found.contributions[~red, 1] < 0).all()
    model, frame = classifier
    found = model.explain(frame[:30])
    assert found.contributions.shape == (30, 6, 3)
    rows = model.inputs_.transform(_table(model, frame[:30]))
    expected = np.mean([net(rows) for net in model.networks_], axis=0)
    np.testing.assert_allclose(found.output, expected, rtol=1e-4, atol=1e-4)
    assert model.explain(frame[:0]).contributions.shape == (0, 6, 3)


def _table(model, frame):
    from fastrelu.app.tabular.rows import further_table

    return further_table(model, frame, model._choice)


@pytest.mark.parametrize("hidden", [(), (8,), (8, 4)])
def test_contributions_are_those_of_the_local_map(hidden):
    X = np.random.default_rng(0).normal(size=(80, 3))
    model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, np.c_[X[:, 0], X[:, 1]])
    model.networks_ = [
        fastrelu.Network([model.inputs_.n_inputs, *hidden, 2], seed=k) for k in range(2)
    ]
    Z = model.inputs_.transform(_table(model, X))
    kept = np.c_[tuple(model._sample.table.columns.values())]
    mean = model.inputs_.transform(_table(model, kept)).mean(axis=0, dtype=float)
    expected = np.zeros((80, 3, 2))
    for net in model.networks_:
        for i, z in enumerate(Z.astype(float)):
            each = net.local_affine(z).A * (z - mean) / 2
            expected[i] += each.reshape(2, 3, -1).sum(axis=2).T
    found = model.explain(X).contributions / model._unit.scale
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_contributions_to_several_targets_in_their_units():
    X = np.random.default_rng(0).normal(size=(300, 3))
    y = np.c_[X[:, 0], 1e4 * X[:, 1] + 1e5]
    model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, y)
    found = model.explain(X)
    assert found.contributions.shape == (300, 3, 2)
    error = np.abs(found.output - model.predict(X)).max(axis=0)
    assert (error < 1e-5 * y.std(axis=0)).all()
    share = np.abs(found.contributions).mean(axis=0)
    assert share[0, 0] > 5 * share[1, 0]
    assert share[1, 1] > 5 * share[0, 1]


def test_a_model_without_inputs_explains_nothing():
    model = fastrelu.TabularRegressor("fast", random_state=0).fit(np.ones((20, 2)), np.arange(20.0))
    assert (model.feature_importances_ == 0).all()
    found = model.explain(np.ones((3, 2)))
    assert (found.contributions == 0).all()
    np.testing.assert_allclose(found.output, 9.5)
