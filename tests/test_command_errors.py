# SPDX-License-Identifier: BSD-3-Clause
"""What the command refuses: one line, an exit code, never a traceback."""

import gzip
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_tools import environment, run, start, write_table

ROOT = Path(__file__).parent.parent
ROWS = "a,b\n" + "1,2\n3,5.5\n" * 50


def idx(array):
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.mark.parametrize(
    ("content", "arguments", "code", "says"),
    [
        (None, [], 3, "no such file"),
        ("", [], 3, "empty"),
        ("a,b\n", [], 3, "rows"),
        ("a,b\n1,2\n1,2,3\n", [], 3, "line 3: expected 2 fields"),
        ("a,a\n3,4\n", [], 3, "'a' twice"),
        ("price,b\n1,2\n", ["--target", "prise"], 3, "did you mean 'price'"),
        ("a,b\n1,2\n", [], 3, "at least 10 rows"),
        ("a,b\n" + "1,2\n" * 20, [], 3, "two different values"),
        ("a,b\n" + "1,x\n" * 20, [], 3, "two different values"),
        ("a,b\n" + "inf,2\n" * 20, [], 3, "column 'a': expected finite numbers"),
        ("a,b\n" + "1,x\n2,y\n" * 20, ["--task", "regression"], 3, "got text"),
        (b"a,b\n\xff,1\n", [], 3, "UTF-8"),
        (b"\xf6,b\n" + b"1,2\n3,5.5\n" * 50, [], 3, "line 1: not UTF-8 text"),
        (b"\x1f\x8b\x08\0broken", [], 3, "gzip"),
        (gzip.compress(b"a,b\n1,2\n" * 50, mtime=0)[:-9], [], 3, "gzip"),
        (b"PK\x03\x04broken", [], 3, "NPZ"),
        (idx(np.zeros((4, 2), np.uint8)), [], 3, "file of its labels"),
        (ROWS, ["--hidden", "0"], 2, "--hidden"),
        (ROWS, ["--hidden", "8,x"], 2, "--hidden"),
        (ROWS, ["--epochs", "0"], 2, "--epochs"),
        (ROWS, ["--test", "1"], 2, "--test"),
        (ROWS, ["--test", "0.6", "--validation", "0.5"], 2, "leave no rows"),
        (ROWS, ["--checkpoint-every", "5"], 2, "30s"),
        (ROWS, ["--split", "time"], 2, "--split"),
        (ROWS, ["--loss", "quantile:2"], 2, "quantile"),
        (ROWS, ["--loss", "cross_entropy", "--task", "regression"], 2, "does not go with"),
        (ROWS, ["--class-weight", "balanced", "--task", "regression"], 2, "--class-weight"),
        (ROWS, ["--momentum", "0.5"], 2, "--momentum goes with"),
        (ROWS, ["--ignore", os.fsdecode(b"\xff")], 2, "--ignore: expected UTF-8 text"),
        (ROWS, ["--early-stopping", "5", "--validation", "0"], 2, "--early-stopping"),
        (ROWS, ["--bogus"], 2, "--bogus"),
        (ROWS, ["--config", "SELF"], 2, "not a TOML file"),
        (ROWS, ["--config", "SELF.none"], 2, "cannot be read"),
        (ROWS, ["--split", "time:day"], 3, "day"),
        (
            ROWS,
            ["--lr", "1e5", "--optimizer", "sgd", "--task", "regression"],
            4,
            "diverged",
        ),
        (ROWS, ["--out", "SELF"], 5, "cannot be written"),
        (ROWS, ["--out", "SELF/below"], 5, "cannot be written"),
        (ROWS, ["--log-json", "SELF/log"], 5, "cannot be written"),
    ],
)
def test_errors(tmp_path, content, arguments, code, says):
    path = tmp_path / "t.dat"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = run("train", path, *[a.replace("SELF", str(path)) for a in arguments])
    assert result.exit_code == code, result.output
    assert says in result.stderr and "Traceback" not in result.output
    if "Usage" not in result.stderr:  # click's own messages have several lines
        assert result.stderr.splitlines()[-1].startswith("error: ")


def test_no_data_and_unknown_commands():
    assert run("train").exit_code == 2
    assert run("trian", "x").exit_code == 2
    assert run("predict", "m").exit_code == 2


def test_a_folder_that_cannot_be_written_is_known_before_training(tmp_path, monkeypatch):
    from fastrelu.app import run_folder

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_folder.tempfile, "TemporaryFile", refuse)
    result = run("train", "nothing.csv", "--out", tmp_path / "out")
    assert result.exit_code == 5 and "Permission denied" in result.stderr


def mutations(content, random):
    """Return a CSV with some bytes changed, moved, repeated or left out."""
    data = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data))
        end = min(len(data), at + random.choice([1, 1, 2, 5, 30, 400]))
        kind = random.randrange(6)
        if kind == 0:
            data[at:end] = b""
        elif kind == 1:
            data[at:at] = data[at:end]
        elif kind == 2:
            data[at] = random.randrange(256)
        elif kind == 3:
            data[at:at] = random.choice(
                [b",", b"\n", b'"', b"\r", b"\0", b"nan", b"inf", b"1e999", b";", b"\xef\xbb\xbf"]
            )
        elif kind == 4:
            data[at:end] = bytes(random.randrange(32, 127) for _ in range(end - at))
        else:
            data = data[: max(at, 1)]
        if not data:
            data = bytearray(b"\n")
    return bytes(data)


def test_mutated_files_give_no_traceback(tmp_path, rng):
    source = write_table(tmp_path / "source.csv", rng, 40).read_bytes()
    path = tmp_path / "mutated.csv"
    dice = random.Random(3)
    codes = set()
    for round_ in range(150):
        path.write_bytes(mutations(source, dice))
        flags = ["--epochs", 1, "--hidden", 4, "--quiet"]
        flags += dice.choice([[], ["--target", "price"], ["--task", "classification"]])
        result = run("train", path, *flags)
        says = f"round {round_}: {result.output}\n{result.exception!r}"
        assert result.exit_code in (0, 2, 3, 4), says
        assert isinstance(result.exception, (SystemExit, type(None))), says
        codes.add(result.exit_code)
    assert codes >= {0, 3}


@pytest.mark.parametrize("door", ["-m fastrelu", "scripts/train.py"])
def test_without_click_one_line_names_the_extra(door):
    code = (
        "import runpy, sys; sys.modules['click'] = None; "
        + ("runpy.run_module('fastrelu', run_name='__main__')" if door[0] == "-" else "")
        + (f"runpy.run_path({str(ROOT / door)!r}, run_name='__main__')" if door[0] != "-" else "")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "pip install click rich" in done.stderr


def test_a_folder_named_like_a_bundled_data_set_is_not_taken_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("iris", "other"):
        result = run("train", "iris", "--epochs", "1", "--out", name)
        assert result.exit_code == 0, result.output


def escaped(character):
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


@pytest.mark.parametrize("command", ["train", "inspect"])
@pytest.mark.parametrize("value", ["2,1", "0", "many", "4\n5", "٤"])
def test_a_number_of_threads_that_is_none_is_a_flaw_of_the_settings(value, command, tmp_path):
    """It was an unexpected error, with exit status 1, and none where no threads are needed."""
    path = write_table(tmp_path / "t.csv", np.random.default_rng(0))
    process = start(command, path, env=environment(FASTRELU_NUM_THREADS=value))
    error = process.communicate(timeout=100)[1]
    assert process.returncode == 2, error
    value = "".join(c if c.isprintable() and c.isascii() else escaped(c) for c in value)
    assert error == (
        f"error: FASTRELU_NUM_THREADS: expected a whole number from 1 to 1024, got '{value}'\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="the environment is text there")
@pytest.mark.parametrize("variable", ["NUM_THREADS", "ISA", "TUNE"])
def test_variables_of_bytes_that_are_no_text(variable):
    """The core's sentence quoted them, and no text could be made of it."""
    process = start("selftest", env=environment(**{f"FASTRELU_{variable}": os.fsdecode(b"\xff")}))
    error = process.communicate(timeout=100)[1]
    assert process.returncode == 2, error
    assert error.startswith(f"error: FASTRELU_{variable}: ")
    assert "'\\xff'" in error and error.count("\n") == 1


@pytest.mark.parametrize("value", ["BASELINE", "base line", "chain=1", "1e3", "a\nb"])
@pytest.mark.parametrize("variable", ["FASTRELU_ISA", "FASTRELU_TUNE"])
def test_what_the_core_refuses_when_it_is_imported_is_a_flaw_of_the_settings(variable, value):
    """It was a traceback, with exit status 1; programs that import the package catch an error."""
    process = start("selftest", env=environment(**{variable: value}))
    output, error = process.communicate(timeout=100)
    assert process.returncode == 2 and not output, error
    value = value.replace("\n", "\\x0a")
    assert error.startswith(f"error: {variable}: ") and f"'{value}'" in error
    assert error.count("\n") == 1
    code = "try: import fastrelu\nexcept ImportError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env=environment(**{variable: value}),
    )  # fmt: skip
    assert done.stdout.startswith(f"{variable}: ") and not done.stderr


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), (" ", False)])
def test_no_traceback_is_shown_where_none_is_asked_for(value, shown, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("not foreseen")

    monkeypatch.setenv("FASTRELU_DEBUG", value)
    monkeypatch.setattr("fastrelu.app.cli.inspect.required", fail)
    result = run("inspect", tmp_path)
    assert isinstance(result.exception, RuntimeError) == shown
    assert ("unexpected RuntimeError" in result.output) != shown


@pytest.mark.parametrize(("debug", "lines"), [("", 1), ("0", 1), ("1", None)])
def test_what_the_core_needs_cannot_be_loaded(debug, lines, tmp_path):
    """As where there is no memory for NumPy: it was a traceback and NumPy's page of advice."""
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text(
        "try: raise ImportError('cannot map\\nits segment')\n"
        "except ImportError as error: raise ImportError('advice ' * 50) from error\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    process = start("selftest", env=environment(PYTHONPATH=path, FASTRELU_DEBUG=debug))
    error = process.communicate(timeout=100)[1]
    assert process.returncode == 1, error
    assert lines is None or (error.count("\n") == 1 and "(cannot map its segment)" in error)
    assert ("Traceback" in error) == (lines is None)


def test_a_path_that_the_system_refuses_is_an_error_of_its_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("a,y\n" + "1,2\n" * 20)
    long = (
        "x" * 300
    )  # as one in a folder that is closed to the user, an error where it is looked at
    for arguments, code in (
        (("predict", long, "rows.csv"), 3), (("evaluate", long, "rows.csv"), 3),
        (("info", long), 3), (("plot", long), 3), (("export", long, "--c", "c.c"), 3),
        (("inspect", long), 3), (("train", long), 3), (("train", "--resume", long), 6),
        (("train", "rows.csv", "--out", long), 5), (("train", "--config", long), 2),
        (("train", "rows.csv", "--log-json", long), 5),
    ):  # fmt: skip
        done = run(*arguments)
        assert done.exit_code == code and long in done.output, (arguments, done.output)
        assert "unexpected" not in done.output and len(done.output.splitlines()) == 1
    for name in ("out", "log_json", "tensorboard", "y", "search_space"):
        Path("c.toml").write_text(f'{name} = "a\\u0000b"\n')
        done = run("train", "rows.csv", "--config", "c.toml")
        assert done.exit_code == 2 and "no NUL" in done.output and "\0" not in done.output
