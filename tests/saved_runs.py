# SPDX-License-Identifier: BSD-3-Clause
"""The data and the flags of the run folders in tests/data/runs, which an earlier version wrote."""

import numpy as np

MEMORY = ("--target", "kind", "--weights", "w", "--class-weight", "balanced", "--hidden", "5",
          "--early-stopping", 50, "--batch-size", 8, "--optimizer", "adamw")  # fmt: skip
STREAM = ("--memory", "1MiB", "--hidden", "128,64", "--batch-size", 1, "--optimizer", "sgd",
          "--momentum", 0, "--lr", 0.001)  # fmt: skip
SEARCH = ("--target", "kind", "--ignore", "w", "--search", "--candidates", 4, "--epochs", 9,
          "--search-space", "optimizer=adam|adamw|sgd; hidden=4|6", "--batch-size", 8)  # fmt: skip

TEXT = ("--memory", "1MiB", "--target", "kind", "--weights", "w", "--class-weight", "balanced",
        "--split", "column:part", "--hidden", "5", "--batch-size", 16, "--epochs", 1,
        "--schedule", "constant")  # fmt: skip


def whole_numbers(n):
    """A fixed sequence that needs no library's random numbers."""
    return (np.arange(n, dtype=np.int64) * 2654435761) % 1000003 % 97


def write_table(path):
    """Numbers, a category and gaps in both, weights, three classes of unequal size."""
    values = whole_numbers(600).reshape(150, 4)
    lines = ["size,colour,w,kind"]
    for a, b, c, d in values.tolist():
        kind = "low" if a + d < 60 else "mid" if a + d < 130 else "high"
        colour = "" if b % 11 == 3 else ("red", "blue", "green")[b % 3]
        lines.append(f"{'' if c % 13 == 5 else a},{colour},{1 + c % 3},{kind}")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_matrix(path):
    """A matrix that needs more than a megabyte; the target is its last column."""
    values = whole_numbers(12_000 * 5).reshape(12_000, 5) / 32
    values[:, 4] = values[:, 0] - values[:, 1] / 2
    np.save(path, values)
    return path


def write_text(path):
    """A table that needs more than a megabyte; a column says the part of each row."""
    values = whole_numbers(24_000 * 4).reshape(24_000, 4)
    lines = ["a,b,w,part,kind"]
    for a, b, c, d in values.tolist():
        kind = "low" if a + d < 60 else "mid" if a + d < 130 else "high"
        part = "test" if b % 5 == 0 else "val" if b % 7 == 0 else "train"
        lines.append(f"{a},{b},{c % 4},{part},{kind}")
    path.write_text("\n".join(lines) + "\n")
    return path
