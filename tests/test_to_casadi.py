# SPDX-License-Identifier: BSD-3-Clause
"""A network as a function of CasADi: values, Jacobian, kinks, and an optimum beside a grid."""

import numpy as np
import pytest
from catalogue_tools import ACTIVATION_NAMES

import fastrelu
from fastrelu.exchange.casadi_function import _ACTIVATIONS

casadi = pytest.importorskip("casadi")


def net_of(activation, sizes=(3, 9, 7, 2), dtype="float64", scale=0.5, bias=True):
    net = fastrelu.Network(sizes, activation=activation, dtype=dtype, scale=scale, bias=bias)
    net.parameters[:] += 0.2 * np.random.default_rng(0).normal(size=net.n_parameters)
    return net


def derivative(function):
    x = casadi.MX.sym("x", function.size1_in(0))
    return casadi.Function("J", [x], [casadi.jacobian(function(x), x)])


@pytest.mark.parametrize("symbols", ["SX", "MX"])
@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_values_and_jacobian(name, symbols, dtype):
    net = net_of(name, dtype=dtype)
    function = net.to_casadi("policy", symbols)
    assert function.name() == "policy" and function.size_in(0) == (3, 1)
    J, tolerance = derivative(function), 1e-12 if dtype == "float64" else 1e-5
    for x in np.random.default_rng(1).normal(size=(20, 3)) * 3:
        np.testing.assert_allclose(np.asarray(function(x))[:, 0], net(x), rtol=tolerance,
                                   atol=tolerance)  # fmt: skip
        np.testing.assert_allclose(np.asarray(J(x)), net.jacobian(x), rtol=tolerance,
                                   atol=tolerance)  # fmt: skip


@pytest.mark.parametrize("symbols", ["SX", "MX"])
@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_slopes_at_0_and_far_out_are_ours_and_nan_stays(name, symbols):
    net = fastrelu.Network([1, 1, 1], activation=name, dtype="float64")
    net.parameters[:] = [1, 0, 1, 0]
    function = net.to_casadi(symbols=symbols)
    J = derivative(function)
    for x in ([0.0], [-1e4], [1e4], [-1e-9], [800.0], [-800.0]):
        np.testing.assert_allclose(float(function(x)), net(x)[0], rtol=1e-14)
        np.testing.assert_allclose(float(J(x)), net.jacobian(x)[0, 0], rtol=1e-14, atol=1e-300)
    assert np.isnan(float(function([np.nan])))


@pytest.mark.parametrize("x", [np.nan, np.inf])
def test_sx_leaves_out_weights_of_0_and_mx_does_not(x):
    """As the docs say; should CasADi keep them one day, NaN is right."""
    net = fastrelu.Network([2, 1], dtype="float64")
    net.weights[0][:], net.biases[0][:] = [[0], [1]], 2
    assert float(net.to_casadi(symbols="SX")([x, 1])) == 3
    assert np.isnan(float(net.to_casadi(symbols="MX")([x, 1])))
    assert np.isnan(net.forward([[x, 1]], check_finite=False)[0, 0])


def test_casadis_fmax_is_another_relu_and_if_else_is_ours():
    """Why to_casadi has no fmax: its slope at 0 is 1/2, and what it makes of NaN is 0."""
    x = casadi.MX.sym("x")
    forms = {"fmax": casadi.fmax(x, 0), "if_else": casadi.if_else(x <= 0, 0, x)}
    found = {}
    for name, form in forms.items():
        function = casadi.Function("f", [x], [form, casadi.jacobian(form, x)])
        found[name] = [float(function(0)[1]), float(function(np.nan)[0])]
    assert found["fmax"] == [0.5, 0.0]
    assert found["if_else"][0] == 0 and np.isnan(found["if_else"][1])


def test_no_biases_and_no_hidden_layers():
    net = net_of("relu", (3, 2), bias=False)
    np.testing.assert_allclose(np.asarray(net.to_casadi()([1, 2, 3]))[:, 0], net([1.0, 2, 3]))


def test_an_optimum_is_that_of_a_grid():
    net = net_of("tanh", (2, 12, 12, 1), scale=1.0)
    x = casadi.MX.sym("x", 2)
    problem = {"x": x, "f": net.to_casadi(symbols="MX")(x)}
    quiet = {"ipopt.print_level": 0, "print_time": False, "ipopt.sb": "yes"}
    solver = casadi.nlpsol("solver", "ipopt", problem, quiet)
    axis = np.linspace(-1, 1, 201)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    values = net(grid)[:, 0]
    starts = [[a, b] for a in (-0.7, 0.0, 0.7) for b in (-0.7, 0.0, 0.7)]
    best = min(float(solver(x0=start, lbx=-1, ubx=1)["f"]) for start in starts)
    assert best <= values.min() + 1e-7
    assert best >= values.min() - 1e-3


def test_bad_arguments():
    net = net_of("relu")
    with pytest.raises(ValueError, match="symbols: expected SX or MX, got 'DM'"):
        net.to_casadi(symbols="DM")
    with pytest.raises(ValueError, match="name: expected a name that CasADi takes, got '1'"):
        net.to_casadi("1")


def test_all_activations_are_known():
    assert set(_ACTIVATIONS) == set(ACTIVATION_NAMES)
