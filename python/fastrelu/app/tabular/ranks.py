# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a fit that the ranks of a communicator make together."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrelu import __version__
from fastrelu.app.tabular.rows import is_frame
from fastrelu.distributed import Communicator
from fastrelu.distributed.communicator import require_same, together

__all__ = ["check_options", "rows_of_all"]

#: What may differ between the ranks; random_state is rank 0's.
OWN = ("comm", "client", "random_state", "n_threads", "verbose")


def check_options(comm: Communicator, estimator: Any) -> None:
    """Raise ValueError on every rank unless all of them make the same fit."""
    options = {
        name: value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
        for name, value in estimator.get_params(deep=False).items()
        if name not in OWN
    }
    require_same(
        comm,
        {"version of fastrelu": __version__, "estimator": type(estimator).__name__, **options},
    )


def rows_of_all(comm: Communicator, X: Any, parts: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the rows of all ranks, those of rank 0 first, on every rank.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    X : DataFrame, Arrow table, array_like or None
        The rows of this rank; None: it has none.
    parts : dict
        What else each row has, y and perhaps weights, by the arguments' names; None for nothing.

    Raises
    ------
    ValueError
        On every rank, if no rank has rows, or they do not go together.
    """
    with together(comm, (TypeError, ValueError)):
        own = None if X is None else (_plain(X), {k: _column(v) for k, v in parts.items()})
    given = [(rank, *each) for rank, each in enumerate(comm.gather(own)) if each is not None]
    if not given:
        raise ValueError("X: expected the rows of this rank, or None if others have some, got None")
    return _joined([(rank, each) for rank, each, _ in given]), {
        name: _part(name, [(rank, columns[name]) for rank, _, columns in given]) for name in parts
    }


def _plain(X: Any) -> Any:
    return X if is_frame(X) else np.asarray(X)


def _column(values: Any) -> Any:
    return values if values is None or hasattr(values, "iloc") else np.asarray(values)


def _part(name: str, columns: Sequence[tuple[int, Any]]) -> Any:
    """Return what rows of all ranks have, or None where they have nothing."""
    having = [rank for rank, values in columns if values is not None]
    if not having:
        return None
    if len(having) < len(columns):
        raise ValueError(f"{name}: expected it on every rank with rows, or on none, got {having}")
    return _joined(columns)


def _joined(given: Sequence[tuple[int, Any]]) -> Any:
    """Return the rows of one rank after those of another, as their own library joins them."""
    first = given[0][1]
    for rank, each in given[1:]:
        if type(each) is not type(first):
            raise ValueError(
                f"X, y: expected the same type on every rank, got {type(first).__name__} on rank "
                f"{given[0][0]} and {type(each).__name__} on rank {rank}"
            )
        if _names(each) != _names(first):
            raise ValueError(
                f"X, y: expected the same columns on every rank, got {_names(first)} on rank "
                f"{given[0][0]} and {_names(each)} on rank {rank}"
            )
    parts = [each for _, each in given]
    if len(parts) == 1:
        return first
    library = type(first).__module__.partition(".")[0]
    if hasattr(first, "iloc"):
        pandas: Any = importlib.import_module("pandas")
        return pandas.concat(parts, ignore_index=True)
    if library == "pyarrow":
        pyarrow: Any = importlib.import_module("pyarrow")
        return pyarrow.concat_tables(parts, promote_options="permissive")
    if library == "polars":
        polars: Any = importlib.import_module("polars")
        return polars.concat(parts, how="vertical_relaxed")
    if not isinstance(first, np.ndarray):
        raise ValueError(
            "X: expected a frame of pandas, polars or pyarrow, or an array, with comm, got "
            f"{type(first).__name__}"
        )
    return np.concatenate(parts)


def _names(values: Any) -> list[str] | None:
    found = getattr(values, "column_names", getattr(values, "columns", None))
    return None if found is None else [str(name) for name in found]
