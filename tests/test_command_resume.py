# SPDX-License-Identifier: BSD-3-Clause
"""Stopping and going on: the same bits after any kill, and what does not fit is refused."""

import errno
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command_tools import environment, result_of, run, start, write_table

from fastrelu import checkpoint, model_file, whole_files
from fastrelu.app import run_folder
from fastrelu.app.run import checkpoint as run_checkpoint

KILLS = 20


@pytest.fixture
def data(tmp_path, rng):
    y = rng.integers(0, 3, 3000)
    X = (rng.normal(size=(3000, 12)) + y[:, None]).astype(np.float32)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    return tmp_path / "data.npz"


@pytest.fixture
def table(tmp_path, rng):
    return write_table(tmp_path / "table.csv", rng)


def long_run(data, out, **more):
    """A run of about two seconds whose checkpoints follow one another."""
    flags = {"epochs": 150, "hidden": "64,32", "batch-size": 16, "early-stopping": 1000}
    flags |= {"checkpoint-every": "0.001s", "threads": 1, "out": out} | more
    return ["train", data, *(f"--{k}={v}" for k, v in flags.items())]


def has_checkpoint(out):
    return any((out / "checkpoints").glob("checkpoint-*"))


def wait_for(condition, process, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)


def test_killed_at_random_moments(data, tmp_path):
    """Each run is killed some time after it began to work, while checkpoints are being written."""
    whole = tmp_path / "whole"
    assert run(*long_run(data, whole)).exit_code == 0
    random, kills, folder = np.random.default_rng(5), 0, 0
    while kills < KILLS:
        out = tmp_path / f"killed{folder}"
        folder += 1
        arguments = long_run(data, out)
        for _ in range(5):  # five kills to a run
            process = start(*arguments)
            seen = set(out.glob("checkpoints/checkpoint-*"))
            wait_for(lambda o=out, s=seen: set(o.glob("checkpoints/checkpoint-*")) - s, process)
            time.sleep(random.uniform(0, 0.25))
            process.kill()
            process.communicate()
            kills += process.returncode == -signal.SIGKILL
            arguments = ["train", "--resume", out]
        last = run(*arguments)
        assert last.exit_code == 0, last.output
        assert result_of(out) == result_of(whole)
        assert not list(out.glob("**/.*.part"))


# Kills itself at the n-th fsync: a file is then written and not renamed, or renamed and its folder
# not synchronised.
KILLED_WHILE_WRITING = """
import os, signal, sys
left, real = [int(sys.argv[1])], os.fsync
def fsync(handle):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    real(handle)
os.fsync = fsync
sys.argv = ["fastrelu", *sys.argv[2:]]
from fastrelu.__main__ import main
main()
"""


@pytest.mark.parametrize("n", [3, 4, 9, 20])
def test_killed_while_a_file_is_written(table, tmp_path, n):
    whole, out = tmp_path / "whole", tmp_path / "out"
    flags = [table, "--epochs", 8, "--checkpoint-every", "2e", "--keep", 2]
    assert run("train", *flags, "--out", whole).exit_code == 0
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, n, "train", *flags, "--out", out]
    killed = subprocess.run([str(c) for c in command], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert n % 2 == 0 or list(out.glob("**/.*.part"))
    assert run("train", "--resume", out).exit_code == 0
    assert result_of(out) == result_of(whole) and not list(out.glob("**/.*.part"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_inside_an_epoch(data, tmp_path, number, code):
    whole, out = tmp_path / "whole", tmp_path / "stopped"
    flags = {"epochs": 8, "hidden": "400,400", "batch-size": 1, "checkpoint-every": "1h"}
    assert run(*long_run(data, whole, **flags)).exit_code == 0
    process = start(*long_run(data, out, **flags))
    wait_for(lambda: (out / "config.toml").exists(), process)
    time.sleep(0.3)
    process.send_signal(number)
    text = process.communicate()[1]
    assert process.returncode == code, text
    assert f"fastrelu train --resume {out}" in text and "Traceback" not in text
    assert has_checkpoint(out) and not (out / "model.safetensors").exists()
    assert run("train", "--resume", out).exit_code == 0
    assert result_of(out) == result_of(whole)


def test_interrupted_while_the_report_is_written(table, tmp_path, monkeypatch):
    from fastrelu.app.report import gather

    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run("train", table, "--epochs", 4, "--out", whole).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(gather, "report_run", lambda *_: signal.raise_signal(signal.SIGTERM))
        stopped = run("train", table, "--epochs", 4, "--out", out)
    assert stopped.exit_code == 143 and f"fastrelu train --resume {out}" in stopped.output
    assert not (out / "metrics.json").exists() and not (out / "report.html").exists()
    assert run("train", "--resume", out).exit_code == 0
    assert result_of(out) == result_of(whole) and (out / "report.html").exists()


def test_interrupted_without_a_folder(data, tmp_path):
    log = tmp_path / "log.jsonl"
    process = start("train", data, "--epochs", 10**6, "--log-json", log)
    wait_for(lambda: log.exists() and log.stat().st_size > 0, process)
    process.send_signal(signal.SIGINT)
    text = process.communicate()[1]
    assert process.returncode == 130 and "nothing is saved without --out" in text


def test_the_log_of_a_killed_run_has_each_epoch_once(data, tmp_path):
    log, out = tmp_path / "log.jsonl", tmp_path / "out"
    process = start("train", data, "--epochs", 10**6, "--out", out, "--log-json", log,
                    "--checkpoint-every", "50e")  # fmt: skip
    wait_for(lambda: log.exists() and log.read_bytes().count(b"\n") >= 70, process)
    process.kill()
    process.communicate()  # which closes its pipes, too
    written = log.read_bytes().count(b"\n")
    with open(log, "ab") as file:
        file.write(b'{"event": "epoch", "epo')  # a line that was cut short
    done = run("train", "--resume", out, "--epochs", written + 20, "--log-json", log)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    epochs = [line["epoch"] for line in lines if line["event"] == "epoch"]
    assert epochs == list(range(1, written + 21))
    assert [line["event"] for line in lines].count("result") == 1


def test_more_epochs_than_before(table, tmp_path):
    """Epochs beyond go on as if they had been asked for; the schedule keeps its length."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run("train", table, "--epochs", 8, "--schedule-epochs", 5, "--out", whole).exit_code == 0
    assert run("train", table, "--epochs", 5, "--out", out).exit_code == 0
    said = run("train", "--resume", out)
    assert said.exit_code == 0 and "is finished: 5 epochs" in said.output
    assert "test R2" in said.output
    assert run("train", "--resume", out, "--epochs", 8).exit_code == 0
    assert result_of(out)[0][8:] == result_of(whole)[0][8:]
    assert result_of(out) == result_of(whole)


def test_dropout_goes_on_to_the_same_bits(table, tmp_path):
    whole, out, plain = tmp_path / "whole", tmp_path / "out", tmp_path / "plain"
    flags = ["--hidden", "16,8", "--schedule-epochs", 6]
    more = [*flags, "--dropout", "0.3,0.1"]
    assert run("train", table, *more, "--epochs", 6, "--out", whole).exit_code == 0
    assert run("train", table, *more, "--epochs", 2, "--out", out).exit_code == 0
    assert "dropout = [0.3, 0.1]" in (out / "config.toml").read_text()
    refused = run("train", "--resume", out, "--epochs", 6, "--dropout", 0.2)
    assert refused.exit_code == 6 and "--dropout 0.2 (it was 0.3,0.1)" in refused.stderr
    assert run("train", "--resume", out, "--epochs", 6).exit_code == 0
    assert result_of(out) == result_of(whole)
    assert run("train", table, *flags, "--epochs", 6, "--out", plain).exit_code == 0
    assert result_of(plain)[0] != result_of(whole)[0]


def test_dropout_with_the_masks_of_an_earlier_version_is_refused(table, tmp_path):
    out = tmp_path / "out"
    flags = ["--hidden", "16,8", "--dropout", 0.3, "--epochs", 2]
    assert run("train", table, *flags, "--out", out).exit_code == 0
    for path in (out / "checkpoints").iterdir():
        arrays, metadata = model_file.read(path, checkpoint.FORMAT)
        settings = json.loads(metadata["trainer"])
        assert settings.pop("masks") == checkpoint.MASKS
        metadata["trainer"] = json.dumps(settings)
        metadata["checksum"] = run_checkpoint._checksum(arrays, metadata)
        model_file.write(path, arrays, metadata)
    refused = run("train", "--resume", out, "--epochs", 4)
    assert refused.exit_code == 6 and "masks another version of fastrelu drew" in refused.stderr


def test_damaged_checkpoints_are_passed_over(table, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    flags = ["--epochs", 6, "--checkpoint-every", "1e"]
    assert run("train", table, *flags, "--out", whole).exit_code == 0
    assert run("train", table, *flags, "--out", out, "--keep", 4).exit_code == 0
    (out / "metrics.json").unlink()
    *_, older, newest = paths = sorted((out / "checkpoints").iterdir())
    assert len(paths) == 4
    newest.write_bytes(newest.read_bytes()[:-100])
    content = bytearray(older.read_bytes())
    content[-50] ^= 1
    older.write_bytes(content)
    result = run("train", "--resume", out)
    assert result.exit_code == 0 and result.output.count("is damaged") == 2, result.output
    assert result_of(out) == result_of(whole)
    (out / "metrics.json").unlink()
    for path in (out / "checkpoints").iterdir():
        path.write_bytes(b"")
    result = run("train", "--resume", out)
    assert result.exit_code == 6 and "none of the" in result.stderr


def test_what_does_not_fit_is_named(table, tmp_path, rng):
    out = tmp_path / "out"
    assert run("train", table, "--epochs", 2, "--out", out).exit_code == 0
    for flags, says in (
        (["--hidden", "3"], "--hidden 3 (it was 128,64)"),
        (["--seed", "1", "--lr", "1"], "--seed 1"),
        (["--target", "size"], "--target"),
    ):
        result = run("train", "--resume", out, "--epochs", 4, *flags)
        assert result.exit_code == 6 and says in result.stderr, result.output
    # The same file with one value changed.
    text = table.read_text()
    table.write_text(text.replace("red", "rad", 1))
    result = run("train", "--resume", out, "--epochs", 4)
    assert result.exit_code == 6 and "the data have changed, the values" in result.stderr
    table.write_text(text + "\n1,red,2")
    result = run("train", "--resume", out, "--epochs", 4)
    assert result.exit_code == 6 and "data have changed" in result.stderr
    moved = tmp_path / "moved.csv"
    moved.write_text(text)
    table.unlink()
    assert run("train", "--resume", out, "--epochs", 4).exit_code == 3
    assert run("train", moved, "--resume", out, "--epochs", 4).exit_code == 0
    # An edited config.toml is another run's.
    config = out / "config.toml"
    config.write_text(config.read_text().replace("batch_size = 32", "batch_size = 16"))
    result = run("train", "--resume", out, "--epochs", 5)
    assert result.exit_code == 6 and "batch_size is 16, and was 32" in result.stderr
    for folder, says in ((tmp_path / "none", "holds no run"), (table, "holds no run")):
        result = run("train", "--resume", folder)
        assert result.exit_code == 6 and says in result.stderr
    assert run("train", "--resume", out, "--force").exit_code == 2


def test_two_runs_in_one_folder(data, tmp_path):
    out = tmp_path / "out"
    process = start(*long_run(data, out, epochs=10**6))
    try:
        wait_for(lambda: has_checkpoint(out), process)
        for arguments in (["--resume", out], [data, "--out", out, "--force"]):
            result = run("train", *arguments)
            assert result.exit_code == 5 and "another run is at work" in result.stderr
    finally:
        process.kill()
        process.communicate()


def full_after(writes):
    """A write that fails as on a full disk after so many that went well."""
    real, done = whole_files.write_bytes, []

    def write(path, content):
        done.append(path)
        if len(done) > writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    return write


def test_full_disk(table, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole", tmp_path / "out"
    flags = ["--epochs", 6, "--checkpoint-every", "1e"]
    assert run("train", table, *flags, "--out", whole).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(whole_files, "write_bytes", full_after(4))
        result = run("train", table, *flags, "--out", out)
    assert result.exit_code == 5, result.output
    assert "No space left on device" in result.stderr and "intact" in result.stderr
    assert has_checkpoint(out)
    assert run("train", "--resume", out).exit_code == 0
    assert result_of(out) == result_of(whole)


def test_a_disk_known_to_be_too_small(table, tmp_path, monkeypatch):
    usage = run_folder.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(run_folder.shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    out = tmp_path / "out"
    result = run("train", table, "--epochs", 2, "--out", out)
    assert result.exit_code == 5 and "MB free" in result.stderr
    assert not has_checkpoint(out)


def test_threads_do_not_change_bits(data, tmp_path):
    results = []
    for threads in (1, 3):
        out = tmp_path / f"out{threads}"
        assert run(*long_run(data, out, epochs=3, threads=threads)).exit_code == 0
        results.append(result_of(out))
    assert results[0] == results[1]


def test_debug_shows_the_traceback(table, tmp_path, monkeypatch):
    from fastrelu.app.run import recipe, session

    monkeypatch.setattr(session, "load_data", lambda *_: 1 / 0)
    monkeypatch.setattr(recipe, "load_rows", lambda *_: 1 / 0)
    assert run("train", table, "--preset", "single").exit_code == 1
    result = run("train", table)
    assert result.exit_code == 1 and "unexpected ZeroDivisionError" in result.stderr
    assert "FASTRELU_DEBUG=1" in result.stderr
    monkeypatch.setenv("FASTRELU_DEBUG", "1")
    assert isinstance(run("train", table).exception, ZeroDivisionError)
    assert environment(A="1")["A"] == "1"
