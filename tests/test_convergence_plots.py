# SPDX-License-Identifier: BSD-3-Clause
"""The pictures of SGD beside its bound say what is so."""

import numpy as np
import pytest

import fastrelu
from fastrelu import convergence

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    yield Figure().add_subplot()


def study(**arguments):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    settings = {"alpha": 0.5, "n_steps": 60, "replicates": 20, **arguments}
    return convergence.study(X, X[:, 0] > 0.3, loss="binary_cross_entropy", **settings)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_convergence(axes):
    s = study()
    assert fastrelu.plot.convergence(s, axes) is axes
    mean, bound, measured = axes.lines
    assert (mean.get_xydata() == np.column_stack([s.k, s.d])).all()
    assert (bound.get_ydata() == s.bound).all()
    assert (measured.get_ydata() < s.bound).all()
    assert "20 runs, 99.9 %" in labels(axes)[0] and f"M = {s.M:.3g}" in labels(axes)[1]
    low, high = axes.get_ylim()
    assert low < s.d.min() and high > s.bound[0]
    fastrelu.plot.convergence(study(batch_size=4), axes, label="minibatches of 4")
    assert "minibatches of 4" in labels(axes)
    assert axes.lines[3].get_color() != mean.get_color()
    axes.figure.canvas.draw()


def test_a_bound_that_does_not_apply_is_not_drawn(axes):
    fastrelu.plot.convergence(study(sampling="shuffle"), axes)
    assert len(axes.lines) == 1
    (text,) = axes.texts
    assert text.get_text().startswith("No bound: the steps of a shuffled epoch")
    axes.figure.canvas.draw()


def test_iterates_that_overflowed(axes):
    X = np.random.default_rng(0).normal(size=(50, 3)) * [1, 1, 1000]
    wild = convergence.study(X, X[:, 0], alpha=0.0, n_steps=50, replicates=3)
    fastrelu.plot.convergence(wild, axes)
    assert "range of float64" in axes.texts[0].get_text().replace("\n", " ")
    axes.figure.canvas.draw()


def test_gradient_noise(axes):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    for sampling in ("subset", "with_replacement"):
        noise = convergence.gradient_noise(X, X[:, 0] ** 2, alpha=0.5, sampling=sampling, draws=50)
        assert fastrelu.plot.gradient_noise(noise, axes) is axes
    assert sum("measured, 50 draws" in text for text in labels(axes)) == 2
    assert len({line.get_color() for line in axes.lines}) == 2
    axes.figure.canvas.draw()


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"^study: "):
        fastrelu.plot.convergence([1.0])
    with pytest.raises(TypeError, match=r"^noise: "):
        fastrelu.plot.gradient_noise(None)
