# SPDX-License-Identifier: BSD-3-Clause
"""The logs of runs: each record once and in order after any kill, also beside other runs' records,
and a disk that is full ends a run instead of holding it."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from command_tools import run

from fastrelu import EpochRecord
from fastrelu.app.run.json_lines import JsonLines

VOLATILE = ("seconds", "rows_per_second", "run")
KINDS = {
    "plain": ["--hidden", 4, "--epochs", 4, "--checkpoint-every", "2e"],
    "folds": ["--hidden", 4, "--epochs", 3, "--folds", 2],
    "seeds": ["--hidden", 4, "--epochs", 3, "--seeds", 2, "--checkpoint-every", "2e"],
    "search": ["--hidden", 4, "--epochs", 4, "--search", "--candidates", 4],
    "recipe": ["--preset", "fast"],
}
SPREAD, LATE = 2, 1  # moments of kills: over the whole run, and among its last writes


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(80, 2))
    lines = [f"{a:.4f},{b:.4f},{a + abs(b):.4f}" for a, b in X]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,y", *lines]) + "\n")
    return tmp_path / "t.csv"


# Forks a child for each line that it reads: a command that kills itself at its n-th write of a log
# or of a file. It has no threads of its own, whose locks children would inherit; what the first
# child has imported, it imports for the next ones.
NURSERY = """
import contextlib, faulthandler, importlib, json, os, signal, sys
from click.testing import CliRunner
from fastrelu.app.cli import main

def child(n, arguments, done=[0]):
    faulthandler.dump_traceback_later(60, exit=True)
    def counted(real):
        def call(*args):
            result = real(*args)
            done[0] += 1
            if done[0] == n:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        return call
    os.write, os.fsync = counted(os.write), counted(os.fsync)
    ended = CliRunner().invoke(main, arguments)
    names = list(sys.modules)
    return {"code": ended.exit_code, "writes": done[0], "text": ended.output, "modules": names}

for line in sys.stdin:
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        with open(theirs, "w") as file:
            file.write(json.dumps(child(*json.loads(line))))
        os._exit(0)
    os.close(theirs)
    with open(ours) as file:
        text = file.read()
    status = os.waitpid(pid, 0)[1]
    for name in json.loads(text)["modules"] if text else ():
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    print(text or json.dumps({"code": -os.WTERMSIG(status), "text": status}), flush=True)
"""


@pytest.fixture(scope="module")
def killed():
    """Call the command in a process that kills itself at its n-th write; return how it ended."""
    command = [sys.executable, "-c", NURSERY]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:

        def call(n, *arguments):
            process.stdin.write(json.dumps([n, list(map(str, arguments))]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield call
        process.stdin.close()


KILLED = -signal.SIGKILL


def records_in(log, run_name=None):
    """The records of a log, of one run perhaps, without what differs from run to run."""
    records = [json.loads(line) for line in log.read_text().splitlines()]
    if run_name is None:
        assert len({record["run"] for record in records}) == 1
    found = [record for record in records if run_name in (None, record["run"])]
    return [{k: v for k, v in each.items() if k not in VOLATILE} for each in found]


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_after_any_kill_is_that_of_an_undisturbed_run(table, tmp_path, killed, kind):
    flags = [table, *KINDS[kind], "--log-json"]
    whole = tmp_path / "whole"
    undisturbed = killed(0, "train", *flags, whole, "--out", tmp_path / "undisturbed")
    assert undisturbed["code"] == 0, undisturbed["text"]
    last = undisturbed["writes"]
    events = [record["event"] for record in records_in(whole)]
    assert events[-1] == "result" and "epoch" in events
    moments = {*range(5, last, last // SPREAD), *range(last - LATE, last + 1)}
    for k, n in enumerate(sorted(moments)):
        out, log = tmp_path / f"run{n}", tmp_path / f"log{n}"
        assert killed(n, "train", *flags, log, "--out", out)["code"] == KILLED
        if log.exists() and k % 2:  # the last record cut short
            os.truncate(log, max(0, log.stat().st_size - 15))
        killed(n // 2 + 1, "train", "--resume", out, "--log-json", log)
        for _ in range(2):  # the second time it is finished
            done = killed(0, "train", "--resume", out, "--log-json", log)
            assert done["code"] == 0, done["text"]
            assert records_in(log) == records_in(whole), n


def test_a_finished_recipe_run_that_was_killed_leaves_no_checkpoints(table, tmp_path, monkeypatch):
    from fastrelu.app.run import recipe

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(recipe.RecipeSession, "_remove_checkpoints", lambda self: 1 / 0)
        assert run("train", table, "--preset", "fast", "--out", out).exit_code == 1
    assert (out / "metrics.json").exists() and list((out / "checkpoints").iterdir())
    assert "is finished" in run("train", "--resume", out).output
    assert not list((out / "checkpoints").iterdir())
    (out / "history.csv").write_text("epoch\nmany\n")
    done = run("train", "--resume", out, "--log-json", tmp_path / "log")
    assert done.exit_code == 0 and "history.csv" in done.output


def epoch(number):
    return EpochRecord(number, loss=1 / number, seconds=0.5, rows_per_second=2.0, learning_rate=0.1)


def test_a_resumed_run_leaves_other_runs_records(table, tmp_path):
    log, (a, b) = tmp_path / "log", ("a" * 12, "b" * 12)
    one = JsonLines(str(log), run=a)
    for number in (1, 2, 3, 4):
        one.epoch(epoch(number))
    two = JsonLines(str(log), run=b)
    two.begin(9, 10, 0, 1, "r2")
    two.close()
    two = JsonLines(str(log), True, b)  # killed in its first epoch, and taken up
    two.begin(9, 10, 0, 1, "r2")
    assert [r["epoch"] for r in records_in(log, a)] == [1, 2, 3, 4]
    for number in (1, 2, 3):
        two.epoch(epoch(number))
        one.epoch(epoch(number + 4))  # both go on at once
    two.close()
    two = JsonLines(str(log), True, b)
    two.former([epoch(1)])
    two.begin(9, 10, 10, 2, "r2")
    one.epoch(epoch(8))
    two.epoch(epoch(2))
    two.result({"loss": float("nan")})
    assert [r["epoch"] for r in records_in(log, a)] == list(range(1, 9))
    assert [r.get("epoch") for r in records_in(log, b)] == [1, 2, None]


def test_two_runs_of_the_command_share_a_log(table, tmp_path, killed):
    log, flags = tmp_path / "log", ["--hidden", 4, "--epochs", 4, "--log-json", tmp_path / "log"]
    assert killed(12, "train", table, *flags, "--out", tmp_path / "a")["code"] == KILLED
    before = log.read_text()
    assert '"epoch": 2' in before
    assert killed(6, "train", table, *flags, "--out", tmp_path / "b")["code"] == KILLED
    for name in ("b", "a"):
        done = killed(0, "train", "--resume", tmp_path / name, "--log-json", log)
        assert done["code"] == 0, done["text"]
    assert log.read_text().startswith(before.splitlines()[0])
    runs = {json.loads(line)["run"] for line in log.read_text().splitlines()}
    assert len(runs) == 2
    for name in runs:
        assert [r.get("epoch") for r in records_in(log, name)] == [1, 2, 3, 4, None]


def test_a_record_of_another_run_cut_short_stays_a_line_of_its_own(tmp_path):
    log = tmp_path / "log"
    for cut in ('{"event": "epoch", "run": "cccc', "no record"):
        log.write_text(cut)
        lines = JsonLines(str(log), run="a" * 12)
        lines.epoch(epoch(1))
        lines.close()
        lines = JsonLines(str(log), True, "a" * 12)
        lines.former([epoch(1)])
        lines.begin(2, 1, 1, 2, "r2")
        lines.close()
        assert log.read_text().splitlines()[0] == cut
        assert json.loads(log.read_text().splitlines()[1])["epoch"] == 1


def test_a_run_of_an_earlier_version_goes_on_in_its_log(table, tmp_path):
    out, log = tmp_path / "out", tmp_path / "log"
    flags = ["--hidden", 4, "--epochs", 3, "--log-json", log]
    assert run("train", table, *flags, "--out", out).exit_code == 0
    config = out / "config.toml"
    config.write_text(re.sub("# run .*\n", "", config.read_text()))
    log.write_text(re.sub('"run": "[0-9a-f]*", ', "", log.read_text()))
    old = log.read_text()
    assert "run" not in json.loads(old.splitlines()[0])
    assert run("train", "--resume", out, "--log-json", log).exit_code == 0
    assert log.read_text() == old  # finished, and nothing is told twice
    done = run("train", "--resume", out, "--epochs", 5, "--log-json", log)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [1, 2, 3, None, 4, 5, None]


def test_a_resumed_run_fills_a_log_that_is_new(table, tmp_path):
    out, log = tmp_path / "out", tmp_path / "log"
    assert run("train", table, "--hidden", 4, "--epochs", 3, "--out", out).exit_code == 0
    assert run("train", "--resume", out, "--epochs", 5, "--log-json", log).exit_code == 0
    assert [r.get("epoch") for r in records_in(log)] == [1, 2, 3, 4, 5, None]
    done = run("train", "--resume", out, "--log-json", "-")  # cannot be asked what it has
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["result"]


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that can close a file")
def test_a_standard_output_that_is_closed_is_an_output_error(table, tmp_path):
    command = f"{sys.executable} -m fastrelu train {table} --preset single --epochs 1 --log-json -"
    done = subprocess.run(
        ["sh", "-c", f"{command} --out {tmp_path / 'out'} >&-"],
        stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 5 and "standard output: cannot be written" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_of_the_log_is_named(table, tmp_path):
    flags = ["--hidden", 4, "--epochs", 3, "--checkpoint-every", "1h"]
    done = run("train", table, *flags, "--log-json", "/dev/full", "--out", tmp_path / "out")
    assert done.exit_code == 5 and "error: /dev/full: cannot be written (No space" in done.stderr
    assert list((tmp_path / "out" / "checkpoints").iterdir())  # of the epoch that was not told
    assert run("train", "--resume", tmp_path / "out").exit_code == 0


def test_a_log_on_a_full_disk_has_no_record_cut_short(tmp_path, monkeypatch):
    log, write = tmp_path / "log", os.write
    lines = JsonLines(str(log), run="a" * 12)
    lines.epoch(epoch(1))
    room = itertools.chain([10], itertools.repeat(0))

    def full(handle, data):
        n = next(room)
        if not n:
            raise OSError(28, "No space left on device")
        return write(handle, data[:n])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(Exception, match="log: cannot be written"):
            lines.epoch(epoch(2))
    lines.epoch(epoch(2))
    lines.close()
    assert [r["epoch"] for r in records_in(log)] == [1, 2]


# Runs the command with a disk for TensorBoard's files that takes so many bytes.
FULL_BOARD = """
import io, sys
from tensorboardX import record_writer
room = int(sys.argv[1])
class Full(io.FileIO):
    def write(self, data):
        if self.tell() + len(data) > room:
            raise OSError(28, "No space left on device")
        return super().write(data)
record_writer.open_file = lambda path: io.BufferedWriter(Full(path, "wb"))
sys.argv = ["fastrelu", *sys.argv[2:]]
from fastrelu.__main__ import main
main()
"""


@pytest.mark.parametrize("room", [0, 2000])
def test_a_full_disk_of_tensorboard_ends_the_run(table, tmp_path, room):
    pytest.importorskip("tensorboardX")
    out, board = tmp_path / "out", tmp_path / "board"
    flags = ["--hidden", 4, "--epochs", 200, "--checkpoint-every", "1h", "--early-stopping", 0]
    command = [sys.executable, "-c", FULL_BOARD, room, "train", table, *flags, "--out", out,
               "--tensorboard", board]  # fmt: skip
    ended = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 5, ended.stderr
    assert f"error: --tensorboard {board}: cannot be written (No space" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list((out / "checkpoints").iterdir()) and (out / "history.csv").exists()
    assert run("train", "--resume", out, "--tensorboard", board).exit_code == 0
    counts = [file.read_bytes().count(b"rows_per_second") for file in board.iterdir()]
    assert max(counts) == 200


def test_a_folder_of_tensorboard_that_is_removed_is_told(table, tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    import shutil

    from fastrelu.app.run.tensorboard import TensorBoard

    board, out, real = tmp_path / "board", tmp_path / "out", TensorBoard.epoch

    def removed(self, record):
        real(self, record)
        shutil.rmtree(board, ignore_errors=True)

    monkeypatch.setattr(TensorBoard, "epoch", removed)
    flags = ["--hidden", 4, "--epochs", 2, "--out", out, "--tensorboard", board]
    done = run("train", table, *flags)
    assert done.exit_code == 5 and f"{board}: was removed" in done.stderr
    assert (out / "metrics.json").exists()


def test_a_log_is_no_file_that_the_run_reads_or_writes(tmp_path, monkeypatch):
    rows, settings, out = tmp_path / "rows.csv", tmp_path / "c.toml", tmp_path / "out"
    rows.write_text("a,y\n" + "1,2\n" * 20)
    settings.write_text("epochs = 1\n")
    (tmp_path / "link.csv").symlink_to(rows)
    (out / "checkpoints").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    own = ("config.toml", "model.safetensors", "metrics.json", "history.csv", "checkpoints/a.json")
    read = ("rows.csv", "link.csv", "out/../rows.csv", "c.toml")
    content = rows.read_bytes(), settings.read_bytes()
    for place, says in (*((p, "reads") for p in read), *((f"out/{p}", "writes") for p in own)):
        flags = ("--config", settings, "--out", out, "--log-json", place)
        for data in (rows, "r*.csv"):
            done = run("train", data, *flags)
            assert done.exit_code == 2 and f"{place}: the run {says} this file" in done.output
    for query in ("SELECT * FROM 'rows.csv'", 'SELECT a, "y" FROM "r*.csv" WHERE a = \'1\''):
        done = run("train", "--sql", query, "--log-json", rows)
        assert done.exit_code == 2 and "the run reads this file" in done.output
    assert (rows.read_bytes(), settings.read_bytes()) == content
    assert [path.name for path in out.rglob("*")] == ["checkpoints"]
