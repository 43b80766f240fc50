# SPDX-License-Identifier: BSD-3-Clause
"""Processes of mpiexec that share a training: the bits of one process, faults, the command.

FASTRELU_DISTRIBUTED=all runs all of it, every case with 2, 3 and 4 processes; the usual run has
some cases, with 2 and 3.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastrelu

HERE = Path(__file__).parent
MPIEXEC = shutil.which(
    "mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
if MPIEXEC is None or importlib.util.find_spec("mpi4py") is None:
    pytest.skip("needs mpi4py and mpiexec (extra mpi)", allow_module_level=True)
ALL = os.environ.get("FASTRELU_DISTRIBUTED") == "all"
RANKS = 4 if ALL else 3
needs_all = pytest.mark.skipif(not ALL, reason="a longer one: FASTRELU_DISTRIBUTED=all runs it")
pytest.importorskip("click")
from command_tools import result_of, run  # noqa: E402


def ranks(size, *arguments, folders=None, **options):
    """The command line of mpiexec; `folders`: where each rank works."""
    program = [sys.executable, "-m", "mpi4py", *map(str, arguments)]
    if folders is None:
        return [MPIEXEC, "-n", str(size), *program]
    each = [["-n", "1", "-wdir", str(folder), *program] for folder in folders]
    return [MPIEXEC, *[word for k, part in enumerate(each) for word in ([":"] * (k > 0) + part)]]


def finished(command, **options):
    # Ranks may work in other folders, from which a relative path would lead elsewhere.
    here = str(Path(fastrelu.__file__).parents[1])
    environment = {**os.environ, "FASTRELU_NUM_THREADS": "1", "PYTHONPATH": here}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environment,
        **options,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def mpi_works():
    """Skip all where processes of MPI cannot be started, as in some containers."""
    try:
        done = finished(ranks(2, "-c", "from mpi4py import MPI; assert MPI.COMM_WORLD.size == 2"))
    except subprocess.TimeoutExpired:
        pytest.skip("mpiexec has not started two processes within two minutes")
    if done.returncode != 0:
        pytest.skip(f"mpiexec cannot start two processes here: {done.stderr.strip()[-300:]}")


def sentences(done):
    """What was said on standard error, without mpiexec's own lines."""
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def test_every_case_gives_the_bits_of_one_process():
    from distributed_cases import CASES
    from mpi_ranks import SOME, digest

    labels = list(CASES) if ALL else SOME
    done = finished(ranks(RANKS, HERE / "mpi_ranks.py", *labels))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == len(labels) * sum(range(2, RANKS + 1)) + RANKS
    one = {label: digest(label, None) for label in labels}
    assert not [key for key, each in found.items() if each != one[key.partition("/")[0]]]


def test_what_gives_up_the_contract_is_the_same_on_all_ranks():
    """MPI's own sum is near, and the same on all ranks; local steps have the bits of threads."""
    from mpi_ranks import local_steps, loosely_summed

    from fastrelu.distributed import run_threads

    done = finished(ranks(2, HERE / "mpi_ranks.py", "given up"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (loose, local), other = found
    assert [loose, local] == other
    np.testing.assert_allclose(loose, loosely_summed(None), rtol=1e-3)
    assert [local] * 2 == run_threads(2, local_steps)


def test_models_of_tables_are_those_of_one_process():
    pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    from mpi_tables import WORK, digest

    done = finished(ranks(RANKS, HERE / "mpi_tables.py", *WORK))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == len(WORK) * sum(range(2, RANKS + 1))
    one = {label: digest(label, None) for label in WORK}
    assert not [key for key, each in found.items() if each != one[key.partition("/")[0]]]


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("raises", "MemoryError: no memory for it"),
        pytest.param("SIGINT", "KeyboardInterrupt", marks=needs_all),
        pytest.param("SIGKILL", "", marks=needs_all),
    ],
)
def test_a_rank_that_ends_in_the_fit_of_a_table_ends_all(how, text):
    pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    done = finished(ranks(2, HERE / "mpi_tables.py", "end", how))
    assert done.returncode != 0 and text in done.stderr, done.stderr


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("mpi") / "table.csv"
    X = np.random.default_rng(0).normal(size=(4000, 4))
    rows = (
        f"{a:.5g},{b:.5g},{'red' if c > 0 else 'blue'},{a * b + (c > 0):.5g}" for a, b, c, _ in X
    )
    path.write_text("a,b,colour,y\n" + "\n".join(rows))
    return path


FLAGS = ("--target", "y", "--epochs", "4", "--hidden", "16", "--quiet", "--shards", "4",
         "--batch-size", "64", "--early-stopping", "0")  # fmt: skip


@pytest.fixture(scope="module")
def alone(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    done = run("train", table, *FLAGS, "--out", folder)
    assert done.exit_code == 0, done.output
    return folder


def test_a_killed_run_goes_on_with_other_processes(table, alone, tmp_path):
    """A rank dies; the job ends at once, and three ranks finish what two have begun."""
    out = tmp_path / "run"
    many = [*FLAGS, "--epochs", "400", "--schedule-epochs", "4", "--schedule", "constant"]
    alike = tmp_path / "alike"
    process = subprocess.Popen(
        ranks(2, "-m", "fastrelu", "train", table, *many, "--out", out),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "FASTRELU_NUM_THREADS": "1"},
    )  # fmt: skip
    end = time.monotonic() + 60
    while not list(out.glob("checkpoints/*.safetensors")) and time.monotonic() < end:
        time.sleep(0.05)
    victim = child_of_rank(process.pid, 1)
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    process.communicate(timeout=30)
    assert process.returncode != 0 and time.monotonic() - began < 30
    done_epochs = checkpoint_epochs(out)
    assert done_epochs
    epochs = str(done_epochs + 2)
    go_on = finished(
        ranks(3, "-m", "fastrelu", "train", "--resume", out, "--epochs", epochs, "--quiet")
    )
    assert go_on.returncode == 0, go_on.stderr
    done = run("train", table, *many, "--epochs", epochs, "--out", alike)
    assert done.exit_code == 0, done.output
    assert result_of(out) == result_of(alike)


def checkpoint_epochs(folder):
    from fastrelu.app.run.checkpoint import Checkpoints

    _, state = Checkpoints(folder / "checkpoints", "60s", 3).load(print)
    return state.epochs


def child_of_rank(above, rank):
    """The process of a rank, somewhere below mpiexec."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        names = (b"PMI_RANK=%d" % rank, b"OMPI_COMM_WORLD_RANK=%d" % rank)
        if any(name in environment for name in names) and b"fastrelu" in command:
            if str(above) in ancestors(folder.name):
                return int(folder.name)
    raise AssertionError("no such process")


def ancestors(pid):
    found = []
    while pid not in ("0", "1"):
        pid = re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]
        found.append(pid)
    return found


def test_the_command_gives_the_model_of_one_process(table, alone, tmp_path):
    out = tmp_path / "run"
    done = finished(ranks(2, "-m", "fastrelu", "train", table, *FLAGS, "--out", out))
    assert done.returncode == 0, done.stderr
    assert result_of(out) == result_of(alone)


def notes_of_shops(folder, last=""):
    """Two files with line breaks in quotes, of several blocks each with --memory 4MB."""
    choose = np.random.default_rng(1)
    for k in range(2):
        rows = (
            f'{a:.6f};"first {i}\nsecond, {i % 7}";{i % 28 + 1:02d}/{i % 12 + 1:02d}/2024;'
            f"{a * 3:.4f}".replace(".", ",")
            for i, a in enumerate(choose.normal(size=2800))
        )
        text = "a;note;day;y\n" + "\n".join(rows) + "\n"
        (folder / f"{k}.csv").write_text(text + last * k)
    return folder / "*.csv"


TEXT_FLAGS = (*FLAGS, "--memory", "4MB", "--ignore", "note")


def test_text_is_the_model_of_one_process_whoever_has_looked_at_it(tmp_path):
    files, one, out = notes_of_shops(tmp_path), tmp_path / "one", tmp_path / "out"
    assert run("train", files, *TEXT_FLAGS, "--out", one).exit_code == 0
    done = finished(ranks(3, "-m", "fastrelu", "train", files, *TEXT_FLAGS, "--out", out))
    assert done.returncode == 0, done.stderr
    assert result_of(out) == result_of(one)


@needs_all
def test_what_is_wrong_in_the_last_part_of_text_is_told_as_by_one(tmp_path):
    for last in ("1,5;none;01/01/2024\n", "1,5;none;01/01/2024;nan\n"):
        files = notes_of_shops(tmp_path, last)
        one = run("train", files, *TEXT_FLAGS)
        done = finished(ranks(3, "-m", "fastrelu", "train", files, *TEXT_FLAGS))
        assert done.returncode == one.exit_code == 3
        assert sentences(done) == [one.stderr.strip()] and "1.csv: line 5602: " in done.stderr


@needs_all
def test_one_rank_without_its_file_ends_all(table, tmp_path):
    there, nowhere = tmp_path / "there", tmp_path / "nowhere"
    there.mkdir()
    nowhere.mkdir()
    shutil.copy(table, there / "t.csv")
    began = time.monotonic()
    arguments = ("-m", "fastrelu", "train", "t.csv", *FLAGS)
    done = finished(ranks(2, *arguments, folders=(there, nowhere)))
    assert done.returncode == 3 and time.monotonic() - began < 30
    assert len(sentences(done)) == 1 and sentences(done)[0].startswith("error: rank 1: t.csv: no")


@needs_all
def test_what_does_not_fit_is_told_once_at_the_start(table):
    start = [sys.executable, "-m", "mpi4py", "-m", "fastrelu", "train", str(table)]
    differ = [MPIEXEC, "-n", "1", *start, *FLAGS, ":", "-n", "1", *start, *FLAGS, "--lr", "0.1"]
    for command, text in (
        (differ, "the processes of mpiexec differ: --lr is None on rank 0 and 0.1 on rank 1"),
        (ranks(2, *start[3:], "--epochs", "1"), "mpiexec has started 2 processes, and --shards is"),
        ([MPIEXEC, "-n", "2", *start[:2], *start[4:]], "without mpi4py"),
    ):
        done = finished(command)
        assert done.returncode == 2, done.stderr
        assert len(sentences(done)) == 1 and text in sentences(done)[0]
