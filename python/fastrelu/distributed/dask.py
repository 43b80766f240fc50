# SPDX-License-Identifier: BSD-3-Clause
"""Tasks on the workers of a Dask cluster, also where workers are lost: the extra `dask`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from typing import Any

__all__ = ["connected", "run_tasks"]

#: Losses of all workers that had the data, which are sent anew after each, before all is given up.
MOST_LOSSES = 5
SECONDS_BETWEEN = 0.5  # two looks at whether to go on


def connected(address: str) -> Any:
    """Return a client of the cluster whose scheduler has this address.

    Parameters
    ----------
    address : str
        Such as ``tcp://10.0.0.1:8786``, or a file that the scheduler has written.

    Returns
    -------
    distributed.Client
        To be closed by the caller.

    Raises
    ------
    ImportError
        If Dask is not installed.
    OSError
        If nobody answers there.

    Examples
    --------
    ``connected("tcp://10.0.0.1:8786")`` is what ``fastrelu train --search --dask`` calls.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ModuleNotFoundError as error:  # not one that is there and cannot be loaded
        raise ImportError("Dask is not installed: pip install 'dask[distributed]'") from error
    if address.endswith(".json"):
        return distributed.Client(scheduler_file=address)
    return distributed.Client(address)


def run_tasks(
    client: Any,
    function: Callable[..., Any],
    data: Any,
    tasks: Mapping[int, tuple[Any, ...]],
    take: Callable[[int, Any], None],
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Run tasks on the workers of a cluster; those that a lost worker had are run again.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    function : callable
        Called on a worker as ``function(data, *arguments)``. It changes nothing but what it
        returns, since it may be called more than once for a task.
    data : object
        What all tasks need; sent once to each worker.
    tasks : mapping of int to tuple
        The arguments of each task, by its number; the first are begun first.
    take : callable
        Called here as ``take(number, result)`` as results come, in any order.
    stop : callable
        Asked now and then whether to give the tasks up.

    Returns
    -------
    bool
        Whether all have been run; False if `stop` has said so.

    Raises
    ------
    Exception
        What a task has raised.

    Examples
    --------
    >>> from fastrelu.distributed.dask import run_tasks
    >>> run_tasks(None, print, None, {}, print)  # nothing to do
    True
    """
    waiting = dict(tasks)
    losses = 0
    while waiting:
        futures: dict[Any, int] = {}
        try:
            sent = _sent(client, data)
            for number, arguments in waiting.items():
                futures[client.submit(function, sent, *arguments, pure=False)] = number
            if not _collected(futures, waiting, take, stop):
                return False
        except CancelledError:  # all workers that had the data are gone
            losses += 1
            if losses == MOST_LOSSES:
                raise
        finally:
            client.cancel(list(futures))
    return True


def _sent(client: Any, data: Any) -> Any:
    """Send data to one worker; the others fetch them as they come to a task.

    To wait until all workers have them would be to wait for ever where one is lost meanwhile.
    """
    try:
        (sent,) = client.scatter([data], hash=False)
    except TimeoutError:  # no worker is there
        raise
    except OSError as error:  # the worker was lost
        raise CancelledError(str(error)) from error
    return sent


def _collected(
    futures: Mapping[Any, int],
    waiting: dict[int, tuple[Any, ...]],
    take: Callable[[int, Any], None],
    stop: Callable[[], bool],
) -> bool:
    """Take results as they come, out of `waiting`; False if `stop` has said so."""
    distributed: Any = importlib.import_module("distributed")
    left = set(futures)
    while left:
        if stop():
            return False
        try:
            done = distributed.wait(left, SECONDS_BETWEEN, "FIRST_COMPLETED").done
        except TimeoutError:
            continue
        for future in done:
            take(futures[future], future.result())
            del waiting[futures[future]]
        left -= done
    return True
