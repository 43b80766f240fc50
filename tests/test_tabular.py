# SPDX-License-Identifier: BSD-3-Clause
"""TabularClassifier and TabularRegressor: what they take, what they promise, how they choose."""

import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from sklearn import datasets  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.metrics import log_loss  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

import fastrelu  # noqa: E402
from fastrelu.app.tabular import clock, recipe, train  # noqa: E402
from fastrelu.app.tabular.rows import further_table  # noqa: E402

BOTH = [fastrelu.TabularClassifier, fastrelu.TabularRegressor]
ROWS = 240


def mixed_frame(seed=0):
    """A column of each kind, some with gaps, and a target that needs several of them."""
    rng = np.random.default_rng(seed)
    days = pd.to_timedelta(rng.integers(0, 900, ROWS), "D")
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=ROWS),
            "member": rng.random(ROWS) < 0.5,
            "colour": rng.choice(["red", "blue", "green"], ROWS),
            "since": pd.Timestamp("2024-01-01") + days,
            "grade": pd.Categorical(rng.choice(["a", "b"], ROWS)),
            "empty": [None] * ROWS,
            "one": 1.0,
            "key": [f"row {i}" for i in range(ROWS)],
        }
    )
    y = 2 * (frame["colour"] == "red") + frame["member"] + np.abs(frame["size"])
    frame.loc[::7, "size"] = np.nan
    frame.loc[::11, "since"] = pd.NaT
    frame.loc[::13, "colour"] = None
    return frame, y.to_numpy(float)


@pytest.fixture(scope="module")
def fitted():
    frame, y = mixed_frame()
    model = fastrelu.TabularClassifier("fast", random_state=0)
    return model.fit(frame, np.where(y > 1.5, "high", "low")), frame


@pytest.mark.parametrize("kind", BOTH)
def test_scikit_learns_checks(kind):
    # Repeated rows fall into several folds, and a weight stays in one: as for scikit-learn's
    # forests and early-stopped networks, the two are not the same fit.
    reason = "rows are drawn into folds and minibatches"
    expected = {"check_sample_weight_equivalence_on_dense_data": reason}
    model = kind("fast", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(model, expected_failed_checks=expected, on_skip=None)


def test_columns_go_by_name_and_further_ones_are_not_looked_at(fitted):
    model, frame = fitted
    expected = model.predict_proba(frame)
    again = model.predict_proba(frame[frame.columns[::-1]].assign(more=1))
    assert (again == expected).all()
    assert model.score(frame, model.predict(frame)) == 1.0
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    assert model.n_features_in_ == frame.shape[1]


def test_a_missing_column_is_named(fitted):
    model, frame = fitted
    with pytest.raises(ValueError, match=r"now missing: 'size'$"):
        model.predict(frame.drop(columns="size"))
    with pytest.raises(ValueError, match=r"'size' \(did you mean 'sizes'\?\)"):
        model.predict(frame.rename(columns={"size": "sizes"}))


@pytest.mark.parametrize(
    ("value", "words"),
    [("much", "row 3: column 'size': expected a number"), (np.inf, "row 3: column 'size'.*inf")],
)
def test_a_value_that_is_no_number_is_named(fitted, value, words):
    model, frame = fitted
    wrong = frame.astype({"size": object})
    wrong.loc[2, "size"] = value
    with pytest.raises(ValueError, match=words):
        model.predict(wrong)


def test_an_array_goes_by_place(fitted):
    model, frame = fitted
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        by_place = model.predict_proba(frame.to_numpy())
    assert (by_place == model.predict_proba(frame)).all()
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="3 features"):
        model.predict(np.ones((2, 3)))


def test_polars_says_the_same(fitted):
    pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    model, frame = fitted
    other = polars.from_pandas(frame)
    assert (model.predict_proba(other) == model.predict_proba(frame)).all()
    again = clone(model).fit(other, polars.Series(model.predict(frame)))
    same = clone(model).fit(frame, model.predict(frame))
    assert (again.predict_proba(frame) == same.predict_proba(frame)).all()


def test_copies_predict_the_same(fitted):
    model, frame = fitted
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_proba(frame) == model.predict_proba(frame)).all()
    assert type(model).__module__ == "fastrelu.tabular"
    assert clone(model).get_params() == model.get_params()


def test_models_pickled_before_rows_were_encoded_predict_the_same(fitted):
    model, frame = fitted
    state = model.__getstate__()
    before = type(model).__new__(type(model))
    before.__setstate__({key: value for key, value in state.items() if key != "_bounded"})
    assert (before.predict_proba(frame) == model.predict_proba(frame)).all()


def test_encoded_rows_say_what_their_inputs_say(fitted):
    model, frame = fitted
    table = further_table(model, frame, model._choice)
    outputs = fastrelu.Ensemble(model.networks_, model._loss).predict(model._encoded_rows(table))
    assert np.allclose(model.predict_proba(frame), outputs, atol=1e-5)


def test_what_training_has_not_seen(fitted):
    model, frame = fitted
    far, end = frame.copy(), frame.copy()
    far["size"], end["size"] = 1e250, frame["size"].max()
    with pytest.warns(UserWarning, match="column 'size': 240 values beyond the training range"):
        found = model.predict_proba(far)
    assert (found == model.predict_proba(end)).all()
    with pytest.warns(UserWarning, match="X: column 'since': 1 values beyond the training range"):
        model.predict(frame.assign(since=[pd.Timestamp("1815-06-18"), *frame["since"][1:]]))
    new, none = frame.copy(), frame.copy()
    new["colour"], none["colour"] = "a new one", "another"
    assert (model.predict_proba(new) == model.predict_proba(none)).all()
    new["member"] = None  # training lacked nothing: the median
    assert np.isfinite(model.predict_proba(new)).all()


@pytest.mark.parametrize("kind", BOTH)
def test_the_same_bits_on_any_number_of_threads(kind):
    frame, y = mixed_frame()
    target = y if kind is fastrelu.TabularRegressor else y > 1.5
    models = [
        kind(random_state=3, n_threads=n).fit(frame[:120], target[:120]) for n in (1, 2, 5, None)
    ]
    for model in models[1:]:
        assert (model.predict(frame) == models[0].predict(frame)).all()
        for network, other in zip(model.networks_, models[0].networks_, strict=True):
            assert (network.parameters == other.parameters).all()
    another = kind(random_state=4).fit(frame[:120], target[:120])
    assert not np.array_equal(another.networks_[0].parameters, models[0].networks_[0].parameters)


def test_rows_of_weight_zero_are_left_out():
    X, y = datasets.load_diabetes(return_X_y=True)
    weight = np.r_[np.full(150, 2.0), np.zeros(50)]
    with_zeros = fastrelu.TabularRegressor("fast", random_state=0).fit(X[:200], y[:200], weight)
    without = fastrelu.TabularRegressor("fast", random_state=0).fit(X[:150], y[:150], weight[:150])
    assert (with_zeros.predict(X) == without.predict(X)).all()
    heavy = np.where(y[:200] > 150, 50.0, 1.0)
    heavier = fastrelu.TabularRegressor("fast", random_state=0).fit(X[:200], y[:200], heavy)
    assert heavier.predict(X).mean() > with_zeros.predict(X).mean() + 10


def test_a_smooth_function_is_learned():
    X, y = datasets.make_friedman1(1200, noise=0.5, random_state=0)
    model = fastrelu.TabularRegressor(random_state=0).fit(X[:800], y[:800])
    assert model.score(X[800:], y[800:]) > 0.93
    assert model.n_members_ == 5
    assert len(model.candidates_) == 5
    assert model.candidate_ == min(model.candidates_, key=model.candidates_.get)


@pytest.mark.parametrize(("n_classes", "rows"), [(2, 200), (3, 400)])
@pytest.mark.parametrize("seed", range(3))
def test_noise_gets_the_shares(n_classes, rows, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows + 4000, 8))
    y = rng.choice(n_classes, len(X), p=rng.dirichlet(np.full(n_classes, 5.0)))
    model = fastrelu.TabularClassifier("fast", random_state=0).fit(X[:rows], y[:rows])
    shares = np.bincount(y[:rows], minlength=n_classes) / rows
    guess = log_loss(y[rows:], np.tile(shares, (4000, 1)), labels=model.classes_)
    assert log_loss(y[rows:], model.predict_proba(X[rows:])) <= 1.01 * guess
    target = rng.normal(size=len(X))
    regressor = fastrelu.TabularRegressor("fast", random_state=0).fit(X[:rows], target[:rows])
    assert regressor.score(X[rows:], target[rows:]) > -0.02


def test_a_weak_signal_costs_nothing():
    excess = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        rows, columns = [(60, 20), (200, 5)][seed % 2]
        X = rng.normal(size=(rows + 4000, columns))
        y = 0.1 * np.abs(X[:, 0]) + rng.standard_t(4, size=len(X))
        new = y[rows:]
        model = fastrelu.TabularRegressor(random_state=0).fit(X[:rows], y[:rows])
        constant = np.mean((new - y[:rows].mean()) ** 2)
        excess.append(np.mean((new - model.predict(X[rows:])) ** 2) / constant)
        labels = np.digitize(y, [0.5, 1.5][: 1 + seed // 2 % 2])
        classifier = fastrelu.TabularClassifier(random_state=0).fit(X[:rows], labels[:rows])
        shares = np.bincount(labels[:rows], minlength=len(classifier.classes_)) / rows
        losses = [
            log_loss(labels[rows:], p, labels=classifier.classes_)
            for p in (classifier.predict_proba(X[rows:]), np.tile(shares, (4000, 1)))
        ]
        excess.append(losses[0] / losses[1])
    assert np.mean(excess) < 1.005
    assert max(excess) < 1.03  # 60 rows can look as if they said something


def test_values_a_little_outside_are_not_warned_of():
    X = np.arange(20.0)[:, None]
    model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, X[:, 0])
    inside, beyond = [[-57.0], [76.0], [np.nan]], [[-57.1], [76.1], [1e308]]
    model.predict(inside)
    with pytest.warns(UserWarning, match="X: column 'x0': 3 values beyond") as told:
        found = model.predict(beyond)
    assert len(told) == 1
    assert (found[:2] == model.predict(inside)[:2]).all()
    assert found[2] == model.predict([[19.0]])[0]


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_a_targets_unit_does_not_matter(scale):
    X = np.random.default_rng(0).normal(size=(100, 2))
    model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, scale * X[:, 0])
    np.testing.assert_allclose(model.predict(X) / scale, X[:, 0], atol=0.6)


def test_several_targets_at_once():
    X, y = datasets.load_linnerud(return_X_y=True)
    model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert model.n_outputs_ == 3
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = np.c_[X[:, 0], 100 * X[:, 1] + 7]
    assert fastrelu.TabularRegressor("fast", random_state=0).fit(X, y).score(X, y) > 0.97


@pytest.mark.parametrize("rows", [2, 3, 6])
def test_few_rows(rows):
    X, y = np.arange(rows)[:, None], np.arange(rows) % 2
    assert fastrelu.TabularClassifier(random_state=0).fit(X, y).predict(X).shape == (rows,)
    assert fastrelu.TabularRegressor(random_state=0).fit(X, y).predict(X[:0]).shape == (0,)


def test_columns_that_say_nothing_give_the_mean():
    model = fastrelu.TabularRegressor("fast", random_state=0).fit(np.ones((20, 2)), np.arange(20.0))
    assert model.predict([[3.0, 4.0]]).tolist() == [9.5]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"preset": "slow"}, "preset"),
        ({"n_members": 0}, "n_members"),
        ({"time_limit": 0.0}, "time_limit"),
        ({"n_threads": 0}, "n_threads"),
    ],
)
def test_parameters_are_checked(parameters, words):
    with pytest.raises(ValueError, match=words):
        fastrelu.TabularRegressor(**parameters).fit([[0.0], [1.0]], [0.0, 1.0])


def test_targets_are_checked():
    X = np.arange(6.0)[:, None]
    with pytest.raises(ValueError, match="at least two classes, got one class"):
        fastrelu.TabularClassifier().fit(X, np.ones(6))
    with pytest.raises(ValueError, match="y: row 2: expected a class, got None"):
        fastrelu.TabularClassifier().fit(X, ["a", None, "b", "a", "b", "a"])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fastrelu.TabularRegressor().fit(X, np.ones(5))
    with pytest.raises(ValueError, match="y contains NaN"):
        fastrelu.TabularRegressor().fit(X, np.r_[np.ones(5), np.nan])
    with pytest.raises(ValueError, match="at least 2 rows"):
        fastrelu.TabularRegressor().fit(X[:1], [1.0])


def test_members_and_progress(capsys):
    X, y = datasets.load_iris(return_X_y=True)
    model = fastrelu.TabularClassifier("fast", n_members=7, random_state=0, verbose=1).fit(X, y)
    assert len(model.networks_) == len(model.n_epochs_) == 7
    assert "7 members, shrinkage" in capsys.readouterr().out
    fastrelu.TabularClassifier("fast", random_state=0).fit(X, y)
    assert capsys.readouterr() == ("", "")


def test_folds_leave_out_every_row_and_share_the_classes():
    y = np.repeat([0, 1, 2], [60, 30, 10])
    left_out = train.folds(y, len(y), 7, np.random.RandomState(0))
    assert sorted(np.concatenate(left_out[:5])) == list(range(len(y)))
    for rows in left_out:
        assert np.bincount(y[rows]).tolist() == [12, 6, 2]
    assert not np.array_equal(left_out[0], left_out[5])


def trial_of(outputs):
    return train.Trial(None, [], np.arange(len(outputs)), outputs, [])


def test_shrinkage_keeps_what_is_sure():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(500, 1))
    problem = train.Problem(fastrelu.losses.SquaredError(), y, None, np.zeros(1))
    assert train.shrink(problem, trial_of(y)) > 0.97
    assert train.shrink(problem, trial_of(rng.normal(size=(500, 1)))) == 0.0
    assert 0.4 < train.shrink(problem, trial_of(2 * y)) <= 0.5  # twice too far


def test_a_shrunk_network_says_what_it_should():
    net = fastrelu.Network([2, 4, 3], seed=1)
    start = np.log([0.2, 0.3, 0.5])
    X = np.random.default_rng(0).normal(size=(9, 2)).astype("float32")
    expected = start + 0.25 * (net(X) - start)
    np.testing.assert_allclose(train.shrunk(net, 0.25, start)(X), expected, rtol=1e-5)


def test_turns_are_shared(monkeypatch):
    now = [10.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    turns = clock.Turns(end=14.0, n_members=4, n_threads=2)
    record = fastrelu.EpochRecord(epoch=1, loss=0.0, seconds=0.5)
    members = fastrelu.Population([{"layer_sizes": [1, 1]}] * 4).members
    assert not turns(members[0], record)  # two turns of about two seconds
    assert not turns(members[1], record)
    now[0] = 11.6
    assert turns(members[0], record)
    now[0] = 12.1
    assert not turns(members[2], record)  # nobody waits but one: it may go on to the end
    assert not turns(members[3], record)
    now[0] = 13.6
    assert turns(members[2], record)


def test_what_a_limit_leaves():
    def left(seconds):
        return clock.affordable(seconds, 10_000, 5, 1, encoding=1e-5, epoch=1e-4)

    assert left(100.0) == (10_000, 5)
    rows, members = left(10.0)
    assert (rows, members) == (10_000, 2)
    rows, members = left(1.0)
    assert members == 1
    assert 1000 < rows < 3000
    assert left(-1.0) == (clock.FEWEST_ROWS, 1)


def test_a_limit_of_time_ends_the_fit():
    X, y = datasets.make_friedman1(4000, noise=1.0, random_state=0)
    model = fastrelu.TabularRegressor(time_limit=0.01, random_state=0).fit(X, y)
    assert len(model.candidates_) == 1
    assert max(model.n_epochs_) < 20
    assert model.predict(X).shape == (4000,)


@pytest.mark.parametrize("preset", recipe.MEMBERS)
def test_fewer_rows_have_fewer_pieces(preset):
    pieces = [recipe.candidates(preset, n, 10)[0].pieces for n in (4, 50, 500, 5000, 50_000)]
    assert pieces == sorted(pieces)
    assert pieces[0] == 2
    wide = recipe.candidates(preset, 50_000, 5000)[0]
    assert wide.pieces == 1
