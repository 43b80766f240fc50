# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu selftest``."""

from __future__ import annotations

import json
from collections import Counter

import click

from fastrelu.app.cli.base import HELP, Command
from fastrelu.app.errors import TrainingError


@click.command(cls=Command, context_settings=HELP)
@click.option("--bits", is_flag=True, help="A line for each part of the contract, with its hash.")
@click.option("--json", "as_json", is_flag=True, help="Print the hashes as JSON.")
@click.option("--vectors", is_flag=True, help="Print the test vectors, which are JSON, instead.")
def selftest(bits: bool, as_json: bool, vectors: bool) -> None:
    """Check that this build computes, on this machine, the bits that it should.

    Each part of the arithmetic's contract is computed on every instruction set that the machine
    has, with several numbers of threads and the rows cut in several ways, and compared with the
    hash that comes with the package.

    Exit status: 0 all is right, 1 some differ.
    """
    from fastrelu import selftest as kit

    if vectors:
        click.echo(json.dumps(kit.vectors(), indent=1))
        return
    expected, wrong, variants = kit.expected(), Counter[str](), Counter[str]()
    for isa, threads, cut, differing in kit.differences():
        variants[isa] += 1
        wrong.update(differing.keys())
        where = f"{isa}, {threads} threads" + ("" if cut is None else f", {cut} rows a call")
        for name, value in differing.items():
            click.echo(f"{name}: {value} on {where}, expected {expected[name]}", err=True)
    found = kit.parts()
    if as_json:
        click.echo(json.dumps({"hash": kit.combined(found), "parts": found}, indent=1))
    elif bits:
        for name, value in found.items():
            click.echo(f"{value[:16]}  {name}" + ("  differs" if wrong[name] else ""))
    if not as_json:
        click.echo(f"hash: {kit.combined(found)}")
        ways = ", ".join(f"{isa} ({n} ways)" for isa, n in variants.items())
        click.echo(f"{len(found)} parts on {ways}: {len(found) - len(wrong)} as expected")
    if wrong:
        raise TrainingError(f"{len(wrong)} of {len(found)} parts differ: this build is not right")
