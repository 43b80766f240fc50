# SPDX-License-Identifier: BSD-3-Clause
"""Threads, instruction set and versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastrelu import _core
from fastrelu._arguments import whole_number


def set_num_threads(n: int) -> None:
    """Set how many threads a computation may use.

    Parameters
    ----------
    n : int
        1 to 1024; it may be more than there are cores. Results do not depend on it. Until it is
        set, the number is that in the environment variable ``FASTRELU_NUM_THREADS``, else that in
        ``OMP_NUM_THREADS``, else 1 in a worker of joblib's (loky), else the number of cores that
        this process may use: those of its affinity mask, and no more than the CPU quotas of its
        control groups allow, as they are now. The limits of threadpoolctl set it too.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a whole number in that range.

    Examples
    --------
    >>> import fastrelu
    >>> before = fastrelu.get_num_threads()
    >>> fastrelu.set_num_threads(2)
    >>> fastrelu.get_num_threads()
    2
    >>> fastrelu.set_num_threads(before)
    """
    _core.set_num_threads(whole_number("n", n, low=1, high=1024))


def get_num_threads() -> int:
    """Return how many threads a computation may use.

    Returns
    -------
    int
        The number; see `set_num_threads`.

    Examples
    --------
    >>> import fastrelu
    >>> fastrelu.get_num_threads() >= 1
    True
    """
    return _core.num_threads()


def set_thread_limit(n: int) -> int:
    """Limit the threads of computations that the calling thread starts.

    Parameters
    ----------
    n : int
        1 to 1024; or 0 for no limit except that of `set_num_threads`. Results do not depend on it.

    Returns
    -------
    int
        The previous limit.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a whole number in that range.

    Examples
    --------
    >>> import fastrelu
    >>> before = fastrelu.set_thread_limit(1)
    >>> fastrelu.get_num_threads()
    1
    >>> fastrelu.set_thread_limit(before)
    1
    """
    return _core.set_thread_limit(whole_number("n", n, low=0, high=1024))


def get_isa() -> str:
    """Return the name of the instruction set in use.

    Returns
    -------
    str
        Such as "x86_v4"; `show_config` lists those that can run.

    Examples
    --------
    >>> import fastrelu
    >>> fastrelu.get_isa() in fastrelu.show_config()["available_isas"]  # doctest: +ELLIPSIS
    fastrelu: ...
    True
    """
    return _core.active_isa()


def show_config() -> dict[str, Any]:
    """Print and return the instruction set in use, those that can run, threads and versions.

    Returns
    -------
    dict
        ``isa``, the instruction set in use; ``available_isas``, those that this machine can run;
        ``compiled_isas``, those that this build has kernels for; ``tuning``, the sizes of blocks
        that the kernels of wide layers use, which follow this machine's caches and change no
        result; ``threads``; ``compiler``; and the versions of ``fastrelu``, ``python`` and
        ``numpy``. The environment variables ``FASTRELU_ISA`` and ``FASTRELU_TUNE`` force another
        instruction set, and another tuning, of the form that is printed here.

    Examples
    --------
    >>> import fastrelu
    >>> config = fastrelu.show_config()  # doctest: +ELLIPSIS
    fastrelu: ...
    >>> config["isa"] in config["available_isas"]
    True
    """
    import platform

    import numpy as np

    from fastrelu._version import __version__

    config: dict[str, Any] = {
        "fastrelu": __version__,
        "isa": _core.active_isa(),
        "available_isas": _core.available_isas(),
        "compiled_isas": _core.compiled_isas(),
        "tuning": _core.tuning(),
        "threads": _core.num_threads(),
        "compiler": _core.compiler,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    for key, value in config.items():
        print(f"{key + ':':<16} {', '.join(value) if isinstance(value, list) else value}")
    return config


def get_include() -> str:
    """Return the folder of the package's C and C++ headers.

    Returns
    -------
    str
        The include folder of extension modules that call the compiled functions without the GIL,
        in C or C++ (``fastrelu/core.h``) or Cython (``cimport fastrelu.core``).

    Examples
    --------
    >>> import fastrelu
    >>> from pathlib import Path
    >>> Path(fastrelu.get_include(), "fastrelu", "core.h").exists()
    True
    """
    return str(Path(__file__).parent / "include")


def get_cmake_dir() -> str:
    """Return the folder of the package's CMake configuration.

    Returns
    -------
    str
        What ``fastrelu_DIR`` is to be for ``find_package(fastrelu CONFIG)``, which defines
        ``fastrelu::fastrelu``: the core as a C++ library without Python, compiled with the project
        that links it. Its header is ``fastrelu/model.h``.

    Examples
    --------
    >>> import fastrelu
    >>> from pathlib import Path
    >>> Path(fastrelu.get_cmake_dir(), "fastrelu-config.cmake").exists()
    True
    """
    return str(Path(__file__).parent / "cmake")
