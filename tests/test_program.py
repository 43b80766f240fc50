# SPDX-License-Identifier: BSD-3-Clause
"""A network's program as model objects: their optima are the network's."""

from typing import Any

import numpy as np
import pytest

import fastrelu

BACKENDS = ["highspy", "pyscipopt", "pyomo", "gurobipy"]
TIGHT = 1e-9


def solved(backend: str, model: Any) -> tuple[float, dict[str, float]]:
    """Return the optimum, and the variables there."""
    if backend == "highspy":
        for option in ("mip_feasibility_tolerance", "primal_feasibility_tolerance", "mip_rel_gap"):
            model.setOptionValue(option, TIGHT)
        model.run()
        values = model.getSolution().col_value
        names = [model.getColName(i)[1] for i in range(model.getNumCol())]
        found = model.getInfo().objective_function_value
        return found, dict(zip(names, values, strict=True))
    if backend == "pyscipopt":
        model.setRealParam("numerics/feastol", TIGHT)
        model.optimize()
        return model.getObjVal(), {v.name: model.getVal(v) for v in model.getVars()}
    if backend == "gurobipy":
        model.Params.FeasibilityTol = model.Params.IntFeasTol = TIGHT
        model.Params.MIPGap = TIGHT
        model.optimize()
        return model.ObjVal, {v.VarName: v.X for v in model.getVars()}
    environ = pytest.importorskip("pyomo.environ")
    solver = environ.SolverFactory("appsi_highs")
    solver.highs_options = {"mip_feasibility_tolerance": TIGHT, "mip_rel_gap": TIGHT}
    solver.solve(model)
    (objective,) = model.component_data_objects(environ.Objective)
    variables = model.component_data_objects(environ.Var)
    return environ.value(objective), {v.name: environ.value(v) for v in variables}


@pytest.fixture(params=BACKENDS)
def backend(request: Any) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


def network(seed: int, sizes: list[int], **more: Any) -> Any:
    net = fastrelu.Network(sizes, seed=seed, dtype="float64", **more)
    for bias in net.biases:
        bias[:] = np.random.default_rng(seed).normal(size=len(bias))
    return net


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("sense", ["max", "min"])
def test_the_optimum_is_the_networks(backend: str, activation: str, sense: Any) -> None:
    net = network(3, [3, 6, 5, 2], activation=activation)
    box = [(-1, 1), (0, 2), (-0.5, 0.25)]
    model = net.to_program(box, 1, sense, backend=backend)
    found, at = solved(backend, model)
    x = [at[f"x{i}"] for i in range(3)]
    assert net(x)[1] == pytest.approx(found, abs=1e-5)
    assert [at["y0"], at["y1"]] == pytest.approx(net(x).tolist(), abs=1e-5)
    grid = np.random.default_rng(0).uniform(*np.transpose(box), (20_000, 3))
    values = net(grid)[:, 1]
    best = values.max() if sense == "max" else values.min()
    assert found >= best - 1e-6 if sense == "max" else found <= best + 1e-6


def test_several_networks_in_one_model(backend: str) -> None:
    """The largest difference of two networks at the same inputs."""
    a, b = network(1, [2, 5, 1]), network(2, [2, 4, 1])
    box = [(-1, 1), (-1, 1)]
    model = a.to_program(box, backend=backend, prefix="a_")
    model = b.to_program(box, [-1.0], backend=backend, prefix="b_", model=model)
    tie_inputs(backend, model, 2)
    found, at = solved(backend, model)
    x = [at["a_x0"], at["a_x1"]]
    assert (a(x) - b(x))[0] == pytest.approx(found, abs=1e-5)
    grid = np.random.default_rng(0).uniform(-1, 1, (20_000, 2))
    assert found >= (a(grid) - b(grid)).max() - 1e-6


def tie_inputs(backend: str, model: Any, count: int) -> None:
    """Add a_x = b_x, by what each package offers for variables known by their names."""
    for i in range(count):
        names = (f"a_x{i}", f"b_x{i}")
        if backend == "highspy":
            columns = [model.getColByName(name)[1] for name in names]
            model.addRow(0.0, 0.0, 2, columns, [1.0, -1.0])
        elif backend == "pyscipopt":
            by_name = {v.name: v for v in model.getVars()}
            model.addCons(by_name[names[0]] == by_name[names[1]])
        elif backend == "gurobipy":
            model.addConstr(model.getVarByName(names[0]) == model.getVarByName(names[1]))
        else:
            environ = pytest.importorskip("pyomo.environ")
            a, b = (model.component(name) for name in names)
            model.add_component(f"tie{i}", environ.Constraint(expr=a == b))


def test_the_objective_weighs_outputs(backend: str) -> None:
    net = network(5, [2, 4, 3])
    weights = np.array([0.5, 0.0, -2.0])
    model = net.to_program([(-1, 1)] * 2, weights, "min", backend=backend)
    found, at = solved(backend, model)
    assert net([at["x0"], at["x1"]]) @ weights == pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize("size", [1e-5, 1e5])
def test_outputs_of_unusual_sizes_are_in_their_own_units(backend: str, size: float) -> None:
    net = network(2, [2, 4, 1])
    net.weights[1][...] *= size
    net.biases[1][...] *= size
    model = net.to_program([(-1, 1)] * 2, backend=backend)
    found, at = solved(backend, model)
    value = float(net([at["x0"], at["x1"]])[0])
    assert found == pytest.approx(value, rel=1e-5)
    assert at["y0"] == pytest.approx(value, rel=1e-5)
    assert "sy0" in at


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "cplex"}, "backend: expected one of highspy, pyscipopt, pyomo, gurobipy"),
        ({"prefix": "a b"}, "prefix: expected letters"),
        ({"prefix": "1"}, "prefix: expected letters"),
        ({"prefix": 1}, "prefix: expected letters"),
        ({"output": 2}, r"output: expected a whole number 0\.\.1"),
        ({"output": [1.0]}, "output: expected a number 0..1, or 2 weights"),
        ({"sense": "most"}, "sense: expected 'max' or 'min'"),
        ({"bounds": [(0, 1)]}, r"bounds: expected shape \(2, 2\)"),
        ({"bounds": [(0, 1), (1, 0)]}, r"bounds\[1\]: expected low <= high"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    given = {"bounds": [(0, 1)] * 2} | arguments
    with pytest.raises((TypeError, ValueError), match=message):
        fastrelu.Network([2, 3, 2]).to_program(**given)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gurobipy", None)
    with pytest.raises(ImportError, match="backend: 'gurobipy' needs the package gurobipy"):
        fastrelu.Network([2, 3, 2]).to_program([(0, 1)] * 2, backend="gurobipy")
