# SPDX-License-Identifier: BSD-3-Clause
"""The results of several machines side by side, and the README's table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks import report_tables as tables
from benchmarks.nets import GRID, Net
from benchmarks.sections.common import FAMILIES, PEERS, fastest_peer, microseconds, show

Machines = dict[str, dict[str, Any]]
COMMAND = "python -m benchmarks --out docs/benchmarks"
IN_README = ("policy", "tiny", "digits", "tabular", "mnist", "deep")
BEGIN, END = "<!-- python -m benchmarks.report writes from here -->", "<!-- to here -->"


def read_all(folder: Path) -> Machines:
    """Return the results in a folder by the names of their files, sorted by those."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        if "machine" in content and "sections" in content:
            found[path.stem] = content
    return found


def cpu_text(machine: dict[str, Any]) -> str:
    kind = machine.get("kind")
    return f"{machine['cpu']} ({kind})" if kind else str(machine["cpu"])


def environment_text(info: Any) -> str:
    """Return what a peer in an environment of its own is, or why it did not run."""
    if not isinstance(info, dict):
        return str(info)
    keep = ("jax", "numpy")
    return ", ".join(f"{name} {info[name]}" for name in keep if name in info)


def geometric_mean(values: Iterable[float]) -> float | None:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else None


def times_as_fast(results: dict[str, Any]) -> tuple[float, str] | None:
    """Return the fastest peer's time over ours, and who that is."""
    ours, best = microseconds(results, "fit"), fastest_peer(results, list(PEERS))
    return (best[1] / ours, best[0]) if ours and best else None


def slowest(machines: Machines) -> str:
    """Return the machine whose steps take longest, in the geometric mean over the nets."""

    def mean(name: str) -> float:
        found = machines[name]["sections"]["fit"]
        times = [microseconds(found.get(net, {}), "fit") for net in GRID]
        return geometric_mean(time for time in times if time) or 0.0

    return max((name for name in machines if machines[name]["sections"].get("fit")), key=mean)


def overview(machines: Machines) -> str:
    """Return the page of all machines."""
    parts = [
        "# Benchmarks",
        f"Made by `{COMMAND}` on each machine: a file and a page for each.",
        "\n".join(
            f"- [{name}]({name}.md): {cpu_text(each['machine'])}, {each['machine']['cores']} "
            f"cores, {each['machine']['date']}"
            for name, each in machines.items()
        ),
        "## Training",
        "Microseconds per step of `fit` over shuffled rows, float32, and the time of the fastest "
        "peer of the suite over ours.",
        training(machines),
        "## The share of the machine",
        "A step's multiply-adds a second as a share of what a tile reaches that reads from the L1 "
        "cache, on all cores and on one.",
        shares(machines),
        "## Many rows",
        "The fastest peer's time over ours for 100,000 rows.",
        forward(machines),
    ]
    toc = ["```{toctree}", ":hidden:", "", *machines, "```"]
    return "\n\n".join([*parts, "\n".join(toc)])


def of_each(machines: Machines, section: str, case: str) -> list[dict[str, Any]]:
    return [each["sections"].get(section, {}).get(case, {}) for each in machines.values()]


def training(machines: Machines) -> str:
    rows, ratios = [], [[] for _ in machines]  # type: ignore[var-annotated]
    for net in GRID:
        cells = []
        for results, ratios_here in zip(of_each(machines, "fit", net), ratios, strict=True):
            found = times_as_fast(results)
            cells.append(show(microseconds(results, "fit")))
            cells.append(f"x{show(found[0])} {found[1]}" if found else "-")
            ratios_here += [found[0]] if found else []
        rows.append([tables.net_title(net), *cells])
    means = [tables.times(geometric_mean(each)) for each in ratios]
    rows.append(["geometric mean", *(cell for mean in means for cell in ("", mean))])
    head = [text for name in machines for text in (name, "fastest peer")]
    return tables.table(["net", *head], rows)


def shares(machines: Machines) -> str:
    rows = []
    for net in GRID:
        cells = []
        for each, results in zip(machines.values(), of_each(machines, "fit", net), strict=True):
            for label, roof in (("fit", f"roof {each['machine']['cores']}"), ("fit 1", "roof 1")):
                share = tables.roof_share(GRID[net], results.get(label, {}), results.get(roof, {}))
                cells.append(tables.percent(share))
        rows.append([net, *cells])
    head = [text for name in machines for text in (name, "one core")]
    return tables.table(["net", *head], rows)


def forward(machines: Machines) -> str:
    cases = dict.fromkeys(case for m in machines.values() for case in m["sections"].get("rows", {}))
    rows = []
    for case in cases:
        cells = []
        for results in of_each(machines, "rows", case):
            results = tables.own({case: results})[case]
            ours = microseconds(results, "fastrelu")
            best = fastest_peer(results, [label for label in results if label != "fastrelu"])
            cells.append(f"x{show(best[1] / ours)} {best[0]}" if ours and best else "-")
        rows.append([case, *cells])
    return tables.table(["case", *machines], rows)


def short(net: Net) -> str:
    """Return a net's widths, equal ones in a row counted."""
    runs = [(width, len(list(same))) for width, same in groupby(net.widths)]
    return "-".join(f"{width} x {n}" if n > 2 else "-".join([str(width)] * n) for width, n in runs)


def readme_table(machines: Machines) -> str:
    """Return the README's words and table, from the slowest machine."""
    name = slowest(machines)
    machine, found = machines[name]["machine"], machines[name]["sections"]["fit"]
    rows = []
    for net in IN_README:
        results = found.get(net, {})
        best = times_as_fast(results)
        families = [fastest_peer(results, labels) for labels in FAMILIES.values()]
        rows.append([
            f"{short(GRID[net])}, {GRID[net].batch}",
            show(microseconds(results, "fit")),
            *(show(family[1] if family else None) for family in families),
            f"x{show(best[0], '{:.1f}')} ({best[1]})" if best else "-",
        ])  # fmt: skip
    among = f", the slowest of {len(machines)} machines" if len(machines) > 1 else ""
    text = (
        "Microseconds for one training step, in float32, with squared error and plain SGD, on "
        f"{machine['cores']} cores of an\n{cpu_text(machine)}{among}. fastrelu runs inside one "
        "`fit` over 50,000 shuffled rows, the others on one\nfixed minibatch, each library at the "
        "fastest of its settings in the suite. The last column compares fastrelu\nwith the fastest "
        "of all:"
    )
    head = ["net, batch size", "fastrelu", *FAMILIES, "times as fast as"]
    return f"{text}\n\n{tables.table(head, rows)}"


def write_readme(machines: Machines, path: Path) -> None:
    """Put the table between the two marks in a file."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{path}: expected the lines {BEGIN} and {END} in it")
    path.write_text(f"{before}{BEGIN}\n\n{readme_table(machines)}\n\n{END}{after}")
