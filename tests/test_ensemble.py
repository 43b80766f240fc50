# SPDX-License-Identifier: BSD-3-Clause
"""Networks that predict together, in memory and in one file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastrelu
from fastrelu import model_file
from fastrelu.model_file import FileError


def networks(outputs: int = 1, **more: Any) -> list[Any]:
    return [
        fastrelu.Network([3, *hidden, outputs], seed=k, **more)
        for k, hidden in enumerate([(4,), (5, 6), ()])
    ]


def rows(n: int = 7) -> Any:
    return np.random.default_rng(0).normal(size=(n, 3))


@pytest.mark.parametrize(
    "loss", ["squared_error", "cross_entropy", "binary_cross_entropy", "poisson"]
)
def test_the_mean_is_after_the_link(loss: str) -> None:
    nets, X = networks(3), rows()
    ensemble = fastrelu.Ensemble(nets, loss)
    each = np.stack([net.predict_proba(X, loss) for net in nets]).astype(np.float64)
    assert ensemble.members(X).tobytes() == each.tobytes()
    assert np.allclose(ensemble.predict(X), each.mean(axis=0), rtol=1e-14)
    assert np.allclose(ensemble.spread(X), each.std(axis=0))
    assert np.allclose(ensemble.quantiles(X, [0, 0.5, 1]), np.quantile(each, [0, 0.5, 1], axis=0))


def test_one_file_holds_networks_of_any_shapes(tmp_path: Path) -> None:
    nets = [*networks(2), fastrelu.Network([3, 2], dtype="float64", scale=0.5, bias=False)]
    nets[0] = fastrelu.Network([3, 4, 2], activation="tanh")
    ensemble = fastrelu.Ensemble(nets, fastrelu.losses.Tweedie(1.25))
    ensemble.save(tmp_path / "e")
    again = fastrelu.Ensemble.load(tmp_path / "e")
    assert again.predict(rows()).tobytes() == ensemble.predict(rows()).tobytes()
    assert again.loss == ensemble.loss
    assert [repr(net) for net in again.networks] == [repr(net) for net in nets]


def test_other_files_are_refused(tmp_path: Path) -> None:
    fastrelu.Network([3, 2]).save(tmp_path / "net")
    with pytest.raises(FileError, match=r"expected a fastrelu.ensemble file, got format"):
        fastrelu.Ensemble.load(tmp_path / "net")
    fastrelu.Ensemble(networks()).save(tmp_path / "e")
    with pytest.raises(ValueError, match=r"fastrelu.Ensemble.load loads its networks together"):
        fastrelu.load(tmp_path / "e")
    arrays, metadata = model_file.read(tmp_path / "e", "fastrelu.ensemble")
    about = json.loads(metadata["ensemble"])
    for damage in ({"members": 4}, {"members": 0}, {"link": "probit"}, {"networks": [1, 2, 3]}):
        damaged = metadata | {"ensemble": json.dumps(about | damage)}
        model_file.write(tmp_path / "damaged", arrays, damaged)
        with pytest.raises(FileError, match="damaged"):
            fastrelu.Ensemble.load(tmp_path / "damaged")
    with pytest.raises(FileNotFoundError):
        fastrelu.Ensemble.load(tmp_path / "none")


def test_a_population_is_an_ensemble() -> None:
    X, y = rows(60), np.arange(60) % 3
    population = fastrelu.Population(
        [{"layer_sizes": [3, w, 3], "loss": "cross_entropy"} for w in (4, 5)]
    )
    population.fit(X, y, epochs=2)
    ensemble = population.ensemble()
    assert np.allclose(ensemble.predict(X), population.predict(X).mean(axis=0), atol=1e-7)
    mixed = fastrelu.Population([{"layer_sizes": [3, 1]}, {"layer_sizes": [3, 1], "loss": "huber"}])
    with pytest.raises(ValueError, match="loss: expected members with one loss"):
        mixed.ensemble()


@pytest.mark.parametrize("normalised", [False, True])
def test_intervals_cover(normalised: bool) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    y = X[:, 0] + rng.normal(size=3000)
    ensemble = fastrelu.Ensemble(networks())
    ensemble.calibrate(X[:1000], y[:1000], normalised=normalised)
    low, high = ensemble.predict_interval(X[1000:], 0.8).T
    assert np.mean((low <= y[1000:]) & (y[1000:] <= high)) == pytest.approx(0.8, abs=0.03)
    assert (np.ptp(high - low) > 1e-9) == normalised


def test_sets_cover() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    y = (X[:, 0] + rng.normal(size=3000) > 0).astype(int)
    ensemble = fastrelu.Ensemble(networks(2), "cross_entropy")
    ensemble.calibrate(X[:1000], y[:1000])
    sets = ensemble.predict_set(X[1000:], 0.8)
    assert sets[np.arange(2000), y[1000:]].mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fastrelu.Ensemble([]), "networks: expected at least one"),
        (lambda: fastrelu.Ensemble([3]), r"networks\[0\]: expected a fastrelu.Network, got 3"),
        (
            lambda: fastrelu.Ensemble([fastrelu.Network([3, 1]), fastrelu.Network([2, 1])]),
            r"networks\[1\]: expected 3 inputs and 1 outputs, as networks\[0\] has, got 2 and 1",
        ),
        (lambda: fastrelu.Ensemble(networks(), "none"), "loss: expected"),
        (lambda: fastrelu.Ensemble(networks()).predict([[1.0]]), "X: expected"),
        (lambda: fastrelu.Ensemble(networks()).quantiles(rows(), [2.0]), "levels: expected"),
        (
            lambda: fastrelu.Ensemble(networks()).predict_interval(rows()),
            "coverage: expected a reg",
        ),
        (lambda: fastrelu.Ensemble(networks()).predict_set(rows()), "coverage: expected a loss"),
        (
            lambda: fastrelu.Ensemble(networks()[:1]).calibrate(
                rows(), rows()[:, 0], normalised=True
            ),
            "normalised: expected two members",
        ),
        (
            lambda: fastrelu.Ensemble(networks(2), "cross_entropy").calibrate(rows(2), [0, 2]),
            "labels: expected",
        ),
    ],
)
def test_bad_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("dtypes", [("float32",) * 3, ("float64",) * 3, ("float32", "float64")])
def test_the_mean_is_one_chain_whatever_the_number_of_rows(outputs: int, dtypes: Any) -> None:
    nets = [
        fastrelu.Network([3, 4 + k, outputs], seed=k, dtype=dtype) for k, dtype in enumerate(dtypes)
    ]
    X = np.random.default_rng(0).normal(size=(1500, 3))
    total = np.zeros((1500, outputs))
    for net in nets:
        total += net(X)
    total /= len(nets)
    ensemble = fastrelu.Ensemble(nets)
    assert ensemble.predict(X).tobytes() == total.tobytes()
    for n in (0, 1, 2, 700, 1024, 1025):
        assert ensemble.predict(X[:n]).tobytes() == total[:n].tobytes()
    assert ensemble.predict(X[5]).tobytes() == total[5].tobytes()
    assert ensemble.predict(X[:2].tolist()).tobytes() == total[:2].tobytes()


def test_what_are_no_networks_is_named() -> None:
    with pytest.raises(TypeError, match="networks: expected networks, got int"):
        fastrelu.Ensemble(5)  # type: ignore[arg-type]
