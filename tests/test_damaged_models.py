# SPDX-License-Identifier: BSD-3-Clause
"""Model files whose preprocessing is damaged: an error when they are loaded, or a model that works.

docs/reliability.md names these tests.
"""

import copy
import json
import random
import warnings

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("click")
from command_tools import run

import fastrelu
from fastrelu import model_file, training
from fastrelu.app.data.table import Table
from fastrelu.training import DataError, load_model

VALUES = (None, True, -1, 0, 1.5, 10**30, float("nan"), "", "x", [], {}, [1], ["a"], {"a": 1})
MUTANTS = 250  # of each model; there are some 1,500


def write_rows(path, rng):
    rows = ["size,gap,when,flag,word,price,kind"]
    for i in range(120):
        numbers = f"{rng.normal():.3f},{'' if i % 9 == 0 else i % 17},2024-0{i % 9 + 1}-1{i % 8}"
        words = f"{['true', 'false'][i % 2]},{['red', 'blue', 'green'][i % 3]}"
        rows.append(f"{numbers},{words},{rng.normal():.3f},{['low', 'mid', 'high'][i % 3]}")
    path.write_text("\n".join(rows) + "\n")


MODELS = {
    "classes": ("rows.csv", "--target", "kind"),
    "normal scores": ("rows.csv", "--target", "price", "--scaling", "quantile"),
    "hashed": ("rows.csv", "--target", "price", "--categories", "hash:8", "--seeds", 2),
    "bytes": ("bytes.npz",),
    "sparse": ("rows.svm",),
    "members": ("rows.csv", "--target", "price", "--preset", "fast"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model of each kind."""
    made, rng = tmp_path_factory.mktemp("models"), np.random.default_rng(0)
    write_rows(made / "rows.csv", rng)
    np.savez(made / "bytes.npz", X=rng.integers(0, 255, (90, 5)).astype("u1"), y=np.arange(90) % 3)
    lines = [f"{i % 2} 1:{i / 7:.3f} 3:{i % 5}" for i in range(90)]
    (made / "rows.svm").write_text("\n".join(lines) + "\n")
    for name, (data, *options) in MODELS.items():
        out = made / name.replace(" ", "")
        small = () if "--preset" in options else ("--epochs", 1, "--hidden", 3)
        done = run("train", made / data, *options, *small, "--out", out)
        assert done.exit_code == 0, done.output
    return made


def places(node, path=()):
    """Every place in plain values, a few of each list."""
    yield path
    if isinstance(node, dict):
        for key in node:
            yield from places(node[key], (*path, key))
    if isinstance(node, list):
        for k in sorted({*range(min(3, len(node))), len(node) - 1} - {-1}):
            yield from places(node[k], (*path, k))


def at(node, path):
    for key in path:
        node = node[key]
    return node


def changed(node, path, value):
    """Plain values with another one at a place."""
    node = copy.deepcopy(node)
    if not path:
        return value
    at(node, path[:-1])[path[-1]] = value
    return node


def mutants(plain):
    found = []
    for path in places(plain):
        old = at(plain, path)
        values = list(VALUES)
        if isinstance(old, list) and old:
            values += [old[:-1], [*old, old[-1]]]
        if isinstance(old, dict):
            values += [{k: v for k, v in old.items() if k != key} for key in old]
        found += [(path, value) for value in values]
    return found


def works(model, data):
    """Predict and describe: DataError alone is allowed, where the data do not suit the model."""
    from fastrelu.app.cli.info import describe

    json.dumps(describe(model, "model"), allow_nan=False)
    repr(model)
    try:
        table = training.read([str(data)], model.choice(need_target=False))
        assert np.isfinite(np.asarray(model.outputs(table), float)).all()
        model.predict(table)
    except DataError as error:
        assert "as in training" in str(error) or "cannot be read" in str(error), error


@pytest.mark.parametrize("name", MODELS)
def test_damaged_preprocessing_is_a_data_error(name, folder):
    run_folder, data = folder / name.replace(" ", ""), folder / MODELS[name][0]
    arrays, metadata = model_file.read(
        run_folder / "model.safetensors", "fastrelu.network", "fastrelu.ensemble"
    )
    plain = json.loads(metadata["pipeline"])
    chosen = random.Random(0).sample(mutants(plain), MUTANTS)
    path, refused = folder / "damaged.safetensors", 0
    for place, value in [((), plain), *chosen]:
        text = json.dumps(changed(plain, place, value))
        model_file.write(path, arrays, {**metadata, "pipeline": text})
        try:
            model = load_model(path)
        except DataError:
            refused += 1
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", training.DataWarning)
            works(model, data)
    assert MUTANTS / 2 < refused < MUTANTS + 1


def test_a_network_that_its_preprocessing_does_not_fit(folder):
    model = load_model(folder / "classes")
    width, outputs = model.network.layer_sizes[0], model.network.layer_sizes[-1]
    path = folder / "other.safetensors"
    for net in (
        fastrelu.Network([width + 1, 3, outputs]),
        fastrelu.Network([width, 3, outputs + 1]),
        fastrelu.Network([width, 3, outputs], scale=1 / 255),
    ):
        training.Model(net, model.inputs, model.target, "kind", model.loss).save(path)
        with pytest.raises(DataError, match=r"damaged .*(layer_sizes|scale): expected"):
            load_model(path)
    training.Model(model.network, model.inputs, model.target, "kind", "squared_error").save(path)
    with pytest.raises(DataError, match="loss: expected one for classification"):
        load_model(path)


def test_parameters_that_are_no_numbers_are_said(folder, tmp_path):
    model = load_model(folder / "classes")
    model.network.weights[0][0, 0] = np.nan
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="parameters are not all finite"):
        load_model(tmp_path / "model.safetensors")
    with pytest.warns(RuntimeWarning, match="path: 1 of the .* parameters in .* not finite"):
        net = fastrelu.load(tmp_path / "model.safetensors")
    assert np.isnan(net.weights[0][0, 0])
    trainer = fastrelu.Trainer(net)
    trainer.save_checkpoint(tmp_path / "checkpoint")
    with pytest.warns(RuntimeWarning, match="path: 1 of the"):
        fastrelu.Trainer.from_checkpoint(tmp_path / "checkpoint")


def test_labels_larger_than_64_bits():
    table = Table("data", 18, columns={"x": np.arange(18.0)}, target=np.array([0.0, 1e30] * 9))
    target = training.fit_target(table)
    assert target.decode(np.array([[0.0, 1.0], [1.0, 0.0]])).tolist() == [1e30, 0.0]


@pytest.mark.parametrize("value", [None, "", [], 0, {}])
def test_a_model_whose_settings_are_gone_is_refused_or_described(value, folder):
    from fastrelu.app.report.describe import describe_model

    arrays, metadata = model_file.read(
        folder / "members" / "model.safetensors", "fastrelu.ensemble"
    )
    plain = json.loads(metadata["pipeline"])
    assert plain["about"]["recipe"]
    path = folder / "damaged.safetensors"
    for key in ("settings", "metrics", "rows", "recipe", "reading"):
        text = json.dumps(changed(plain, ("about", key), value))
        model_file.write(path, arrays, {**metadata, "pipeline": text})
        if value is None or (value == {} and key not in ("recipe", "reading")):
            describe_model(load_model(path))
        else:
            with pytest.raises(DataError, match="damaged"):
                load_model(path)
