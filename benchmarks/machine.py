# SPDX-License-Identifier: BSD-3-Clause
"""The machine record: what ran, on what, and what the machine itself can do. No host names."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.implementations import UnavailableError
from benchmarks.sections.common import Run, roof
from benchmarks.turns import race

PACKAGES = ("numpy", "torch", "jax", "jaxlib", "scikit-learn", "onnxruntime", "cython", "scipy")
CPU = Path("/sys/devices/system/cpu/cpu0")


def cpu_model() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        for text in lines:
            if text.startswith("model name"):
                return text.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


# Vendor, family -> (last model, name) in ascending order: names of CPUs hide their kind.
KINDS = {
    ("AuthenticAMD", 23): ((0x2F, "Zen 1"), (0xFF, "Zen 2")),
    ("AuthenticAMD", 25): ((0x0F, "Zen 3"), (0x1F, "Zen 4"), (0x5F, "Zen 3"), (0xFF, "Zen 4")),
    ("AuthenticAMD", 26): ((0xFF, "Zen 5"),),
    ("GenuineIntel", 6): (
        (0x3B, "Intel"), (0x3F, "Haswell"), (0x4F, "Broadwell"), (0x5E, "Skylake"),
        (0x6C, "Ice Lake"), (0x8A, "Ice Lake"), (0x8F, "Sapphire Rapids"), (0xA5, "Skylake"),
        (0xAA, "Alder Lake"), (0xAD, "Granite Rapids"), (0xCE, "Alder Lake"),
        (0xCF, "Emerald Rapids"), (0xFF, "Intel"),
    ),
}  # fmt: skip


def cpu_kind() -> dict[str, Any]:
    """Return vendor, family and model of the processor, and what their kind is called."""
    text = read(Path("/proc/cpuinfo")) or ""
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    of = {name.strip(): value.strip() for name, value in fields.items()}
    vendor, family, model = of.get("vendor_id", ""), of.get("cpu family"), of.get("model")
    if family is None or model is None:
        return {"kind": platform.machine()}
    models = KINDS.get((vendor, int(family)), ())
    kind = next((name for last, name in models if int(model) <= last), vendor or "unknown")
    return {"vendor": vendor, "family": int(family), "model": int(model), "kind": kind}


def name_of(machine: dict[str, Any]) -> str:
    """Return what a machine's file of results is called, such as zen4-2."""
    return f"{machine['kind']}-{machine['cores']}".replace(" ", "").lower()


def read(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return None


def caches() -> dict[str, int]:
    """Return bytes of cpu0's data caches by level."""
    sizes = {}
    for index in sorted(CPU.glob("cache/index*")):
        size, kind = read(index / "size"), read(index / "type")
        if size and size.endswith("K") and kind in ("Data", "Unified"):
            sizes[f"L{read(index / 'level')}"] = 1024 * int(size[:-1])
    return sizes


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def bandwidth_sizes() -> dict[str, int]:
    """Return bytes for each thread that lie well inside each cache, and far outside all."""
    sizes = {"L1": 2**14, "L2": 2**18, "L3": 2**22}
    found = caches()
    if "L2" in found:
        sizes["L2"] = found["L2"] // 2
    if "L3" in found:
        # At least beyond the L2s, at most a quarter of what may be shared with other guests.
        sizes["L3"] = max(4 * sizes["L2"], min(found["L3"] // 4, 2**23))
    return {**sizes, "memory": 2**28}


def limits(run: Run) -> dict[str, Any]:
    """Measure peak and bandwidths with the probe, on one and on all threads."""
    contestants = []
    for threads in sorted({1, run.cores}):
        for probe in ("tile float32", "tile float64", "register float32", "register float64"):
            contestants.append(roof(run.isa, probe, threads, label=f"{probe} x{threads}"))
        for probe in ("read", "copy"):
            for level, size in bandwidth_sizes().items():
                label = f"{probe} {level} x{threads}"
                contestants.append(roof(run.isa, probe, threads, size, label=label))
    results = race(run.pool, contestants, 3, 0.06)
    return {
        label: round(result["rate"] / 1e9, 1)
        for label, result in results.items()
        if "rate" in result
    }


def other_environments(run: Run) -> dict[str, Any]:
    """Return what the peers in environments of their own say about themselves."""
    found: dict[str, Any] = {}
    for label, implementation, place in (
        ("jax", "jax_scan", environments.old_jax()),
        ("NumPy, MKL", "numpy_user", environments.mkl()),
    ):
        try:
            found[label] = run.pool.get(implementation, place).ask(do="info")
        except (UnavailableError, RuntimeError) as reason:
            found[label] = str(reason)
    return found


def record(run: Run) -> dict[str, Any]:
    """Return the whole record; rates in GFLOP/s and GB/s."""
    found = {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu_model(),
        **cpu_kind(),
        "architecture": platform.machine(),
        "cores": run.cores,
        "virtual": "hypervisor" in (read(Path("/proc/cpuinfo")) or ""),
        "governor": read(CPU / "cpufreq" / "scaling_governor") or "not exposed",
        "caches": caches(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "fastrelu": {k: v for k, v in run.core.items() if k not in ("python", "numpy")},
        "also": {
            name: run.pool.get("core", place).ask(do="info").get("fastrelu", "?")
            for name, place in run.builds.items()
        },
        "environments": other_environments(run),
        "versions": versions(),
        "limits": limits(run),
    }
    with contextlib.suppress(UnavailableError):
        found["blas"] = (
            run.pool.get("numpy_user").ask(do="info").get("blas", "threadpoolctl missing")
        )
    return found
