# SPDX-License-Identifier: BSD-3-Clause
"""A network over a box as a mixed-integer linear program, in LP format.

A hidden unit whose sign the box leaves open has a binary variable d. Its pre-activation z, known to
lie in [l, u], l < 0 < u, is written as p - n with p = max(0, z), n = max(0, -z):

    z = p - n,    0 <= p <= u d,    0 <= n <= -l (1 - d)

(big-M with the least M that the bounds allow; Tjeng, Xiao and Tedrake, ICLR 2019). A unit whose
sign is known needs no binary, and a ReLU that cannot be active no variable at all.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import reals, whole_number
from fastrelu.exact.bounds import pre_activation_bounds
from fastrelu.exact.network_parameters import input_scale, negative_slope, parameters
from fastrelu.whole_files import write_bytes

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
Sense = Literal["max", "min"]
# A sum of terms (coefficient, variable).
Terms = list[tuple[float, str]]
__all__ = ["to_milp"]


@dataclass
class _Program:
    constraints: list[str] = field(default_factory=list)
    bounds: list[str] = field(default_factory=list)
    binaries: list[str] = field(default_factory=list)

    def constrain(self, name: str, terms: Terms, relation: str, right: float) -> None:
        self.constraints.append(f" {name}: {_sum(terms)} {relation} {_number(right)}")

    def bound(self, variable: str, low: float, high: float) -> None:
        self.bounds.append(f" {_number(low)} <= {variable} <= {_number(high)}")


def to_milp(net: Network, path: Any, bounds: ArrayLike, output: int, sense: Sense) -> None:
    """Write the program; see `Network.to_milp`."""
    box = reals("bounds", bounds)
    d_in, d_out = net.layer_sizes[0], net.layer_sizes[-1]
    if box.shape != (d_in, 2):
        raise ValueError(f"bounds: expected shape ({d_in}, 2), got {box.shape}")
    output = whole_number("output", output, 0, d_out - 1)
    if sense not in ("max", "min"):
        raise ValueError(f"sense: expected 'max' or 'min', got {sense!r}")
    for i, (low, high) in enumerate(box):
        if low > high:
            raise ValueError(f"bounds[{i}]: expected low <= high, got ({low:g}, {high:g})")
    known = pre_activation_bounds(net, box[:, 0], box[:, 1], rounding=False)
    text = _text(net, box, known, output, sense)
    write_bytes(path, text.encode("ascii"))


def _text(
    net: Network, box: Array, known: list[tuple[Array, Array]], output: int, sense: Sense
) -> str:
    program = _Program()
    for i, (low, high) in enumerate(box):
        program.bound(f"x{i}", low, high)
    scale = input_scale(net)
    inputs: list[Terms] = [[(scale, f"x{i}")] for i in range(len(box))]
    activations = [*net.activations, "output"]
    for k, (W, b, activation) in enumerate(zip(*parameters(net), activations, strict=True)):
        if activation == "output":
            _add_outputs(program, inputs, W, b, known[k])
        else:
            slope = negative_slope(net, activation)
            inputs = _add_hidden(program, k, inputs, W, b, known[k], slope)
    sizes = "-".join(str(n) for n in net.layer_sizes)
    lines = [
        f"\\ fastrelu network {sizes}, output {output}",
        "\\ x: inputs, y: outputs; of unit j of hidden layer k, with pre-activation z = p - n:",
        "\\ pk_j, nk_j its two parts and dk_j 1 where it is active, or zk_j if its sign is known",
        "Maximize" if sense == "max" else "Minimize",
        f" objective: y{output}",
        "Subject To",
        *program.constraints,
        "Bounds",
        *program.bounds,
    ]
    if program.binaries:
        lines += ["Binaries", *(f" {name}" for name in program.binaries)]
    lines.append("End")
    return "\n".join(_wrapped(line) for line in lines) + "\n"


def _add_hidden(
    program: _Program,
    k: int,
    inputs: Sequence[Terms],
    W: Array,
    b: Array,
    known: tuple[Array, Array],
    slope: float,
) -> list[Terms]:
    """Add a hidden layer's constraints; return each activation as a sum of variables."""
    outputs: list[Terms] = []
    for j, (low, high) in enumerate(zip(*known, strict=True)):
        name = f"{k}_{j}"
        if low < 0 < high and slope != 1.0:
            p, n, d = f"p{name}", f"n{name}", f"d{name}"
            sum_of = [*_weighted(inputs, W[:, j]), (-1.0, p), (1.0, n)]
            program.constrain(f"sum{name}", sum_of, "=", -b[j])
            program.constrain(f"on{name}", [(1.0, p), (-high, d)], "<=", 0.0)
            program.constrain(f"off{name}", [(1.0, n), (-low, d)], "<=", -low)
            program.bound(p, 0.0, high)
            program.bound(n, 0.0, -low)
            program.binaries.append(d)
            outputs.append([(1.0, p), *([(-slope, n)] if slope else [])])
        elif high <= 0 and slope == 0.0:
            outputs.append([])
        else:
            z = f"z{name}"
            program.constrain(f"sum{name}", [*_weighted(inputs, W[:, j]), (-1.0, z)], "=", -b[j])
            program.bound(z, low, high)
            outputs.append([(slope if high <= 0 else 1.0, z)])
    return outputs


def _add_outputs(
    program: _Program, inputs: Sequence[Terms], W: Array, b: Array, known: tuple[Array, Array]
) -> None:
    for o, (low, high) in enumerate(zip(*known, strict=True)):
        y = f"y{o}"
        program.constrain(f"out{o}", [*_weighted(inputs, W[:, o]), (-1.0, y)], "=", -b[o])
        program.bound(y, low, high)


def _weighted(inputs: Sequence[Terms], weights: Array) -> Terms:
    return [
        (float(w) * factor, variable)
        for terms, w in zip(inputs, weights, strict=True)
        for factor, variable in terms
        if w
    ]


def _sum(terms: Terms) -> str:
    return " ".join(f"{'-' if c < 0 else '+'} {_number(abs(c))} {name}" for c, name in terms)


def _number(value: float) -> str:
    return repr(float(value) + 0.0)  # the shortest digits that give the same bits; no -0


def _wrapped(line: str) -> str:
    """Return a line cut to lengths that every reader of the format takes."""
    if line.startswith("\\") or len(line) <= 200:
        return line
    return "\n".join(
        textwrap.wrap(
            line,
            200,
            initial_indent=" ",
            subsequent_indent="   ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
