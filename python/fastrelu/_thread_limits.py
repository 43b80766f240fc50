# SPDX-License-Identifier: BSD-3-Clause
"""How other programs' limits of threads reach the core: threadpoolctl's, and loky's workers."""

from __future__ import annotations

import importlib
import sys
import threading
from contextlib import suppress
from importlib.machinery import ModuleSpec
from typing import Any

from fastrelu import _core

NAME = "threadpoolctl"
_registering = threading.Lock()
_registered: list[Any] = []


def register(threadpoolctl: Any) -> None:
    """Register the core with threadpoolctl, whose limits it then follows; once with each."""
    with _registering:
        if not any(module is threadpoolctl for module in _registered):
            _registered.append(threadpoolctl)
            threadpoolctl.register(_controller(threadpoolctl))


def _controller(threadpoolctl: Any) -> Any:
    """Return how threadpoolctl asks for the core's threads and sets them."""

    class CoreController(threadpoolctl.LibController):  # type: ignore[misc]
        """The threads of fastrelu, for threadpoolctl."""

        user_api = "fastrelu"
        internal_api = "fastrelu"
        filename_prefixes = ("_core",)  # others' modules may be called so: check_symbols tells
        check_symbols = ("fastrelu_get_num_threads", "fastrelu_set_num_threads")

        def get_num_threads(self) -> int:
            return int(self.dynlib.fastrelu_get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.fastrelu_set_num_threads(num_threads)

        def get_version(self) -> str | None:
            # None is its "unknown": an error here would end what others do with their threads.
            try:
                from fastrelu._version import __version__
            except ImportError:  # PackageNotFoundError: run from its folder, and not installed
                return None
            return __version__

    return CoreController


class _Watch:
    """Registers the core when threadpoolctl is imported; not there, it costs nothing.

    It stays until threadpoolctl has been executed: others look for it, too, without importing it,
    and several threads may look at once.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find threadpoolctl as others do, and have it run `register` at the end."""
        if name != NAME:
            return None
        finders = [
            each for each in sys.meta_path if each is not self and hasattr(each, "find_spec")
        ]
        found = (finder.find_spec(name, path, target) for finder in finders)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None:
            _leave(self)  # it is not there
        elif spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                run(module)
                register(module)
                _leave(self)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _leave(watch: _Watch) -> None:
    with suppress(ValueError):  # another thread has done so
        sys.meta_path.remove(watch)


def is_worker() -> bool:
    """Return whether this process is a worker of loky (joblib), which runs one on each core."""
    processes = sys.modules.get("multiprocessing.process")
    current = None if processes is None else type(processes.current_process())
    return current is not None and current.__module__.endswith("loky.backend.process")


def follow() -> None:
    """Follow the limits that there are, and those to come."""
    if is_worker():
        _core.set_usual_threads(1)
    watch = _Watch()
    sys.meta_path.insert(0, watch)  # first, since another thread may import it now
    if NAME in sys.modules:
        register(importlib.import_module(NAME))  # which waits where another thread executes it
        _leave(watch)
