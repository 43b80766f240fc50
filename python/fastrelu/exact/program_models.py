# SPDX-License-Identifier: BSD-3-Clause
"""A network's program as a model object of highspy, PySCIPOpt, Pyomo or gurobipy.

Each backend adds the variables, then the constraints, then its part of the objective to a model
that may have variables and constraints already; a prefix keeps the names of several networks apart.
"""

from __future__ import annotations

import importlib
import math
import re
from typing import Any, Protocol

from fastrelu.exact.program import LEAST, Program, Terms

__all__ = ["BACKENDS", "as_model"]

INFINITY = math.inf


class Backend(Protocol):
    """What adds a program to a model, a variable or row at a time."""

    model: Any

    def add_variable(self, name: str, low: float, high: float, binary: bool) -> Any: ...
    def add_row(self, name: str, terms: list[tuple[float, Any]], low: float, high: float) -> None:
        """Add low <= the sum <= high; low is -inf, or equal to high."""

    def add_objective(self, terms: list[tuple[float, Any]], maximise: bool) -> None: ...


class Highs:
    """A highspy.Highs."""

    def __init__(self, module: Any, model: Any) -> None:
        self._module = module
        if model is None:
            model = module.Highs()
            model.silent()
        self.model = model

    def add_variable(self, name: str, low: float, high: float, binary: bool) -> int:
        column = int(self.model.getNumCol())
        self.model.addCol(0.0, max(low, -self.model.inf), min(high, self.model.inf), 0, [], [])
        self.model.passColName(column, name)
        if binary:
            self.model.changeColIntegrality(column, self._module.HighsVarType.kInteger)
        return column

    def add_row(self, name: str, terms: list[tuple[float, int]], low: float, high: float) -> None:
        row = int(self.model.getNumRow())
        factors, columns = [f for f, _ in terms], [c for _, c in terms]
        self.model.addRow(max(low, -self.model.inf), high, len(terms), columns, factors)
        self.model.passRowName(row, name)

    def add_objective(self, terms: list[tuple[float, int]], maximise: bool) -> None:
        costs = self.model.getLp().col_cost_
        for factor, column in terms:
            self.model.changeColCost(column, costs[column] + factor)
        sense = self._module.ObjSense
        self.model.changeObjectiveSense(sense.kMaximize if maximise else sense.kMinimize)


class Scip:
    """A pyscipopt.Model."""

    def __init__(self, module: Any, model: Any) -> None:
        self._module = module
        if model is None:
            model = module.Model()
            model.hideOutput()
        self.model = model

    def add_variable(self, name: str, low: float, high: float, binary: bool) -> Any:
        low_or_none = None if low == -INFINITY else low
        high_or_none = None if high == INFINITY else high
        kind = "B" if binary else "C"
        return self.model.addVar(name, vtype=kind, lb=low_or_none, ub=high_or_none)

    def add_row(self, name: str, terms: list[tuple[float, Any]], low: float, high: float) -> None:
        total = self._module.quicksum(f * v for f, v in terms)
        self.model.addCons(total == high if low == high else total <= high, name)

    def add_objective(self, terms: list[tuple[float, Any]], maximise: bool) -> None:
        total = self.model.getObjective() + self._module.quicksum(f * v for f, v in terms)
        self.model.setObjective(total, "maximize" if maximise else "minimize")


class Gurobi:
    """A gurobipy.Model."""

    def __init__(self, module: Any, model: Any) -> None:
        self._module = module
        if model is None:
            environment = module.Env(empty=True)
            environment.setParam("OutputFlag", 0)
            environment.start()
            model = module.Model(env=environment)
        self.model = model

    def add_variable(self, name: str, low: float, high: float, binary: bool) -> Any:
        kind = self._module.GRB.BINARY if binary else self._module.GRB.CONTINUOUS
        return self.model.addVar(lb=low, ub=high, vtype=kind, name=name)

    def add_row(self, name: str, terms: list[tuple[float, Any]], low: float, high: float) -> None:
        total = self._module.LinExpr(terms)
        self.model.addConstr(total == high if low == high else total <= high, name)

    def add_objective(self, terms: list[tuple[float, Any]], maximise: bool) -> None:
        grb = self._module.GRB
        self.model.update()
        total = self.model.getObjective() + self._module.LinExpr(terms)
        self.model.setObjective(total, grb.MAXIMIZE if maximise else grb.MINIMIZE)
        self.model.update()


class Pyomo:
    """A pyomo.environ.ConcreteModel."""

    def __init__(self, module: Any, model: Any) -> None:
        self._module = module
        self.model = module.ConcreteModel() if model is None else model

    def add_variable(self, name: str, low: float, high: float, binary: bool) -> Any:
        bounds = tuple(None if abs(end) == INFINITY else end for end in (low, high))
        domain = self._module.Binary if binary else self._module.Reals
        variable = self._module.Var(domain=domain, bounds=bounds)
        self.model.add_component(name, variable)
        return variable

    def add_row(self, name: str, terms: list[tuple[float, Any]], low: float, high: float) -> None:
        total = self._module.quicksum((f * v for f, v in terms), linear=True)
        row = self._module.Constraint(expr=total == high if low == high else total <= high)
        self.model.add_component(name, row)

    def add_objective(self, terms: list[tuple[float, Any]], maximise: bool) -> None:
        total = self._module.quicksum((f * v for f, v in terms), linear=True)
        sense = self._module.maximize if maximise else self._module.minimize
        active = list(self.model.component_data_objects(self._module.Objective, active=True))
        if active:
            active[0].set_value(active[0].expr + total)
            active[0].sense = sense
        else:
            self.model.add_component("objective", self._module.Objective(expr=total, sense=sense))


BACKENDS: dict[str, tuple[str, Any]] = {
    "highspy": ("highspy", Highs),
    "pyscipopt": ("pyscipopt", Scip),
    "pyomo": ("pyomo.environ", Pyomo),
    "gurobipy": ("gurobipy", Gurobi),
}


def as_model(program: Program, backend: str, prefix: str, model: Any) -> Any:
    """Return a backend's model with the program in it: a new one, or the one given."""
    if backend not in BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    if not isinstance(prefix, str) or not re.fullmatch(r"([A-Za-z_]\w*)?", prefix, re.ASCII):
        raise ValueError(
            "prefix: expected letters, digits and underscores, no digit first, or '', got "
            f"{prefix!r}"
        )
    name, kind = BACKENDS[backend]
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:  # not one that is there and cannot be loaded
        package = name.partition(".")[0]
        raise ImportError(f"backend: {backend!r} needs the package {package}") from error
    made: Backend = kind(module, model)
    _add(program, made, prefix)
    return made.model


def _add(program: Program, made: Backend, prefix: str) -> None:
    variables = {
        name: made.add_variable(f"{prefix}{_scaled_name(program, name)}", low, high, binary=False)
        for name, (low, high) in program.bounds.items()
    }
    for name in program.free:
        variables[name] = made.add_variable(f"{prefix}{name}", -INFINITY, INFINITY, binary=False)
    for name in program.binaries:
        variables[name] = made.add_variable(f"{prefix}{name}", 0.0, 1.0, binary=True)

    def terms(of: Terms) -> list[tuple[float, Any]]:
        return [(factor, variables[name]) for factor, name in of]

    for row in program.constraints:
        low = row.right if row.relation == "=" else -INFINITY
        made.add_row(f"{prefix}{row.name}", terms(row.terms), low, row.right)
    # Outputs in units of their own have their own names beside.
    for o, unit in enumerate(program.output_units):
        if unit != 1.0 and unit >= LEAST:
            by = min(unit, 1.0)
            y = made.add_variable(f"{prefix}y{o}", -INFINITY, INFINITY, binary=False)
            scaled = variables[f"y{o}"]
            made.add_row(f"{prefix}out{o}_in_units", [(1 / by, y), (-unit / by, scaled)], 0.0, 0.0)
    objective = [(w * program.output_units[o], f"y{o}") for o, w in program.objective.items()]
    made.add_objective(terms(objective), program.sense == "max")


def _scaled_name(program: Program, name: str) -> str:
    """Return the name of a variable: that of an output in units of its own is another."""
    is_scaled = name[0] == "y" and program.output_units[int(name[1:])] != 1.0
    return f"s{name}" if is_scaled else name
