# SPDX-License-Identifier: BSD-3-Clause
"""A network's program in (CPLEX) LP format."""

from __future__ import annotations

import textwrap

from fastrelu.exact.program import Constraint, Program

__all__ = ["lp_text", "number"]


def lp_text(program: Program) -> str:
    """Return the program as the text of a file."""
    sizes = "-".join(str(n) for n in program.layer_sizes)
    (output,) = program.objective
    lines = [
        f"\\ fastrelu network {sizes}, output {output}",
        "\\ x: inputs, y: outputs; of unit j of hidden layer k, with pre-activation z = p - n:",
        "\\ pk_j, nk_j its two parts and dk_j 1 where it is active, or zk_j if its sign is known",
        *(f"\\ {note}" for note in program.notes),
    ]
    if program.left_out or any(program.output_errors):
        lines.append(
            f"\\ left out: terms of at most {program.left_out:.3g} in a constraint; with them "
            f"y{output} differs by at most {program.output_errors[output]:.3g}"
        )
    lines += [
        "Maximize" if program.sense == "max" else "Minimize",
        f" objective: y{output}",
        "Subject To",
        *(f" {c.name}: {_sum(c)} {c.relation} {number(c.right)}" for c in program.constraints),
        "Bounds",
        *(f" {number(low)} <= {v} <= {number(high)}" for v, (low, high) in program.bounds.items()),
        *(f" {variable} free" for variable in program.free),
    ]
    if program.binaries:
        lines += ["Binaries", *(f" {name}" for name in program.binaries)]
    lines.append("End")
    return "\n".join(_wrapped(line) for line in lines) + "\n"


def _sum(row: Constraint) -> str:
    return " ".join(f"{'-' if c < 0 else '+'} {number(abs(c))} {name}" for c, name in row.terms)


def number(value: float) -> str:
    """Return the shortest digits that give the same bits; no -0."""
    return repr(float(value) + 0.0)


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
