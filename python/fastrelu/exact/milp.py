# SPDX-License-Identifier: BSD-3-Clause
"""A network over a box as a mixed-integer linear program.

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

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import reals, whole_number
from fastrelu.exact.bounds import as_box, pre_activation_bounds
from fastrelu.exact.lp_file import lp_text, number
from fastrelu.exact.network_parameters import input_scale, negative_slope, parameters
from fastrelu.exact.program import Program, Sense, Terms
from fastrelu.whole_files import write_bytes

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
__all__ = ["program_of", "to_milp"]
# What solvers take for 0; sizes that they are at ease with; what moves by less than this share of
# its middle is written as a difference, and by so little as a constant.
SMALL, ORDINARY, STILL, CONSTANT = 1e-9, (2.0**-10, 2.0**10), 2.0**-20, 2.0**-40


@dataclass
class _Sum:
    """What a quantity of the network is in the program's variables."""

    terms: Terms
    constant: Fraction = Fraction(0)
    # By how much it may be off for what was left out.
    error: float = 0.0


def to_milp(net: Network, path: Any, bounds: ArrayLike, output: int, sense: Sense) -> None:
    """Write the program; see `Network.to_milp`."""
    program = program_of(net, bounds, output, sense)
    write_bytes(path, lp_text(program).encode("ascii"))


def program_of(net: Network, bounds: ArrayLike, output: int | ArrayLike, sense: Sense) -> Program:
    """Return the program whose optimum is that of an output, or of a weighted sum of them."""
    box = as_box(bounds, net.layer_sizes[0])
    objective = _objective(output, net.layer_sizes[-1])
    if sense not in ("max", "min"):
        raise ValueError(f"sense: expected 'max' or 'min', got {sense!r}")
    known = pre_activation_bounds(net, box[:, 0], box[:, 1], rounding=False)
    program = Program(net.layer_sizes, objective, sense)
    scale = input_scale(net)
    inputs = [
        _add_input(program, i, low, high, scale) for i, (low, high) in enumerate(box.tolist())
    ]
    activations = [*net.activations, "output"]
    for k, (W, b, activation) in enumerate(zip(*parameters(net), activations, strict=True)):
        if activation == "output":
            _add_outputs(program, inputs, W, b, known[k])
        else:
            slope = negative_slope(net, activation)
            inputs = _add_hidden(program, k, inputs, W, b, known[k], slope)
    return program


def _objective(output: int | ArrayLike, d_out: int) -> dict[int, float]:
    """Return the weight of each output in the objective."""
    if np.ndim(output) == 0:
        return {whole_number("output", output, 0, d_out - 1): 1.0}
    weights = reals("output", output)
    if weights.shape != (d_out,):
        raise ValueError(
            f"output: expected a number 0..{d_out - 1}, or {d_out} weights, got {output!r}"
        )
    return {o: w for o, w in enumerate(weights.tolist()) if w}


def _weighted(
    program: Program, inputs: Sequence[_Sum], weights: Array, bias: float, unit: float
) -> _Sum:
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
            size = abs(coefficient) * program.size(variable)
            program.left_out = max(program.left_out, size)
            out.error += size * unit
    out.constant /= Fraction(unit)
    return out


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


def _add_input(program: Program, i: int, low: float, high: float, scale: float) -> _Sum:
    middle = _middle(low, high)
    unit = _unit(low - middle, high - middle)
    if unit == 1.0 and middle == 0.0:
        program.bound(f"x{i}", low, high)
        return _Sum([(scale, f"x{i}")])
    x, t = f"x{i}", f"t{i}"
    program.notes.append(f"{x} = {number(middle)} + {number(unit)} {t}")
    program.bound(t, (low - middle) / unit, (high - middle) / unit)
    program.name(f"in{i}", x, middle, unit, t)
    return _Sum([(scale * unit, t)], Fraction(scale) * Fraction(middle))


def _add_hidden(
    program: Program,
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
    program: Program,
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
    z = _weighted(program, inputs, weights, bias, unit)
    program.constrain(f"sum{name}", [*z.terms, (-1.0, p), (1.0, n)], "=", -float(z.constant))
    program.constrain(f"on{name}", [(1.0, p), (-high, d)], "<=", 0.0)
    program.constrain(f"off{name}", [(1.0, n), (-low, d)], "<=", -low)
    program.bound(p, 0.0, high)
    program.bound(n, 0.0, -low)
    program.binaries.append(d)
    if unit != 1.0:
        program.notes.append(f"{p}, {n}: in units of {number(unit)}")
    return _Sum([(unit, p), *([(-slope * unit, n)] if slope else [])], error=z.error)


def _add_linear(
    program: Program,
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
    z = _weighted(program, inputs, weights, bias, unit)
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
        program.notes.append(f"{name}: {number(middle)} plus units of {number(unit)}")
    return _Sum([(unit, name)], Fraction(middle), z.error)


def _add_outputs(
    program: Program, inputs: Sequence[_Sum], W: Array, b: Array, known: tuple[Array, Array]
) -> None:
    """Add the outputs' constraints, and what each may be off by."""
    for o, (low, high) in enumerate(zip(*map(np.ndarray.tolist, known), strict=True)):
        y, unit = f"y{o}", _unit(low, high)
        z = _weighted(program, inputs, W[:, o], b[o], unit)
        program.constrain(f"out{o}", [*z.terms, (-1.0, y)], "=", -float(z.constant))
        program.bound(y, low / unit, high / unit)
        program.output_units.append(unit)
        if unit != 1.0:
            program.notes.append(f"{y}: in units of {number(unit)}")
        program.output_errors.append(z.error)
