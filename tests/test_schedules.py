# SPDX-License-Identifier: BSD-3-Clause
"""Schedules: their values, their bits, their descriptions."""

import numpy as np
import pytest

import fastrelu
from fastrelu import schedules
from fastrelu.schedules import as_description, from_description


def test_the_cosine_to_a_few_roundings():
    mpmath = pytest.importorskip("mpmath")
    for n in (7, 1000, 1001):
        rates = [schedules.cosine(1.0, n)(k) for k in range(1, n + 1)]
        exact = [
            float((1 + mpmath.cos(mpmath.pi * (k - 1) / (n - 1))) / 2) for k in range(1, n + 1)
        ]
        assert np.abs(np.subtract(rates, exact)).max() <= 2.0**-51
        assert (np.diff(rates) <= 0).all()
        assert rates[0] == 1.0 and rates[-1] == 0.0


def test_bits_that_no_c_library_has_a_say_in():
    cosine = schedules.cosine(0.1, 1000, 1e-4)
    found = [cosine(k).hex() for k in (2, 250, 251, 333, 500, 666, 750, 751, 999)]
    assert found == [
        "0x1.9999574cca37cp-4",
        "0x1.5e0429e116f70p-4",
        "0x1.5d8fc9a89f557p-4",
        "0x1.33dbed7b0bdf6p-4",
        "0x1.9aa72adefd427p-5",
        "0x1.9d0f430392b3fp-6",
        "0x1.e3955be535a9bp-7",
        "0x1.dff25a21789e0p-7",
        "0x1.a47761ef4bb26p-14",
    ]


def test_warm_up():
    ramp = schedules.warm_up(schedules.constant(0.8), 4)
    assert [ramp(k) for k in (1, 2, 3, 4, 5)] == [0.2, 0.4, 0.8 * 0.75, 0.8, 0.8]
    # Its own steps count on: the steps of the proof, capped.
    capped = schedules.warm_up(schedules.inverse_time(0.5), 8)
    assert [capped(k) for k in (1, 2, 4, 8, 16)] == [1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 16]
    assert schedules.warm_up(schedules.constant(0.8), 1)(1) == 0.8
    assert schedules.warm_up(lambda k: 1.0 / k, 2)(1) == 0.5
    with pytest.raises(TypeError, match=r"^schedule: "):
        schedules.warm_up(0.1, 5)
    for n in (0, 2.5, True):
        with pytest.raises((TypeError, ValueError), match=r"^n_steps: "):
            schedules.warm_up(schedules.constant(0.1), n)


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.constant(0.1),
        schedules.inverse_time(0.5),
        schedules.step_decay(0.1, 0.5, 3),
        schedules.cosine(0.1, 30, 0.01),
        schedules.warm_up(schedules.cosine(0.1, 30), 7),
        schedules.warm_up(schedules.warm_up(schedules.constant(0.05), 3), 5),
    ],
)
def test_descriptions_come_back(schedule, tmp_path):
    assert from_description(as_description(schedule)) == schedule
    X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    trainers = []
    for _ in range(2):
        net = fastrelu.Network([3, 4, 1])
        trainer = fastrelu.Trainer(net, optimizer=fastrelu.SGD(schedule), batch_size=4)
        trainer.fit(X, X[:, 0])
        trainers.append(trainer)
    trainers[0].save_checkpoint(tmp_path / "c")
    trainers[0] = fastrelu.Trainer.from_checkpoint(tmp_path / "c")
    for trainer in trainers:
        trainer.fit(X, X[:, 0], 2)
    a, b = (trainer.network.parameters.tobytes() for trainer in trainers)
    assert a == b


def test_a_callable_of_ones_own_has_no_description():
    assert as_description(lambda k: 0.1) is None
    assert as_description(schedules.warm_up(lambda k: 0.1, 3)) is None
