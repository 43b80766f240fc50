# SPDX-License-Identifier: BSD-3-Clause
"""The gates that a change has to pass, one word each: ``nox -s lint``, ``nox -s sanitize``, ...

``nox`` alone runs those of GATES, as .ci/run does after the tests. They use the environment that
is active, with fastrelu and its extras ``test`` and ``dev`` in it, and build into build/.
"""

import os
import shutil
import sys
from pathlib import Path

import nox

sys.path.append(str(Path(__file__).parent / "scripts"))
from release import interpreters

# The quick ones first; .ci/run and .pre-commit-config.yaml have these names, and no list but this.
# .ci/run runs those that keep one core busy (the tag one_core) beside those that compile on all.
GATES = [
    "lint", "format", "types", "stubs", "docs", "gcc", "clang", "sanitize", "newer", "instructions"
]  # fmt: skip
nox.options.default_venv_backend = "none"
nox.options.sessions = GATES

ROOT = Path(__file__).parent
# Tests of the borders to Python, NumPy, pandas, pyarrow and scikit-learn.
CHANGED_BY_PACKAGES = """
    construction date_formats distributed_tables fast_calls imports meaning_vector moments network
    objects odd_files piece_inputs preprocess python_threads sklearn_parity sources sparse
    streaming_text tabular trainer types_without_arrow
""".split()
PACKAGES = {"g++": "g++", "clang++": "clang"}  # Debian's names
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"


def cpp_sources() -> list[str]:
    """Return every C and C++ file of the core, its tests, the bindings and the benchmarks."""
    folders = ("cpp", "src", "benchmarks/native", "python/fastrelu/include", "examples/cpp")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    found = [path for path in files if path.suffix in (".c", ".h", ".cpp")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


@nox.session
def lint(session: nox.Session) -> None:
    """Check Python for mistakes, names, imports and docstrings (ruff)."""
    session.run("ruff", "check")


@nox.session
def format(session: nox.Session) -> None:
    """Check that Python and C++ are laid out as ruff and clang-format do it."""
    session.run("ruff", "format", "--check")
    session.run("clang-format", "--dry-run", "-Werror", *cpp_sources())


@nox.session(tags=["one_core"])
def types(session: nox.Session) -> None:
    """Check the package's types (mypy, strict)."""
    session.run("mypy")


@nox.session
def distributed(session: nox.Session) -> None:
    """Run all tests of MPI, with up to four processes, and of Dask; no gate: `tests` has some."""
    whole = {"FASTRELU_DISTRIBUTED": "all"}
    session.run("python", "-m", "pytest", "tests/test_mpi.py", "tests/test_dask.py", env=whole)


@nox.session(tags=["one_core"])
def stubs(session: nox.Session) -> None:
    """Hold the stub of the compiled module beside the module that is installed (stubtest)."""
    allowed = "tests/stubtest_allowlist.txt"
    session.run("python", "-m", "mypy.stubtest", "fastrelu._core", "--allowlist", allowed)


@nox.session(tags=["one_core"])
def docs(session: nox.Session) -> None:
    """Build the site into build/site, fastrelu(1) into build/man; warnings are errors (Sphinx)."""
    session.run(
        "python", "-m", "sphinx", "-W", "--keep-going", "-q", "-d", "build/site-cache",
        "docs", "build/site",
    )  # fmt: skip
    session.run(
        "python", "-m", "sphinx", "-W", "-q", "-b", "man", "-d", "build/site-cache", "docs",
        "build/man",
    )  # fmt: skip


def build(session: nox.Session, compiler: str, folder: str, *options: str) -> None:
    """Build with `compiler`, warnings as errors, the core's tests included, and run those."""
    if shutil.which(compiler) is None:
        package = PACKAGES[compiler]
        session.error(f"{compiler} is not there (Debian: apt-get install {package})")
    out = f"build/{folder}"
    flags = [f"-DCMAKE_CXX_COMPILER={compiler}", "-DFASTRELU_WERROR=ON", "-DFASTRELU_CPP_TESTS=ON"]
    flags += [*with_cache(), *options]
    session.run("cmake", "-S", ".", "-B", out, "-G", "Ninja", *flags, silent=True)
    session.run("cmake", "--build", out, "-j", str(os.cpu_count() or 1))
    session.run(f"{out}/core_tests")


def imported(session: nox.Session, folder: str) -> None:
    """Load the module that was built: a linker lets a module lack what no other library has."""
    code = "import _core; print(_core.available_isas())"
    session.run("python", "-c", code, env={"PYTHONPATH": str(ROOT / "build" / folder)})


def only_what_runs_here() -> list[str]:
    """Return the options that leave out the kernels that this processor cannot run."""
    known = Path("/proc/cpuinfo")
    return [] if not known.exists() or "avx512" in known.read_text() else ["-DFASTRELU_X86_V4=OFF"]


def with_cache() -> list[str]:
    """Return the options that keep what is compiled, where ccache is there."""
    found = shutil.which("ccache") is not None
    return ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if found else []


def with_python(session: nox.Session) -> list[str]:
    """Return the options that find this Python and its pybind11."""
    where = session.run("python", "-m", "pybind11", "--cmakedir", silent=True, log=False)
    python = session.run(
        "python", "-c", "import sys; print(sys.executable)", silent=True, log=False
    )
    return [f"-Dpybind11_DIR={str(where).strip()}", f"-DPython_EXECUTABLE={str(python).strip()}"]


@nox.session(tags=["all_cores"])
def gcc(session: nox.Session) -> None:
    """Build all of the C++ with GCC, as it is released, and run the core's tests."""
    build(session, "g++", "gcc", *with_python(session))
    imported(session, "gcc")


@nox.session(tags=["all_cores"])
def clang(session: nox.Session) -> None:
    """Build all of the C++ with Clang and run the core's tests."""
    # Its warnings come before optimization, which would take most of the time.
    build(session, "clang++", "clang", *with_python(session), "-DFASTRELU_OPTIMIZE=-O1")
    imported(session, "clang")


@nox.session(tags=["all_cores"])
def sanitize(session: nox.Session) -> None:
    """Run the core's tests under Address- and UndefinedBehaviorSanitizer."""
    # The kernels' checks take minutes to optimize and a minute to run as they are; what cannot run
    # here finds nothing, and `gcc` compiles it.
    options = ["-DFASTRELU_PYTHON=OFF", "-DCMAKE_BUILD_TYPE=None", "-DFASTRELU_OPTIMIZE=-O0"]
    options += only_what_runs_here()
    build(session, "g++", "sanitize", *options, f"-DCMAKE_CXX_FLAGS=-O1 -g1 {SANITIZERS}")


@nox.session(tags=["all_cores"])
def newer(session: nox.Session) -> None:
    """Install for each newer CPython that is here, and run tests of what its packages change."""
    pythons = [path for minor, path in interpreters().items() if minor > sys.version_info.minor]
    if not pythons:
        session.skip("no newer CPython is here")
    options = {"CMAKE_ARGS": "-DFASTRELU_WERROR=ON"}
    if shutil.which("ccache") is not None:
        options["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
    chosen = session.posargs or [f"tests/test_{name}.py" for name in CHANGED_BY_PACKAGES]
    folder = ROOT / "build" / "newer"
    for python in pythons:
        session.run(python, "-m", "venv", "--clear", str(folder), external=True)
        own = str(folder / "bin" / "python")
        session.run(own, "-m", "pip", "install", "-q", ".[test]", env=options, external=True)
        session.run(own, "-m", "pytest", "-n", "auto", "--dist", "loadfile", *chosen, external=True)


@nox.session
def valgrind(session: nox.Session) -> None:
    """Run the core's tests under valgrind's memcheck."""
    if shutil.which("valgrind") is None:
        session.error("valgrind is not there (Debian: apt-get install valgrind)")
    build(session, "g++", "gcc", *with_python(session))
    # Not the test of fma, of which valgrind makes its own. Leaks are for `sanitize` to find: a
    # child of a fork abandons the threads that it has not, and what they had.
    session.run(
        "valgrind", "--error-exitcode=9", "build/gcc/core_tests",
        "-the_emulated_fma_is_the_processors", external=True,
    )  # fmt: skip


@nox.session
def sanitize_threads(session: nox.Session) -> None:
    """Run the core's tests of threads under ThreadSanitizer."""
    options = ["-DFASTRELU_PYTHON=OFF", "-DCMAKE_BUILD_TYPE=None", "-DFASTRELU_OPTIMIZE=-O0"]
    options += only_what_runs_here()
    flags = "-DCMAKE_CXX_FLAGS=-O1 -g1 -fsanitize=thread"
    session.env["TSAN_OPTIONS"] = "die_after_fork=0"  # a child of a fork starts threads of its own
    build(session, "g++", "sanitize-threads", *options, flags)


def package_with(session: nox.Session, folder: str, flags: str, *options: str) -> Path:
    """Compile the module with `flags` alone and return a folder with a package that has it."""
    out, package = ROOT / "build" / folder, ROOT / "build" / f"{folder}-package" / "fastrelu"
    session.run(
        "cmake", "-S", ".", "-B", str(out), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None",
        "-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF", f"-DCMAKE_CXX_FLAGS={flags}",
        *options, *only_what_runs_here(), *with_python(session), *with_cache(), silent=True,
    )  # fmt: skip
    session.run("cmake", "--build", str(out), "-j", str(os.cpu_count() or 1))
    shutil.copytree(ROOT / "python" / "fastrelu", package, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("*.so", "__pycache__"))  # fmt: skip
    for module in out.glob("_core*.so"):
        shutil.copy(module, package)
    return package.parent


def libraries_of_gcc(session: nox.Session, *names: str) -> str:
    """Return where GCC's libraries are, as LD_PRELOAD takes them."""
    paths = [
        session.run("gcc", f"-print-file-name=lib{name}.so", silent=True, log=False)
        for name in names
    ]
    return ":".join(str(path).strip() for path in paths)


NOT_SANITIZED = (
    "command_resume.py::test_interrupted_inside_an_epoch",  # takes many minutes
    "examples.py",  # so do these
    "cpp_package.py",  # compiles with what is installed
    "allocations.py",  # preloads a library of its own
    # The sanitizer keeps what is freed,
    "reliability_processes.py::test_no_memory_is_lost",
    "row_derivatives.py::test_memory_is_a_bound",
    # and refuses CasADi's plugins, which are loaded with RTLD_DEEPBIND.
    "onnx_readers.py::test_casadis_own_reader",
    "to_casadi.py::test_an_optimum_is_that_of_a_grid",
)


@nox.session
def sanitize_python(session: nox.Session) -> None:
    """Run Python's tests, or those named, with the module under both sanitizers (an hour)."""
    flags = f"-O1 -g1 {SANITIZERS}"
    # Kernels without optimization compile sooner, but the tests then take hours.
    packages = package_with(session, "sanitize-python", flags, "-DFASTRELU_OPTIMIZE=-O1")
    environment = {
        "PYTHONPATH": str(packages),
        "LD_PRELOAD": libraries_of_gcc(session, "asan", "ubsan"),
        # Python itself keeps memory to its end; a fork of a sanitized process is slow but right.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "CI": "1",  # Hypothesis then has no deadlines, which sanitized code would miss
    }
    chosen = session.posargs or ["-n", "auto", "--dist", "loadfile"]
    if not session.posargs:
        chosen += [f"--deselect=tests/test_{name}" for name in NOT_SANITIZED]
    session.run("python", "-m", "pytest", "-p", "no:cacheprovider", *chosen, env=environment)


@nox.session
def sanitize_threads_python(session: nox.Session) -> None:
    """Run Python's tests of threads, or those named, with the module under ThreadSanitizer."""
    flags, reports = "-O1 -g1 -fsanitize=thread", ROOT / "build" / "threads-python"
    packages = package_with(session, "sanitize-threads-python", flags, "-DFASTRELU_OPTIMIZE=-O0")
    for old in reports.parent.glob(f"{reports.name}.*"):
        old.unlink()
    environment = {
        "PYTHONPATH": str(packages),
        "LD_PRELOAD": libraries_of_gcc(session, "tsan"),
        # What is not compiled so (CPython, NumPy, the loader) is not looked at, nor are its locks:
        # the interpreter's own orders nothing that the module does. Nothing else is left out.
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:die_after_fork=0:exitcode=66:"
        f"log_path={reports}",
    }
    chosen = session.posargs or [
        f"tests/test_{name}.py"
        for name in ("python_threads", "construction", "process_settings", "thread_numbers")
    ]
    if not session.posargs:  # the sanitizer has a thread of its own, which stays on all cores
        chosen.append(
            "--deselect=tests/test_thread_numbers.py::test_affinity_narrowed_later_is_noticed"
        )
    # The sanitizer needs addresses that a randomized layout may not leave free.
    command = ["setarch", "-R", "python", "-m", "pytest", "-p", "no:cacheprovider", *chosen]
    session.run(*command, env=environment, external=True, success_codes=[0, 66])
    if found := sorted(reports.parent.glob(f"{reports.name}.*")):  # of children, too
        session.error(f"reports: {', '.join(map(str, found))}")


@nox.session
def optimizations(session: nox.Session) -> None:
    """Compile the module with other optimizations and hold its bits to those of the releases."""
    for compiler, level in (("g++", "-O0"), ("g++", "-O3"), ("clang++", "-O2")):
        options = [f"-DCMAKE_CXX_COMPILER={compiler}", f"-DFASTRELU_OPTIMIZE={level}"]
        packages = package_with(session, f"optimizations-{compiler}{level}", level, *options)
        environment = {"PYTHONPATH": str(packages)}
        session.run("python", "-m", "fastrelu", "selftest", "--bits", env=environment)


@nox.session
def aarch64(session: nox.Session) -> None:
    """Build the core for aarch64 with Debian's cross compiler and run its tests under qemu."""
    compiler, emulator = "aarch64-linux-gnu-g++", "qemu-aarch64"
    for program, package in ((compiler, "g++-aarch64-linux-gnu"), (emulator, "qemu-user")):
        if shutil.which(program) is None:
            session.error(f"{program} is not there (Debian: apt-get install {package})")
    session.run(
        "cmake", "-S", ".", "-B", "build/aarch64", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None",
        "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_CXX_FLAGS=-O2 -Wno-psabi",
        "-DFASTRELU_OPTIMIZE=-O2", "-DFASTRELU_PYTHON=OFF", "-DFASTRELU_CPP_TESTS=ON",
        "-DFASTRELU_WERROR=ON", silent=True,
    )  # fmt: skip
    session.run("cmake", "--build", "build/aarch64", "-j", str(os.cpu_count() or 1))
    # Not the fork of a process with threads, at which the emulator itself ends (7.2).
    root = ["-L", "/usr/aarch64-linux-gnu"]
    session.run(emulator, *root, "build/aarch64/core_tests", "-threads_after_a_fork", external=True)


@nox.session(tags=["one_core"])
def instructions(session: nox.Session) -> None:
    """Count the instructions of small cases under valgrind: a guard that needs no clock."""
    session.run("python", "-m", "benchmarks.instructions")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests of Python, or those that are named: ``nox -s tests -- tests/test_x.py``."""
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def doctest(session: nox.Session) -> None:
    """Run the examples in the docstrings, in README.md and in docs/ (the tests run them too)."""
    session.run("python", "-m", "pytest", "tests/test_docstrings.py", "tests/test_docs_blocks.py")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build a wheel into dist/."""
    session.run("python", "-m", "pip", "wheel", "--no-deps", "--wheel-dir", "dist", ".")
