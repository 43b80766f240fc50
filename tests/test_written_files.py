# SPDX-License-Identifier: BSD-3-Clause
"""Where files are written: through links, into devices and pipes, beside what others left."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("click")
from command_tools import IRIS_NAMES, run, start, trained_on_iris

import fastrelu
from fastrelu import model_file, whole_files
from fastrelu.model_file import DTYPES

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")


@pytest.fixture(scope="module")
def iris_run(tmp_path_factory):
    return trained_on_iris(tmp_path_factory.mktemp("iris"))


def predict(iris_run, out, *more):
    return run("predict", iris_run / "run", iris_run / "rows.csv", "--out", out, *more)


def test_predictions_through_a_link_go_where_it_points(iris_run, tmp_path):
    """Also where nothing is yet; a file that is there needs --force."""
    link, file = tmp_path / "link.csv", tmp_path / "there.csv"
    link.symlink_to(file)
    assert predict(iris_run, link).exit_code == 0
    first = file.read_text()
    assert link.is_symlink() and first.startswith("prediction")
    file.write_text("old")
    assert predict(iris_run, link).exit_code == 5
    assert predict(iris_run, link, "--force").exit_code == 0
    assert link.is_symlink() and file.read_text() == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.csv", "there.csv"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@needs_pipes
def test_what_a_killed_predict_has_left_is_removed(iris_run, tmp_path):
    os.mkfifo(tmp_path / "rows.csv")
    out = tmp_path / "o.csv"
    process = start("predict", iris_run / "run", tmp_path / "rows.csv", "--out", out)
    with open(tmp_path / "rows.csv", "w") as rows:  # which waits until it is read
        rows.write(IRIS_NAMES)
        rows.flush()
        end = time.monotonic() + 120
        while not whole_files.parts_of(tmp_path, out.name) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (left,) = whole_files.parts_of(tmp_path, out.name)
    assert sorted(p.name for p in tmp_path.iterdir()) == [left.name, "rows.csv"]
    os.utime(left, (time.time() - 3600,) * 2)
    assert predict(iris_run, out).exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.csv", "rows.csv"]


@needs_pipes
def test_a_pipe_takes_what_is_written(iris_run, tmp_path):
    """It is nothing to replace by a file; nor is a device, such as /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    net, read = fastrelu.Network([2, 3]), []
    for write in (
        lambda: net.save(pipe),
        lambda: net.to_c(pipe),
        lambda: predict(iris_run, pipe),
    ):
        reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
        reader.start()
        write()
        if not pipe.is_fifo():
            os.close(os.open(pipe, os.O_WRONLY))
        reader.join(60)
        assert pipe.is_fifo()
    net.save(tmp_path / "file")
    assert read[0] == (tmp_path / "file").read_bytes()
    assert read[2].startswith(b"prediction")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "pipe"]


def test_a_name_is_no_pattern(tmp_path):
    """A save to '*' or 'net[1]' once removed the unfinished files of others, and not its own."""
    made = {
        name: tmp_path / f".{name}.abcdefgh{whole_files.TEMPORARY_SUFFIX}"
        for name in ("net[1]", "net1", "other")
    }
    for part in made.values():
        part.write_bytes(b"")
        os.utime(part, (time.time() - 3600,) * 2)
    fastrelu.Network([2, 1]).save(tmp_path / "net[1]")
    fastrelu.Network([2, 1]).save(tmp_path / "*")
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == sorted([made["net1"].name, made["other"].name, "net[1]", "*"])


@needs_pipes
def test_a_pipe_named_as_an_unfinished_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / f".net.abcdefgh{whole_files.TEMPORARY_SUFFIX}")
    code = f"import fastrelu; fastrelu.Network([2, 1]).save({str(tmp_path / 'net')!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_while_the_subcommand_is_imported(name, status):
    code = f"""
import os, signal
import fastrelu.app.cli as cli
from fastrelu.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
real = cli.Lazy.get_command
def get_command(self, ctx, name):
    os.kill(os.getpid(), signal.{name})
    return real(self, ctx, name)
cli.Lazy.get_command = get_command
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "info", "nothing"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (status, "interrupted\n")


def test_a_file_has_the_bytes_that_safetensors_writes(tmp_path):
    """Which it writes without that package: its `serialize` ends a process without memory."""
    from safetensors.numpy import load, save

    arrays = {f"{name}.{k}": np.arange(k).astype(name) for name in DTYPES for k in (3, 0)}
    arrays |= {"turned": np.ones((2, 3)).T, "back": np.arange(5.0)[::-1], "one": np.array(2.0)}
    arrays |= {"swapped": np.arange(3.0).astype(">f4"), "é\n": np.ones(2, bool)}
    model_file.write(tmp_path / "file", arrays, {"format": "ü"})
    written = (tmp_path / "file").read_bytes()
    assert written == save(
        {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()},
        {"format": "ü"},
    )
    for name, array in load(written).items():
        assert array.dtype.name == arrays[name].dtype.name and (array == arrays[name]).all()
    with pytest.raises(ValueError, match=r"arrays: .* got complex128"):
        model_file.write(tmp_path / "file", {"a": np.ones(2, complex)}, {"format": "ü"})


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
@pytest.mark.parametrize("late", [False, True])
def test_an_error_in_the_midst_of_predictions_is_all_that_is_told(
    form, late, tmp_path, monkeypatch
):
    """A writer of Parquet that was left open told, too, that its file was closed by then."""
    from fastrelu.app.cli.predictions import predictions_file

    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    if late:  # the disk is full at the end
        for writer in ("ArrowWriter", "CsvWriter"):
            name = f"fastrelu.app.cli.predictions.{writer}.close"
            monkeypatch.setattr(name, lambda self: 1 / 0)
    with (
        pytest.raises((MemoryError, ZeroDivisionError)),
        predictions_file(str(tmp_path / f"p.{form}"), False) as writer,
    ):
        writer.write({"a": np.arange(3)})
        if not late:
            raise MemoryError
    del writer
    gc.collect()
    assert not told and not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["open", "fdopen", "fsync", "replace"])
@pytest.mark.parametrize("late", [False, True])
def test_a_signal_at_any_call_of_a_save_leaves_nothing_beside_the_file(
    call, late, tmp_path, monkeypatch
):
    """One that came when the file had just been made left it there."""
    path, real = tmp_path / "file", getattr(os, call)
    whole_files.write_bytes(path, b"before")

    def interrupted(*arguments, **options):
        made = real(*arguments, **options) if late else None
        if call == "open" and not str(arguments[0]).endswith(".part"):
            return real(*arguments, **options)
        if late and call == "fdopen":
            made.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        whole_files.write_bytes(path, b"after")
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == (b"after" if call == "replace" and late else b"before")
