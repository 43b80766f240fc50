# SPDX-License-Identifier: BSD-3-Clause
"""Fit and predict beside scikit-learn's own estimators, in one process, with the same threads.

    python benchmarks/bench_sklearn.py [--data FOLDER] [--threads N] [--repeats N] [--quick]
                                       [--only NAME ...] [--plot FILE] [--json FILE]

Prints one line a task: the best of the repeats of each, taken in turn, and scikit-learn's time
over ours. MNIST (IDX files, gzipped or not) and California housing (a CSV with a header, or
an NPZ with X and y) are read from FOLDER and passed over without it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import sklearn.neural_network as sk
from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import fastrelu


@dataclass
class Task:
    """One data set and one setting of the estimators."""

    name: str
    kind: str
    X: Any
    y: Any
    settings: dict[str, Any]


def digits() -> list[Task]:
    """Return the handwritten digits with several solvers and sizes."""
    X, y = load_digits(return_X_y=True)
    X = X / 16
    small = {"hidden_layer_sizes": (100,), "max_iter": 20}
    return [
        Task("digits, adam", "MLPClassifier", X, y, small),
        Task("digits, adam, float32", "MLPClassifier", X.astype("float32"), y, small),
        Task("digits, early stopping", "MLPClassifier", X, y, {**small, "early_stopping": True}),
        Task("digits, lbfgs", "MLPClassifier", X, y, {**small, "solver": "lbfgs"}),
        Task("digits, sgd, batches of 32", "MLPClassifier", X, y,
             {"hidden_layer_sizes": (32,), "max_iter": 10, "solver": "sgd", "batch_size": 32}),
        Task("100 rows of digits, adam", "MLPClassifier", X[:100], y[:100],
             {"hidden_layer_sizes": (20,), "max_iter": 200, "n_iter_no_change": 200}),
    ]  # fmt: skip


def synthetic(rows: int) -> list[Task]:
    """Return a smooth function of 30 inputs, with noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 30))
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * rng.normal(size=rows)
    settings = {"hidden_layer_sizes": (64, 64), "max_iter": 3}
    name = f"synthetic {rows // 1000}k x 30"
    return [
        Task(name, "MLPRegressor", X, y, settings),
        Task(f"{name}, float32", "MLPRegressor", X.astype("float32"), y.astype("float32"),
             settings),
    ]  # fmt: skip


def text_like(rows: int, columns: int) -> list[Task]:
    """Return sparse rows whose columns are as unequal as words, 0.5 % of them stored."""
    rng = np.random.default_rng(0)
    each = round(0.005 * columns)
    popularity = 1.0 / np.arange(1, columns + 1)
    columns_drawn = rng.choice(columns, (rows, 3 * each), p=popularity / popularity.sum())
    lists = [np.unique(row)[:each] for row in columns_drawn]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in lists])])
    values = rng.random(int(starts[-1]))
    X = sp.csr_matrix((values, np.concatenate(lists), starts), shape=(rows, columns))
    y = (X @ rng.normal(size=columns) > 0).astype(int)
    settings = {"hidden_layer_sizes": (50,), "max_iter": 2}
    return [Task(f"sparse {rows // 1000}k x {columns // 1000}k", "MLPClassifier", X, y, settings)]


def read_idx(path: Path) -> np.ndarray[Any, Any]:
    """Return the array of an IDX file of bytes."""
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def numeric_csv(path: Path) -> tuple[Any, Any]:
    """Return the columns that are numbers, and the target: median_house_value, or the last."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as file:
        header = file.readline().strip().split(",")
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    known = ~np.isnan(table).all(axis=0)
    names = [name for name, keep in zip(header, known, strict=True) if keep]
    table = table[:, known]
    table = table[np.isfinite(table).all(axis=1)]
    target = names.index("median_house_value") if "median_house_value" in names else -1
    return np.delete(table, target, axis=1), table[:, target]


def from_folder(folder: Path | None, quick: bool) -> list[Task]:
    """Return the data sets found in the user's folder."""
    if folder is None:
        return []
    tasks = []
    # The training part where it is there, else the test part.
    images = sorted(folder.glob("**/*images*idx3*"), reverse=True)
    labels = sorted(folder.glob("**/*labels*idx1*"), reverse=True)
    if images and labels:
        rows = 10_000 if quick else 60_000
        X = read_idx(images[0])[:rows]
        X = (X.reshape(len(X), -1) / np.float32(255)).astype("float32")
        y = read_idx(labels[0])[:rows].astype(int)
        for hidden in ((100,), (256, 128)):
            text = "-".join(map(str, hidden))
            settings = {"hidden_layer_sizes": hidden, "max_iter": 1}
            tasks.append(Task(f"MNIST {text}, float32", "MLPClassifier", X, y, settings))
        tasks.append(Task("MNIST 100, float64", "MLPClassifier", X.astype("float64"), y,
                          {"hidden_layer_sizes": (100,), "max_iter": 1}))  # fmt: skip
    for path in sorted(folder.glob("**/cal*housing*.*")):
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                X, y = arrays["X"], arrays["y"]
        elif path.name.endswith((".csv", ".csv.gz")):
            X, y = numeric_csv(path)
        else:
            continue
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        y = (y - y.mean()) / y.std()
        settings = {"hidden_layer_sizes": (64, 64), "max_iter": 5}
        tasks.append(Task("California housing", "MLPRegressor", X, y, settings))
        break
    return tasks


def best_times(runs: dict[str, Callable[[], Any]], repeats: int, each: int = 1) -> dict[str, float]:
    """Return the shortest time of each, run in turn; one turn before is not counted.

    A pause before each turn lets the other's threads stop spinning for work.
    """
    best = dict.fromkeys(runs, np.inf)
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            time.sleep(0.1)
            for _ in range(each):
                began = time.perf_counter()
                run()
                if repeat > 0:
                    best[name] = min(best[name], time.perf_counter() - began)
    return best


def measure(task: Task, repeats: int) -> list[dict[str, Any]]:
    """Return the records of fit, predict, and predict of one row."""
    makers = {"fastrelu": getattr(fastrelu, task.kind), "scikit-learn": getattr(sk, task.kind)}
    made = {n: E(random_state=0, **task.settings) for n, E in makers.items()}
    fits = {n: lambda e=e: e.fit(task.X, task.y) for n, e in made.items()}
    records = []

    def record(what: str, times: dict[str, float]) -> None:
        records.append({"task": task.name, "what": what, **times})

    record("fit", best_times(fits, repeats))
    record("predict", best_times({n: lambda e=e: e.predict(task.X) for n, e in made.items()},
                                 repeats, each=5))  # fmt: skip
    one = task.X[:1]
    record("predict 1 row", best_times({n: lambda e=e: e.predict(one) for n, e in made.items()},
                                       repeats, each=50))  # fmt: skip
    losses = [e.loss_ for e in made.values()]
    if task.X.dtype == np.float64 and abs(losses[0] - losses[1]) > 1e-8:
        raise SystemExit(f"{task.name}: the losses differ: {losses}")
    return records


def ensemble(repeats: int) -> float:
    """Return how much faster two of joblib's threads fit eight networks than one does."""
    X, y = load_digits(return_X_y=True)
    X = X / 16

    def fit(seed: int) -> None:
        fastrelu.MLPClassifier((50,), max_iter=60, random_state=seed, tol=0.0,
                               n_iter_no_change=60, n_threads=1).fit(X, y)  # fmt: skip

    runs = {
        "one": lambda: [fit(i) for i in range(8)],
        "two": lambda: Parallel(2, backend="threading")(delayed(fit)(i) for i in range(8)),
    }
    times = best_times(runs, repeats)
    return times["one"] / times["two"]


def plot(records: list[dict[str, Any]], path: str) -> None:
    """Draw scikit-learn's time over ours, one bar a record."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(r["task"] for r in records))
    figure, ax = pyplot.subplots(figsize=(8, 0.45 * len(names) + 1.4), layout="constrained")
    for k, what in enumerate(("fit", "predict")):
        ratios = [r["scikit-learn"] / r["fastrelu"] for r in records if r["what"] == what]
        at = np.arange(len(names)) - 0.2 + 0.4 * k
        bars = ax.barh(at, ratios, 0.38, label=what, color=f"C{k}")
        ax.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios], padding=3, fontsize=8)
    ax.set_yticks(range(len(names)), names)
    ax.axvline(1.0, color="black", linewidth=0.8)
    ax.set_xlabel("times as fast as scikit-learn")
    ax.margins(x=0.1)
    ax.invert_yaxis()
    ax.legend(loc="best")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run the tasks asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with MNIST and California housing")
    parser.add_argument("--threads", type=int, default=fastrelu.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer rows")
    parser.add_argument("--only", nargs="+", help="tasks whose name contains one of these")
    parser.add_argument("--plot", help="file for a picture")
    parser.add_argument("--json", help="file for the figures")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    fastrelu.set_num_threads(args.threads)
    tasks = [*digits(), *synthetic(20_000 if args.quick else 100_000)]
    tasks += [*text_like(*((4_000, 5_000) if args.quick else (20_000, 5_000)))]
    tasks += from_folder(args.data, args.quick)
    if args.only:
        tasks = [t for t in tasks if any(part in t.name for part in args.only)]
    records = []
    print(f"{args.threads} threads; milliseconds, best of {args.repeats}")
    print(f"{'task':28} {'':14} {'fastrelu':>10} {'scikit-learn':>13} {'ratio':>7}")
    with threadpool_limits(args.threads):
        for task in tasks:
            for r in measure(task, args.repeats):
                records.append(r)
                ours, theirs = 1e3 * r["fastrelu"], 1e3 * r["scikit-learn"]
                print(f"{r['task']:28} {r['what']:14} {ours:10.3f} {theirs:13.3f} "
                      f"{theirs / ours:7.1f}", flush=True)  # fmt: skip
        if not args.only:
            print(f"eight fits in two of joblib's threads: {ensemble(args.repeats):.2f} times")
    if args.json:
        Path(args.json).write_text(json.dumps(records, indent=1))
    if args.plot:
        plot(records, args.plot)


if __name__ == "__main__":
    main()
