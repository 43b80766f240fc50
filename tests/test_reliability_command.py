# SPDX-License-Identifier: BSD-3-Clause
"""What happens when things go wrong with the command: docs/reliability.md names these tests."""

import json
import os
import signal
import subprocess
from contextlib import suppress

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("click")
from command_tools import IRIS_NAMES, run, start, trained_on_iris

UNSEEN = "\x1b\x07\x9b\u202e\u2066\u200b\u200d\u2060\ufeff\u00ad\u3164\U000e0041"
HOSTILE = "a\x1b]0;owned\x07\x1b[31m\x9b31m\u202eb" + UNSEEN[4:] + "c"


def test_what_comes_from_files_is_shown_escaped(tmp_path):

    data = tmp_path / "data.csv"
    rows = [f"{i},{['x', HOSTILE][i % 2]},{i % 3}" for i in range(60)]
    data.write_text(f"{HOSTILE},kind,y\n" + "\n".join(rows), encoding="utf-8")
    out = tmp_path / "run"
    trained = run("train", data, "--target", "y", "--epochs", 1, "--out", out)
    assert trained.exit_code == 0, trained.output
    other = tmp_path / "other.csv"
    other.write_text(f"{HOSTILE}2,kind,y\n1,{HOSTILE}{HOSTILE},0\n", encoding="utf-8")
    results = [
        trained,
        run("info", out),
        run("info", out, "--json"),
        run("inspect", data),
        run("inspect", data, "--json"),
        run("evaluate", out, other),
        run("train", data, "--target", HOSTILE + "z"),
        run("info", tmp_path / HOSTILE),
    ]
    for result in results:
        assert not set(result.output) & set(UNSEEN), result.output
    page = (out / "report.html").read_text(encoding="utf-8")
    # Pictures have blanks for what is not seen, of which U+3164 is one already.
    assert set(page) & set(UNSEEN) <= {"\u3164"} and "\\u200b" in page
    assert "\\x1b" in results[1].output
    columns = json.dumps(json.loads(results[4].stdout), ensure_ascii=False)
    assert "\x9b" in columns  # JSON means what the file has


@pytest.fixture(scope="module")
def iris_run(tmp_path_factory):
    return trained_on_iris(tmp_path_factory.mktemp("iris"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["predict", "info", "inspect", "--help", "--version"])
def test_a_full_standard_output_is_status_5(command, iris_run):

    with open("/dev/full", "w") as full:
        files = {"predict": [iris_run / "run", iris_run / "rows.csv"], "info": [iris_run / "run"]}
        process = start(command, *files.get(command, [iris_run / "rows.csv"]), stdout=full)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 5, said
    assert said.startswith("error: standard output: ") or "\nerror: standard output: " in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_predict_leaves_no_file(number, code, iris_run, tmp_path):

    os.mkfifo(tmp_path / "rows.csv")
    process = start("predict", iris_run / "run", tmp_path / "rows.csv", "--out", tmp_path / "o.csv")
    with open(tmp_path / "rows.csv", "w") as rows:  # which waits until it is read
        rows.write(IRIS_NAMES)
        rows.flush()
        # Sent once, it may come just before the process waits for rows, which it then does first.
        for _ in range(30):
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(4)
                break
        _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]


def test_an_ignored_signal_stays_ignored():
    from fastrelu.app.run.interrupt import Interrupt

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Interrupt("text") as interrupt:
            signal.raise_signal(signal.SIGTERM)
        assert interrupt.asked is None
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
