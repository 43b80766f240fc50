# SPDX-License-Identifier: BSD-3-Clause
"""Random work by several processes of several threads, whose every result is checked to the bit.

    python scripts/soak.py --minutes 30 --processes 3 --threads 4

Each thread draws one kind of work after another: parts of the conformance kit, whose hashes the
package has; small trainings that `fastrelu.reference` does too; predictions on a network that all
threads of a process share; files, copies and pickles; stops and checkpoints; populations; forks;
calls that must be refused. Meanwhile the number of threads is changed at random. The exit status is
1 if a result was wrong, or a process ended or hung; resident memory at the beginning and at the end
is printed.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

import fastrelu
from fastrelu import reference, selftest
from fastrelu.selftest.runs import RUNS

HANGS = 300  # seconds that one piece of work may take on a busy machine
ROWS = (np.arange(600 * 16).reshape(600, 16) % 97 / 64 - 0.75).astype(np.float32)
NAMES = sorted(RUNS)


class Shared:
    """What the threads of a process have in common, and what must come out of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = fastrelu.Network([16, 96, 96, 3], seed=5)
        self.outputs = self.network(ROWS).tobytes()
        self.expected = selftest.expected()


def part(shared: Shared, draw: random.Random) -> None:
    """Compute a part of the conformance kit."""
    name = draw.choice(NAMES)
    with np.errstate(all="ignore"):
        found = selftest._hash(RUNS[name](None))
    assert found == shared.expected[name], name


def training(shared: Shared, draw: random.Random) -> None:
    """Train a little, beside the reference."""
    sizes = [draw.randint(1, 5) for _ in range(draw.randint(2, 4))]
    n, dtype = draw.randint(1, 9), draw.choice(["float32", "float64"])
    rows = np.random.default_rng(draw.getrandbits(32))
    X, y = rows.normal(size=(n, sizes[0])), rows.normal(size=(n, sizes[-1]))
    given = {
        "optimizer": draw.choice(["sgd", "adam", "adamw", "lion"]),
        "batch_size": draw.randint(1, n),
        "seed": draw.getrandbits(40),
    }
    net = {
        "dtype": dtype,
        "activation": draw.choice(["relu", "tanh", "silu"]),
        "seed": draw.randint(0, 99),
    }
    ours, theirs = fastrelu.Network(sizes, **net), reference.Network(sizes, **net)
    history = fastrelu.Trainer(ours, **given).fit(X, y, epochs=2)
    assert history.loss == reference.Trainer(theirs, **given).fit(X, y, epochs=2)
    assert ours(X).tobytes() == np.asarray(theirs(X)).tobytes()


def predictions(shared: Shared, draw: random.Random) -> None:
    """Ask the network that all threads read, whole and in parts."""
    assert shared.network(ROWS).tobytes() == shared.outputs
    cuts = sorted(draw.randint(0, len(ROWS)) for _ in range(3))
    parts = [shared.network(p) for p in np.split(ROWS, cuts) if len(p)]
    assert np.concatenate(parts).tobytes() == shared.outputs


def copies(shared: Shared, draw: random.Random) -> None:
    """Make a file, a copy and a pickle."""
    path = shared.folder / f"{threading.get_ident()}.safetensors"
    shared.network.save(path)
    for other in (
        fastrelu.load(path),
        shared.network.copy(),
        pickle.loads(pickle.dumps(shared.network)),
    ):
        assert other(ROWS[:50]).tobytes() == shared.outputs[: 50 * 3 * 4]


def checkpoints(shared: Shared, draw: random.Random) -> None:
    """Train, stop, save and go on, beside a training that is not stopped."""
    epochs, path = 6, shared.folder / f"{threading.get_ident()}.checkpoint"
    stop_after = draw.randint(1, epochs)
    given = {"optimizer": draw.choice(["adam", "sgd"]), "batch_size": 64, "dropout": 0.1}
    straight, cut = (
        fastrelu.Trainer(fastrelu.Network([16, 20, 3], seed=7), **given) for _ in range(2)
    )
    straight.fit(ROWS, ROWS[:, :3], epochs)
    cut.fit(ROWS, ROWS[:, :3], epochs, callbacks=[lambda _, record: record.epoch >= stop_after])
    cut.save_checkpoint(path)
    again = fastrelu.Trainer.from_checkpoint(path)
    again.fit(ROWS, ROWS[:, :3], epochs - again.n_epochs)
    assert again.network.parameters.tobytes() == straight.network.parameters.tobytes()


def populations(shared: Shared, draw: random.Random) -> None:
    """Train networks together, and each alone."""
    configs = [
        {"layer_sizes": [16, draw.randint(1, 20), 1], "seed": k, "batch_size": 50} for k in range(3)
    ]
    population = fastrelu.Population(configs)
    population.fit(ROWS, ROWS[:, 0], 2)
    for config, net in zip(configs, population.networks, strict=True):
        alone = fastrelu.Network(config["layer_sizes"], seed=config["seed"])
        fastrelu.Trainer(alone, batch_size=50).fit(ROWS, ROWS[:, :1], 2)
        assert net.parameters.tobytes() == alone.parameters.tobytes(), config


def forks(shared: Shared, draw: random.Random) -> None:
    """Make a child that predicts while its parent's threads are somewhere."""
    child = os.fork()
    if child == 0:
        signal.alarm(HANGS)
        os._exit(0 if shared.network(ROWS).tobytes() == shared.outputs else 1)
    assert os.waitpid(child, 0)[1] == 0


def refusals(shared: Shared, draw: random.Random) -> None:
    """Make calls that do not fit, and a training that diverges."""
    for X in (ROWS[:, :5], ROWS[0, 0], "rows", None, np.full((2, 16), np.nan)):
        try:
            shared.network(X)
        except (TypeError, ValueError):
            continue
        raise AssertionError(f"{X!r} was taken")
    net = fastrelu.Network([16, 8, 3], seed=1)
    try:
        fastrelu.Trainer(net, optimizer=fastrelu.SGD(1e30)).fit(ROWS, ROWS[:, :3], 3)
    except fastrelu.DivergenceError:
        assert np.isfinite(net.parameters).all()
    else:
        raise AssertionError("a training with a learning rate of 1e30 did not diverge")


def thread_numbers(shared: Shared, draw: random.Random) -> None:
    """Set another number of threads, for all that is going on."""
    fastrelu.set_num_threads(draw.randint(1, 5))


WORK = {
    part: 6, training: 6, predictions: 6, copies: 2, checkpoints: 2, populations: 2, forks: 1,
    refusals: 1, thread_numbers: 3,
}  # fmt: skip


def resident() -> int:
    """Return the resident memory in kB, 0 where the system does not say it."""
    try:
        return (
            int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
        )
    except OSError:
        return 0


def thread(
    shared: Shared, seed: str, end: float, made: collections.Counter, wrong: list[str]
) -> None:
    """Work until the end, or until something is wrong."""
    draw, kinds = random.Random(seed), list(WORK)
    while time.monotonic() < end and not wrong:
        kind = draw.choices(kinds, list(WORK.values()))[0]
        try:
            kind(shared, draw)
        except Exception:
            wrong.append(f"{seed}, {kind.__name__}: {traceback.format_exc()}")
        made[kind.__name__] += 1


def process(number: int, seconds: float, threads: int, seed: int) -> int:
    """Work in some threads; say how much was done, and what was wrong."""
    warnings.simplefilter("ignore")
    made: collections.Counter = collections.Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        shared = Shared(Path(folder))
        for kind in WORK:  # so that what is made once is there
            kind(shared, random.Random(0))
        before, end = resident(), time.monotonic() + seconds
        faulthandler.dump_traceback_later(seconds + HANGS, exit=True)
        started = [
            threading.Thread(target=thread, args=(shared, f"{seed} {number} {k}", end, made, wrong))
            for k in range(threads)
        ]
        for one in started:
            one.start()
        for one in started:
            one.join()
        faulthandler.cancel_dump_traceback_later()
    print("\n".join(wrong), end="")
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(made.items()))
    print(f"process {number}: {counts}; {before} kB, then {resident()} kB", flush=True)
    return int(bool(wrong))


def main() -> int:
    """Start the processes and wait for them."""
    parser = argparse.ArgumentParser(description="Random work, every result checked to the bit.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4, help="of each process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker is not None:
        return process(given.worker, 60 * given.minutes, given.threads, given.seed)
    started = [
        subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--worker", str(k)])
        for k in range(given.processes)
    ]
    ends = [one.wait() for one in started]
    print("every result was right" if not any(ends) else f"the processes ended with {ends}")
    return int(any(ends))


if __name__ == "__main__":
    sys.exit(main())
