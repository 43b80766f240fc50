# SPDX-License-Identifier: BSD-3-Clause
"""The same faults for fastrelu, scikit-learn, PyTorch and ONNX Runtime (docs/reliability.md).

    python -m benchmarks.faults --only fastrelu torch

Each fault is a child process of its own for each library, whose end is seen: what it says, an
error, a signal, or no end within a minute. "-" is what a library has no call for.
Pickles, scikit-learn's files, are not changed at random: they run what they hold.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import itertools
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
MUTANTS = 1000
X = (np.arange(2000 * 32).reshape(2000, 32) % 97 / 64 - 0.75).astype(np.float32)
Y = X[:, :4].copy()
SIZES = [32, 256, 256, 4]


class Fastrelu:
    def __init__(self) -> None:
        import fastrelu

        self.lib, self.net = fastrelu, fastrelu.Network(SIZES)

    def save(self, path: Path) -> None:
        self.net.save(path)

    def load(self, path: Path) -> Any:
        return self.lib.load(path)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.net(rows)

    def fit(self, rows: np.ndarray, epochs: int, rate: float = 0.01) -> bool:
        trainer = self.lib.Trainer(self.net, optimizer=self.lib.SGD(rate))
        trainer.fit(rows, rows[:, :4], epochs)
        return bool(np.isfinite(self.net.parameters).all())

    def threads(self, n: int) -> None:
        self.lib.set_num_threads(n)


class ScikitLearn(Fastrelu):
    def __init__(self) -> None:
        from sklearn.neural_network import MLPRegressor

        more: dict[str, Any] = {"solver": "sgd", "batch_size": 32, "random_state": 0}
        self.make = lambda **k: MLPRegressor(hidden_layer_sizes=tuple(SIZES[1:-1]), **more | k)
        self.net = self.make(max_iter=1).fit(X[:64], Y[:64])

    def save(self, path: Path) -> None:
        import joblib

        joblib.dump(self.net, path)

    def load(self, path: Path) -> Any:
        import joblib

        return joblib.load(path)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.net.predict(rows)

    def fit(self, rows: np.ndarray, epochs: int, rate: float = 0.01) -> bool:
        self.net = self.make(max_iter=epochs, learning_rate_init=rate, n_iter_no_change=10**6)
        self.net.fit(rows, rows[:, :4])
        return all(np.isfinite(w).all() for w in self.net.coefs_)

    def threads(self, n: int) -> None:
        import threadpoolctl

        threadpoolctl.threadpool_limits(n)


class Torch(Fastrelu):
    def __init__(self) -> None:
        import torch

        self.lib = torch
        torch.manual_seed(0)
        layers = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(SIZES)]
        parts = [p for layer in layers for p in (layer, torch.nn.ReLU())][:-1]
        self.net = torch.nn.Sequential(*parts)

    def save(self, path: Path) -> None:
        self.lib.save(self.net.state_dict(), path)

    def load(self, path: Path) -> Any:
        state = self.lib.load(path, weights_only=True)
        self.net.load_state_dict(state)
        return self.net

    def predict(self, rows: np.ndarray) -> np.ndarray:
        with self.lib.no_grad():
            return self.net(self.lib.from_numpy(rows)).numpy()

    def fit(self, rows: np.ndarray, epochs: int, rate: float = 0.01) -> bool:
        torch, x = self.lib, self.lib.from_numpy(rows)
        optimizer = torch.optim.SGD(self.net.parameters(), rate)
        for _ in range(epochs):
            for part in x.split(32):
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(self.net(part), part[:, :4]).backward()
                optimizer.step()
        return all(bool(p.isfinite().all()) for p in self.net.parameters())

    def threads(self, n: int) -> None:
        self.lib.set_num_threads(n)


class OnnxRuntime(Fastrelu):
    n_threads = 0

    def __init__(self) -> None:
        import onnxruntime

        import fastrelu

        self.lib = onnxruntime
        onnxruntime.set_default_logger_severity(4)
        file = tempfile.NamedTemporaryFile(suffix=".onnx", delete=False)
        fastrelu.Network(SIZES).to_onnx(file.name)
        self.content = Path(file.name).read_bytes()
        self.session: Any = None

    def save(self, path: Path) -> None:  # what makes such files is onnx
        import onnx

        onnx.save(onnx.load_from_string(self.content), path)

    def load(self, path: Path) -> Any:
        self.session = self.lib.InferenceSession(str(path), self._options())
        return self.session

    def predict(self, rows: np.ndarray) -> np.ndarray:
        if self.session is None:
            self.session = self.lib.InferenceSession(self.content, self._options())
        return self.session.run(None, {self.session.get_inputs()[0].name: rows})[0]

    def _options(self) -> Any:
        options = self.lib.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = self.n_threads, 4
        return options

    def threads(self, n: int) -> None:
        self.n_threads, self.session = n, None

    fit = None  # type: ignore[assignment]


LIBRARIES = {
    "fastrelu": Fastrelu, "scikit-learn": ScikitLearn, "torch": Torch, "onnxruntime": OnnxRuntime
}  # fmt: skip


# Faults: what is said of a library, in a process that is about to end


def changed_files(of: Any, folder: Path) -> str:
    if isinstance(of, ScikitLearn):
        return "not tried: pickles run code"
    path = folder / "model"
    of.save(path)
    whole, ends = path.read_bytes(), dict.fromkeys(("loaded", "refused", "crashed", "hung"), 0)
    kinds: set[str] = set()
    for k in range(0, MUTANTS, 100):
        for end, kind in _batch(of, path, whole, range(k, k + 100)):
            ends[end] += 1
            kinds |= {kind} if kind else set()
    shown = ", ".join(f"{n} {end}" for end, n in ends.items() if n)
    return f"{shown}; {len(kinds)} kinds of errors"


def _batch(of: Any, path: Path, whole: bytes, numbers: range) -> list[tuple[str, str]]:
    """Try mutants in a child, and those behind one that ends it in another."""
    import fuzz_changes

    ends: list[tuple[str, str]] = []
    while len(ends) < len(numbers):
        left = list(numbers)[len(ends) :]
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            for number in left:
                path.write_bytes(fuzz_changes.mutated(random.Random(number), [whole]))
                signal.alarm(30)
                try:
                    of.load(path)
                    os.write(writing, b"loaded,\n")
                except Exception as error:
                    os.write(writing, f"refused,{type(error).__name__}\n".encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as file:
            ends += [tuple(line.strip().split(",", 1)) for line in file]  # type: ignore[misc]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            ends.append(("hung" if status == -signal.SIGALRM else "crashed", ""))
    return ends


def limited_size(of: Any, folder: Path) -> str:
    path = folder / "model"
    of.save(path)
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        of.save(path)
        said = "no error"
    except BaseException as error:
        said = type(error).__name__
    return f"{said}, the old file is {'whole' if path.read_bytes() == before else 'lost'}"


def killed_saves(of: Any, folder: Path) -> str:
    path, lost, kills = folder / "model", 0, 40
    of.save(path)
    for k in range(kills):
        child = os.fork()
        if child == 0:
            while True:
                of.save(path)
        time.sleep(0.01 + 0.003 * k)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        try:
            of.load(path)
        except Exception:
            lost += 1
            of.save(path)
    return f"{lost} of {kills} files lost"


def not_a_number(of: Any, folder: Path) -> str:
    bad = X.copy()
    bad[7, 3] = np.nan
    return "no error" if of.predict(bad) is not None else ""


def divergence(of: Any, folder: Path) -> str:
    finite = of.fit(X, 2, 1e20)
    return f"no error, parameters {'finite' if finite else 'not finite'}"


def same_bits(of: Any, folder: Path) -> str:
    found = set()
    for n in (1, 2, 3, 4):
        of.threads(n)
        rows = np.ascontiguousarray(X[:1999])
        found.add(of.predict(rows).tobytes())
        found.add(np.concatenate([of.predict(rows[:7]), of.predict(rows[7:])]).tobytes())
    return "the same bits" if len(found) == 1 else f"{len(found)} results"


def fork_after_work(of: Any, folder: Path) -> str:
    of.threads(4)
    expected, bad = of.predict(X).tobytes(), []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(0 if of.predict(X).tobytes() == expected else 1)
        bad.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if -signal.SIGALRM in bad:
        return f"{bad.count(-signal.SIGALRM)} of 5 children hang"
    return "the same bits" if not any(bad) else f"children end with {sorted(set(bad))}"


def forever(of: Any) -> None:
    if of.fit is not None:
        of.fit(X, 10**6)
    while True:
        of.predict(X)


def end_with_a_thread(of: Any, folder: Path) -> str:
    ends = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            with contextlib.suppress(OSError), open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), 2)
            threading.Thread(target=forever, args=(of,), daemon=True).start()
            time.sleep(0.3)
            signal.alarm(30)
            sys.exit(0)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    wrong = sum(end != 0 for end in ends)
    return "ends as asked" if not wrong else f"{wrong} of 8 end otherwise"


def no_memory(of: Any, folder: Path) -> str:
    of.predict(X)
    rows, said = np.tile(X, (40, 1)), set()
    for more in range(1, 60, 6):
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (more << 20), resource.RLIM_INFINITY))
            code = 10
            try:
                of.predict(rows)
            except MemoryError:
                code = 11
            except Exception:
                code = 12
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        known = {10: "", 11: "MemoryError", 12: "another error", -signal.SIGALRM: "hangs"}
        said.add(known.get(code, "the process ends"))
    return ", ".join(sorted(said - {""})) or "no refusal met"


def fit_while_saved(of: Any, folder: Path) -> str:
    work = threading.Thread(target=lambda: of.fit(X, 40), daemon=True)
    work.start()
    time.sleep(0.2)
    said = set()
    for k in range(5):
        try:
            of.save(folder / f"model{k}")
            said.add("saved, as it is just then")
        except Exception as error:
            said.add(type(error).__name__)
    return ", ".join(sorted(said))


def before_construction(of: Any, folder: Path) -> str:
    kind = type(of.net) if hasattr(of, "net") else of.lib.InferenceSession
    made = kind.__new__(kind)
    try:
        repr(made)
        made.predict(X) if hasattr(made, "predict") else made(X)
    except Exception as error:
        return type(error).__name__
    return "no error"


FAULTS: dict[str, Callable[[Any, Path], str]] = {
    "bytes of a model file changed": changed_files,
    "a limit on file size is met in a save": limited_size,
    "killed in the middle of saves": killed_saves,
    "a NaN in the rows of a prediction": not_a_number,
    "a training that diverges": divergence,
    "1 to 4 threads, rows in two parts": same_bits,
    "fork after work in 4 threads": fork_after_work,
    "the interpreter ends while a daemon thread works": end_with_a_thread,
    "no memory in a prediction": no_memory,
    "saved while another thread trains": fit_while_saved,
    "used before its construction": before_construction,
}


def outcome(of: Any, fault: Callable[[Any, Path], str]) -> str:
    """What a child says of a fault, or how it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(240)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            try:
                text = fault(of, Path(folder))
            except Exception as error:
                text = type(error).__name__
            os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        return "hangs" if status == -signal.SIGALRM else f"the process ends ({status})"
    return text


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="The same faults for several libraries.")
    parser.add_argument("--only", nargs="+", default=list(LIBRARIES), choices=list(LIBRARIES))
    parser.add_argument("--faults", nargs="+", default=[], help="words of those that are tried")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        "versions:",
        ", ".join(f"{n} {importlib.metadata.version(n)}" for n in given.only if n != "fastrelu"),
    )
    for library in given.only:
        of = LIBRARIES[library]()
        for name, fault in FAULTS.items():
            if given.faults and not any(word in name for word in given.faults):
                continue
            needs_fit = fault in (divergence, fit_while_saved)
            text = "-" if of.fit is None and needs_fit else outcome(of, fault)
            print(f"{library} | {name} | {text}", flush=True)


if __name__ == "__main__":
    main()
