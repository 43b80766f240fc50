# SPDX-License-Identifier: BSD-3-Clause
"""Shell completion: the documented lines, typed into real shells on a terminal of their own."""

import fcntl
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

pytest.importorskip("click")
from command_tools import run

PAGE = Path(__file__).parents[1] / "docs" / "training.md"
if not PAGE.exists():
    pytest.skip("needs the documentation", allow_module_level=True)
LINES = dict(re.findall(r"^- (bash|zsh|fish) \(.*\): `(.*)`$", PAGE.read_text("utf-8"), re.M))
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
ESCAPES = re.compile(r"\x1b(\[[0-9;?<>=]*[a-zA-Z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()].|[=>78])")


class Shell:
    """A shell that believes itself typed into by somebody."""

    def __init__(self, command, folder):
        self.terminal, end = os.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 160, 0, 0))

        def begin():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "TERM": "xterm", "PS1": "> "}
        self.process = subprocess.Popen(
            command, stdin=end, stdout=end, stderr=end, preexec_fn=begin, cwd=folder,
            env={**os.environ, **home},
        )  # fmt: skip
        os.close(end)
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.terminal)

    def read(self, seconds):
        """Take in what the shell shows within these seconds; return whether there was any."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return False
        data = os.read(self.terminal, 1 << 16)
        if b"\x1b[c" in data:  # fish asks what terminal this is, and waits for an answer
            os.write(self.terminal, b"\x1b[?62c")
        self.seen += data.decode("utf-8", "replace")
        return True

    def until(self, text, seconds=90):
        """Wait until the shell shows a text that it had not shown before; return all since."""
        end = time.monotonic() + seconds
        while text not in (shown := ESCAPES.sub("", self.seen)):
            assert time.monotonic() < end, f"not shown: {text!r}; shown: {shown!r}"
            self.read(0.2)
        return shown

    def type(self, text):
        """Type a text; what was shown before does not count any more."""
        while self.read(0.3):
            pass
        self.seen = ""
        os.write(self.terminal, text.encode())


def test_each_shell_has_a_line_that_the_help_has_too():
    assert set(LINES) == set(SHELLS)
    said = " ".join(run("--help").output.split())
    for line in LINES.values():
        for part in line.rsplit("; ", 1):
            assert part in said


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of Unix")
@pytest.mark.parametrize("name", SHELLS)
def test_the_documented_line_completes(name, tmp_path):
    if shutil.which(name) is None or shutil.which("fastrelu") is None:
        pytest.skip(f"needs {name} and the command")
    (tmp_path / "housing_of_1990.csv").touch()
    with Shell(SHELLS[name], tmp_path) as shell:
        shell.type(f"{LINES[name]}\n")
        shell.type("echo rea''dy\n")  # as it is typed, it is not what it prints
        shell.until("ready")
        for typed, completed in (
            ("fastrelu tra\t", "train "),
            ("fastrelu train --early-st\t", "--early-stopping "),
            ("fastrelu train --preset be\t", "--preset best "),
            ("fastrelu train hous\t", "housing_of_1990.csv "),
            ("fastrelu train digits --config hous\t", "housing_of_1990.csv "),
        ):
            shell.type(typed)
            shell.until(completed)
            shell.type("\x15")  # the line is taken back


WORDS = {
    "fastrelu train ": "file,",
    "fastrelu predict run data": "file,data",
    "fastrelu plot ": "dir,",
    "fastrelu train digits --out ": "dir,",
    "fastrelu train digits --resume ru": "dir,ru",
    "fastrelu train digits --log-json ": "file,",
    "fastrelu export run --onnx mod": "file,mod",
    "fastrelu train digits --opt": "plain,--optimizer",
    "fastrelu train digits --task re": "plain,regression",
    "fastrelu ev": "plain,evaluate",
}


@pytest.mark.parametrize("typed", WORDS)
def test_what_a_shell_is_told(typed):
    words = typed.split()
    place = len(typed.split(" ")) - 1
    told = {"_FASTRELU_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(place)}
    done = subprocess.run(
        [sys.executable, "-m", "fastrelu"], env=os.environ | told, capture_output=True, text=True,
    )  # fmt: skip
    assert words and done.stdout.splitlines() == [WORDS[typed]], done.stderr


@pytest.mark.parametrize(
    ("told", "words"),
    [
        *[(told, {}) for told in ("odd", "BASH_SOURCE", "bash", " ", "1e3", "\u0664", "bash_1")],
        *[(f"{shell}_complete", {}) for shell in ("bash", "zsh", "fish")],
        ("bash_complete", {"COMP_WORDS": "fastrelu tr", "COMP_CWORD": "x"}),
        ("bash_complete", {"COMP_WORDS": "fastrelu '", "COMP_CWORD": ""}),
    ],
)
def test_a_question_for_completion_that_is_none_is_answered_in_a_line(told, words):
    """It was a status of 1 without a word, or a traceback."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COMP_")}
    done = subprocess.run(
        [sys.executable, "-m", "fastrelu"], capture_output=True, text=True, check=False,
        env=environment | {"_FASTRELU_COMPLETE": told} | words,
    )  # fmt: skip
    assert done.returncode == 2 and not done.stdout, done.stderr
    assert done.stderr.startswith("error: _FASTRELU_COMPLETE") and done.stderr.count("\n") == 1
