# SPDX-License-Identifier: BSD-3-Clause
"""Compiles what the suite brings along: `python -m benchmarks.build`.

native/roof.c once per instruction set with the system's C compiler, and the Cython baseline.
Results go to benchmarks/build/.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / "build"
X86_V4 = ["-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]
ISAS = {
    "x86_v4": [*X86_V4, "-mprefer-vector-width=512", "-DVECTOR_BYTES=64", "-DTILE_ROWS=12"],
    "x86_v3": ["-mavx2", "-mfma", "-DVECTOR_BYTES=32", "-DTILE_ROWS=6"],
    "baseline": ["-DVECTOR_BYTES=16", "-DTILE_ROWS=6"],
    "neon": ["-DVECTOR_BYTES=16", "-DTILE_ROWS=12"],
}


def compiler() -> str | None:
    return os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")


def roof_library(isa: str) -> Path:
    return BUILD / f"roof_{isa}.so"


def cython_library() -> Path:
    return BUILD / f"_cython_baseline{sysconfig.get_config_var('EXT_SUFFIX')}"


def mark_library() -> Path:
    return BUILD / "callgrind_mark.so"


def mkl_library() -> Path:
    return BUILD / "mkl_numpy.so"


def newer(source: Path, result: Path) -> bool:
    return not result.exists() or source.stat().st_mtime > result.stat().st_mtime


def build_roofs(cc: str) -> list[str]:
    """Return what went wrong; an empty list if all is built."""
    x86 = platform.machine() in ("x86_64", "AMD64")
    names = ("x86_v4", "x86_v3", "baseline") if x86 else ("neon", "baseline")
    source = HERE / "native" / "roof.c"
    BUILD.mkdir(exist_ok=True)
    problems = []
    for isa in names:
        result = roof_library(isa)
        if newer(source, result) or newer(Path(__file__), result):
            command = [cc, "-O3", "-std=gnu11", "-ffp-contract=fast", "-fPIC", "-shared", "-Wall"]
            command += [*ISAS[isa], str(source), "-o", str(result), "-lpthread"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                problems.append(f"roof.c for {isa}: {done.stderr.strip()}")
    return problems


def build_cython(cc: str) -> list[str]:
    try:
        import numpy
        from Cython.Compiler.Main import compile as cythonize
    except ImportError as error:
        return [f"the Cython baseline: {error}"]
    source, result = HERE / "native" / "_cython_baseline.pyx", cython_library()
    if not newer(source, result):
        return []
    c_file = BUILD / "_cython_baseline.c"
    if cythonize(str(source), output_file=str(c_file), language_level=3).num_errors:
        return ["the Cython baseline: Cython found errors"]
    include = [f"-I{sysconfig.get_path('include')}", f"-I{numpy.get_include()}"]
    # As its user would build it, for the machine at hand and with the freedoms he would take.
    flags = ["-O3", "-march=native", "-ffast-math", "-fPIC", "-shared", "-fopenmp", "-w"]
    done = subprocess.run(
        [cc, *flags, *include, str(c_file), "-o", str(result)], capture_output=True, text=True
    )
    return [f"the Cython baseline: {done.stderr.strip()}"] if done.returncode else []


def build_library(name: str, result: Path) -> str | None:
    """Compile a file of native/ to a shared library; return what went wrong."""
    BUILD.mkdir(exist_ok=True)
    cc = compiler()
    if cc is None:
        return "no C compiler found (set CC)"
    command = [cc, "-O2", "-fPIC", "-shared", str(HERE / "native" / name), "-o", str(result)]
    done = subprocess.run(command, capture_output=True, text=True)
    return f"{name}: {done.stderr.strip()}" if done.returncode else None


def build_mkl() -> str | None:
    """Compile what leads NumPy's calls to MKL; return what went wrong."""
    return build_library("mkl_numpy.c", mkl_library())


def build_mark() -> str | None:
    """Compile the mark that instructions.py sets; return what went wrong."""
    return build_library("callgrind_mark.c", mark_library())


def build() -> list[str]:
    """Compile what is out of date; return what could not be, as lines."""
    cc = compiler()
    if cc is None:
        return ["no C compiler found (set CC)"]
    return build_roofs(cc) + build_cython(cc)


if __name__ == "__main__":
    problems = build()
    print("\n".join(problems) or "built")
    sys.exit(bool(problems))
