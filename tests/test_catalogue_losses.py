# SPDX-License-Identifier: BSD-3-Clause
"""A walk through the catalogue's losses: a half-added one fails somewhere here."""

from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogue_tools import (
    LOSS_NAMES,
    VARIANTS,
    bad_target,
    info_of,
    inside,
    outputs_for,
    targets,
)  # fmt: skip
from command_tools import metrics_in, run
from conftest import same_bits

import fastrelu
from fastrelu import MLPClassifier, MLPRegressor, links, losses, reference
from fastrelu.app.settings import options
from fastrelu.reference import loss as reference_loss
from fastrelu.training import DataError, load_model

LOSSES = VARIANTS.values()
REGRESSION = losses.names("regression")
COMMAND = [*losses.names("classification"), *REGRESSION]


def make(loss, K, rng, n=23, d=4, dtype="float64"):
    K = outputs_for(loss, K)
    net = fastrelu.Network([d, 6, K], dtype=dtype, seed=3)
    X = rng.normal(size=(n, d)).astype(dtype)
    return net, X, targets(rng, loss, n, K, dtype)


def test_python_core_and_reference_have_the_same_losses():
    assert set(LOSS_NAMES) == set(losses.names()) == set(reference_loss._BY_NAME)
    with pytest.raises(ValueError, match=f"loss: expected one of {', '.join(LOSS_NAMES)}, got x"):
        fastrelu._core.Network._predict_proba(
            fastrelu.Network([2, 3]), np.zeros((1, 2), "float32"), "x", True
        )


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_properties_are_those_of_the_reference(name):
    own, twin = losses.as_loss(name), reference_loss.as_loss(name)
    info = own.info
    assert type(own).__name__ == type(twin).__name__ and type(own).__doc__
    assert getattr(fastrelu.losses, type(own).__name__) is type(own)
    assert getattr(reference, type(own).__name__) is type(twin)
    assert (info.name, info.link, info.domain.name) == (name, twin.link, twin.domain)
    assert (info.averaged, info.least_outputs) == (twin.averaged, twin.least_outputs)
    assert info.domain.labels or info.domain.text == reference_loss.DOMAINS[twin.domain][0]
    known = {field.name for field in fields(twin)} - {"summed", "clipped"}
    assert known == {field.name for field in fields(own)}
    assert ("pos_weight" in known) == info.has_pos_weight
    if info.parameter is not None:
        initial = {field.name: field.default for field in fields(twin)}[info.parameter.name]
        assert own.parameter == info.parameter.initial == initial
        moved = losses.with_parameter(name, inside(info.parameter))
        assert getattr(moved, info.parameter.name) == moved.parameter == inside(info.parameter)
        for value in (info.parameter.low, info.parameter.high, np.nan, "a"):
            with pytest.raises((TypeError, ValueError), match=f"{info.parameter.name}: expected"):
                losses.with_parameter(name, value)


@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("loss", LOSSES, ids=VARIANTS)
def test_gradient_by_differences(loss, K, rng):
    net, X, y = make(loss, K, rng)
    w = rng.random(len(X)) + 0.1
    value, gradients = net.loss_and_gradient(X, y, loss, w)
    assert value == net.loss(X, y, loss, w)
    h = 1e-5
    for i in range(net.n_parameters):
        old, sides = net.parameters[i], []
        for step in (2 * h, h, -h, -2 * h):
            net.parameters[i] = old + step
            sides.append(net.loss(X, y, loss, w))
        net.parameters[i] = old
        numeric = (-sides[0] + 8 * sides[1] - 8 * sides[2] + sides[3]) / (12 * h)
        assert numeric == pytest.approx(gradients.flat[i], rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("loss", LOSSES, ids=VARIANTS)
def test_mean_or_sum_over_the_outputs(loss, rng):
    """Three equal outputs give the loss of one, or three times as much; so does the gradient."""
    info = info_of(loss)
    if info.domain.labels or info.has_levels:  # whose outputs have nothing in common
        return
    net, X, y = make(loss, 1, rng)
    wide = fastrelu.Network([4, 6, 3], dtype="float64", seed=3)
    wide.weights[0][:] = net.weights[0]
    wide.weights[1][:] = net.weights[1]
    factor = 1 if info.averaged else 3
    value, one = net.loss_and_gradient(X, y, loss)
    again, three = wide.loss_and_gradient(X, np.repeat(y, 3, axis=1), loss)
    assert again == pytest.approx(factor * value, rel=1e-12)
    np.testing.assert_allclose(three.weights[0], factor * one.weights[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("name", LOSS_NAMES)
def test_core_equals_reference_with_every_instruction_set(name, K, dtype, isa, rng):
    net, X, y = make(name, K, rng, dtype=dtype)
    twin = reference.Network(net.layer_sizes, dtype=dtype, seed=3)
    value, gradients = net.loss_and_gradient(X, y, name)
    expected, wanted = twin.loss_and_gradient(X, y, name)
    assert value == expected and same_bits(gradients.flat, wanted.flat)
    for rows in (X, X[:3], X[0]):
        assert same_bits(net.predict_proba(rows, name), twin.predict_proba(rows, name))


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_predictions_are_the_inverse_link(name, rng):
    net, X, _ = make(name, 3, rng)
    z, p = net(X), net.predict_proba(X, name)
    link = info_of(name).link
    np.testing.assert_allclose(p, links.inverse(link, z), rtol=1e-14)
    middle = (z.shape[1] - 1) // 2
    back = {
        "identity": lambda p: p,
        "ordered": lambda p: np.where(
            np.arange(3) == middle, p, np.sign(z) * np.abs(p - p[:, [middle] * 3])
        ),
        "log": np.log,
        "logistic": lambda p: np.log(p / (1 - p)),
        "softmax": lambda p: np.log(p) + (z - np.log(p)).mean(axis=1, keepdims=True),
    }[link](p)
    np.testing.assert_allclose(back, z, atol=1e-13)
    low, high = max(info_of(name).domain.low, -1e3), min(info_of(name).domain.high, 1e3)
    extreme = links.inverse(link, np.array([[-50.0, 0.0], [50.0, 0.0]]))[:, 0]
    if link != "softmax":
        assert (extreme >= low).all() and (extreme <= max(high, np.exp(50))).all()


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_training_judges_and_goes_on(name, tmp_path, rng):
    loss = VARIANTS[next(label for label in reversed(VARIANTS) if label.startswith(name))]
    net, X, y = make(loss, 2, rng, n=60)
    trainer = fastrelu.Trainer(net, loss=loss, optimizer=fastrelu.Adam(0.01), batch_size=8)
    held_out = (X[40:], y[40:], rng.random(20) + 0.1)
    history = trainer.fit(X[:40], y[:40], 3, validation_data=held_out)
    assert history.metric == info_of(loss).metric
    assert history.val_loss[-1] == net.loss(*held_out[:2], loss, held_out[2])
    assert np.isfinite(history.val_metric).all() and history.val_metric[-1] <= 1
    trainer.save_checkpoint(tmp_path / "c")
    other = fastrelu.Trainer.from_checkpoint(tmp_path / "c")
    assert other.loss == trainer.loss == losses.as_loss(loss)
    assert other.step(X, y) == trainer.step(X, y)
    assert same_bits(other.network.parameters, net.parameters)


@pytest.mark.parametrize("loss", [n for n in LOSS_NAMES if bad_target(n, 3) is not None])
@pytest.mark.parametrize("K", [1, 3])
def test_a_target_outside_of_the_domain_is_named(loss, K, rng):
    net, X, y = make(loss, K, rng)
    net, X, y = fastrelu.Network(net.layer_sizes), X.astype("float32"), y.astype("float32")
    info, bad = info_of(loss), y.copy()
    if info.domain.labels:
        y, bad = y.astype(int), bad.astype(int)
    bad[5] = value = bad_target(loss, net.layer_sizes[-1])
    text = "labels" if info.domain.labels else f"{info.domain.text} for {loss}"
    says = "y: expected " + text.replace("[", r"\[") + f".*, got {value:g}.* in row 5"
    twin = reference.Network(net.layer_sizes)
    trainers = [module.Trainer(n, loss=loss) for module, n in ((fastrelu, net), (reference, twin))]
    before = net.parameters.tobytes()
    for call in (
        lambda: net.loss_and_gradient(X, bad, loss),
        lambda: net.loss(X, bad, loss),
        lambda: trainers[0].step(X, bad),
        lambda: trainers[0].step(X.tolist(), bad.tolist(), np.ones(len(X))),
        lambda: trainers[0].fit(X, bad),
        lambda: trainers[0].fit(X, y, validation_data=(X, bad)),
        lambda: twin.loss_and_gradient(X, bad, loss),
        lambda: twin.loss(X, bad, loss),
        lambda: trainers[1].step(X, bad),
    ):
        with pytest.raises(ValueError, match=says):
            call()
    assert net.parameters.tobytes() == before and trainers[0].n_steps == 0


@pytest.mark.parametrize("name", [n for n in LOSS_NAMES if info_of(n).least_outputs > 1])
def test_a_loss_of_classes_needs_an_output_for_each(name):
    says = f"loss: {name} needs .*2 outputs"
    X, y = np.zeros((2, 3)), np.zeros(2, int)
    for module in (fastrelu, reference):
        net = module.Network([3, 1])
        for call, *arguments in (
            (net.loss, X, y, name),
            (net.loss_and_gradient, X, y, name),
            (net.predict_proba, X, name),
        ):
            with pytest.raises(ValueError, match=says):
                call(*arguments)
        with pytest.raises(ValueError, match=says):
            module.Trainer(net, loss=name)
    with pytest.raises(ValueError, match="use binary_cross_entropy"):
        fastrelu.Trainer(fastrelu.Network([3, 1]), loss=name)


# The estimators


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("name", REGRESSION)
def test_the_regressor_takes_every_loss(name, solver, rng):
    X, info = rng.normal(size=(60, 3)), info_of(name)
    y = targets(rng, name, 60, 1)[:, 0]
    more = {} if info.parameter is None else {info.parameter.name: inside(info.parameter)}
    est = MLPRegressor(name, (4,), solver=solver, max_iter=8, random_state=0, **more)
    with pytest.warns(Warning, match="."):
        est.fit(X, y)
    p = est.predict(X)
    np.testing.assert_allclose(p, links.inverse(info.link, est.network_(X))[:, 0], rtol=1e-12)
    expected = est.network_.loss(X, y, losses.with_parameter(name, inside(info.parameter))
                                 if more else name)  # fmt: skip
    if solver == "lbfgs":
        assert est.loss_ == pytest.approx(expected, rel=1e-3)
    assert est.get_params().items() >= more.items()
    value = bad_target(name, 1)
    if value is not None:
        y[7] = value
        with pytest.raises(ValueError, match=f"y: .*{name}, got .* in row 7"):
            MLPRegressor(name, solver=solver).fit(X, y)


def test_the_regressor_has_the_losses_and_their_parameters():
    [constraint] = MLPRegressor._parameter_constraints["loss"]
    assert constraint.options == set(REGRESSION)
    for name in REGRESSION:
        parameter = info_of(name).parameter
        assert f'"{name}"' in MLPRegressor.__doc__
        if parameter is not None:
            assert MLPRegressor().get_params()[parameter.name] == parameter.initial
            with pytest.raises(ValueError, match=parameter.name):
                MLPRegressor(**{parameter.name: parameter.low}).fit([[0.0], [1.0]], [1.0, 2.0])
    with pytest.raises(TypeError, match="unexpected keyword argument 'powder'"):
        MLPRegressor(powder=1.5)


def test_the_classifier_has_the_losses_of_classes(rng):
    X = rng.normal(size=(60, 3))
    for classes, link in ((3, "softmax"), (2, "logistic")):
        est = MLPClassifier((4,), tol=1e3, max_iter=20).fit(X, np.arange(60) % classes)
        assert est.out_activation_ == link
        assert any(info_of(n).link == link and info_of(n).metric == "accuracy" for n in LOSS_NAMES)


# The command


def write_data(path, name, rng, rows=120):
    X = rng.normal(size=(rows, 3))
    y = targets(rng, name, rows, 3)
    y = y[:, 0] if y.ndim == 2 else y
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": y})
    pq.write_table(table, path, row_group_size=1000)
    return X, y


def flag_of(name):
    parameter = info_of(name).parameter
    return name if parameter is None else f"{name}:{inside(parameter):g}"


@pytest.mark.parametrize("name", COMMAND)
def test_the_command_takes_every_loss_of_its_tasks(name, tmp_path, rng):
    X, _ = write_data(tmp_path / "t.parquet", name, rng)
    task, out = info_of(name).task, tmp_path / "run"
    flags = ["--task", task, "--loss", flag_of(name), "--epochs", 2, "--hidden", "4"]
    result = run("train", tmp_path / "t.parquet", *flags, "--out", out)
    assert result.exit_code == 0, result.output
    assert np.isfinite(metrics_in(out)["test"][info_of(name).metric])
    model = load_model(out)
    assert model.loss.name == name and model.loss.parameter in (0.0, pytest.approx(0.0), *(
        [inside(info_of(name).parameter)] if info_of(name).parameter else []
    ))  # fmt: skip
    p = model.outputs(X)
    if task == "regression" and info_of(name).link != "identity":
        z = model.network(model.inputs.transform(model.as_table(X), None, "float32", model.seen))
        np.testing.assert_allclose(p, links.inverse(info_of(name).link, z), rtol=1e-5)
    assert np.isfinite(p).all()
    assert run("evaluate", out, tmp_path / "t.parquet").exit_code == 0


@pytest.mark.parametrize("name", [n for n in REGRESSION if bad_target(n, 1) is not None])
def test_the_command_names_the_row_of_a_bad_target(name, tmp_path, rng):
    path = tmp_path / "t.parquet"
    write_data(path, name, rng, rows=30_000)
    flags = ["--task", "regression", "--loss", name, "--epochs", 1, "--hidden", "4"]
    assert run("train", path, *flags, "--out", tmp_path / "run").exit_code == 0
    X, y = write_data(path, name, rng, rows=30_000)
    y[20_044] = value = bad_target(name, 1)
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": y})
    pq.write_table(table, path, row_group_size=1000)
    says = f"row 20045: target 'y': expected {info_of(name).domain.text} for {name}, got {value:g}"
    for memory in ("256MB", "1MiB"):
        result = run("train", path, *flags, "--memory", memory)
        assert result.exit_code == 3 and says in result.output, result.output
    result = run("evaluate", tmp_path / "run", path)
    assert result.exit_code == 3 and says in result.output
    from fastrelu.training import read

    model = load_model(tmp_path / "run")
    with pytest.raises(DataError, match=says):
        model.evaluate(read([str(path)], model.choice(need_target=True)))


def test_the_command_names_the_losses_that_it_takes():
    choice = {each.name: option for each, option in options()}["loss"].kind
    assert set(choice.names) == {"auto", *COMMAND}
    for name in COMMAND:
        assert name in choice.show
    result = run("train", "digits", "--loss", "squared_error", "--epochs", 1)
    assert result.exit_code == 2 and "--loss squared_error does not go with" in result.output
