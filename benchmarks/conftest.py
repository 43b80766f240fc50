# SPDX-License-Identifier: BSD-3-Clause
"""The implementations that the pytest-benchmark files hold side by side: `pytest benchmarks`.

All run in this one process; `python -m benchmarks` measures in turns, each in its own.
"""

import os
import sys

import pytest

from benchmarks.turns import BLAS_OVERRIDES

# Before NumPy loads its OpenBLAS, which reads them then.
REMOVED = [name for name in BLAS_OVERRIDES if os.environ.pop(name, None) is not None]
if REMOVED and "numpy" in sys.modules:
    raise pytest.UsageError(f"NumPy was imported before {', '.join(REMOVED)} could be unset")

import fastrelu
from benchmarks import build
from benchmarks.implementations import MODULES, UnavailableError, load
from benchmarks.nets import net_of
from benchmarks.quiet import settle
from fastrelu import _core

CORES = [f"core {isa}" for isa in _core.available_isas()]
PEERS = [name for name in MODULES if name not in ("core", "roof")]


def pytest_sessionstart():
    for problem in build.build():
        print(f"not built: {problem}", file=sys.stderr)


def pytest_collection_modifyitems(items):
    for item in items:
        if "/benchmarks/" in item.path.as_posix():
            # What peers deprecate among themselves is not ours to fail on.
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            item.add_marker(pytest.mark.benchmark(max_time=0.2, min_rounds=3, warmup=False))


@pytest.fixture(params=CORES + PEERS)
def implementation(request):
    """Name an implementation; for the core also choose the instruction set."""
    name, _, isa = request.param.partition(" ")
    before = _core.active_isa()
    if isa:
        _core.set_isa(isa)
    yield name
    _core.set_isa(before)


@pytest.fixture
def measure(benchmark, implementation):
    """Return a function (task, group, **specification) that measures or skips."""

    def run(task, group, **spec):
        benchmark.group = group
        if _core.active_isa() == "baseline" and net_of(spec).step_flops > 2e7:
            pytest.skip("baseline emulates fma: seconds here")
        try:
            module = load(implementation)
            if task not in module.TASKS:
                pytest.skip(f"{implementation} has no {task}")
            case = module.TASKS[task](spec)
        except UnavailableError as reason:
            pytest.skip(str(reason))
        case.run(1)
        settle([os.getpid()])
        benchmark.extra_info["steps"] = getattr(case, "steps", 1)
        finish = getattr(case, "finish", None)
        # A plain function is called without the loop around it.
        benchmark(*((case.call,) if finish is None and hasattr(case, "call") else (case.run, 1)))

    return run


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info.pop("node", None)
    machine_info["fastrelu"] = fastrelu.show_config()
