# SPDX-License-Identifier: BSD-3-Clause
"""The whole suite in one run: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks import build, environments, machine, report
from benchmarks.nets import GRID
from benchmarks.sections import SECTIONS
from benchmarks.sections.common import PEERS, Options, Run
from benchmarks.turns import Pool


def names(known):
    def parse(text: str) -> list[str]:
        chosen = [] if text == "none" else text.split(",")
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, got {text}")
        return chosen

    return parse


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", type=names(SECTIONS), default=list(SECTIONS), metavar="SECTIONS",
                        help=f"comma list of {', '.join(SECTIONS)}")  # fmt: skip
    parser.add_argument("--nets", type=names(GRID), default=list(GRID),
                        help=f"comma list of {', '.join(GRID)}")  # fmt: skip
    parser.add_argument("--peers", type=names(PEERS), default=list(PEERS),
                        help=f"comma list of {', '.join(PEERS)}; or none")  # fmt: skip
    parser.add_argument("--rounds", type=int, help="turns of each contestant (5; quick: 3)")
    parser.add_argument("--seconds", type=float, help="length of a turn (0.12; quick: 0.06)")
    parser.add_argument("--quick", action="store_true", help="short turns, fewer rows")
    parser.add_argument("--also", type=environments.other_build, action="append", default=[],
                        metavar="[NAME=]WHEEL_OR_DIRECTORY",
                        help="another build of fastrelu, measured in the same turns")  # fmt: skip
    parser.add_argument("--machine", help="name of the results' file (made of the processor's "
                        "kind and the number of cores)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("benchmarks/build"),
                        help="folder for results and report (benchmarks/build)")  # fmt: skip
    return parser.parse_args(arguments)


def main() -> int:
    chosen = parse_arguments()
    for problem in build.build():
        print(f"not built: {problem}", file=sys.stderr)
    options = Options(
        nets=chosen.nets,
        rounds=chosen.rounds or (3 if chosen.quick else 5),
        seconds=chosen.seconds or (0.06 if chosen.quick else 0.12),
        quick=chosen.quick,
        peers=chosen.peers,
        also=[name for name, _ in chosen.also],
    )
    results = {"sections": {}}
    chosen.out.mkdir(parents=True, exist_ok=True)
    with Pool() as pool:
        run = Run(options, pool, dict(chosen.also))
        results["settings"] = {**asdict(options), "sections": chosen.only}
        results["machine"] = machine.record(run)
        print(json.dumps(results["machine"], indent=1), flush=True)
        path = chosen.out / f"{chosen.machine or machine.name_of(results['machine'])}.json"
        started = time.perf_counter()
        for name in chosen.only:
            began = time.perf_counter()
            print(f"== {name}", flush=True)
            results["sections"][name] = SECTIONS[name](run)
            print(f"== {name}: {time.perf_counter() - began:.0f} s", flush=True)
            results["seconds"] = round(time.perf_counter() - started)
            path.write_text(json.dumps(results, indent=1) + "\n")
    try:
        print(*report.write(chosen.out), sep="\n")
    except ImportError as error:
        print(f"no report: {error} (extra bench)", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
