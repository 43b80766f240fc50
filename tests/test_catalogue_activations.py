# SPDX-License-Identifier: BSD-3-Clause
"""A walk through the catalogue's activations: a half-added one fails somewhere here."""

import functools
import warnings

import numpy as np
import pytest
import scipy.sparse
from catalogue_tools import ACTIVATION_NAMES
from command_tools import run
from conftest import same_bits
from sklearn.exceptions import ConvergenceWarning

import fastrelu
from fastrelu import MLPRegressor, reference
from fastrelu._catalogue import ACTIVATIONS
from fastrelu.app.settings import options
from fastrelu.reference import layers
from fastrelu.training import load_model

# Values in float64, by other means than the project's.
FORMULAS = {
    "relu": lambda z: np.maximum(z, 0),
    "identity": lambda z: z,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "logistic": lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0))) / (1 + np.exp(-np.abs(z))),
    "tanh": np.tanh,
    "silu": lambda z: z * (np.where(z > 0, 1, np.exp(np.minimum(z, 0))) / (1 + np.exp(-np.abs(z)))),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
}
EACH = pytest.mark.parametrize("name", ACTIVATION_NAMES)


def through(module, name, z, dtype):
    """The activation of each z, by a network of one unit."""
    net = module.Network([1, 1, 1], dtype=dtype, activation=name)
    net.set_parameters([1, 0, 1, 0]) if module is reference else net.parameters.put(
        range(4), [1, 0, 1, 0]
    )
    return net, net.forward(np.asarray(z, dtype)[:, np.newaxis])[:, 0]


def test_python_core_reference_and_this_walk_have_the_same_activations():
    assert list(ACTIVATIONS) == ACTIVATION_NAMES
    assert set(ACTIVATION_NAMES) == set(layers.ACTIVATIONS) == set(FORMULAS)
    for module in (fastrelu, reference):
        with pytest.raises(ValueError, match="activation: expected"):
            module.Network([2, 3, 1], activation="swoosh")


@EACH
def test_values(name, dtype, isa):
    z = np.concatenate([np.linspace(-30, 30, 601), [-1e-12, 1e-12, -700, 700, -1e30, 1e30]])
    z = z.astype(dtype)
    net, values = through(fastrelu, name, z, dtype)
    expected = FORMULAS[name](z.astype(float))
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(values, expected, rtol=4 * eps, atol=eps * 1e-3)
    assert same_bits(values, through(reference, name, z, dtype)[1])
    one_by_one = [net(np.array([[each]]))[0, 0] for each in z]
    assert same_bits(values, np.array(one_by_one, dtype))
    if ACTIVATIONS[name].piecewise_linear:
        slope = np.dtype(dtype).type(ACTIVATIONS[name].slope)
        np.testing.assert_array_equal(values, np.where(z > 0, z, slope * z))


@EACH
def test_nan_stays_nan_and_zeros_keep_their_sign(name, dtype):
    _, values = through(fastrelu, name, [0.0, -0.0], dtype)
    np.testing.assert_array_equal(values, FORMULAS[name](np.zeros(2)))
    for module in (fastrelu, reference):
        net = module.Network([1, 1, 1], dtype=dtype, activation=name)
        parameters = np.array([np.nan, 0, 1, 0], dtype)
        net.set_parameters(parameters) if module is reference else net.parameters.put(
            range(4), parameters
        )
        assert np.isnan(net.forward(np.ones((9, 1), dtype))).all()


@EACH
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_derivative_by_differences(name, rows, rng):
    net = fastrelu.Network([3, 7, 6, 2], dtype="float64", activation=name, seed=2)
    X, y = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 2))
    _, gradients = net.loss_and_gradient(X, y)
    h = 1e-5
    for i in range(net.n_parameters):
        old, sides = net.parameters[i], []
        for step in (2 * h, h, -h, -2 * h):
            net.parameters[i] = old + step
            sides.append(net.loss(X, y))
        net.parameters[i] = old
        numeric = (-sides[0] + 8 * sides[1] - 8 * sides[2] + sides[3]) / (12 * h)
        assert numeric == pytest.approx(gradients.flat[i], rel=1e-6, abs=1e-8)


def passes(module, name, rows, sparse, dtype):
    """What forward, backward and fits give, with dropout and without."""
    sizes, rng = [5, 33, 18, 3], np.random.default_rng(20260101)
    X = rng.normal(size=(2 * rows + 1, 5)).astype(dtype)
    y = rng.normal(size=(2 * rows + 1, 3)).astype(dtype)
    if sparse:
        X[rng.random(X.shape) < 0.5] = 0
        X = scipy.sparse.csr_matrix(X)
    parts = []
    for dropout in (0.0, 0.4):
        net = module.Network(sizes, dtype=dtype, seed=1, activation=[name, name])
        out, cache = net.forward_cached(X)
        gradients = net.backward(cache, np.asarray(y), inputs=True)
        trainer = module.Trainer(
            net, optimizer=module.Adam(0.01), batch_size=rows, dropout=dropout, n_shards=1
        )
        trainer.fit(X, y, 2)
        parts += [out, gradients.flat, gradients.inputs.ravel(), net.parameters]
    return parts


# Slow, and the same beside every instruction set.
passes_of_reference = functools.cache(functools.partial(passes, reference))


@EACH
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 8, 9, 45])
def test_core_equals_reference_in_every_pass(name, rows, sparse, dtype, isa):
    """Few and many rows, dense and sparse, with dropout and without, forwards and backwards."""
    found = passes(fastrelu, name, rows, sparse, dtype)
    expected = passes_of_reference(name, rows, sparse, dtype)
    for a, b in zip(found, expected, strict=True):
        assert same_bits(np.asarray(a), np.asarray(b))


@EACH
def test_files_keep_it(name, tmp_path, rng):
    X, y = rng.normal(size=(30, 4)).astype("f"), rng.normal(size=(30, 1)).astype("f")
    trainer = fastrelu.Trainer(fastrelu.Network([4, 6, 1], activation=name), dropout=0.2)
    trainer.fit(X, y, 2)
    trainer.network.save(tmp_path / "net.safetensors")
    other = fastrelu.load(tmp_path / "net.safetensors")
    assert other.activations == [name] and same_bits(other(X), trainer.network(X))
    trainer.save_checkpoint(tmp_path / "c")
    again = fastrelu.Trainer.from_checkpoint(tmp_path / "c")
    again.fit(X, y, 2)
    trainer.fit(X, y, 2)
    assert same_bits(again.network.parameters, trainer.network.parameters)


@EACH
def test_the_estimators_and_the_command_take_it(name, tmp_path, rng):
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    for solver in ("adam", "lbfgs"):
        estimator = MLPRegressor(
            hidden_layer_sizes=(4,), activation=name, solver=solver, max_iter=5, random_state=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(X, y)
        assert estimator.network_.activations == [name]
    assert f'"{name}"' in MLPRegressor.__doc__ and f'"{name}"' in fastrelu.Network.__doc__
    assert name in {each.name: option for each, option in options()}["activation"].kind.names
    np.savetxt(tmp_path / "t.csv", np.c_[X, y], delimiter=",", header="a,b,c,y", comments="")
    flags = ["--activation", name, "--epochs", 1, "--hidden", "4", "--target", "y"]
    result = run("train", tmp_path / "t.csv", *flags, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert set(load_model(tmp_path / "run").network.activations) == {name}
