# SPDX-License-Identifier: BSD-3-Clause
"""The mixed-integer programs that a network is written as, read back and solved."""

import re
from pathlib import Path
from typing import Any

import highspy
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import fastrelu

NUMBER = r"[-+]?\d[\d.]*(?:e[-+]?\d+)?"


class Program:
    """What an LP file says; as much of the format as the writer uses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = path.read_text()
        text = re.sub(r"\\.*", "", whole)
        sections = re.split(
            r"^(Maximize|Minimize|Subject To|Bounds|Binaries|End)$", text, flags=re.MULTILINE
        )
        parts = {name: body for name, body in zip(sections[1::2], sections[2::2], strict=True)}
        self.names: list[str] = []
        self.binaries = parts.get("Binaries", "").split()
        bounds = re.findall(rf"({NUMBER}) <= (\w+) <= ({NUMBER})", parts["Bounds"])
        self.bounds = {name: (float(low), float(high)) for low, name, high in bounds}
        self.bounds |= {name: (0.0, 1.0) for name in self.binaries}
        self.bounds |= {
            name: (-np.inf, np.inf) for name in re.findall(r"(\w+) free", parts["Bounds"])
        }
        # Inputs in units of their own: x = middle + unit t.
        units = re.findall(rf"^\\ (x\d+) = ({NUMBER}) \+ ({NUMBER}) (t\d+)$", whole, re.MULTILINE)
        self.units = {x: (float(middle), float(unit), t) for x, middle, unit, t in units}
        # Outputs in units of their own, and so the objective.
        units_of_outputs = re.findall(rf"^\\ (y\d+): in units of ({NUMBER})$", whole, re.MULTILINE)
        self.names = list(self.bounds)
        objective = parts["Maximize" if "Maximize" in parts else "Minimize"].split(":")[1].strip()
        self.unit = float(dict(units_of_outputs).get(objective, 1))
        rows = re.findall(rf"\w+:([^:]*?)(<=|=)\s+({NUMBER})", parts["Subject To"])
        assert len(rows) == parts["Subject To"].count(":")
        self.rows = [(self.coefficients(sum_), how, float(right)) for sum_, how, right in rows]

    def coefficients(self, text: str) -> Any:
        row = np.zeros(len(self.names))
        for sign, number, name in re.findall(rf"([-+])\s+({NUMBER})\s+(\w+)", text):
            row[self.names.index(name)] += float(sign + number)
        return row

    def inputs(self, solution: dict[str, float]) -> list[float]:
        """The inputs of a solution, by the file's own words."""
        inputs = {name: solution[name] for name in self.names if name[0] == "x"}
        for x, (middle, unit, t) in self.units.items():
            inputs[x] = middle + unit * solution[t]
        return [inputs[x] for x in sorted(inputs)]

    def solve(self) -> tuple[float, dict[str, float]]:
        """The optimum that HiGHS finds in the file, as an output of the network, and where.

        Its usual tolerance lets every row be off by 1e-6, and the optimum with it.
        """
        highs = highspy.Highs()
        highs.silent()
        for option in ("mip_feasibility_tolerance", "primal_feasibility_tolerance"):
            highs.setOptionValue(option, 1e-9)
        highs.setOptionValue("mip_rel_gap", 1e-9)
        highs.setOptionValue("mip_abs_gap", 1e-9)
        assert highs.readModel(str(self.path)) == highspy.HighsStatus.kOk
        highs.run()
        status = highs.getModelStatus()
        assert status == highspy.HighsModelStatus.kOptimal, highs.modelStatusToString(status)
        columns = range(highs.getNumCol())
        values = highs.getSolution().col_value
        solution = {highs.getColName(i)[1]: float(values[i]) for i in columns}
        return self.unit * float(highs.getObjectiveValue()), solution


def network(sizes: list[int], seed: int = 0, **more: Any) -> Any:
    net = fastrelu.Network(sizes, dtype="float64", seed=seed, **more)
    rng = np.random.default_rng(seed)
    for b in net.biases:
        b[:] = rng.normal(size=b.shape) * 0.3
    return net


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(
    hidden=st.lists(st.integers(1, 7), min_size=0, max_size=3),
    outputs=st.integers(1, 2),
    activation=st.sampled_from(["relu", "relu", "leaky_relu", "identity"]),
    sense=st.sampled_from(["max", "min"]),
    scale=st.sampled_from([1.0, 0.5]),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_optimum_is_the_best_corner_of_all_regions(
    tmp_path_factory: Any,
    hidden: list[int],
    outputs: int,
    activation: str,
    sense: str,
    scale: float,
    bias: bool,
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("milp") / "net.lp"
    net = network([2, *hidden, outputs], seed, activation=activation, scale=scale, bias=bias)
    net.to_milp(path, [(-1, 2), (-2, 1)], output=outputs - 1, sense=sense)
    value, solution = Program(path).solve()
    corners = net(net.linear_regions((-1, 2, -2, 1)).vertices)[:, -1]
    best = corners.max() if sense == "max" else corners.min()
    assert value == pytest.approx(best, abs=1e-7, rel=1e-7)
    at = net([solution["x0"], solution["x1"]])[-1]
    assert at == pytest.approx(best, abs=1e-6, rel=1e-6)


def test_one_input_against_the_knots_of_the_segment(tmp_path: Path) -> None:
    net = network([1, 12, 12, 1], seed=4)
    for sense, pick in (("max", np.max), ("min", np.min)):
        net.to_milp(tmp_path / "net.lp", [(-3, 3)], sense=sense)
        value, _ = Program(tmp_path / "net.lp").solve()
        assert value == pytest.approx(pick(net.along([-3], [3]).values), abs=1e-6)


def test_only_units_in_doubt_are_binary(tmp_path: Path) -> None:
    net = network([2, 16, 16, 1])
    counts = []
    for half in (1.0, 0.1, 1e-3):
        net.to_milp(tmp_path / "net.lp", [(-half, half)] * 2)
        counts.append(len(Program(tmp_path / "net.lp").binaries))
    assert 32 >= counts[0] > counts[1] > counts[2]


def test_a_wide_layer_is_cut_into_lines_and_keeps_its_digits(tmp_path: Path) -> None:
    net = network([40, 3, 1])
    net.to_milp(tmp_path / "net.lp", [(-1, 1)] * 40)
    text = (tmp_path / "net.lp").read_text()
    assert max(map(len, text.splitlines())) <= 200 and text.isascii()
    program = Program(tmp_path / "net.lp")
    wanted = {f"x{i}": net.weights[0][i, 0] for i in range(40)}
    row = dict(zip(program.names, program.rows[0][0], strict=True))
    assert all(row[name] == weight for name, weight in wanted.items())


def test_a_box_of_one_point(tmp_path: Path) -> None:
    net = network([2, 5, 1])
    net.to_milp(tmp_path / "net.lp", [(0.5, 0.5), (-0.25, -0.25)])
    value, _ = Program(tmp_path / "net.lp").solve()
    assert value == pytest.approx(net([0.5, -0.25])[0], abs=1e-9)


@pytest.mark.parametrize("power", [-12, -10, -9, -6, -3, 3, 6, 9, 10, 12])
@pytest.mark.parametrize("kind", ["scale", "weights", "decayed", "hidden", "away from 0"])
def test_the_optimum_is_the_networks_at_all_scales(tmp_path: Path, power: int, kind: str) -> None:
    """Solvers take small coefficients for 0 and near bounds for equal; the file has none."""
    size = 10.0**-power
    net = network([2, 6, 5, 1], 3, scale=1.0 if kind == "weights" else 10.0**power)
    if kind == "weights":
        net.weights[0][:] *= 10.0**power
    if kind == "decayed":
        net.weights[0][:, ::2] *= 1e-25
    if kind == "hidden":
        net.weights[1][:] *= 10.0 ** (-power / 2)
        net.biases[1][:] *= 10.0 ** (-power / 2)
        net.weights[2][:] *= 10.0 ** (power / 2)
    low, high = (0.999999 * size, size) if kind == "away from 0" else (-size, size)
    net.to_milp(tmp_path / "net.lp", [(low, high), (-size, size / 2)])
    program = Program(tmp_path / "net.lp")
    value, solution = program.solve()
    sampled = net(np.random.default_rng(0).uniform([low, -size], [high, size / 2], (20_000, 2)))
    assert value >= sampled.max() - 1e-6
    assert net(program.inputs(solution))[0] == pytest.approx(value, abs=1e-5)
    for row, _, _ in program.rows:
        assert (np.abs(row[row != 0]) >= 1e-9).all()
        assert (np.abs(row) <= 2.0**40).all()


def test_what_is_left_out_is_written_into_the_file(tmp_path: Path) -> None:
    net = network([2, 6, 5, 1], 3)
    net.weights[1][::2] *= 1e-11
    net.to_milp(tmp_path / "net.lp", [(-1, 1)] * 2)
    (line,) = re.findall(r"^\\ left out: .*$", (tmp_path / "net.lp").read_text(), re.MULTILINE)
    term, effect = map(float, re.findall(rf"at most ({NUMBER})", line))
    assert 0 < term < 1e-9 and 0 < effect < 1e-7
    value, _ = Program(tmp_path / "net.lp").solve()
    corners = net(net.linear_regions((-1, 1, -1, 1)).vertices)[:, 0]
    assert value == pytest.approx(corners.max(), abs=1e-6)


def test_bad_arguments_leave_the_file_alone(tmp_path: Path) -> None:
    net, path = network([2, 3, 2]), tmp_path / "net.lp"
    path.write_text("mine")
    box = [(0, 1), (0, 1)]
    for bad, message in (
        (dict(bounds=[(0, 1)]), r"bounds: expected shape \(2, 2\)"),
        (dict(bounds=[(0, 1), (1, 0)]), r"bounds\[1\]: expected low <= high"),
        (dict(bounds=[(0, 1), (np.nan, 1)]), "bounds: expected finite"),
        (dict(bounds=box, output=2), "output: expected"),
        (dict(bounds=box, sense="most"), "sense: expected 'max' or 'min'"),
    ):
        with pytest.raises(ValueError, match=message):
            net.to_milp(path, **bad)
    with pytest.raises(ValueError, match="piecewise linear"):
        network([2, 3, 2], activation="logistic").to_milp(path, box)
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="missing"):
        net.to_milp(tmp_path / "missing" / "net.lp", box)
