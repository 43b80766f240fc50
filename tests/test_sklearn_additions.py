# SPDX-License-Identifier: BSD-3-Clause
"""What the estimators have beyond scikit-learn's."""

import _thread
import io
import pickle
import subprocess
import sys
import threading
import tracemalloc
from contextlib import redirect_stdout

import numpy as np
import pytest
import scipy.stats
import sklearn.neural_network as sk
from conftest import same_bits
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

import fastrelu
from fastrelu import MLPClassifier, MLPRegressor, _core

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_class_weight_is_a_sample_weight(wine):
    X, y = wine
    settings = {"max_iter": 5, "random_state": 0}
    a = MLPClassifier(class_weight={0: 5.0, 2: 0.5}, **settings).fit(X, y)
    b = MLPClassifier(**settings).fit(X, y, np.choose(y, [5.0, 1.0, 0.5]))
    assert same_bits(a.network_.parameters, b.network_.parameters)
    balanced = MLPClassifier(class_weight="balanced", **settings).fit(X, y)
    c = MLPClassifier(**settings).fit(X, y, len(y) / (3 * np.bincount(y))[y])
    assert np.allclose(balanced.coefs_[0], c.coefs_[0], atol=1e-12)
    with pytest.raises(ValueError, match="class_weight"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_validation_data_replaces_the_split(wine):
    X, y = wine
    e = MLPClassifier(early_stopping=True, max_iter=12, random_state=0, learning_rate_init=0.01)
    e.fit(X[::2], y[::2], validation_data=(X[1::2], y[1::2]))
    assert len(e.validation_scores_) == len(e.validation_loss_curve_) == e.n_iter_
    assert e.best_validation_score_ == max(e.validation_scores_) == e.score(X[1::2], y[1::2])
    # Without early stopping it is judged all the same, and the fit is as without it.
    f = MLPClassifier(max_iter=5, random_state=0).fit(X, y, validation_data=(X, y))
    g = MLPClassifier(max_iter=5, random_state=0).fit(X, y)
    assert same_bits(f.network_.parameters, g.network_.parameters)
    assert f.validation_loss_curve_[-1] == pytest.approx(log_loss(y, f.predict_proba(X)))
    assert f.validation_scores_[-1] == f.score(X, y)
    assert g.validation_scores_ is None
    with pytest.raises(ValueError, match="validation_data: expected"):
        f.fit(X, y, validation_data=X)
    with pytest.raises(ValueError, match="features"):
        f.fit(X, y, validation_data=(X[:, 1:], y))


def test_validation_labels_are_classes_of_the_fit(wine):
    X, y = wine
    for names in (np.array(["a", "c", "d"]), np.array([0, 2, 5])):
        for strange in ("b", "z") if names.dtype.kind == "U" else (1, 9):
            held = np.array([strange, names[0]] * 5)
            message = f"validation_data: the class {strange!r} is not among those of y"
            with pytest.raises(ValueError, match=message):
                MLPClassifier(max_iter=2).fit(X, names[y], validation_data=(X[:10], held))
    indicator = np.eye(3, dtype=int)[y]
    with pytest.raises(ValueError, match=r"a column for each class, got \(178, 2\)"):
        MLPClassifier(max_iter=2).fit(X, indicator, validation_data=(X, indicator[:, :2]))


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_what_is_wrong_with_validation_data_is_said_of_it(kind):
    X, y = np.eye(10)[:, :2], np.arange(10) % 2
    nan = np.where(np.arange(10) == 3, np.nan, 1.0)
    for data, says in (
        ((X[:, :1], y), "X has 1 features"),
        ((X * nan[:, None], y), "Input X contains NaN"),
        ((X, y[:5]), "inconsistent numbers of samples"),
        ((X, y * nan), "y contains NaN"),
        ((X, None), "y is None"),
        ((X, y, y[:3]), "sample_weight"),
        ((X, np.stack([y, y, y], axis=1)), "y: expected 1 values|labels of the shape"),
    ):
        with pytest.raises(ValueError, match=f"^validation_data: .*({says})"):
            kind(max_iter=2).fit(X, y, validation_data=data)


def test_monitor(wine, diabetes):
    X, y = wine
    e = MLPClassifier(early_stopping=True, monitor="loss", max_iter=15, random_state=0).fit(X, y)
    assert e.validation_scores_ == [-v for v in e.validation_loss_curve_]
    assert e.best_validation_score_ == max(e.validation_scores_)
    e = MLPClassifier(early_stopping=True, monitor="f1_macro", max_iter=9, random_state=0)
    e.fit(X[::2], y[::2], validation_data=(X, y))
    assert len(e.validation_scores_) == 9 and 0 < e.best_validation_score_ <= 1
    X, y = diabetes
    r = MLPRegressor(
        early_stopping=True, monitor=lambda est, X, y: -np.abs(est.predict(X) - y).max(),
        max_iter=9, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert max(r.validation_scores_) < 0
    with pytest.raises(ValueError, match="monitor"):
        MLPClassifier(monitor="loss").fit(*wine)


def test_dropout(diabetes):
    X, y = diabetes
    fits = [
        MLPRegressor("squared_error", (30, 20), dropout=d, max_iter=30, random_state=0).fit(X, y)
        for d in (0.0, 0.3, [0.3, 0.3], [0.0, 0.3])
    ]  # fmt: skip
    plain, both, listed, second = (e.network_.parameters for e in fits)
    assert same_bits(both, listed)
    assert not np.allclose(plain, both) and not np.allclose(second, both)
    assert fits[0].loss_ < fits[1].loss_
    assert same_bits(fits[1].predict(X), fits[1].predict(X))
    with pytest.raises(ValueError, match="dropout"):
        MLPRegressor(hidden_layer_sizes=(30, 20), dropout=[0.3]).fit(X, y)


def test_callables_are_called_and_stop_the_fit(wine):
    X, y = wine
    seen = []

    def callback(est, record):
        seen.append(record)
        return est.n_iter_ == 4

    e = MLPClassifier(callbacks=[callback], random_state=0).fit(X, y)
    assert e.n_iter_ == 4 and [r["epoch"] for r in seen] == [1, 2, 3, 4]
    assert [r["loss"] for r in seen] == e.loss_curve_
    seen.clear()
    MLPClassifier(callbacks=[lambda est, r: seen.append(r)], solver="lbfgs", max_iter=5).fit(X, y)
    assert [r["epoch"] for r in seen] == [1, 2, 3, 4, 5]


def test_an_interrupt_ends_the_fit_with_a_warning():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40_000, 100)), rng.normal(size=40_000)
    e = MLPRegressor("squared_error", (200,), max_iter=10_000, tol=0.0, n_iter_no_change=np.inf)
    threading.Timer(0.5, _thread.interrupt_main).start()
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        e.fit(X, y)
    assert e.n_iter_ < 10_000 and e.predict(X[:3]).shape == (3,)
    e.max_iter = 1
    e.fit(X, y)


def test_scikit_learns_callbacks(wine):
    pytest.importorskip("sklearn.callback")
    X, y = wine
    events = []

    class Watch:
        max_propagation_depth = None

        def setup(self, estimator, context):
            events.append("setup")

        def teardown(self, estimator, context):
            events.append("teardown")

        def on_fit_task_begin(self, estimator, context):
            events.append(("begin", context.task_name))

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            events.append(("end", context.task_name, fitted_estimator.predict(X[:1]).shape))
            return context.task_name == "epoch" and estimator.n_iter_ == 2

    for solver in ("adam", "lbfgs"):
        events.clear()
        e = MLPClassifier(solver=solver, random_state=0).set_callbacks(Watch()).fit(X, y)
        assert events[0] == "setup" and events[-1] == "teardown"
        assert ("begin", "epoch") in events and ("end", "epoch", (1,)) in events
    e = MLPClassifier(random_state=0).set_callbacks(Watch()).fit(X, y)
    assert e.n_iter_ == 2


def test_progress_bar_in_a_grid_search(wine, capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    search = GridSearchCV(MLPClassifier(max_iter=3), {"alpha": [0.1, 1.0]}, cv=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(*wine)
    assert "MLPClassifier" in capsys.readouterr().out


def test_verbose(wine):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for out, wanted in ((io.StringIO(), "Iteration 2, loss = "), (Terminal(), "epoch 2/2")):
        with redirect_stdout(out):
            MLPClassifier(max_iter=2, verbose=True, early_stopping=True).fit(*wine)
        assert wanted in out.getvalue()
    assert "Iteration" not in out.getvalue()


def test_learning_rate_of_each_step(wine):
    X, y = wine
    steps = []

    def rate(k):
        steps.append(k)
        return 0.02 / k

    for solver in ("sgd", "adam"):
        steps.clear()
        e = MLPClassifier(
            solver=solver, learning_rate=rate, batch_size=60, max_iter=2, random_state=0
        )
        e.fit(X, y)
        assert steps == [1, 2, 3, 4, 5, 6]
        e.partial_fit(X, y)
        assert steps[-1] == 9 and e._optimizer.learning_rate == 0.02 / 9
    schedule = fastrelu.schedules.constant(0.05)
    a = MLPClassifier(solver="sgd", learning_rate=schedule, max_iter=3, random_state=0).fit(X, y)
    b = MLPClassifier(solver="sgd", learning_rate_init=0.05, max_iter=3, random_state=0).fit(X, y)
    assert same_bits(a.network_.parameters, b.network_.parameters)
    with pytest.raises(ValueError, match=r"learning_rate\(1\)"):
        MLPClassifier(learning_rate=lambda k: -1.0).fit(X, y)


def test_losses_of_the_regressor():
    """Each finds its statistic of y where X says nothing."""
    rng = np.random.default_rng(0)
    y = np.exp(rng.normal(size=400))
    X = np.zeros((400, 1))
    wanted = {"squared_error": y.mean(), "absolute_error": np.median(y)}
    wanted["quantile"] = np.quantile(y, 0.9)
    wanted["expectile"] = scipy.stats.expectile(y, 0.8)
    for loss, value in wanted.items():
        e = MLPRegressor(
            loss, (4,), quantile=0.9, tau=0.8, max_iter=3000,
            learning_rate=lambda k: 0.05 / (1 + k / 300),
            random_state=0, tol=0.0, n_iter_no_change=3000, alpha=0.0,
        ).fit(X, y)  # fmt: skip
        assert e.predict(X[:1])[0] == pytest.approx(value, rel=0.02), loss
    huge = MLPRegressor("huber", delta=1e9, max_iter=5, random_state=0).fit(X, y)
    squared = MLPRegressor(max_iter=5, random_state=0).fit(X, y)
    assert np.allclose(huge.predict(X), squared.predict(X))
    assert huge.loss_curve_ == pytest.approx(squared.loss_curve_)


def test_activation_lists(wine):
    X, y = wine
    e = MLPClassifier((8, 7, 6), ["leaky_relu", "tanh", "relu"], max_iter=3).fit(X, y)
    assert e.network_.activations == ["leaky_relu", "tanh", "relu"]
    for bad in (["relu"], ["relu", "tanh", "gelu"]):
        with pytest.raises(ValueError, match="activation: expected"):
            MLPClassifier((8, 7, 6), bad).fit(X, y)


def test_dtype_of_the_computation(wine):
    X, y = wine
    a = MLPClassifier(dtype="float32", max_iter=3, random_state=0).fit(X, y)
    b = MLPClassifier(max_iter=3, random_state=0).fit(X.astype("float32"), y)
    assert a.coefs_[0].dtype == np.float32
    assert same_bits(a.network_.parameters, b.network_.parameters)
    assert same_bits(a.predict_proba(X), b.predict_proba(X.astype("float32")))
    with pytest.raises(ValueError, match="dtype"):
        MLPClassifier(dtype=np.float16).fit(X, y)


def test_initial_parameters(wine):
    X, y = wine
    W = [np.full((13, 4), 0.5), None]
    b = [np.arange(1.0, 5.0), np.ones(3)]
    e = MLPClassifier(
        (4,), coefs_init=W, intercepts_init=b, solver="sgd", learning_rate_init=1e-300,
        max_iter=1, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert np.array_equal(e.coefs_[0], W[0]) and np.array_equal(e.intercepts_[0], b[0])
    drawn = sk.MLPClassifier((4,), solver="sgd", learning_rate_init=1e-300, max_iter=1,
                             random_state=0).fit(X, y)  # fmt: skip
    assert np.array_equal(e.coefs_[1], drawn.coefs_[1])
    with pytest.raises(ValueError, match=r"coefs_init\[0\]: expected"):
        MLPClassifier((4,), coefs_init=[np.zeros((2, 2)), None]).fit(X, y)


def test_threads_do_not_change_bits_and_are_given_back():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3000, 60)), rng.normal(size=3000)
    fits = [
        MLPRegressor(hidden_layer_sizes=(80,), n_threads=n, max_iter=2, random_state=0).fit(X, y)
        for n in (1, 2, 5)
    ]
    assert all(same_bits(e.network_.parameters, fits[0].network_.parameters) for e in fits[1:])
    before = _core.num_threads()
    found = []
    together = [
        threading.Thread(
            target=lambda: found.append(
                MLPRegressor(hidden_layer_sizes=(80,), max_iter=2, random_state=0).fit(X, y)
            )
        )
        for _ in range(3)
    ]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert len(found) == 3 and _core.num_threads() == before
    assert all(same_bits(e.coefs_[0], fits[0].coefs_[0]) for e in found)


@pytest.mark.parametrize("E", [MLPClassifier, MLPRegressor])
def test_predict_in_bounded_memory(E):
    """Whatever the dtype, order and number of rows (NumPy's memory; the core's is its own)."""
    rng = np.random.default_rng(0)
    y = np.array([0, 1, 2, 1] * 5)
    e = E(hidden_layer_sizes=(4,), max_iter=1).fit(rng.normal(size=(20, 200)), y)
    for X in (
        rng.integers(0, 9, (60_000, 200), dtype=np.int16),
        np.asfortranarray(rng.normal(size=(40_000, 200))),
    ):
        tracemalloc.start()
        result = e.predict(X)
        peak = tracemalloc.get_traced_memory()[1] - result.nbytes
        tracemalloc.stop()
        assert peak < 64e6
        assert np.array_equal(result[-5:], e.predict(X[-5:].astype(float)))


def test_network_shares_memory(wine):
    X, y = wine
    e = MLPClassifier((5,), max_iter=2, random_state=0).fit(X, y)
    assert np.shares_memory(e.coefs_[0], e.network_.parameters)
    A = np.ones((13, 5))
    e.coefs_[0] = A
    assert np.array_equal(e.network_.weights[0], A)
    assert np.shares_memory(e.coefs_[0], e.network_.parameters)
    e.coefs_[0][:] = 2.0
    p = e.predict_proba(X)
    assert np.array_equal(e.network_.predict_proba(X, "cross_entropy"), p)
    f = pickle.loads(pickle.dumps(e))
    assert np.shares_memory(f.coefs_[0], f.network_.parameters)
    assert same_bits(f.predict_proba(X), p)
    # Other shapes make another network.
    e.coefs_, e.intercepts_ = [np.ones((13, 3))], [np.zeros(3)]
    e.activation = []
    assert e.network_.layer_sizes == [13, 3]
    with pytest.raises(AttributeError, match="not fitted"):
        _ = MLPClassifier().network_


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_to_and_from_sklearn(kind, solver, wine):
    X, y = wine
    settings = {"solver": solver, "max_iter": 4, "random_state": 0}
    ours, theirs = getattr(fastrelu, kind), getattr(sk, kind)
    a = ours.from_sklearn(theirs(**settings).fit(X, y))
    b = ours(**settings).fit(X, y).to_sklearn()
    assert type(a) is ours and type(b) is theirs
    c = theirs(**settings).fit(X, y)
    if solver != "lbfgs":
        for e in (a, b, c):
            e.partial_fit(X, y)
    for e in (a, b):
        assert e.get_params()["max_iter"] == 4
        assert np.allclose(e.coefs_[0], c.coefs_[0], rtol=0, atol=1e-8)
        assert np.allclose(e.predict(X), c.predict(X), rtol=0, atol=1e-8)


def test_what_sklearn_cannot_have(wine):
    X, y = wine
    with pytest.raises(TypeError, match="estimator: expected"):
        MLPClassifier.from_sklearn(sk.MLPRegressor())
    for settings in ({"activation": "leaky_relu"}, {"learning_rate": lambda k: 0.1}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            MLPClassifier(max_iter=1, **settings).fit(X, y).to_sklearn()
    with pytest.raises(ValueError, match="loss"):
        MLPRegressor("huber", max_iter=1).fit(X, y).to_sklearn()


def test_pickle_of_a_later_version_says_so(wine):
    e = MLPClassifier((3,), max_iter=1).fit(*wine)
    state = e.__getstate__()
    state["_fastrelu_version"] = "99.1.dev0"
    with pytest.warns(UserWarning, match=r"pickled by fastrelu 99\.1.*later version"):
        MLPClassifier().__setstate__(state)


def test_pickle_loads_in_another_process(wine, tmp_path):
    X, y = wine
    e = MLPClassifier((3,), max_iter=1).fit(X, y)
    path = tmp_path / "e.pickle"
    path.write_bytes(pickle.dumps((e, X)))
    code = f"import pickle; e, X = pickle.load(open({str(path)!r}, 'rb')); print(*e.predict(X))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [int(v) for v in out.stdout.split()] == e.predict(X).tolist()


def test_import_without_scikit_learn():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import fastrelu; from fastrelu import *\n"
        "try: fastrelu.MLPClassifier\n"
        "except ImportError as e: print(e)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("pip install scikit-learn")


def test_importing_fastrelu_imports_neither_scikit_learn_nor_scipy():
    code = "import fastrelu, sys; print(any(m in sys.modules for m in ('sklearn', 'scipy')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_history_picture(wine):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    e = MLPClassifier(early_stopping=True, max_iter=6, random_state=0)
    e.fit(*wine, validation_data=wine)
    ax = fastrelu.plot.history(e)
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["training loss", "validation loss", "validation accuracy"]
    assert ax.lines[0].get_ydata().tolist() == e.loss_curve_
    with pytest.raises(ValueError, match="fit: expected"):
        fastrelu.plot.history(MLPClassifier(solver="lbfgs", max_iter=2).fit(*wine))
    matplotlib.pyplot.close("all")
