# SPDX-License-Identifier: BSD-3-Clause
"""Change good files at random, and arrays, and see that each is taken or refused as documented.

    python scripts/fuzz.py --seconds 600                  # everything, in turn
    python scripts/fuzz.py --only npz text --seconds 60
    python scripts/fuzz.py --only npz --start 151 --executions 1   # one of them again
    python scripts/fuzz.py --only text --guided corpus    # guided by coverage (atheris), no end

What is fuzzed is in tests/fuzz_files.py and tests/fuzz_calls.py; the environment needs fastrelu
and its extra `test`. Each kind runs in a process of its own, which has to live and to answer within
a minute, and whose memory may grow by 4 times the file, and the little that any reading takes. The
exit status is 1 if something else happened; the files that made it stay in a folder that is named.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

HANGS = 60  # seconds
OVERHEAD = 32 << 20  # bytes that reading anything may take: caches, pages, thread stacks
ADDRESSES = 2 << 30  # bytes of address space beyond what is there at the beginning
SHOWN = 20  # failures of one kind of which a line is printed


class Memory:
    """The largest resident memory since `begin`, where the system says it."""

    def __init__(self) -> None:
        self.known = Path("/proc/self/clear_refs").exists()
        self.before = 0
        if self.known:  # opened once: two short system calls for each execution are left
            self.status = os.open("/proc/self/status", os.O_RDONLY)
            self.forget = os.open("/proc/self/clear_refs", os.O_WRONLY)

    def begin(self) -> None:
        """Forget the largest so far."""
        if self.known:
            os.pwrite(self.forget, b"5", 0)
            self.before = self._peak()

    def grown(self) -> int:
        """Return by how many bytes it is larger than it was at `begin`."""
        return self._peak() - self.before if self.known else 0

    def _peak(self) -> int:
        status = os.pread(self.status, 4096, 0)
        return 1024 * int(re.search(rb"VmHWM:\s+(\d+)", status)[1])


class Watch:
    """Ends the process, with a traceback, where an execution takes more than a minute.

    The watching thread is a new one every second, not for each execution, which often takes less
    time than the start of a thread.
    """

    def __init__(self) -> None:
        self.since = -1.0

    def begin(self) -> None:
        """Say that an execution begins now."""
        now = time.monotonic()
        if now > self.since + 1:
            faulthandler.dump_traceback_later(HANGS + 1, exit=True)
            self.since = now


def in_memory() -> str | None:
    """Return a folder whose files lie in memory, where there is one: a disk takes most time."""
    folder = "/dev/shm"
    return folder if os.access(folder, os.W_OK) else None


def limit_addresses() -> None:
    """Make a huge allocation fail, also one that is never touched."""
    with contextlib.suppress(OSError, ValueError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES,) * 2)


def execution(name: str, folder: Path) -> Callable[[int], tuple[bool, bytes]]:
    """Return the function of a number that tries the mutant or the call of this number."""
    import fuzz_calls

    if name in fuzz_calls.CALLS:
        return lambda k: (fuzz_calls.called(name, f"{name} {k}"), b"")
    import fuzz_changes
    import fuzz_files
    import pyarrow

    pyarrow.set_cpu_count(1)  # small files; more threads would wait for each other
    target = fuzz_files.TARGETS[name]
    seeds = target.seeds(folder)
    # What is imported on the way is no memory for a file; a mutant of text may be read as libsvm.
    for seed in [*seeds, *fuzz_files.libsvm_files(folder)]:
        fuzz_files.tried(target, folder / "file", seed)
    memory = Memory()

    def one(k: int) -> tuple[bool, bytes]:
        data = fuzz_changes.mutated(random.Random(f"{name} {k}"), seeds)
        memory.begin()
        loaded = fuzz_files.tried(target, folder / "file", data)
        grown = memory.grown()
        if grown > OVERHEAD + 4 * len(data):
            raise MemoryError(f"{grown} bytes of memory for a file of {len(data)}")
        return loaded, data

    return one


def work(name: str, start: int, executions: int, seconds: float, kept: Path) -> int:
    """Try the mutants of one kind from number `start` on; say how many, and what was wrong."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as made:
        one, watch = execution(name, Path(made)), Watch()
        limit_addresses()
        begun, loaded, wrong, k = time.monotonic(), 0, 0, start
        while k < start + executions and time.monotonic() < begun + seconds:
            watch.begin()
            try:
                loaded += one(k)[0]
            except Exception:
                wrong += 1
                with contextlib.suppress(FileNotFoundError):
                    (kept / f"{name}-{k}").write_bytes(Path(made, "file").read_bytes())
                if wrong <= SHOWN:
                    print(f"{name} {k}:", traceback.format_exc(), flush=True)
            k += 1
            if k % 1000 == 0:  # for what is said of a process that ends
                (kept / f"{name}.reached").write_text(str(k))
        faulthandler.cancel_dump_traceback_later()
    print(f"{name}: {k - start} executions, {loaded} loaded, {wrong} wrong", flush=True)
    return int(wrong > 0)


def guided(name: str, corpus: str) -> None:
    """Let atheris choose the changes, by the lines of fastrelu that they reach."""
    import atheris

    with atheris.instrument_imports(include=["fastrelu"]):
        import fuzz_changes
        import fuzz_files
    target = fuzz_files.TARGETS[name]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=in_memory()))
    Path(corpus).mkdir(exist_ok=True)
    for k, seed in enumerate(target.seeds(folder)):
        Path(corpus, f"seed{k}").write_bytes(seed)

    def one(data: bytes) -> None:
        fuzz_files.tried(target, folder / "file", data)

    def change(data: bytes, most: int, seed: int) -> bytes:
        if seed % 2:
            try:
                return fuzz_changes.mutated(random.Random(seed), [data or b" "])[:most]
            except Exception:  # a header or an archive that is no longer whole
                pass
        return atheris.Mutate(data, most)

    arguments = [sys.argv[0], corpus, "-timeout=60", "-rss_limit_mb=4096", "-max_len=65536"]
    atheris.Setup([*arguments, *guided_options], one, custom_mutator=change)
    atheris.Fuzz()


guided_options: list[str] = []


def names() -> list[str]:
    """Return the kinds of files and the calls."""
    import fuzz_calls
    import fuzz_files

    return [*fuzz_files.TARGETS, *fuzz_calls.CALLS]


def main() -> int:
    """Run the kinds that are asked for, one after another."""
    parser = argparse.ArgumentParser(description="Fuzz the readers of files and what takes arrays.")
    parser.add_argument("--only", nargs="+", metavar="KIND", help="kinds; by default all of them")
    parser.add_argument("--seconds", type=float, default=60, help="seconds for all of them")
    parser.add_argument("--executions", type=int, default=10**9, help="of each kind, at most")
    parser.add_argument("--start", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--guided", metavar="FOLDER", help="a corpus for atheris: one kind, no end")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given, more = parser.parse_known_args()
    if given.worker:
        return work(given.only[0], given.start, given.executions, given.seconds, Path(given.worker))
    if given.guided:
        guided_options.extend(more)
        guided(given.only[0], given.guided)
        return 0
    kept = Path(tempfile.mkdtemp(prefix="fuzz-wrong-"))
    chosen, failed = given.only or names(), []
    for name in chosen:
        command = [sys.executable, __file__, "--only", name, "--worker", str(kept)]
        command += ["--seconds", str(given.seconds / len(chosen)), "--start", str(given.start)]
        done = subprocess.run([*command, "--executions", str(given.executions)], check=False)
        if done.returncode:
            failed.append(name)
            if done.returncode != 1 or not any(kept.glob(f"{name}-*")):
                reached = kept / f"{name}.reached"
                said = reached.read_text() if reached.exists() else str(given.start)
                print(f"{name}: the process ended with {done.returncode} after number {said}")
    print(f"wrong: {', '.join(failed)}; files in {kept}" if failed else "nothing is wrong")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
