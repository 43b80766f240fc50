# SPDX-License-Identifier: BSD-3-Clause
"""Pages and pictures from the machines' files: `python -m benchmarks.report FOLDER`.

Every machine has a file of results in the folder, and gets a page of its own; results.md shows all
of them side by side. With --readme, the table in that file is made anew from the slowest of them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks import report_machines as machines
from benchmarks import report_tables as tables

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
    "core": ("One core", "Microseconds per step, everything pinned to one core: `fit`, and the "
             "scans of jax, of 512 steps where it says unroll.", tables.one_core, ""),
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


def machine_text(results: dict[str, Any]) -> str:
    machine, settings = results["machine"], results["settings"]
    core, versions = machine["fastrelu"], machine["versions"]
    kind = "virtual machine, " if machine["virtual"] else ""
    caches = ", ".join(f"{name} {size // 1024} KiB" for name, size in machine["caches"].items())
    blas = machine.get("blas")
    kernel = ", ".join(b["architecture"] for b in blas) if isinstance(blas, list) else blas
    lines = [
        f"- {machine['date']}: {machines.cpu_text(machine)}, {machine['cores']} cores ({kind}"
        f"governor {machine['governor']}), {caches}, {machine['memory_gib']} GiB",
        f"- fastrelu {core['fastrelu']}, {core['isa']}, {core['compiler']}",
        "- " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"- OpenBLAS kernel of NumPy: {kernel}",
        f"- medians of {settings['rounds']} turns of {settings['seconds']} s, A before B, then B "
        "before A, each implementation in its own process",
    ]
    if "seconds" in results:
        lines.append(f"- the run took {results['seconds'] / 60:.0f} minutes")
    for label, info in machine.get("environments", {}).items():
        lines.append(f"- {label} in an environment of its own: {machines.environment_text(info)}")
    for name, version in machine.get("also", {}).items():
        lines.append(f"- [{name}]: another build of fastrelu, {version}")
    ran_on = processors(results["sections"])
    if ran_on:
        lines.append(f"- the main threads ran on the processors {ran_on}")
    lines += [f"- {note}" for note in machine.get("notes", ())]
    if settings["quick"]:
        lines.append("- **quick run: a draft, not to be quoted**")
    return "\n".join(lines)


def processors(sections: dict[str, Any]) -> str:
    """Return the numbers of all processors on which a turn ended."""
    seen = {
        cpu
        for section in sections.values()
        for results in section.values()
        for result in results.values()
        for cpu in result.get("cpus", ())
    }
    return ", ".join(map(str, sorted(seen)))


def limits_table(limits: dict[str, float]) -> str:
    names = dict.fromkeys(label.rsplit(" x", 1)[0] for label in limits)
    threads = sorted({int(label.rsplit(" x", 1)[1]) for label in limits})
    rows = [[n, *(str(limits.get(f"{n} x{t}", "-")) for t in threads)] for n in names]
    return tables.table(
        ["GFLOP/s, or GB/s", *(f"{t} thread{'s' * (t > 1)}" for t in threads)], rows
    )


def write(folder: Path, readme: Path | None = None) -> list[Path]:
    """Write the page of each machine and the one of all; return the paths."""
    found = machines.read_all(folder)
    paths = [write_machine(name, results, folder) for name, results in found.items()]
    overview = folder / "results.md"
    overview.write_text(machines.overview(found) + "\n")
    if readme is not None:
        machines.write_readme(found, readme)
        paths.append(readme)
    return [*paths, overview]


def write_machine(name: str, results: dict[str, Any], folder: Path) -> Path:
    """Write one machine's page and its pictures; return the path of the page."""
    from benchmarks import pictures

    machine, sections = results["machine"], results["sections"]
    title = f"# {machines.cpu_text(machine)}, {machine['cores']} cores"
    parts = [title, f"Made by `{machines.COMMAND}`.", machine_text(results)]
    for section, (title, how, make, picture) in PARTS.items():
        if section not in sections or not sections[section]:
            continue
        parts += [f"## {title}", how, make(tables.own(sections[section]), machine)]
        if picture:
            parts.append(f"![{title}]({name}-{picture})")
        parts += [f"Not measured: {reason}." for reason in tables.skipped(sections[section])]
        noisy = disturbed(sections[section])
        if noisy:
            parts.append(f"Other programs ran during: {', '.join(noisy)}.")
    if machine.get("also"):
        how = "Its time over this build's, in the geometric mean over a section's cases."
        parts += ["## Other builds of fastrelu", how, tables.builds(sections)]
    parts += [
        "## The machine's limits",
        "By the suite's own probe, on one and on all cores: the tile is the roof above.",
        limits_table(machine["limits"]),
    ]
    if sections.get("fit"):
        path = folder / f"{name}-roofline.png"
        pictures.roofline(tables.own(sections["fit"]), machine, path)
    for section, title, x in (
        ("width", "Step of a w-w-w net, 128 rows", "width w"),
        ("batch", "Step of 256-256-256-10", "rows of the minibatch"),
    ):
        if sections.get(section):
            path = folder / f"{name}-{section}.png"
            pictures.scaling(tables.own(sections[section]), title, x, path)
    path = folder / f"{name}.md"
    path.write_text("\n\n".join(parts) + "\n")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--readme", type=Path, help="the file whose table is made anew")
    chosen = parser.parse_args()
    print(*write(chosen.folder, chosen.readme), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
