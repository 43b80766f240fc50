# SPDX-License-Identifier: BSD-3-Clause
"""Every section of the benchmarks, beside another build of fastrelu, with made-up times."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "benchmarks" / "zen5-2.json"
if not RESULTS.exists():
    pytest.skip("needs the sources", allow_module_level=True)


def made_up_run(also):
    """Return a run whose contestants all take one microsecond."""
    from benchmarks.environments import HERE
    from benchmarks.sections.common import Options, Run

    class MadeUp(Run):
        def __init__(self):
            self.options = Options(rounds=3, also=also)
            self.builds = dict.fromkeys(also, HERE)
            self.core = {"available_isas": ["x86_v4", "x86_v3", "baseline"]}
            self.isa, self.cores = "x86_v4", 2

        def race(self, contestants, net=None):
            time = {"us": 1.0, "rounds": [1.0] * 3, "low": 1.0, "high": 1.0, "cpus": [0, 1]}
            rate = {"rate": 1e11, "rounds": [1e11] * 3, "cpus": [0], "others": 0.0}
            labels = [
                (each.label, each.task) for c in contestants for each in self.by_every_build(c)
            ]
            return {label: dict(rate if task == "roof" else time) for label, task in labels}

    return MadeUp()


@pytest.mark.parametrize("also", [[], ["before"], ["before", "other [one]"]])
def test_every_section_and_its_report(also, tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks import report
    from benchmarks.sections import SECTIONS

    run = made_up_run(also)
    sections = {name: section(run) for name, section in SECTIONS.items()}
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    machine = {**kept["machine"], "also": dict.fromkeys(also, "0.0")}
    results = {"machine": machine, "settings": kept["settings"], "sections": sections}
    (tmp_path / "made-up.json").write_text(json.dumps(results))
    page = report.write(tmp_path)[0].read_text()
    for name in SECTIONS:
        assert f"## {report.PARTS[name][0]}" in page
    assert all(f"fit [{name}]" in page for name in also)
