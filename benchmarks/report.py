# SPDX-License-Identifier: BSD-3-Clause
"""Markdown tables and pictures from results.json: `python -m benchmarks.report JSON FOLDER`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import report_tables as tables

COMMAND = "python -m benchmarks --out docs/benchmarks"
# Section -> (title, how to read it, table, picture).
PARTS: dict[str, tuple[str, str, Any, str]] = {
    "fit": (
        "Training",
        "Microseconds per step. fastrelu: inside one `fit` call over 50,000 shuffled rows, gather "
        "and history included; the peers: the same step on one fixed minibatch, without a gather; "
        "scikit-learn: `partial_fit`, the faster of one call per step and one call for 64 steps.",
        tables.fit,
        "roofline.png",
    ),
    "float64": ("float64", "Microseconds per step.", tables.float64, ""),
    "isa": ("Instruction sets", "Microseconds per step, all threads.", tables.isa, ""),
    "neighbour": (
        "Beside a busy process",
        "Microseconds per step, alone and while another process keeps one core busy.",
        tables.neighbour,
        "",
    ),
    "row": ("One row", "Microseconds for `net(x)` of one row, from Python.", tables.forward, ""),
    "rows": (
        "Many rows",
        "Microseconds for 100,000 rows: contiguous, every other row of an array, and bytes. "
        "The peers also in chunks of 1,000 rows.",
        tables.forward,
        "",
    ),
    "update": ("Update rules", "Microseconds per step, and over plain SGD. Decayed: state that was "
               "large and has had no gradient for 10,000 steps.", tables.update, ""),
    "dropout": ("Dropout", "Microseconds per step of 64-128-128-10, 256 rows, one thread, and over "
                "the step without dropout.", tables.dropout, ""),
    "odd": ("Odd sizes", "Microseconds per step.", tables.odd, ""),
    "width": ("Width", "Microseconds per step of w-w-w, 128 rows.", tables.sweep, "width.png"),
    "batch": ("Rows of a minibatch", "Microseconds per step of 256-256-256-10.", tables.sweep,
              "batch.png"),
    "sparse": ("Sparse rows", "Microseconds per minibatch of 128 CSR rows, hidden layer of 64; "
               "20,000 columns with 200 entries per row unless said otherwise.",
               tables.sparse, ""),
}  # fmt: skip


def disturbed(section: dict[str, Any]) -> list[str]:
    """Return what other programs' processor time may have slowed down."""
    return [
        f"{case}: {label}"
        for case, results in section.items()
        for label, result in results.items()
        if result.get("others", 0) > 0.1
    ]


def machine_text(machine: dict[str, Any], settings: dict[str, Any]) -> str:
    core, versions = machine["fastrelu"], machine["versions"]
    kind = "virtual machine, " if machine["virtual"] else ""
    caches = ", ".join(f"{name} {size // 1024} KiB" for name, size in machine["caches"].items())
    blas = machine.get("blas")
    kernel = ", ".join(b["architecture"] for b in blas) if isinstance(blas, list) else blas
    lines = [
        f"- {machine['date']}: {machine['cpu']}, {machine['cores']} cores ({kind}governor "
        f"{machine['governor']}), {caches}, {machine['memory_gib']} GiB",
        f"- fastrelu {core['fastrelu']}, {core['isa']}, {core['compiler']}",
        "- " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"- OpenBLAS kernel of NumPy: {kernel}",
        f"- medians of {settings['rounds']} turns of {settings['seconds']} s, A before B, then B "
        "before A, each implementation in its own process",
    ]
    if settings["quick"]:
        lines.append("- **quick run: a draft, not to be quoted**")
    return "\n".join(lines)


def limits_table(limits: dict[str, float]) -> str:
    names = dict.fromkeys(label.rsplit(" x", 1)[0] for label in limits)
    threads = sorted({int(label.rsplit(" x", 1)[1]) for label in limits})
    rows = [[n, *(str(limits.get(f"{n} x{t}", "-")) for t in threads)] for n in names]
    return tables.table(
        ["GFLOP/s, or GB/s", *(f"{t} thread{'s' * (t > 1)}" for t in threads)], rows
    )


def write(results: dict[str, Any], folder: Path) -> Path:
    """Write results.md and the pictures; return the path of results.md."""
    from benchmarks import pictures

    machine, sections = results["machine"], results["sections"]
    parts = ["# Benchmarks", f"Made by `{COMMAND}`.", machine_text(machine, results["settings"])]
    for name, (title, how, make, picture) in PARTS.items():
        if name not in sections or not sections[name]:
            continue
        parts += [f"## {title}", how, make(sections[name], machine)]
        if picture:
            parts.append(f"![{title}]({picture})")
        parts += [f"Not measured: {reason}." for reason in tables.skipped(sections[name])]
        noisy = disturbed(sections[name])
        if noisy:
            parts.append(f"Other programs ran during: {', '.join(noisy)}.")
    parts += [
        "## The machine's limits",
        "By the suite's own probe, on one and on all cores: the tile is the roof above.",
        limits_table(machine["limits"]),
    ]
    if sections.get("fit"):
        pictures.roofline(sections["fit"], machine, folder / "roofline.png")
    for name, title, x in (
        ("width", "Step of a w-w-w net, 128 rows", "width w"),
        ("batch", "Step of 256-256-256-10", "rows of the minibatch"),
    ):
        if sections.get(name):
            pictures.scaling(sections[name], title, x, folder / f"{name}.png")
    path = folder / "results.md"
    path.write_text("\n\n".join(parts) + "\n")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("json", type=Path)
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    print(write(json.loads(chosen.json.read_text()), chosen.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
