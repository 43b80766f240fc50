# SPDX-License-Identifier: BSD-3-Clause
"""What holds for a whole process may be set while its threads compute: the bits are the same.

That is the instruction set, the numbers of threads and the sizes of blocks. In processes of their
own, since what they guard against writes beyond the end of memory.
"""

import subprocess
import sys
import threading

import numpy as np
import pytest
from test_python_threads import ROWS, TARGETS, at_once, without_errors

import fastrelu
from fastrelu import _core

several = pytest.mark.skipif(
    len(_core.available_isas()) < 2, reason="needs two instruction sets"
)  # fmt: skip

POPULATION = """
import numpy as np, fastrelu, sys
from fastrelu import _core
first, other = sys.argv[1:]
rows = np.random.default_rng(3).normal(size=(300, 16)).astype("float32")
def fitted(callback):
    made = fastrelu.Population([{"layer_sizes": [16, 9, 2], "seed": k} for k in range(33)])
    made.fit(rows, rows[:, :2], epochs=4, callbacks=[callback])
    return b"".join(net.parameters.tobytes() for net in made.networks)
isas = [first, other]
def change(member, record):
    isas.reverse()
    _core.set_isa(isas[0])
_core.set_isa(first)
expected = fitted(lambda member, record: None)
print(fitted(change) == expected)
"""


@several
@pytest.mark.parametrize("other", [-1, 0])
def test_an_instruction_set_chosen_by_a_callback_of_a_population(other):
    """Networks side by side lie as the lanes of one instruction set have them."""
    isas = _core.available_isas()
    done = subprocess.run(
        [sys.executable, "-c", POPULATION, isas[-1 - other], isas[other]],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "True", (done.returncode, done.stderr)


def network_and_trainer(width):
    net = fastrelu.Network([16, width, 2], seed=1)
    return net, fastrelu.Trainer(net, optimizer="adam", seed=5)


def trained(width):
    net, trainer = network_and_trainer(width)
    return tuple(trainer.fit(ROWS, TARGETS, 3).loss), net.parameters.tobytes()


def populations():
    made = fastrelu.Population([{"layer_sizes": [16, 9, 2], "seed": k} for k in range(17)])
    made.fit(ROWS, TARGETS, epochs=2)
    return b"".join(net.parameters.tobytes() for net in made.networks)


def passes():
    net, _ = network_and_trainer(600)  # worth several threads and several blocks
    out, cache = net.forward_cached(ROWS)
    return out.tobytes(), net.backward(cache, out).flat.tobytes(), net.jacobian(ROWS).tobytes()


def bounds_and_regions():
    net = fastrelu.Network([2, 12, 1], seed=2)
    box = net.output_bounds([-1, -1], [1, 1])
    regions = net.linear_regions([-1, 1, -1, 1])
    return [bound.tobytes() for bound in box], len(regions)


def encoded():
    rows = fastrelu.EncodedRows.from_edges(ROWS, [np.linspace(-2, 2, 9)] * 16)
    net = fastrelu.Network([128, 20, 2], seed=3)
    fastrelu.Trainer(net, seed=1).fit(rows, TARGETS, 2)
    return net.parameters.tobytes(), net(rows).tobytes()


WORK = {
    "narrow": lambda: trained(8),
    "wide": lambda: trained(400),
    "population": populations,
    "passes": passes,
    "bounds": bounds_and_regions,
    "encoded": encoded,
}


def test_settings_change_while_threads_compute():
    isas = _core.available_isas()
    expected = {name: work() for name, work in WORK.items()}
    before = _core.active_isa(), _core.tuning(), fastrelu.get_num_threads()
    ended = threading.Event()

    def repeated(name):
        return all(WORK[name]() == expected[name] for _ in range(3))

    def settings():
        tunings = {
            "chain=32,gradient=16K,prefetch=off": "chain=32,gradient=16K,prefetch=off",
            "chain=384,gradient=16M,prefetch=on": "chain=384,gradient=16384K,prefetch=on",
        }
        made = 0
        while not ended.is_set():
            _core.set_isa(isas[made % len(isas)])
            _core.set_tuning(list(tunings)[made % 2])
            fastrelu.set_num_threads(1 + made % 4)
            assert _core.tuning() in tunings.values()
            made += 1
        return made

    def all_work():
        try:
            return without_errors(at_once([lambda name=name: repeated(name) for name in WORK]))
        finally:
            ended.set()

    try:
        right, *made = without_errors(at_once([all_work, settings, settings]))
    finally:
        _core.set_isa(before[0])
        _core.set_tuning(before[1])
        fastrelu.set_num_threads(before[2])
    assert dict(zip(WORK, right, strict=True)) == dict.fromkeys(WORK, True)
    assert min(made) > 10
