# SPDX-License-Identifier: BSD-3-Clause
"""Many runs of SGD in the core: whose steps they are, and where they stay."""

import re
import signal

import numpy as np
import pytest
from conftest import same_bits

import fastrelu
from fastrelu import _core, convergence, schedules
from fastrelu.convergence._moments import SecondMoments
from fastrelu.convergence._problem import draw_factor, make_problem
from fastrelu.reference import random


def data(loss, n=60, outputs=1):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 4))
    if loss == "cross_entropy":
        return X, rng.integers(0, 3, size=n)
    y = X[:, :1] + rng.normal(size=(n, outputs))
    return X, y if loss == "squared_error" else (y > 0).astype(float)


def standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def diabetes():
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_diabetes(return_X_y=True)
    return standardised(X), standardised(y)


def test_seeds_are_the_references():
    for seed, r in [(0, 0), (0, 1), (7, 123), (2**64 - 1, 2**31)]:
        assert _core.replicate_seed(seed, r) == random.replicate_seed(seed, r)
    assert len({_core.replicate_seed(0, r) for r in range(1000)}) == 1000


@pytest.mark.parametrize("sampling", ["subset", "with_replacement", "shuffle"])
@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy", "cross_entropy"])
def test_runs_are_the_trainers_own(loss, sampling, isa):
    X, y = data(loss, outputs=2)
    m, epochs = 7, 3
    steps = epochs * -(-len(X) // m)
    arguments = {"loss": loss, "alpha": 0.3, "batch_size": m, "sampling": sampling, "seed": 5}
    study = convergence.study(X, y, **arguments, n_steps=steps, replicates=3, k=[2, steps + 1])
    ones = np.hstack([X, np.ones((len(X), 1))])
    for r in range(3):
        for library in (fastrelu, fastrelu.reference):
            outputs = 3 if loss == "cross_entropy" else 2
            net = library.Network([5, outputs], bias=False, dtype="float64")
            net.weights[0][...] = 0
            optimizer = library.SGD(schedules.inverse_time(study.ell), weight_decay=0.3)
            seed = random.replicate_seed(5, r)
            trainer = library.Trainer(net, loss=loss, optimizer=optimizer, batch_size=m, seed=seed)
            trainer.fit(ones, y, epochs, sampling=sampling)
            total = 0.0
            for e in net.weights[0].ravel() - study.w_star:
                total += e * e
            assert study.distances[r, 1] == total
            if isa != _core.available_isas()[0]:
                break  # the reference is the same on each


def test_bits_do_not_depend_on_threads_or_what_is_recorded():
    X, y = data("squared_error")
    arguments = {"alpha": 0.5, "batch_size": 2, "n_steps": 300, "replicates": 17}
    before = fastrelu.get_num_threads()
    try:
        runs = []
        for threads in (1, 2, 5):
            fastrelu.set_num_threads(threads)
            runs.append(convergence.study(X, y, **arguments))
    finally:
        fastrelu.set_num_threads(before)
    for other in runs[1:]:
        assert same_bits(other.distances, runs[0].distances)
    some = convergence.study(X, y, **arguments, k=[2, 50, 301])
    assert same_bits(some.distances, np.ascontiguousarray(runs[0].distances[:, [0, 48, 299]]))
    other_seed = convergence.study(X, y, **arguments, seed=1)
    assert not (other_seed.distances == runs[0].distances).all(axis=1).any()


def test_three_sets_stay_below_their_bounds():
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(0)
    made = rng.normal(size=(300, 5))
    targets = made @ rng.normal(size=(5, 2)) + rng.normal(size=(300, 2))
    sets = [
        (*diabetes(), "squared_error", 1.0, 1),
        (standardised(X)[:, :10], y, "binary_cross_entropy", 0.1, 4),
        (made, targets, "squared_error", 0.2, 2),
    ]
    for X, y, loss, alpha, m in sets:
        study = convergence.study(X, y, loss=loss, alpha=alpha, batch_size=m)
        assert study.holds and study.k[0] == 2 and study.k[-1] == 10001
        assert study.distances.shape == (200, 10000) and study.confidence == 0.999
        assert (study.d_low <= study.bound).all()
        assert (study.d_low <= study.d).all() and (study.d <= study.d_high).all()
        # It converges, and as fast as the bound says: d_k k / H_k does not grow.
        assert study.d[-1] < 1e-2 * study.d[:10].max()
        assert "below the bound for every k" in str(study)


def test_measured_distances_are_the_expected_ones():
    X, y = diabetes()
    m = 8
    study = convergence.study(X, y, alpha=1.0, batch_size=m, n_steps=400)
    problem = make_problem(X, y, "squared_error", 1.0, True, None)
    w_star = study.w_star.reshape(problem.shape)
    recursion = SecondMoments(problem, w_star, draw_factor(len(X), m, "subset"))
    S, mu, expected = w_star @ w_star.T, -w_star, []
    for k in range(1, 401):
        _, S, mu = recursion.step(S, mu, 1 / (2 * study.ell * k))
        expected.append(np.trace(S))
    # Limits of 99.9 % each, of 400 correlated means.
    margin = 0.3 * (study.d_high - study.d)
    assert (study.d_low - margin < expected).all() and (expected < study.d_high + margin).all()


def test_what_breaks_the_proof_is_said():
    X, y = data("squared_error")
    arguments = {"alpha": 0.5, "n_steps": 200, "replicates": 50}
    fine = convergence.study(X, y, **arguments)
    assert fine.holds and fine.reasons == [] and fine.bound is not None
    cases = {
        "shuffled epoch": {"sampling": "shuffle"},
        "ell = .* is too large": {"ell": 1.1 * fine.ell},
        "M = .* is exceeded": {"M": 0.5 * fine.M_measured},
        "the steps are not 1 / ": {"learning_rate": 0.1},
    }
    for text, changed in cases.items():
        study = convergence.study(X, y, **arguments, **changed)
        assert not study.holds and study.bound is None
        (reason,) = study.reasons
        assert re.search(text, reason) and reason in str(study)
    # What is only less sharp, or known to be true, is no reason.
    for changed in (
        {"ell": 0.5 * fine.ell},
        {"M": 2 * fine.M},
        {"M": 1.001 * fine.M_measured},
        {"learning_rate": schedules.inverse_time(fine.ell)},
    ):
        assert convergence.study(X, y, **arguments, **changed).holds
    X, y = data("binary_cross_entropy")
    arguments |= {"loss": "binary_cross_entropy", "alpha": 0.1}
    proven = convergence.study(X, y, **arguments)
    between = convergence.study(X, y, **arguments, ell=1.05 * proven.ell)
    assert between.holds and any("more than" in note for note in between.notes)
    beyond = convergence.study(X, y, **arguments, ell=2 * proven.constants.ell_at_optimum)
    assert not beyond.holds


def test_a_mean_made_by_runs_too_rare_to_be_seen_is_noted():
    X, y = data("squared_error")
    wild = convergence.study(X, y, alpha=0.5, n_steps=5, replicates=4, ell=1e-3)
    assert wild.holds and wild.M_measured < 0.5 * wild.M
    assert any("so rare" in note for note in wild.notes)
    calm = convergence.study(X, y, alpha=0.5, n_steps=5, replicates=4)
    assert not any("so rare" in note for note in calm.notes)


def test_runs_that_overflow_are_said_to():
    X = np.random.default_rng(0).normal(size=(50, 3)) * [1, 1, 1000]
    study = convergence.study(X, X[:, 0], alpha=0.0, n_steps=50, replicates=3)
    assert not study.holds and "float64" in study.reasons[-1]


def test_frozen_features():
    X, y = data("squared_error")
    net = fastrelu.Network([4, 6, 5, 1], dtype="float64", seed=2, scale=0.5)
    hidden = np.maximum(0, 0.5 * X @ net.weights[0] + net.biases[0])
    hidden = np.maximum(0, hidden @ net.weights[1] + net.biases[1])
    arguments = {"alpha": 1.0, "n_steps": 100, "replicates": 5}
    found = convergence.study(X, y, **arguments, features=net)
    expected = convergence.study(hidden, y, **arguments)
    np.testing.assert_allclose(found.w_star, expected.w_star, rtol=1e-9)
    np.testing.assert_allclose(found.d, expected.d, rtol=1e-9)
    # w* is the best last layer.
    net.weights[2][...], net.biases[2][...] = found.w_star[:5, None], found.w_star[5:]
    last = net.loss_and_gradient(X, y)[1]
    assert np.abs(last.weights[2].ravel() + found.w_star[:5]).max() < 1e-12


def test_check_says_what_a_trainer_breaks():
    X, _ = data("squared_error")
    ones = np.hstack([X, np.ones((len(X), 1))])
    ell = convergence.estimate_constants(X, X[:, 0], alpha=0.5).ell

    def reasons(sizes=(5, 1), rate=None, sampling="subset", bias=False, loss="squared_error", **o):
        settings = {"learning_rate": rate or schedules.inverse_time(ell), "weight_decay": 0.5, **o}
        clip = settings.pop("clip_norm", None)
        net = fastrelu.Network(sizes, bias=bias)
        optimizer = fastrelu.SGD(**settings)
        trainer = fastrelu.Trainer(net, loss=loss, optimizer=optimizer, clip_norm=clip)
        return " | ".join(convergence.check(trainer, ones, sampling=sampling))

    assert reasons() == ""
    assert "shuffled" in reasons(sampling="shuffle")
    assert "hidden layers" in reasons((5, 3, 1))
    assert "momentum" in reasons(momentum=0.9)
    assert "clip_norm" in reasons(clip_norm=1.0)
    assert "inverse_time" in reasons(rate=0.1)
    assert "more than" in reasons(rate=schedules.inverse_time(2 * ell))
    assert "squared_error is strongly convex only" in reasons(bias=True, weight_decay=0.0)
    assert "penalty on every" in reasons(bias=True, loss="binary_cross_entropy")
    assert reasons(rate=schedules.inverse_time(0.5), loss="binary_cross_entropy") == ""
    assert "nothing is known" in reasons(loss="poisson")
    adam = fastrelu.Trainer(fastrelu.Network([5, 1]), optimizer=fastrelu.Adam())
    assert any("plain SGD" in reason for reason in convergence.check(adam, ones))
    with pytest.raises(TypeError, match=r"^trainer: "):
        convergence.check("trainer", ones)
    with pytest.raises(ValueError, match=r"^X: "):
        convergence.check(adam, X)
    with pytest.raises(ValueError, match=r"^sampling: "):
        convergence.check(adam, ones, sampling="all")


def test_check_knows_of_row_weights_and_of_earlier_steps():
    X, y = data("squared_error")
    ell = convergence.estimate_constants(X, y, alpha=0.5).ell
    optimizer = fastrelu.SGD(schedules.inverse_time(ell), weight_decay=0.5)
    net = fastrelu.Network([X.shape[1], 1], bias=False)
    trainer = fastrelu.Trainer(net, optimizer=optimizer, batch_size=4)

    def reasons(**options):
        return convergence.check(trainer, X, sampling="subset", **options)

    n = len(X)
    assert reasons() == reasons(sample_weight=np.full(n, 3.0)) == []
    (reason,) = reasons(sample_weight=np.arange(n) + 1.0)
    assert reason.startswith("rows have different weights")
    for bad in (np.ones(n - 1), np.ones((n, 1))):
        with pytest.raises(ValueError, match=r"^sample_weight: expected shape"):
            reasons(sample_weight=bad)
    trainer.fit(X, y, epochs=1, progress=False)
    (reason,) = reasons()
    assert reason.startswith(f"the trainer has taken {trainer.n_steps} steps before")


def test_ctrl_c_stops_a_study():
    class StopError(Exception):
        pass

    def stop(*_):
        raise StopError

    X, y = data("squared_error")
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(StopError):
            convergence.study(X, y, alpha=0.5, n_steps=10**6, replicates=10**4, k=[2])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
