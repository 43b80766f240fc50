# SPDX-License-Identifier: BSD-3-Clause
"""A table's model as one network of raw numbers: equal to the model, near and far."""

import shutil

import numpy as np
import pytest

import fastrelu

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")


def frame(n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n) * 10 + shift
    size[rng.random(n) < 0.1] = np.nan
    heavy = np.exp(3 * rng.normal(size=n))
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 2000, n), unit="D")
    when = pd.Series(day)
    when[rng.random(n) < 0.1] = pd.NaT
    colour = rng.choice(["red", "green", "blue"], n)
    return pd.DataFrame({"size": size, "heavy": heavy, "when": when, "colour": colour})


def targets(X):
    numbers = X["size"].fillna(5) - X["size"].mean()
    return np.abs(numbers) + 3 * (X["colour"] == "red") + np.log(X["heavy"])


def beyond(X, seed):
    """Rows near and far: values outside the fit, missing ones, categories that are new."""
    rng = np.random.default_rng(seed)
    far = X.copy()
    for name in ("size", "heavy"):
        some = rng.random(len(X)) < 0.4
        far.loc[some, name] = far.loc[some, name] * 10.0 ** rng.integers(-6, 13, some.sum())
    far.loc[rng.random(len(X)) < 0.2, "colour"] = "never seen"
    far.loc[rng.random(len(X)) < 0.2, "heavy"] = np.nan  # the fit lacked none
    far.loc[rng.random(len(X)) < 0.1, "when"] = pd.Timestamp("1900-01-01")
    return far


@pytest.mark.parametrize("shift", [0.0, 1e6, -1e12])
@pytest.mark.filterwarnings("ignore:X. column")
def test_it_is_the_regressor(shift):
    X = frame(500, 0, shift)
    y = 1e4 + 50 * targets(X)
    model = fastrelu.TabularRegressor("fast", random_state=0).fit(X, y)
    net = model.as_network()
    assert net.dtype == np.float64 and net.layer_sizes[0] == len(model.raw_input_names_)
    rows = pd.concat([frame(300, 1, shift), beyond(frame(300, 2, shift), 3)], ignore_index=True)
    raw = model.raw_inputs(rows)
    assert raw.shape == (600, net.layer_sizes[0]) and np.isfinite(raw).all()
    assert np.abs(net(raw)[:, 0] - model.predict(rows)).max() <= 3e-5 * y.std()
    low, high = net.output_bounds(raw.min(axis=0), raw.max(axis=0))
    assert (low <= net(raw)).all() and (net(raw) <= high).all()


@pytest.mark.filterwarnings("ignore:X. column")
@pytest.mark.parametrize("hidden", ["deep", "linear"])
def test_it_is_the_mean_of_the_classifiers_outputs(hidden, monkeypatch):
    if hidden == "linear":
        from fastrelu.app.tabular import fit
        from fastrelu.app.tabular.recipe import Candidate

        one = Candidate(1, (), 0.03, 0.002, 16, 20, 5)
        monkeypatch.setattr(fit, "candidates", lambda *_: [one])
    X = frame(400, 4)
    y = np.digitize(targets(X), [5, 10])
    model = fastrelu.TabularClassifier("fast", random_state=0).fit(X, y)
    rows = beyond(frame(200, 5), 6)
    members = [net(model._encoded_rows(further(model, rows))) for net in model.networks_]
    mean = np.mean(members, axis=0, dtype=np.float64)
    net = model.as_network()
    assert net(model.raw_inputs(rows)) == pytest.approx(mean, abs=2e-5)
    single = model.as_network("float32")
    assert single.dtype == np.float32
    near = frame(100, 7)
    assert single(model.raw_inputs(near)) == pytest.approx(net(model.raw_inputs(near)), abs=1e-2)


def further(model, rows):
    from fastrelu.app.tabular.rows import further_table

    return further_table(model, rows, model._choice)


def small():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(200, 2)) * [1, 100]
    model = fastrelu.TabularRegressor("fast", n_members=2, random_state=0)
    return model.fit(X, np.abs(X[:, 0]) + X[:, 1] / 50), X


def test_the_exact_tools_take_it(tmp_path):
    model, X = small()
    net = model.as_network()
    curve = net.along([-4.0, 0.0], [4.0, 0.0])
    rows = np.stack([np.linspace(-4, 4, 101), np.zeros(101)], axis=1)
    values = np.interp(np.linspace(0, 1, 101), curve.knots, np.asarray(curve.values).reshape(-1))
    assert values == pytest.approx(model.predict(rows), abs=1e-4)
    A, c = net.local_affine(X[:20])
    assert np.einsum("nkd,nd->nk", A, X[:20]) + c == pytest.approx(net(X[:20]), abs=1e-9)
    # One number alone is what partial_dependence says, exactly.
    dependence = model.partial_dependence(0, X=[[0.0, 0.0]])
    at = np.stack([dependence.grid, np.zeros(len(dependence.grid))], axis=1)
    assert net(at)[:, 0] == pytest.approx(dependence.average, abs=1e-5)
    onnx = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    net.to_onnx(tmp_path / "raw.onnx")
    session = onnx.InferenceSession(tmp_path / "raw.onnx", providers=["CPUExecutionProvider"])
    (name,) = [each.name for each in session.get_inputs()]
    assert session.run(None, {name: X})[0] == pytest.approx(net(X), abs=1e-9)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_it_compiles_as_c(tmp_path):
    import subprocess

    model, _ = small()
    path = tmp_path / "raw.c"
    model.as_network().to_c(path)
    subprocess.run(["cc", "-std=c99", "-c", path, "-o", tmp_path / "raw.o"], check=True)


def test_what_says_nothing_is_refused():
    model = fastrelu.TabularRegressor("fast", random_state=0).fit(np.ones((30, 2)), np.arange(30))
    assert model.raw_inputs(np.ones((3, 2))).shape == (3, 0)
    with pytest.raises(ValueError, match="no column says anything"):
        model.as_network()
    model, _ = small()
    with pytest.raises(ValueError, match="infinity"):
        model.raw_inputs([[np.inf, 0.0]])
