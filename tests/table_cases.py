# SPDX-License-Identifier: BSD-3-Clause
"""A table of columns of all kinds whose rows ranks share, and all that a model of it holds."""

import enum
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd

import fastrelu

N = 240
#: The rows of each rank end before these.
ENDS = {2: [90, N], 3: [3, 3, N], 4: [60, 61, 200, N]}


def few_epochs(found):
    """Return what is tried by a fit that is to be short."""
    return [replace(each, epochs=8, patience=3) for each in found[:3]]


def frame():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(N, 2)), columns=["a", " b "])
    X.loc[rng.random(N) < 0.2, "a"] = np.nan
    X["whole"] = rng.integers(0, 9, N)
    X["colour"] = pd.Series(np.where(X[" b "] > 0, "red", "blue"), dtype="category")
    X["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, N), "D")
    X["text"] = np.array(["1,5", "2,25", "n/a"])[rng.integers(0, 3, N)]
    X["flag"] = pd.Series(rng.random(N) > 0.5).astype(object).where(rng.random(N) > 0.1, None)
    X["same"] = 1.0
    X["word"] = np.array([f"w{k}" for k in range(40)])[rng.integers(0, 40, N)]
    return X


def targets(X):
    b = X[" b "].to_numpy()
    return b * (X["whole"].to_numpy() - 4) + (X["colour"] == "red").to_numpy()


def own(comm, part):
    """Return this rank's rows of a part; None where it has none."""
    if comm is None or part is None:
        return part
    end = ENDS[comm.size][comm.rank]
    begin = ENDS[comm.size][comm.rank - 1] if comm.rank else 0
    rows = part.iloc[begin:end] if hasattr(part, "iloc") else part[begin:end]
    return rows if end > begin else None


def told(value):
    """Return all that an object holds, as plain values that can be compared."""
    if isinstance(value, np.ndarray):
        content = value.tolist() if value.dtype == object else value.tobytes()
        return str(value.dtype), value.shape, content
    if isinstance(value, fastrelu.Network):
        return value.layer_sizes, value.parameters.tobytes()
    if isinstance(value, dict):
        return [(told(key), told(each)) for key, each in value.items()]
    if isinstance(value, (list, tuple)):
        return [told(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, enum.Enum) or not hasattr(value, "__dict__"):
        return repr(value)
    return type(value).__name__, told(vars(value))


def content(model, X, **times):
    """Return all that a fitted model holds and says."""
    held = {k: v for k, v in vars(model).items() if k not in ("comm", "random_state")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return told(held), model.predict(X, **times).tolist()
