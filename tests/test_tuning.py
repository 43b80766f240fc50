# SPDX-License-Identifier: BSD-3-Clause
"""The sizes of blocks that follow a machine's caches: any of them gives the same bits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import fastrelu
from fastrelu import _core

TUNINGS = ["chain=32", "chain=383,gradient=16K", "chain=100,gradient=1M,prefetch=off"]


@pytest.fixture(autouse=True)
def usual_tuning() -> Iterator[None]:
    """Leave the tuning and the number of threads as they were found."""
    before, threads = _core.tuning(), fastrelu.get_num_threads()
    yield
    _core.set_tuning(before)
    fastrelu.set_num_threads(threads)


def fitted(dtype: str, optimizer: str, n_threads: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    # More than the half megabyte from which on rows are fetched ahead.
    x = rng.standard_normal((400, 700)).astype(dtype)
    y = rng.integers(0, 5, 400)
    net = fastrelu.Network([700, 410, 5], dtype=dtype, seed=1)
    trainer = fastrelu.Trainer(
        net, loss="cross_entropy", optimizer=optimizer, batch_size=64, seed=2
    )
    fastrelu.set_num_threads(n_threads)
    trainer.fit(x, y, epochs=1)
    return [*net.weights, *net.biases, net(x)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_tuning_changes_no_bit(dtype: str, optimizer: str) -> None:
    usual = fitted(dtype, optimizer, 1)
    for n_threads, wanted in enumerate(TUNINGS, start=1):
        _core.set_tuning(wanted)
        for found, expected in zip(fitted(dtype, optimizer, n_threads), usual, strict=True):
            np.testing.assert_array_equal(found, expected, strict=True)


def test_the_configuration_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    _core.set_tuning("gradient=64K,chain=200,prefetch=off")
    assert fastrelu.show_config()["tuning"] == "chain=200,gradient=64K,prefetch=off"
    assert "chain=200,gradient=64K,prefetch=off" in capsys.readouterr().out


@pytest.mark.parametrize("wanted", ["chain=1", "tiles=3", "chain", "prefetch=maybe", "chain=1e2"])
def test_what_is_no_tuning_is_refused(wanted: str) -> None:
    before = _core.tuning()
    with pytest.raises(ValueError, match=f"FASTRELU_TUNE: expected .* got '{wanted}'"):
        _core.set_tuning(wanted)
    assert _core.tuning() == before
