# SPDX-License-Identifier: BSD-3-Clause
"""A network over a box as a mixed-integer linear program, in LP format.

A hidden unit whose sign the box leaves open has a binary variable d. Its pre-activation z, known to
lie in [l, u], l < 0 < u, is written as p - n with p = max(0, z), n = max(0, -z):

    z = p - n,    0 <= p <= u d,    0 <= n <= -l (1 - d)

(big-M with the least M that the bounds allow; Tjeng, Xiao and Tedrake, ICLR 2019). A unit whose
sign is known needs no binary, and a ReLU that cannot be active no variable at all.

Solvers take coefficients below 1e-9 for 0 and bounds nearer together than that for equal, without
a word. So a variable whose size is not an ordinary one is written in units of a power of two, and
what hardly moves as a difference from its middle. Terms that are below 1e-9 all the same are left
out here, and what that may change is written into the file.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
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
# What solvers take for 0; sizes that they are at ease with; what moves by less than this share of
# its middle is written as a difference, and by so little as a constant; the least inputs that
# solvers can name.
SMALL, ORDINARY, STILL, CONSTANT, LEAST = 1e-9, (2.0**-10, 2.0**10), 2.0**-20, 2.0**-40, 2.0**-26


@dataclass
class _Sum:
    """What a quantity of the network is in the program's variables."""

    terms: Terms
    constant: Fraction = Fraction(0)
    # By how much it may be off for what was left out.
    error: float = 0.0


@dataclass
class _Program:
    constraints: list[str] = field(default_factory=list)
    bounds: list[str] = field(default_factory=list)
    binaries: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)  # variables in units of their own
    sizes: dict[str, float] = field(default_factory=dict)  # the largest magnitudes of variables
    left_out: float = 0.0

    def constrain(self, name: str, terms: Terms, relation: str, right: float) -> None:
        self.constraints.append(f" {name}: {_sum(terms)} {relation} {_number(right)}")

    def bound(self, variable: str, low: float, high: float) -> None:
        self.sizes[variable] = max(abs(low), abs(high))
        self.bounds.append(f" {_number(low)} <= {variable} <= {_number(high)}")

    def weighted(self, inputs: Sequence[_Sum], weights: Array, bias: float, unit: float) -> _Sum:
        """Return the sum of weighted inputs and a bias in a unit; small terms are left out."""
        out = _Sum([], Fraction(float(bias)))
        for summand, w in zip(inputs, weights.tolist(), strict=True):
            if not w:
                continue
            out.constant += Fraction(w) * summand.constant
            out.error += abs(w) * summand.error
            for factor, variable in summand.terms:
                coefficient = w * factor / unit
                if abs(coefficient) >= SMALL:
                    out.terms.append((coefficient, variable))
                    continue
                size = abs(coefficient) * self.sizes[variable]
                self.left_out = max(self.left_out, size)
                out.error += size * unit
        out.constant /= Fraction(unit)
        return out


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
    scale = input_scale(net)
    inputs = [
        _add_input(program, i, low, high, scale) for i, (low, high) in enumerate(box.tolist())
    ]
    activations = [*net.activations, "output"]
    errors: list[float] = []
    for k, (W, b, activation) in enumerate(zip(*parameters(net), activations, strict=True)):
        if activation == "output":
            errors = _add_outputs(program, inputs, W, b, known[k])
        else:
            slope = negative_slope(net, activation)
            inputs = _add_hidden(program, k, inputs, W, b, known[k], slope)
    sizes = "-".join(str(n) for n in net.layer_sizes)
    lines = [
        f"\\ fastrelu network {sizes}, output {output}",
        "\\ x: inputs, y: outputs; of unit j of hidden layer k, with pre-activation z = p - n:",
        "\\ pk_j, nk_j its two parts and dk_j 1 where it is active, or zk_j if its sign is known",
        *(f"\\ {unit}" for unit in program.units),
    ]
    if program.left_out or any(errors):
        lines.append(
            f"\\ left out: terms of at most {program.left_out:.3g} in a constraint; with them "
            f"y{output} differs by at most {errors[output]:.3g}"
        )
    lines += [
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


def _unit(low: float, high: float) -> float:
    """Return a power of two that a quantity in [low, high] is written in: 1 for ordinary sizes."""
    size = max(abs(low), abs(high))
    if size == 0 or ORDINARY[0] <= size <= ORDINARY[1]:
        return 1.0
    return float(2.0 ** np.ceil(np.log2(size)))


def _middle(low: float, high: float) -> float:
    """Return what a quantity in [low, high] is written as a difference from: mostly 0."""
    middle = 0.5 * low + 0.5 * high
    return middle if 0 < high - low < STILL * abs(middle) else 0.0


def _add_input(program: _Program, i: int, low: float, high: float, scale: float) -> _Sum:
    middle = _middle(low, high)
    unit = _unit(low - middle, high - middle)
    if unit == 1.0 and middle == 0.0:
        program.bound(f"x{i}", low, high)
        return _Sum([(scale, f"x{i}")])
    x, t = f"x{i}", f"t{i}"
    program.units.append(f"{x} = {_number(middle)} + {_number(unit)} {t}")
    program.bound(t, (low - middle) / unit, (high - middle) / unit)
    # Smaller numbers than that solvers take for 0, so that x itself is none of their variables.
    if unit >= LEAST or middle:
        by = min(unit, 1.0)
        program.constrain(f"in{i}", [(1 / by, x), (-unit / by, t)], "=", middle / by)
        program.bounds.append(f" {x} free")
    return _Sum([(scale * unit, t)], Fraction(scale) * Fraction(middle))


def _add_hidden(
    program: _Program,
    k: int,
    inputs: Sequence[_Sum],
    W: Array,
    b: Array,
    known: tuple[Array, Array],
    slope: float,
) -> list[_Sum]:
    """Add a hidden layer's constraints; return each activation as a sum of variables."""
    outputs: list[_Sum] = []
    for j, (low, high) in enumerate(zip(*map(np.ndarray.tolist, known), strict=True)):
        unit = _unit(low, high)
        # A side that is too small to be told from 0 is none.
        below = 0.0 if -low < SMALL * unit else low
        above = 0.0 if high < SMALL * unit else high
        if below < 0 < above and slope != 1.0:
            outputs.append(
                _add_switching(program, f"{k}_{j}", inputs, W[:, j], b[j], (low, high), slope)
            )
        elif above <= 0 and slope == 0.0:
            outputs.append(_Sum([], error=max(high, 0.0)))
        else:
            known_slope = slope if above <= 0 else 1.0
            z = _add_linear(program, f"z{k}_{j}", inputs, W[:, j], b[j], (low, high))
            wrong = max(high, 0.0) if above <= 0 else max(-low, 0.0)
            error = known_slope * z.error + (1 - slope) * wrong
            terms = [(known_slope * factor, name) for factor, name in z.terms]
            outputs.append(_Sum(terms, Fraction(known_slope) * z.constant, error))
    return outputs


def _add_switching(
    program: _Program,
    name: str,
    inputs: Sequence[_Sum],
    weights: Array,
    bias: float,
    known: tuple[float, float],
    slope: float,
) -> _Sum:
    unit = _unit(*known)
    low, high = known[0] / unit, known[1] / unit
    p, n, d = f"p{name}", f"n{name}", f"d{name}"
    z = program.weighted(inputs, weights, bias, unit)
    program.constrain(f"sum{name}", [*z.terms, (-1.0, p), (1.0, n)], "=", -float(z.constant))
    program.constrain(f"on{name}", [(1.0, p), (-high, d)], "<=", 0.0)
    program.constrain(f"off{name}", [(1.0, n), (-low, d)], "<=", -low)
    program.bound(p, 0.0, high)
    program.bound(n, 0.0, -low)
    program.binaries.append(d)
    if unit != 1.0:
        program.units.append(f"{p}, {n}: in units of {_number(unit)}")
    return _Sum([(unit, p), *([(-slope * unit, n)] if slope else [])], error=z.error)


def _add_linear(
    program: _Program,
    name: str,
    inputs: Sequence[_Sum],
    weights: Array,
    bias: float,
    known: tuple[float, float],
) -> _Sum:
    """Add a variable for a pre-activation; one that hardly anything moves has none."""
    if 0 < known[1] - known[0] < CONSTANT * max(abs(known[0]), abs(known[1])):
        middle = 0.5 * known[0] + 0.5 * known[1]
        return _Sum([], Fraction(middle), known[1] - known[0])
    middle = _middle(*known)
    low, high = known[0] - middle, known[1] - middle
    unit = _unit(low, high)
    z = program.weighted(inputs, weights, bias, unit)
    if not z.terms:
        return _Sum([], z.constant * Fraction(unit), z.error)
    program.constrain(
        f"sum{name[1:]}" if name[0] == "z" else f"out{name[1:]}",
        [*z.terms, (-1.0, name)],
        "=",
        float(Fraction(middle) / Fraction(unit) - z.constant),
    )
    program.bound(name, low / unit, high / unit)
    if unit != 1.0 or middle:
        program.units.append(f"{name}: {_number(middle)} plus units of {_number(unit)}")
    return _Sum([(unit, name)], Fraction(middle), z.error)


def _add_outputs(
    program: _Program, inputs: Sequence[_Sum], W: Array, b: Array, known: tuple[Array, Array]
) -> list[float]:
    """Add the outputs' constraints; return what each may be off by."""
    errors = []
    for o, (low, high) in enumerate(zip(*map(np.ndarray.tolist, known), strict=True)):
        y, unit = f"y{o}", _unit(low, high)
        z = program.weighted(inputs, W[:, o], b[o], unit)
        program.constrain(f"out{o}", [*z.terms, (-1.0, y)], "=", -float(z.constant))
        program.bound(y, low / unit, high / unit)
        if unit != 1.0:
            program.units.append(f"{y}: in units of {_number(unit)}")
        errors.append(z.error)
    return errors


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
