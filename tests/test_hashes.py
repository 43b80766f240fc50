# SPDX-License-Identifier: BSD-3-Clause
"""A handful of small runs and their bits: a release that changes a number is seen here.

A change of these hashes is a change of the arithmetic: it belongs in the change log.
"""

import hashlib

import numpy as np
import pytest

import fastrelu

RUNS = {
    "sgd": ("float32", "squared_error", fastrelu.SGD(0.05), {}),
    "nesterov": ("float64", "cross_entropy", fastrelu.SGD(0.02, momentum=0.9, nesterov=True), {}),
    "adam": ("float32", "binary_cross_entropy", fastrelu.Adam(0.01, weight_decay=0.01), {}),
    "adamw": ("float64", "poisson", fastrelu.AdamW(0.01), {"clip_norm": 0.5, "n_shards": 3}),
}
EXPECTED = {
    ("sgd", "shuffle"): "9a2c3c61c90e3454",
    ("sgd", "subset"): "4d32076d0d1c975f",
    ("sgd", "with_replacement"): "bc1b08ebc2b144c8",
    ("nesterov", "shuffle"): "3a7540c6a6b842ce",
    ("nesterov", "subset"): "7d536d8d41cc3940",
    ("nesterov", "with_replacement"): "cf7229c11eecfd55",
    ("adam", "shuffle"): "0485746ac29c2d23",
    ("adam", "subset"): "bde7d1c66aa3205d",
    ("adam", "with_replacement"): "fe486b11e45a0926",
    ("adamw", "shuffle"): "e7654987bf827ec4",
    ("adamw", "subset"): "78922f846a06abcc",
    ("adamw", "with_replacement"): "b136b319ddfc4dba",
}


def whole_numbers(n):
    """A fixed sequence that needs no library's random numbers."""
    return (np.arange(n, dtype=np.int64) * 2654435761) % 1000003 % 97


@pytest.mark.parametrize("sampling", ["shuffle", "subset", "with_replacement"])
@pytest.mark.parametrize("name", list(RUNS))
def test_bits(name, sampling, isa):
    dtype, loss, optimizer, more = RUNS[name]
    X = (whole_numbers(37 * 5).reshape(37, 5) / 64 - 0.75).astype(dtype)
    y = whole_numbers(37 * 3).reshape(37, 3) % 2
    if loss == "cross_entropy":
        y = whole_numbers(37) % 3
    net = fastrelu.Network([5, 33, 8, 3], dtype=dtype, seed=11)
    trainer = fastrelu.Trainer(net, loss=loss, optimizer=optimizer, batch_size=8, seed=4, **more)
    trainer.fit(X, y, epochs=3, sampling=sampling)
    digest = hashlib.sha256(net.parameters.tobytes() + net(X).tobytes()).hexdigest()[:16]
    assert digest == EXPECTED[name, sampling]
