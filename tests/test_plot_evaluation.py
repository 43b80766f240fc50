# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of predictions beside the truth: what they draw, and what they refuse."""

import numpy as np
import pytest

from fastrelu import plot

pytest.importorskip("matplotlib").use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")
container = pytest.importorskip("matplotlib.container")


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def texts(ax):
    return [t.get_text() for t in ax.texts]


def test_confusion_matrix_counts_labels():
    truth, guess = ["a", "a", "b", "b", "b"], ["a", "b", "b", "b", "b"]
    ax = plot.confusion_matrix(truth, guess)
    assert texts(ax) == ["1", "1", "3"]
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.5, 0.5], [0, 1]])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")


def test_confusion_matrix_in_the_order_of_its_classes_and_into_given_axes():
    _, given = pyplot.subplots()
    ax = plot.confusion_matrix([0.0, 1.0, 2.0], [0, 1, 1], classes=[2, 1, 0], ax=given)
    assert ax is given
    np.testing.assert_allclose(ax.images[0].get_array(), [[0, 1, 0], [0, 1, 0], [0, 0, 1]])


def test_confusion_matrix_of_many_classes_is_without_numbers():
    labels = np.arange(50)
    ax = plot.confusion_matrix(labels, labels)
    assert not ax.texts and "number" in ax.get_xlabel()


def test_labels_are_no_formulas():
    bad = "$\\frac{$"
    for ax in (
        plot.confusion_matrix([bad, "b"], ["b", bad]),
        plot.importance([bad], [1.0]),
        plot.predictions([1.0], [2.0], unit=bad),
        plot.residuals([1.0], [2.0], unit=bad),
    ):
        ax.figure.canvas.draw()  # an error if it were one
    names = [t.get_text() for t in plot.importance([bad], [1.0]).get_yticklabels()]
    assert names == [bad]


def test_calibration_draws_what_was_right_by_confidence():
    probabilities = [[0.95, 0.05]] * 4 + [[0.35, 0.65]] * 2
    ax = plot.calibration([0, 0, 0, 1, 1, 0], probabilities)
    (bars,) = (c for c in ax.containers if isinstance(c, container.BarContainer))
    np.testing.assert_allclose(
        [b.get_height() for b in bars], [0, 0, 0, 0, 0, 0, 1 / 3, 0, 0, 2 / 3]
    )
    (points,) = (c for c in ax.containers if isinstance(c, container.ErrorbarContainer))
    np.testing.assert_allclose(points.lines[0].get_xydata(), [[0.65, 0.5], [0.95, 0.75]])
    # |0.5 - 0.65| on a third of the rows, |0.75 - 0.95| on two thirds
    assert "error 0.183" in [t.get_text() for t in ax.get_legend().get_texts()][-1]
    (whiskers,) = points.lines[2]
    low, high = whiskers.get_segments()[1][:, 1]
    # Wilson's interval of 3 of 4
    assert low == pytest.approx(0.3006, abs=1e-4) and high == pytest.approx(0.9544, abs=1e-4)


def test_predictions_and_residuals_draw_a_point_a_row():
    truth, guess = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])
    ax = plot.predictions(truth, guess, unit="price")
    np.testing.assert_allclose(ax.collections[0].get_offsets(), np.c_[truth, guess])
    assert ax.get_xlim() == ax.get_ylim() and ax.get_xlabel() == "true, price"
    ax = plot.residuals(truth, guess)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), np.c_[guess, [0.5, 0, -1]])
    low, high = ax.get_ylim()
    assert low == -high and high > 1


def test_many_points_are_drawn_as_their_density():
    truth = np.linspace(0, 1, 6000)
    ax = plot.predictions(truth, truth)
    assert ax.collections[0].get_array().sum() == 6000


def test_constant_predictions_are_drawn():
    plot.predictions([3.0, 3.0], [3.0, 3.0]).figure.canvas.draw()
    plot.residuals([0.0], [0.0]).figure.canvas.draw()


def test_importance_puts_the_largest_drop_first():
    ax = plot.importance(["a", "b", "c"], [0.1, 0.5, -0.1], [0.0, 0.2, 0.0], most=2, metric="R2")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "a"]
    assert [p.get_width() for p in ax.patches] == [0.5, 0.1]
    assert ax.get_xlabel() == "drop in R2 when shuffled" and ax.yaxis_inverted()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: plot.confusion_matrix([1, 2], [1]), ValueError, "predicted"),
        (lambda: plot.confusion_matrix([], []), ValueError, "at least one"),
        (lambda: plot.confusion_matrix([1, 2], [1, 3], classes=[1, 2]), ValueError, "3"),
        (lambda: plot.confusion_matrix([[1, 2]], [1]), ValueError, "truth"),
        (lambda: plot.calibration([0, 1], [[0.5, 0.5]]), ValueError, "probabilities"),
        (lambda: plot.calibration([0, 1], [[1.5, 0.5]] * 2), ValueError, "probabilities"),
        (lambda: plot.calibration([0, 1], [[0.5, 0.5]] * 2, bins=1), ValueError, "bins"),
        (lambda: plot.calibration([0, 1], [[0.5, 0.5]] * 2, bins=2.5), TypeError, "bins"),
        (lambda: plot.calibration([0, 5], [[0.5, 0.5]] * 2, classes=[0, 1]), ValueError, "classes"),
        (lambda: plot.predictions([1.0, np.nan], [1.0, 1.0]), ValueError, "truth"),
        (lambda: plot.residuals([1.0], [np.inf]), ValueError, "predicted"),
        (lambda: plot.importance(["a"], [1.0, 2.0]), ValueError, "drops"),
        (lambda: plot.importance(["a"], [1.0], [1.0, 2.0]), ValueError, "drops"),
        (lambda: plot.importance(["a"], [1.0], most=0), ValueError, "most"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
    assert not pyplot.get_fignums()
