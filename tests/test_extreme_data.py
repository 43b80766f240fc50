# SPDX-License-Identifier: BSD-3-Clause
"""Extreme numbers, and files with bytes changed at random: each has a documented outcome."""

import numpy as np
import pytest
from conftest import same_bits

import fastrelu


def outcome(X, y, dtype, loss="squared_error", optimizer="adam"):
    """Train two epochs: "finite" with finite losses and parameters, or the error's name."""
    net = fastrelu.Network([X.shape[1], 8, 3 if loss == "cross_entropy" else 1], dtype=dtype)
    trainer = fastrelu.Trainer(net, loss=loss, optimizer=optimizer, batch_size=32, seed=0)
    try:
        history = trainer.fit(X, y, 2)
    except (fastrelu.DivergenceError, ValueError) as error:
        assert np.isfinite(net.parameters).all()
        return type(error).__name__
    assert np.isfinite(net.parameters).all() and np.isfinite(history.loss).all()
    assert np.isfinite(net(X)).all()
    return "finite"


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("what", ["X", "y"])
def test_data_of_any_size(what, optimizer, dtype, rng):
    """From what is 0 in the dtype to what it cannot hold: trained, diverged, or refused; no NaN."""
    base = rng.normal(size=(200, 4))
    found = []
    for power in (-320, -300, -45, -38, -30, -10, 0, 1, 10, 18, 30, 38, 39, 150, 300):
        X = base * (10.0**power if what == "X" else 1)
        y = base[:, 0] * (10.0**power if what == "y" else 1)
        found.append(outcome(X, y, dtype, optimizer=optimizer))
    order = ["finite", "DivergenceError", "ValueError"]
    places = [order.index(word) for word in found]
    assert places == sorted(places) and found[:7] == ["finite"] * 7
    assert found[-1] == ("ValueError" if dtype == "float32" else "DivergenceError")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one row", "finite"),
        ("one class", "finite"),
        ("constant target", "finite"),
        ("constant inputs", "finite"),
        ("zeros", "finite"),
        ("denormals", "finite"),
        ("infinite X", "ValueError"),
        ("NaN in X", "ValueError"),
        ("NaN in y", "ValueError"),
        ("no rows", "ValueError"),
    ],
)
def test_odd_data(name, expected, dtype, rng):
    X, y, loss = rng.normal(size=(100, 4)), rng.normal(size=100), "squared_error"
    if name == "one row":
        X, y = X[:1], y[:1]
    elif name == "no rows":
        X, y = X[:0], y[:0]
    elif name == "one class":
        y, loss = np.zeros(100, int), "cross_entropy"
    elif name == "constant target":
        y[:] = 7
    elif name in ("constant inputs", "zeros"):
        X[:] = 5 if name == "constant inputs" else 0
    elif name == "denormals":
        X = (X * np.finfo(dtype).tiny / 100).astype(dtype)
        y = X[:, 0].copy()
    else:
        value = np.inf if name == "infinite X" else np.nan
        (y if name == "NaN in y" else X[:, 0])[3] = value
    assert outcome(X, y, dtype, loss) == expected


@pytest.mark.parametrize("power", [-30, -12, 12, 30])
def test_the_command_learns_data_of_any_size(power, tmp_path, rng):
    pytest.importorskip("click")
    from command_tools import metrics_in, run

    X = rng.normal(size=(300, 2))
    rows = [f"{a:.17g},{b:.17g},{(a - b) * 10.0**power:.17g}" for a, b in X * 10.0**power]
    rows = [f"{a},{b},{float(a) - float(b):.17g}" for a, b, _ in (r.split(",") for r in rows)]
    (tmp_path / "t.csv").write_text("a,b,y\n" + "\n".join(rows) + "\n")
    done = run("train", tmp_path / "t.csv", "--epochs", 30, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert metrics_in(tmp_path / "run")["test"]["r2"] > 0.9


def test_a_model_file_without_a_change_is_loaded(tmp_path):
    net = fastrelu.Network([3, 5, 2], seed=1)
    net.save(tmp_path / "file")
    assert same_bits(fastrelu.load(tmp_path / "file").parameters, net.parameters)
