# SPDX-License-Identifier: BSD-3-Clause
"""Ranks that share the shards end in the bits of one process: threads here, MPI in test_mpi."""

import numpy as np

from fastrelu import losses

N, D = 61, 5


def rows(loss, outputs, n=N, dtype="float32", seed=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, D)).astype(dtype)
    domain = losses.as_loss(loss).info.name if hasattr(losses.as_loss(loss), "info") else loss
    if domain == "cross_entropy":
        return X, rng.integers(0, outputs, n)
    if domain == "binary_cross_entropy":
        return X, rng.integers(0, 2, (n, outputs)).astype(dtype)
    y = np.abs(rng.normal(size=(n, outputs))) + 0.1
    return X, y.astype(dtype)
