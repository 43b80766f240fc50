# SPDX-License-Identifier: BSD-3-Clause
"""What the kept files of tests/data hold, and what a later version has to make of them.

The rows come from formulas, so that they need no library's random numbers. The script that wrote
the files and the test that reads them share these cases.
"""

import csv
import gzip
import hashlib
import io
import itertools
import json
import shlex

import numpy as np

import fastrelu
from fastrelu import losses, schedules


def whole_numbers(n, step=2654435761):
    """A fixed sequence of numbers from 0 to 96."""
    return (np.arange(n, dtype=np.int64) * step) % 1000003 % 97


def rows(n, width, dtype="float64"):
    """Inputs (n, width) from -0.75 to 0.75."""
    return (whole_numbers(n * width).reshape(n, width) / 64 - 0.75).astype(dtype)


def targets(n, outputs, loss):
    """Targets that fit a loss: labels, zeros and ones, or numbers >= 0."""
    if loss == "cross_entropy":
        return whole_numbers(n, 40503) % outputs
    numbers = whole_numbers(n * outputs, 40503).reshape(n, outputs)
    return numbers % 2 if loss == "binary_cross_entropy" else numbers / 32


def bits(*arrays):
    """Hash of the arrays' bytes."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


# Networks

NETWORKS = {
    f"{activation}_{dtype}": {
        "layer_sizes": [5, 17, 8, 3],
        "activation": activation,
        "dtype": dtype,
    }
    for activation in ("relu", "leaky_relu", "logistic", "tanh", "identity")
    for dtype in ("float32", "float64")
} | {
    "no_bias": {"layer_sizes": [5, 9, 2], "bias": False},
    "scaled_bytes": {"layer_sizes": [5, 9, 2], "scale": 1 / 255},
    "mixed_glorot": {
        "layer_sizes": [5, 6, 7, 8, 1],
        "activation": ["relu", "tanh", "identity"],
        "init": "glorot_uniform",
        "dtype": "float64",
    },
    "linear": {"layer_sizes": [5, 4], "dtype": "float64"},
}


def answers(net):
    """What a network makes of seven rows: outputs, probabilities and a gradient."""
    X, outputs = rows(7, 5), net.layer_sizes[-1]
    gradient = net.loss_and_gradient(X, targets(7, outputs, "squared_error"))[1].flat
    found = {
        "outputs": net(X),
        "bytes": net((whole_numbers(35).reshape(7, 5)).astype(np.uint8)),
        "gradient": gradient,
    }
    if outputs > 1:  # the probability of the only class, which 0.1.0 gave, is refused now
        found["probabilities"] = net.predict_proba(X, "cross_entropy")
    return found


# Checkpoints: (network, trainer, rows, sampling)


def own_rate(k):
    """A learning rate of the user's own, which a checkpoint cannot hold."""
    return 0.01 / k


NET = {"layer_sizes": [5, 33, 8, 3], "seed": 11}
HALF = {"beta_1": 0.5, "beta_2": 0.75}
CHECKPOINTS = {
    "sgd_momentum": (
        {"dtype": "float32"},
        {
            "loss": "squared_error",
            "optimizer": fastrelu.SGD(schedules.cosine(0.05, 40), momentum=0.9, nesterov=True),
        },
        37,
        "shuffle",
    ),
    "sgd_huber": (
        {"dtype": "float64", "activation": "tanh", "bias": False},
        {
            "loss": losses.Huber(0.7),
            "optimizer": fastrelu.SGD(schedules.step_decay(0.05, 0.5, 6), weight_decay=0.01),
        },
        37,
        "with_replacement",
    ),
    "adam": (
        {"dtype": "float32", "activation": ["leaky_relu", "logistic"]},
        {
            "loss": losses.BinaryCrossEntropy(pos_weight=[0.5, 2.0, 3.0]),
            "optimizer": fastrelu.Adam(schedules.inverse_time(40.0), weight_decay=0.01, **HALF),
        },
        37,
        "shuffle",
    ),
    "adamw": (
        {"dtype": "float64", "scale": 0.5},
        {
            "loss": "poisson",
            "optimizer": fastrelu.AdamW(schedules.warm_up(schedules.constant(0.01), 8)),
            "clip_norm": 0.5,
            "n_shards": 3,
        },
        37,
        "shuffle",
    ),
    "quantile": (
        {"dtype": "float32"},
        {"loss": losses.Quantile(0.8), "optimizer": fastrelu.SGD(0.02, momentum=0.5)},
        37,
        "shuffle",
    ),
    "absolute_error_own_rate": (
        {"dtype": "float64"},
        {"loss": "absolute_error", "optimizer": fastrelu.Adam(own_rate)},
        37,
        "shuffle",
    ),
    "subset": (
        {"dtype": "float32"},
        {"loss": "cross_entropy", "optimizer": fastrelu.Adam(0.01)},
        37,
        "subset",
    ),
    "interrupted": (
        {"dtype": "float32"},
        {"loss": "cross_entropy", "optimizer": fastrelu.Adam(0.001), "batch_size": 1},
        25_000,
        "shuffle",
    ),
    "interrupted_subset": (
        {"dtype": "float64"},
        {"optimizer": fastrelu.SGD(0.001, momentum=0.9), "batch_size": 2},
        40_000,
        "subset",
    ),
    "interrupted_shards": (
        {"dtype": "float32"},
        {
            "loss": "binary_cross_entropy",
            "optimizer": fastrelu.AdamW(0.001),
            "batch_size": 3,
            "n_shards": 3,
            "clip_norm": 0.2,
        },
        60_000,
        "shuffle",
    ),
}


def new_trainer(name):
    """The trainer of a checkpoint, before its first step."""
    network, trainer, _, _ = CHECKPOINTS[name]
    return fastrelu.Trainer(
        fastrelu.Network(**NET | network), **{"batch_size": 8, "seed": 4} | trainer
    )


def data_of(name):
    """X, y of a checkpoint."""
    network, trainer, n, _ = CHECKPOINTS[name]
    loss = losses.as_loss(trainer.get("loss", "squared_error")).name
    return rows(n, 5, network["dtype"]), targets(n, 3, loss)


def go_on(name, trainer):
    """Finish the epoch begun, if one is, train for one more, and return what came of it."""
    X, y = data_of(name)
    history = trainer.fit(X, y, epochs=1, sampling=CHECKPOINTS[name][3])
    return {
        "loss": [value.hex() for value in history.loss],
        "parameters": bits(trainer.network.parameters),
        "steps": trainer.n_steps,
        "epochs": trainer.n_epochs,
    }


# Pickles


def estimators():
    """Unfitted estimators by name, with the outputs of their targets."""
    from fastrelu import MLPClassifier, MLPRegressor

    some = {"hidden_layer_sizes": (9, 4), "random_state": 3, "max_iter": 4, "batch_size": 8}
    return {
        "classifier_adam": (MLPClassifier(**some), 3),
        "classifier_sgd_binary": (
            MLPClassifier(**some, solver="sgd", learning_rate="invscaling", activation="tanh"),
            2,
        ),
        "regressor_sgd": (MLPRegressor(**some, solver="sgd", learning_rate_init=0.01), 0),
        "regressor_adam_poisson": (MLPRegressor(**some, loss="poisson"), 0),
        "regressor_lbfgs": (
            MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", random_state=3, max_iter=10),
            0,
        ),
    }


def estimator_data(n_classes):
    """X, y for an estimator: n_classes labels, or numbers where that is 0."""
    X = rows(61, 5)
    return X, (targets(61, n_classes, "cross_entropy") if n_classes else targets(61, 1, "")[:, 0])


def estimator_answers(estimator, n_classes):
    """Hashes of what a fitted estimator predicts, and of its coefficients after one more epoch."""
    X, y = estimator_data(n_classes)
    found = {"predict": bits(np.asarray(estimator.predict(X), dtype=np.float64))}
    if n_classes:
        found["predict_proba"] = bits(estimator.predict_proba(X))
    if estimator.solver != "lbfgs":
        estimator.partial_fit(X, y)
        found["partial_fit"] = bits(*estimator.coefs_, *estimator.intercepts_)
        found["loss"] = float(estimator.loss_).hex()
    return found


def objects():
    """Objects that users may have pickled, beside estimators."""
    net = fastrelu.Network([2, 6, 1], dtype="float64", seed=5)
    line = fastrelu.PiecewiseLinear([0.0, 1.0, 2.5], [1.0, -1.0, 0.5], left_slope=0.25)
    trained = fastrelu.Network(**NET)
    history = fastrelu.Trainer(trained).fit(rows(37, 5), targets(37, 3, ""), epochs=2)
    return {
        "network": fastrelu.Network(**NETWORKS["mixed_glorot"], seed=7),
        "piecewise_linear": line,
        "linear_regions": net.linear_regions(window=(-1.0, 1.0, -1.0, 1.0)),
        "local_affine": net.local_affine(np.array([0.25, -0.5])),
        "history": history,
        "loss": losses.Huber(0.7),
        "optimizer": fastrelu.AdamW(schedules.warm_up(schedules.cosine(0.1, 10), 3)),
    }


# Runs of the command


def write_flowers(path):
    """A table with text, gaps, dates and a yes or no; the target is one of three words."""
    numbers = whole_numbers(150 * 4, 48271).reshape(150, 4)
    kinds = [n % 3 for n in whole_numbers(150, 69621).tolist()]
    lines = [["length", "colour", "seen", "wild", "weight", "species"]]
    for i, kind in enumerate(kinds):
        a, b, c, d = numbers[i].tolist()
        lines.append(
            [
                "" if i % 11 == 4 else (a + 60 * kind) / 10,
                "" if i % 13 == 6 else ["red", "blue", "white", "dark red"][(b + kind) % 4],
                "" if i % 17 == 9 else f"2024-{1 + c % 12:02}-{1 + d % 28:02}",
                ["yes", "no"][b % 2],
                1 + (d % 3),
                "" if i == 77 else ["daisy", "rose", "tulip"][kind],
            ]
        )
    _write_csv(path, lines)


def write_houses(path):
    """A table with a category and gaps; the target is a number."""
    numbers = whole_numbers(180 * 3, 69621).reshape(180, 3)
    lines = [["size", "rooms", "town", "built", "price"]]
    for i, (a, b, c) in enumerate(numbers.tolist()):
        town = ["Aston", "Berg", "Cray"][c % 3]
        price = 100 + 3 * a - b % 7 + 20 * (c % 3)
        size, town = a / 4 if i % 9 else "", town if i % 8 else "?"
        lines.append([size, b % 7, town, 1900 + (a + b) // 2, price])
    _write_csv(path, lines)


def write_long(path):
    """A table of 12,000 rows of small numbers."""
    numbers = whole_numbers(12_000 * 3, 48271).reshape(-1, 3)
    made = numbers @ [3, -2, 1] + whole_numbers(12_000, 16807) % 5
    _write_csv(path, [["a", "b", "c", "y"], *np.column_stack([numbers, made]).tolist()])


def write_stream(path):
    """A Parquet file of 18,000 rows that is larger than --memory 2MiB allows to be read whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = whole_numbers(18_000 * 5, 48271).reshape(-1, 5).T.astype(np.float64)
    columns = {name: column for name, column in zip("abcde", numbers, strict=True)}
    columns["town"] = [f"T{n % 24}" for n in whole_numbers(18_000, 69621)]
    columns["y"] = 3 * numbers[0] - 2 * numbers[1] + numbers[2] + whole_numbers(18_000, 16807) % 5
    pq.write_table(
        pa.table(columns), path, row_group_size=500, compression="none", use_dictionary=False
    )


def _write_csv(path, lines):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


SMALL = ["--hidden", "8,4", "--keep", "1"]
# Long enough, on a slow instruction set, to be interrupted inside an epoch.
SLOW = "--epochs 3 --batch-size 1 --hidden 48,32"
# name: (data file, flags, whether it was interrupted, the epochs to train on to)
RUNS = {
    "classification": (
        "flowers.csv",
        "--epochs 4 --early-stopping 3 --class-weight balanced --seed 2",
        False,
        7,
    ),
    "regression": (
        "houses.csv",
        "--epochs 4 --loss huber:1.5 --scaling quantile --categories hash:8 --optimizer adamw "
        "--dtype float64 --split time:built",
        False,
        6,
    ),
    "poisson": (
        "houses.csv",
        "--epochs 3 --loss poisson --optimizer sgd --schedule step:0.5,1 --sampling subset "
        "--clip-norm 1 --activation tanh",
        False,
        5,
    ),
    "ensemble": ("flowers.csv", "--epochs 3 --seeds 2", False, None),
    "folds": ("flowers.csv", "--epochs 2 --folds 3", False, None),
    "search": (
        "houses.csv",
        "--epochs 4 --search --candidates 4 --search-space 'hidden=8|6,4; lr=0.001..0.01'",
        False,
        None,
    ),
    "interrupted": ("long.csv.gz", SLOW, True, None),
    "interrupted_ensemble": ("long.csv.gz", f"{SLOW} --seeds 2 --optimizer sgd", True, None),
    "streamed": ("stream.parquet", "--epochs 2 --memory 2MiB", False, 3),
    "interrupted_stream": (
        "stream.parquet",
        f"{SLOW} --hidden 32,32 --memory 2MiB",
        True,
        None,
    ),
}
WRITERS = {
    "flowers.csv": write_flowers,
    "houses.csv": write_houses,
    "long.csv.gz": write_long,
    "stream.parquet": write_stream,
}


def flags_of(name):
    """The flags of a run, as a list."""
    return [*SMALL, *shlex.split(RUNS[name][1])]


def first_rows(path, n):
    """The first rows of a data file, as the bytes of a CSV file."""
    if path.suffix != ".parquet":
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        return b"".join(content.splitlines(keepends=True)[: n + 1])
    import pyarrow.csv
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pyarrow.csv.write_csv(pq.read_table(path).slice(0, n), out)
    return out.getvalue()


def run_outcome(folder):
    """What a finished run has come to: parameters, losses, the test rows' metrics."""
    from safetensors.numpy import load_file

    arrays = load_file(folder / "model.safetensors")
    names = sorted(name for name in arrays if "weights." in name or "biases." in name)
    with open(folder / "history.csv", newline="") as file:
        history = [(row["epoch"], row["loss"], row["val_loss"]) for row in csv.DictReader(file)]
    metrics = json.loads((folder / "metrics.json").read_text())
    return {
        "parameters": bits(*(arrays[name] for name in names)),
        "losses": list(itertools.chain.from_iterable(history)),
        "test": {k: v for k, v in metrics["test"].items() if isinstance(v, (int, float))},
    }
