# SPDX-License-Identifier: BSD-3-Clause
"""Decision boundaries and the pictures of regions and surfaces."""

import numpy as np
import pytest

import fastrelu

WINDOW = (-3.0, 2.0, -1.0, 5.0)


@pytest.fixture
def pyplot():
    pytest.importorskip("matplotlib").use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def ramp():
    net = fastrelu.Network([2, 1, 1], dtype="float64")
    net.weights[0][:] = [[2], [3]]
    net.weights[1][:] = 1
    return net


def classifier(rng, sizes=(2, 12, 12, 4)):
    """One that decides for each class somewhere in the window."""
    net = fastrelu.Network(sizes, dtype="float64")
    while True:
        net.parameters[:] = rng.normal(size=net.n_parameters)
        X = rng.uniform((-3, -1), (2, 5), size=(2000, 2))
        z = net(X)
        net.biases[-1][:] -= np.median(z, axis=0)
        if sizes[-1] == 1 or np.bincount(net(X).argmax(axis=1), minlength=sizes[-1]).min() > 100:
            return net


def distance(points, segments):
    """From each point to the nearest segment."""
    a, d = segments[:, 0], segments[:, 1] - segments[:, 0]
    share = ((points[:, None] - a) * d).sum(axis=2) / np.maximum((d * d).sum(axis=1), 1e-300)
    nearest = a + np.clip(share, 0, 1)[:, :, None] * d
    return np.linalg.norm(points[:, None] - nearest, axis=2).min(axis=1)


@pytest.mark.parametrize("d_out", [1, 2, 4])
def test_the_decision_changes_on_the_boundary_and_there_alone(d_out, rng):
    net = classifier(rng, (2, 12, 12, d_out))
    regions = net.linear_regions(WINDOW)
    segments = regions.decision_boundary(0.0)
    assert segments.ndim == 3 and segments.shape[1:] == (2, 2) and len(segments) > 5
    # All over each segment the largest two are equal.
    share = rng.uniform(size=(len(segments), 1))
    points = segments[:, 0] + share * (segments[:, 1] - segments[:, 0])
    z = net(points) if d_out > 1 else np.column_stack([net(points), np.zeros(len(points))])
    z.sort(axis=1)
    assert (z[:, -1] - z[:, -2] < 1e-10 * np.abs(net(regions.vertices)).max()).all()

    # Where a random line changes from one decision to another, there is a segment.
    def decision(X):
        return net(X).argmax(axis=1) if d_out > 1 else net(X)[:, 0] > 0

    met = 0
    for _ in range(40):
        ends = rng.uniform((-3, -1), (2, 5), size=(2, 2))
        line = ends[0] + np.linspace(0, 1, 2001)[:, None] * (ends[1] - ends[0])
        changes = np.flatnonzero(decision(line)[1:] != decision(line)[:-1])
        for k in changes:
            a, b = line[k], line[k + 1]
            for _ in range(60):
                middle = (a + b) / 2
                same = decision(middle[None]) == decision(a[None])
                a, b = (middle, b) if same else (a, middle)
            assert distance(a[None], segments)[0] < 1e-9
            met += 1
    assert met > 20


def test_a_class_that_wins_at_no_corner():
    # x, -x and 0.5 on one region: the third wins in the middle.
    net = fastrelu.Network([2, 3], dtype="float64")
    net.weights[0][:] = [[1, -1, 0], [0, 0, 0]]
    net.biases[0][:] = [0, 0, 0.5]
    segments = net.linear_regions((-1, 1, 0, 2)).decision_boundary()
    assert sorted(map(np.ndarray.tolist, segments)) == [
        [[-0.5, 0], [-0.5, 2]],
        [[0.5, 0], [0.5, 2]],
    ]


def test_levels_kinks_and_constant_networks():
    # The ramp is above 0 from its kink on; at level 1 further up.
    regions = ramp().linear_regions((-1, 1, -1, 1))
    at_0, at_1 = regions.decision_boundary(), regions.decision_boundary(1)
    assert np.allclose(at_0 @ [2, 3], 0) and len(at_0) == 1
    assert np.allclose(at_1 @ [2, 3], 1) and len(at_1) == 1
    assert regions.decision_boundary(7).shape == (0, 2, 2)
    flat = fastrelu.Network([2, 3, 2])
    flat.parameters[:] = 0
    assert len(flat.linear_regions((-1, 1, -1, 1)).decision_boundary()) == 0
    with pytest.raises(TypeError, match="level"):
        regions.decision_boundary("0")


def test_regions_are_drawn_as_they_are(pyplot, rng):
    net = classifier(rng, (2, 10, 10, 1))
    regions = net.linear_regions(WINDOW)
    ax = fastrelu.plot.regions(net, WINDOW)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x_1$", "$x_2$")
    assert ax.get_xlim() == WINDOW[:2] and ax.get_ylim() == WINDOW[2:]
    mesh, outlines, casing, line = ax.collections
    assert np.allclose(mesh.get_array(), net(regions.vertices)[:, 0], atol=1e-12)
    assert mesh.norm.vcenter == 0
    assert len(outlines.get_paths()) == len(regions)
    assert (
        len(line.get_segments()) == len(casing.get_segments()) == len(regions.decision_boundary())
    )
    assert [bar.get_ylabel() for bar in ax.figure.axes[1:]] == ["output"]
    ax.figure.canvas.draw()
    slope = fastrelu.plot.regions(net, WINDOW, pyplot.figure().add_subplot(), color="slope")
    colours = slope.collections[0].get_array()
    assert np.allclose(colours, np.linalg.norm(net.jacobian(regions.centers)[:, 0], axis=1))
    assert slope.figure is not ax.figure
    slope.figure.canvas.draw()


def test_several_outputs_slices_and_no_boundary(pyplot, rng):
    net = classifier(rng)
    ax = fastrelu.plot.regions(net, WINDOW, color="slope", boundary=False)
    assert len(ax.collections) == 2 and ax.get_legend() is None
    want = np.linalg.norm(net.jacobian(net.linear_regions(WINDOW).centers), 2, axis=(1, 2))
    assert np.allclose(ax.collections[0].get_array(), want)
    assert "2-norm" in ax.figure.axes[1].get_ylabel()
    one = fastrelu.plot.regions(net, WINDOW, color="slope", output=3)
    assert "output 3" in one.figure.axes[1].get_ylabel()
    assert "output 1" in fastrelu.plot.regions(net, WINDOW, output=1).figure.axes[1].get_ylabel()
    deep = fastrelu.Network([6, 8, 1], dtype="float64")
    ax = fastrelu.plot.regions(deep, WINDOW, u=np.eye(6)[1], v=np.eye(6)[4])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("s", "t")
    pyplot.close("all")


def test_the_ramp_as_a_surface(pyplot):
    ax = fastrelu.plot.surface(ramp(), (-1, 1, -1, 1))
    assert ax.get_zlim() == (0, 5)
    assert ax.get_zlabel() == "$f(x_1, x_2)$"
    ax.figure.canvas.draw()
    assert len(ax.collections[0].get_facecolor()) == 2
    here = pyplot.figure().add_subplot(projection="3d")
    assert fastrelu.plot.surface(lambda X: X[:, 0] * X[:, 1], (-1, 1, 0, 2), here) is here
    here.figure.canvas.draw()
    flat = fastrelu.plot.surface(lambda X: np.zeros((len(X), 2)), (-1, 1, 0, 2), output=1)
    assert flat.get_zlim() == (-1, 1)
    smooth = fastrelu.Network([2, 4, 1], activation="tanh")
    assert len(fastrelu.plot.surface(smooth, (-1, 1, -1, 1)).collections) == 1


def test_bad_input_is_named(pyplot, rng):
    net = classifier(rng)
    with pytest.raises(TypeError, match="net: expected a Network, got str"):
        fastrelu.plot.regions("net", WINDOW)
    with pytest.raises(ValueError, match="color: expected 'value' or 'slope', got 'hue'"):
        fastrelu.plot.regions(net, WINDOW, color="hue")
    with pytest.raises(ValueError, match="output: expected the number of an output, 0 to 3"):
        fastrelu.plot.regions(net, WINDOW)
    with pytest.raises(ValueError, match=r"output: expected a whole number 0\.\.3, got 4"):
        fastrelu.plot.regions(net, WINDOW, output=4)
    with pytest.raises(ValueError, match="window"):
        fastrelu.plot.regions(net, (0, 0, 1, 2), output=0)
    with pytest.raises(TypeError, match="f: expected a Network or a function"):
        fastrelu.plot.surface(3, WINDOW)
    with pytest.raises(ValueError, match="f: expected a network with 2 inputs, got 3"):
        fastrelu.plot.surface(fastrelu.Network([3, 2, 1]), WINDOW)
    with pytest.raises(ValueError, match="ax: expected 3-D axes"):
        fastrelu.plot.surface(ramp(), WINDOW, pyplot.figure().add_subplot())
    with pytest.raises(ValueError, match=r"f: expected a function .* got shape \(2,\)"):
        fastrelu.plot.surface(lambda X: np.zeros(2), WINDOW)
    with pytest.raises(ValueError, match="output: expected the number of an output, 0 to 1"):
        fastrelu.plot.surface(lambda X: np.zeros((len(X), 2)), WINDOW)
    assert not pyplot.get_fignums()[1:]
