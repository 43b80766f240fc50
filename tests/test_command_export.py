# SPDX-License-Identifier: BSD-3-Clause
"""`fastrelu export`: the ONNX file takes raw columns and gives what `predict` gives."""

import numpy as np
import pytest
from command_tools import run, write_table

import fastrelu
from fastrelu.app.errors import DataError
from fastrelu.app.export import write_onnx
from fastrelu.app.preprocess import Target
from fastrelu.training import Model, fit_inputs, load_model, read

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


def train(folder, *arguments):
    small = [] if "--preset" in arguments else ["--epochs", 3, "--hidden", 5]
    done = run("train", *arguments, *small, "--out", folder)
    assert done.exit_code == 0, done.stderr


def exported(folder, tmp_path):
    path = tmp_path / "model.onnx"
    done = run("export", folder, "--onnx", path)
    assert done.exit_code == 0, done.stderr
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


ROWS = {"size": [0.5, -1.0, np.nan, 2.0], "colour": ["red", "blue", "", "green"]}
FEED = {"size": np.array(ROWS["size"])[:, None],
        "colour": np.array(ROWS["colour"], object)[:, None]}  # fmt: skip


@pytest.mark.filterwarnings("ignore::fastrelu.app.errors.DataWarning")
@pytest.mark.parametrize(
    "more",
    [
        [],
        ["--loss", "poisson"],
        ["--scaling", "none"],
        ["--seeds", 2],
        ["--seeds", 2, "--loss", "poisson"],
        ["--preset", "fast"],
        ["--preset", "default"],
        ["--preset", "fast", "--loss", "poisson"],
    ],
)
def test_a_regression_of_columns(more, tmp_path, rng):
    train(tmp_path / "run", write_table(tmp_path / "d.csv", rng), "--target", "price", *more)
    (found,) = exported(tmp_path / "run", tmp_path).run(None, FEED)
    np.testing.assert_allclose(found, load_model(tmp_path / "run").predict(ROWS), rtol=1e-5)


@pytest.mark.filterwarnings("ignore::fastrelu.app.errors.DataWarning")
@pytest.mark.parametrize("more", [[], ["--seeds", 3], ["--preset", "fast"]])
def test_a_classification_of_columns(more, tmp_path, rng):
    lines = ["a,b,kind"] + [
        f"{rng.normal()},{'' if i % 9 == 0 else rng.normal()},{'xyz'[i % 3]}" for i in range(150)
    ]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    train(tmp_path / "run", tmp_path / "d.csv", "--target", "kind", *more)
    columns = {"a": np.array([0.5, -1, np.nan, 99]), "b": np.array([np.nan, 3.0, 0.25, -99])}
    feed = {name: values[:, None] for name, values in columns.items()}
    label, p = exported(tmp_path / "run", tmp_path).run(None, feed)
    model = load_model(tmp_path / "run")
    np.testing.assert_allclose(p, model.predict_proba(columns), rtol=1e-5)
    assert label.tolist() == model.predict(columns).tolist()


@pytest.mark.parametrize("data", [["iris"], ["digits"], ["iris", "--preset", "fast"]])
def test_a_classification_of_a_matrix(data, tmp_path):
    train(tmp_path / "run", *data)
    session = exported(tmp_path / "run", tmp_path)
    model = load_model(tmp_path / "run")
    inputs = {i.name: i for i in session.get_inputs()}
    X = np.random.default_rng(0).integers(0, 8, (20, len(model.inputs.column_names)))
    if "X" in inputs:
        kind = np.uint8 if "uint8" in inputs["X"].type else np.float64
        feed = {"X": X.astype(kind)}
    else:
        feed = {n: X[:, [j]].astype(float) for j, n in enumerate(model.inputs.column_names)}
    label, p = session.run(None, feed)
    np.testing.assert_allclose(p, model.predict_proba(X), rtol=1e-4, atol=1e-6)
    sure = np.sort(p)[:, -1] - np.sort(p)[:, -2] > 1e-3
    assert (label == model.predict(X))[sure].all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--scaling", "quantile"], "normal scores"),
        (["--categories", "hash"], "is hashed"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    more, message, tmp_path, rng
):
    train(tmp_path / "run", write_table(tmp_path / "d.csv", rng), "--target", "price", *more)
    done = run("export", tmp_path / "run", "--onnx", tmp_path / "model.onnx")
    assert done.exit_code == 2 and message in done.stderr
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("more", [["--seeds", 2], ["--preset", "fast"]])
def test_an_ensemble_is_no_c_file(more, tmp_path, rng):
    train(tmp_path / "run", write_table(tmp_path / "d.csv", rng), "--target", "price", *more)
    done = run("export", tmp_path / "run", "--c", tmp_path / "net.c")
    assert done.exit_code == 2 and "--preset single trains one network" in done.stderr
    assert not (tmp_path / "net.c").exists()


def test_dates_of_a_presets_members_are_refused(tmp_path):
    lines = [
        "when,x,y",
        *(f"20{k // 12 + 10}-{k % 12 + 1:02}-03,{k % 7},{k % 5}.5" for k in range(60)),
    ]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    train(tmp_path / "run", tmp_path / "d.csv", "--preset", "fast")
    done = run("export", tmp_path / "run", "--onnx", tmp_path / "model.onnx")
    assert done.exit_code == 2 and "column 'when' is a date" in done.stderr
    assert not (tmp_path / "model.onnx").exists()


def test_c_has_the_network_alone_and_says_so(tmp_path, rng):
    train(tmp_path / "run", write_table(tmp_path / "d.csv", rng), "--target", "price")
    path = tmp_path / "net.c"
    done = run("export", tmp_path / "run", "--c", path, "--name", "price")
    assert done.exit_code == 0 and "has the network alone: it takes" in done.stderr
    assert "void price_forward(const float *x, float *y)" in path.read_text()
    done = run("export", tmp_path / "run", "--c", path)
    assert done.exit_code == 5 and "--force replaces it" in done.stderr
    assert run("export", tmp_path / "run", "--c", path, "--force").exit_code == 0
    done = run("export", tmp_path / "run", "--c", tmp_path / "a.c", "--name", "a-b")
    assert done.exit_code == 2 and "name: expected" in done.stderr
    assert run("export", tmp_path / "run").exit_code == 2
    assert run("export", tmp_path / "no", "--c", tmp_path / "a.c").exit_code == 3
    done = run("export", tmp_path / "run", "--c", tmp_path / "no" / "a.c")
    assert done.exit_code == 5


@pytest.mark.parametrize(
    "classes", [[10**19, 2 * 10**19], [-1, 10**30], [0.1, 1, 10**300], ["a", "a\0"], [-3, 7]]
)
def test_labels_are_those_of_predict(classes, tmp_path):
    target = Target("classification", classes)
    table = read(["iris"])
    net = fastrelu.Network([4, len(classes)], seed=0)
    model = Model(net, fit_inputs(table), target, "kind", "cross_entropy")
    write_onnx(model, tmp_path / "model.onnx")
    session = ort.InferenceSession(str(tmp_path / "model.onnx"))
    label, _ = session.run(None, {"X": table.matrix.astype(float)})
    assert label.tolist() == model.predict(table.matrix).tolist()
    assert len(set(label)) > 1


@pytest.mark.parametrize("more", [[], ["--preset", "fast"]])
def test_numbers_of_any_size_are_those_of_predict(more, tmp_path, rng):
    x = (rng.normal(size=60) + 3) * 1e-60  # their mean is none that a runtime may leave out
    lines = [f"{value},{value}" for value in x.tolist()]
    (tmp_path / "d.csv").write_text("\n".join(["a,y", *lines]))
    train(tmp_path / "run", tmp_path / "d.csv", *more)
    (found,) = exported(tmp_path / "run", tmp_path).run(None, {"a": x[:, None]})
    np.testing.assert_allclose(found, load_model(tmp_path / "run").predict({"a": x}), rtol=1e-5)


@pytest.mark.filterwarnings("ignore::fastrelu.app.errors.DataWarning")
@pytest.mark.parametrize("more", [[], ["--seeds", 2], ["--preset", "fast"]])
def test_what_predict_refuses_is_nan(more, tmp_path, rng):
    train(tmp_path / "run", write_table(tmp_path / "d.csv", rng), "--target", "price", *more)
    session = exported(tmp_path / "run", tmp_path)
    model = load_model(tmp_path / "run")
    for size in (np.inf, -np.inf):
        with pytest.raises(DataError):
            model.predict({"size": [size], "colour": ["red"]})
    sizes = [np.inf, -np.inf, *([] if "--preset" in more else [1e300]), 0.5]
    feed = {"size": np.array(sizes)[:, None], "colour": np.full((len(sizes), 1), "red", object)}
    (found,) = session.run(None, feed)
    assert np.isnan(found[:-1]).all() and np.isfinite(found[-1])


def test_an_infinite_number_of_a_matrix_gives_no_probabilities(tmp_path):
    train(tmp_path / "run", "iris")
    X = np.ones((3, 4))
    X[0, 1], X[1, 3] = np.inf, -1e300
    _, p = exported(tmp_path / "run", tmp_path).run(None, {"X": X})
    assert np.isnan(p[:2]).all() and np.isfinite(p[2]).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [("prediction", "as an output of the ONNX"), ("fastrelu/x", "as what is inside of the ONNX")],
)
def test_a_column_named_as_what_the_file_has_is_refused(name, message, tmp_path):
    lines = [f"{k % 7},{k}.5" for k in range(40)]
    (tmp_path / "d.csv").write_text("\n".join([f"{name},y", *lines]))
    train(tmp_path / "run", tmp_path / "d.csv")
    done = run("export", tmp_path / "run", "--onnx", tmp_path / "model.onnx")
    assert done.exit_code == 2 and message in done.stderr and "rename it" in done.stderr
    assert not (tmp_path / "model.onnx").exists()
