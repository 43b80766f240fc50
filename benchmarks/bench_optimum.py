# SPDX-License-Identifier: BSD-3-Clause
"""`net.maximize` beside solvers of mixed-integer programs, on trained networks.

    python benchmarks/bench_optimum.py [--limit SECONDS] [--only SIZES ...] [--json FILE]

Each solver gets the program that `net.to_program` makes and that is there: HiGHS (highspy), SCIP
(pyscipopt). OMLT, if it is there, makes a program of its own for HiGHS (big-M, interval bounds).
All stop at a relative gap of 1e-4. Prints one line a network: what each found and how long it took;
a time limit is written as ">".
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastrelu

# Layer sizes, half-width of the box around 0, seeds.
CASES = [
    ("2-16-16-1", 1.0, 4),
    ("3-24-24-1", 1.0, 4),
    ("4-16-16-1", 1.0, 4),
    ("6-16-16-1", 0.5, 3),
    ("8-24-1", 0.5, 3),
    ("10-20-20-1", 0.1, 2),
    ("4-32-32-1", 1.0, 2),
    ("10-64-64-1", 0.3, 1),
]


def trained(sizes: list[int], seed: int) -> fastrelu.Network:
    """Return a network fitted to a bent function of its first inputs, with noise."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (4000, sizes[0]))
    y = np.sin(5 * X[:, 0]) * np.cos(3 * X[:, 1]) + X[:, 1] * X[:, 2 % sizes[0]]
    y += X[:, -1] ** 2 + 0.3 * rng.normal(size=len(X))
    net = fastrelu.Network(sizes, seed=seed, dtype="float64")
    fastrelu.Trainer(net, optimizer=fastrelu.Adam(3e-3), batch_size=50).fit(X, y, epochs=60)
    return net


def by_fastrelu(net: fastrelu.Network, box: Any, limit: float) -> dict[str, Any]:
    """Return value, bound and seconds of `net.maximize`."""
    best = net.maximize(box, time_limit=limit)
    return {
        "value": best.value, "bound": best.bound, "seconds": best.seconds,
        "boxes": best.n_boxes, "done": best.status == "optimal",
    }  # fmt: skip


def by_highs(net: fastrelu.Network, box: Any, limit: float) -> dict[str, Any]:
    """Return the same of HiGHS, the program's making included."""
    start = time.perf_counter()
    highs = net.to_program(box, backend="highspy")
    highs.setOptionValue("time_limit", limit)
    highs.setOptionValue("mip_rel_gap", 1e-4)
    highs.run()
    info = highs.getInfo()
    return {
        "value": info.objective_function_value, "bound": info.mip_dual_bound,
        "seconds": time.perf_counter() - start, "done": info.mip_gap <= 1.01e-4,
    }  # fmt: skip


def by_scip(net: fastrelu.Network, box: Any, limit: float) -> dict[str, Any]:
    """Return the same of SCIP."""
    start = time.perf_counter()
    model = net.to_program(box, backend="pyscipopt")
    model.setParam("limits/time", limit)
    model.setParam("limits/gap", 1e-4)
    model.optimize()
    return {
        "value": model.getPrimalbound(), "bound": model.getDualbound(),
        "seconds": time.perf_counter() - start, "done": model.getGap() <= 1.01e-4,
    }  # fmt: skip


def by_omlt(net: fastrelu.Network, box: Any, limit: float) -> dict[str, Any]:
    """Return the same of OMLT's big-M program, by HiGHS."""
    import pyomo.environ as pyo
    from omlt import OmltBlock
    from omlt.neuralnet import NetworkDefinition, ReluBigMFormulation
    from omlt.neuralnet.layer import DenseLayer, InputLayer
    from pyomo.contrib.appsi.solvers import Highs

    start = time.perf_counter()
    definition = NetworkDefinition(scaled_input_bounds=dict(enumerate(box)))
    before = InputLayer([net.layer_sizes[0]])
    definition.add_layer(before)
    activations = [*net.activations, "linear"]
    for W, b, activation in zip(net.weights, net.biases, activations, strict=True):
        layer = DenseLayer(
            [W.shape[0]], [W.shape[1]], activation=activation, weights=W.copy(), biases=b.copy()
        )
        definition.add_layer(layer)
        definition.add_edge(before, layer)
        before = layer
    model = pyo.ConcreteModel()
    model.net = OmltBlock()
    model.net.build_formulation(ReluBigMFormulation(definition))
    model.objective = pyo.Objective(expr=model.net.outputs[0], sense=pyo.maximize)
    solver = Highs()
    solver.config.load_solution = False
    solver.highs_options = {"time_limit": limit, "mip_rel_gap": 1e-4, "output_flag": False}
    found = solver.solve(model)
    value, bound = found.best_feasible_objective, found.best_objective_bound
    value = -np.inf if value is None else value
    return {
        "value": value, "bound": bound, "seconds": time.perf_counter() - start,
        "done": bound - value <= 1.01e-4 * abs(value),
    }  # fmt: skip


def main() -> None:
    """Run the cases and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=20)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    contestants = {"fastrelu": by_fastrelu}
    solvers = (("highspy", by_highs), ("pyscipopt", by_scip), ("omlt", by_omlt))
    for module, solve in solvers:
        if importlib.util.find_spec(module) is not None:
            contestants[module] = solve
    results = []
    for name, radius, seeds in CASES:
        sizes = [int(n) for n in name.split("-")]
        for seed in range(seeds if not args.only or name in args.only else 0):
            net = trained(sizes, seed)
            box = [(-radius, radius)] * sizes[0]
            row = {who: solve(net, box, args.limit) for who, solve in contestants.items()}
            results.append({"sizes": name, "radius": radius, "seed": seed, **row})
            texts = [
                f"{who} {r['value']:.6g} <= {r['bound']:.6g}, "
                f"{'' if r['done'] else '>'}{r['seconds']:.3g} s"
                for who, r in row.items()
            ]
            boxes = row["fastrelu"]["boxes"]
            print(f"{name} +-{radius:g} seed {seed}: {'; '.join(texts)}; {boxes} boxes", flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
