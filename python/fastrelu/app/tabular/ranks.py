# SPDX-License-Identifier: BSD-3-Clause
"""What each rank gives to a fit that ranks make together, and whether it goes together."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_consistent_length

from fastrelu import __version__
from fastrelu.app.tabular.rows import has_text, is_frame
from fastrelu.distributed import Communicator
from fastrelu.distributed.communicator import require_same, together

__all__ = ["check_options", "parts_of_all"]

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


def parts_of_all(comm: Communicator, X: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """Return what the rows of all ranks have beside their columns, those of rank 0 first.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    X : DataFrame, Arrow table, array_like or None
        The rows of this rank, which stay where they are; None: it has none.
    parts : dict
        What else each of them has, y and perhaps weights, by the arguments' names; None for
        nothing.

    Raises
    ------
    ValueError
        On every rank, if no rank has rows, or they do not go together.
    """
    with together(comm, (TypeError, ValueError)):
        own = None
        if X is not None:
            own = {name: _column(value) for name, value in parts.items()}
            check_consistent_length(X, *own.values())
    found = enumerate(comm.gather(own))
    given = [(rank, columns) for rank, columns in found if columns is not None]
    if not given:
        raise ValueError("X: expected the rows of this rank, or None if others have some, got None")
    return {name: _part(name, [(rank, each[name]) for rank, each in given]) for name in parts}


def _column(values: Any) -> Any:
    return values if values is None or hasattr(values, "iloc") else np.asarray(values)


def _part(name: str, columns: Sequence[tuple[int, Any]]) -> Any:
    """Return what rows of all ranks have, or None where they have nothing."""
    having = [rank for rank, values in columns if values is not None]
    if not having:
        return None
    if len(having) < len(columns):
        raise ValueError(f"{name}: expected it on every rank with rows, or on none, got {having}")
    require_alike([(rank, Form.of(values)) for rank, values in columns])
    return joined([values for _, values in columns])


class Form(NamedTuple):
    """What rows of ranks must have in common, and what their joining depends on."""

    library: str
    kind: str
    names: list[str] | None
    dtype: np.dtype[Any] | None = None  # of an array
    text: bool = False  # whether an array has some

    @classmethod
    def of(cls, values: Any) -> Form:
        """Return the form of some rows."""
        of, names = type(values), None
        if not isinstance(values, np.ndarray):
            given = getattr(values, "column_names", getattr(values, "columns", None))
            names = None if given is None else [str(name) for name in given]
            return cls(of.__module__.partition(".")[0], of.__name__, names)
        return cls("numpy", of.__name__, None, values.dtype, has_text(values))


def require_alike(forms: Sequence[tuple[int, Form]]) -> None:
    """Raise ValueError unless rows of ranks are of one type and have the same columns."""
    at, first = forms[0]
    for rank, form in forms[1:]:
        if (form.library, form.kind) != (first.library, first.kind):
            raise ValueError(
                f"X, y: expected the same type on every rank, got {first.kind} on rank {at} and "
                f"{form.kind} on rank {rank}"
            )
        if form.names != first.names:
            raise ValueError(
                f"X, y: expected the same columns on every rank, got {first.names} on rank {at} "
                f"and {form.names} on rank {rank}"
            )


def joined(parts: Sequence[Any]) -> Any:
    """Return the rows of one rank after those of another, as their own library joins them."""
    first = parts[0]
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
    return np.concatenate(parts)


def plain(X: Any) -> Any:
    """Return the rows of a rank as a frame, or as an array."""
    if not is_frame(X):
        return np.asarray(X)
    if hasattr(X, "iloc") or type(X).__module__.partition(".")[0] in ("polars", "pyarrow"):
        return X
    raise ValueError(
        "X: expected a frame of pandas, polars or pyarrow, or an array, with comm, got "
        f"{type(X).__name__}"
    )
