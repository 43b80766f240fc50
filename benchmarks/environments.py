# SPDX-License-Identifier: BSD-3-Clause
"""Where contestants run that this interpreter cannot hold: `python -m benchmarks.environments`.

Makes what the suite's peers need in build/peers/, once: a virtual environment with the last
jax that compiled a scan to one function, and MKL, which NumPy's own code is made to call. A run
passes over what is not there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import build

BUILD = Path(__file__).parent.parent / "build" / "peers"  # beside what tests and releases read
OLD_JAX = "0.4.31"  # later releases run a loop's operations one after the other on the CPU
MKL = "2026.2.0"


@dataclass(frozen=True)
class Place:
    """An interpreter, what it finds first, and more of its environment."""

    python: str = sys.executable
    paths: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    maker: str = ""  # what makes it: an argument of this program

    @property
    def env(self) -> dict[str, str]:
        return dict(self.variables)

    def missing(self) -> str:
        """Return why nothing can run here; "" where it can."""
        needed = [self.python, *self.paths, *self.env.get("LD_PRELOAD", "").split()]
        if all(os.path.exists(path) for path in needed):
            return ""
        return f"not made: run python -m benchmarks.environments {self.maker}"


HERE = Place()


def old_jax() -> Place:
    return Place(str(BUILD / f"jax-{OLD_JAX}" / "bin" / "python"), maker="jax")


def mkl() -> Place:
    """Return this interpreter with MKL's products in place of OpenBLAS's."""
    library = BUILD / f"mkl-{MKL}" / "lib" / "libmkl_rt.so.3"
    preload = f"{build.mkl_library()} {library}"
    variables = (("LD_PRELOAD", preload), ("MKL_THREADING_LAYER", "GNU"))
    return Place(variables=variables, maker="mkl")


def other_build(argument: str) -> tuple[str, Place]:
    """Return the name and the place of another build of fastrelu: a wheel, or a folder with it.

    `NAME=PATH`, or the path alone, whose last part is then the name.
    """
    name, _, text = argument.rpartition("=")
    path = Path(text).resolve()
    if path.suffix == ".whl":
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        folder = BUILD / "also" / f"{path.stem}-{digest}"
        if not folder.exists():
            with zipfile.ZipFile(path) as wheel:
                wheel.extractall(folder)
    else:
        folder = path
    if not (folder / "fastrelu" / "__init__.py").exists():
        raise argparse.ArgumentTypeError(f"expected a wheel or a folder with fastrelu, got {text}")
    return name or path.stem, Place(paths=(str(folder),))


def run(*command: str) -> None:
    print(" ".join(command), flush=True)
    subprocess.run(command, check=True)


def make_old_jax() -> None:
    """Make the virtual environment; jax 0.4.31 has wheels for Python 3.10 to 3.13."""
    folder = BUILD / f"jax-{OLD_JAX}"
    run(sys.executable, "-m", "venv", str(folder))
    packages = (f"jax=={OLD_JAX}", f"jaxlib=={OLD_JAX}")
    run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages)


def make_mkl() -> None:
    """Put MKL's libraries into a folder, and compile what leads NumPy's calls to them."""
    folder = BUILD / f"mkl-{MKL}"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--prefix", str(folder))
    run(*pip, "--ignore-installed", f"mkl=={MKL}")
    problem = build.build_mkl()
    if problem:
        raise SystemExit(problem)


MAKERS = {"jax": make_old_jax, "mkl": make_mkl}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.environments", description=__doc__.splitlines()[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MAKERS)}; all")
    chosen = parser.parse_args().names or list(MAKERS)
    unknown = [name for name in chosen if name not in MAKERS]
    if unknown:
        parser.error(f"expected some of {', '.join(MAKERS)}, got {' '.join(unknown)}")
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        MAKERS[name]()


if __name__ == "__main__":
    main()
