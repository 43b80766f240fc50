# SPDX-License-Identifier: BSD-3-Clause
"""Write the files that fastrelu.selftest compares with: expected hashes, and test vectors.

``python scripts/selftest_files.py`` after a change of the arithmetic that is meant; the change log
says which. The vectors come from fastrelu.reference alone, and so from docs/arithmetic.md.
"""

import json
from pathlib import Path

import numpy as np

from fastrelu import reference, selftest
from fastrelu.losses import BinaryCrossEntropy
from fastrelu.reference.random import Stream, row_order, subset, with_replacement
from fastrelu.selftest.runs import LOSS_FORMS, OPTIMIZER_FORMS, targets, whole_numbers

FOLDER = Path(selftest.__file__).parent
VERSION = 1
DTYPES = ("float32", "float64")
POINTS = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1e-3, -1e-3, 2.0, -3.7, 10.25, -20.125, 60.0, -80.0, 1e-30,
    -1e-40, 90.0, -110.0, 700.0, -745.0, 0.6931471805599453, float("inf"), float("-inf"),
    float("nan"),
)  # fmt: skip
ACTIVATIONS = ("relu", "identity", "leaky_relu", "logistic", "tanh", "elu", "silu")


def hexadecimal(values):
    """Numbers as texts that lose nothing, arrays as nested lists of them."""
    array = np.asarray(values)
    if array.ndim:
        return [hexadecimal(value) for value in array]
    return float(array).hex()


def elementary(function, dtype):
    """Return a function at some points."""
    x = np.array(POINTS, dtype)
    if function == "log1p":
        x = np.abs(x[np.abs(x) <= 1])
    y = getattr(reference, function)(x)
    return {"kind": "elementary", "function": function, "dtype": dtype, "x": hexadecimal(x),
            "y": hexadecimal(y)}  # fmt: skip


def random_numbers():
    """Words of streams, orders and draws."""
    for seed, purpose, index, time in ((0, 1, 0, 0), (7, 2, 3, 5), (2**64 - 1, 12, 2**40, 1)):
        stream = Stream(seed, purpose, index, time)
        words = [str(stream.next()) for _ in range(9)]
        yield {"kind": "words", "seed": str(seed), "purpose": purpose, "index": str(index),
               "time": str(time), "words": words}  # fmt: skip
    yield {"kind": "row_order", "seed": "5", "epoch": 2, "shard": 1, "n": 17, "first_row": 30,
           "rows": list(map(int, row_order(5, 2, 1, 17, 30)))}  # fmt: skip
    for kind, draw in (("subset", subset), ("with_replacement", with_replacement)):
        yield {"kind": kind, "seed": "5", "step": 3, "n": 20, "m": 6,
               "rows": list(map(int, draw(5, 3, 20, 6)))}  # fmt: skip


def network_of(net, sizes, dtype, activation):
    """Return what a case says of its network."""
    return {"layer_sizes": sizes, "dtype": dtype, "activation": activation,
            "parameters": hexadecimal(net.parameters)}  # fmt: skip


def initial(init, dtype):
    """Return the parameters that a seed gives."""
    net = reference.Network([3, 4, 2], dtype=dtype, init=init, seed=9)
    return {"kind": "initial_parameters", "init": init, "seed": "9",
            **network_of(net, [3, 4, 2], dtype, "relu")}  # fmt: skip


def passes(activation, dtype):
    """Return outputs, and the gradients of their product with d_out."""
    sizes = [3, 4, 3, 2]
    net = reference.Network(sizes, dtype=dtype, activation=activation, seed=2)
    X, d_out = whole_numbers(4, 3) / 32 - 1.5, whole_numbers(4, 2) / 16 - 3
    out, cache = net.forward_cached(X)
    gradients = net.backward(cache, d_out, inputs=True)
    return {"kind": "passes", **network_of(net, sizes, dtype, activation), "x": hexadecimal(X),
            "outputs": hexadecimal(out), "d_out": hexadecimal(d_out),
            "gradient": hexadecimal(gradients.flat),
            "gradient_to_x": hexadecimal(gradients.inputs)}  # fmt: skip


def loss_case(name, dtype):
    """Return a loss, its gradient, and predictions."""
    loss, sizes = LOSS_FORMS[name], [3, 4, 2]
    net = reference.Network(sizes, dtype=dtype, seed=3)
    X, weights = whole_numbers(5, 3) / 32 - 1.5, (whole_numbers(5) + 1) / 8
    y = targets(loss, 5, 2)
    value, gradients = net.loss_and_gradient(X, y, loss, weights)
    numbers = {} if loss.info.parameter is None else {
        loss.info.parameter.name: hexadecimal(getattr(loss, loss.info.parameter.name))
    }  # fmt: skip
    if isinstance(loss, BinaryCrossEntropy) and loss.pos_weight is not None:
        numbers["pos_weight"] = hexadecimal(loss.pos_weight)
    return {"kind": "loss", "loss": loss.name, **numbers,
            **network_of(net, sizes, dtype, "relu"), "x": hexadecimal(X),
            "y": list(map(int, y)) if loss.info.domain.labels else hexadecimal(y),
            "row_weights": hexadecimal(weights), "value": hexadecimal(value),
            "gradient": hexadecimal(gradients.flat),
            "predictions": hexadecimal(net.predict_proba(X, loss))}  # fmt: skip


def steps(name, dtype):
    """Three steps of an optimizer on one minibatch."""
    from dataclasses import asdict

    optimizer, sizes = OPTIMIZER_FORMS[name], [3, 4, 2]
    net = reference.Network(sizes, dtype=dtype, seed=4)
    before = network_of(net, sizes, dtype, "relu")
    X, y = whole_numbers(4, 3) / 32 - 1.5, whole_numbers(4, 2) / 32 - 1
    trainer = reference.Trainer(net, optimizer=optimizer, batch_size=4)
    values = [trainer.step(X, y) for _ in range(3)]
    numbers = {key: hexadecimal(value) if isinstance(value, float) else value
               for key, value in asdict(optimizer).items()}  # fmt: skip
    return {"kind": "steps", "optimizer": optimizer.name, **numbers, **before,
            "x": hexadecimal(X), "y": hexadecimal(y), "losses": hexadecimal(values),
            "parameters_after": hexadecimal(net.parameters)}  # fmt: skip


def vectors():
    """Return all of it."""
    cases = [elementary(f, dtype) for dtype in DTYPES for f in ("exp", "log", "log1p", "tanh")]
    cases += random_numbers()
    for dtype in DTYPES:
        cases += [initial(init, dtype) for init in ("he_uniform", "glorot_uniform")]
        cases += [passes(activation, dtype) for activation in ACTIVATIONS]
        cases += [loss_case(name, dtype) for name in LOSS_FORMS]
        cases += [steps(name, dtype) for name in OPTIMIZER_FORMS]
    return {"format": "fastrelu.vectors", "version": VERSION, "cases": cases}


def main():
    """Write both files."""
    text = json.dumps(selftest.parts(), indent=1)
    (FOLDER / "expected.json").write_text(text + "\n")
    with np.errstate(all="ignore"):
        made = vectors()
    body = ",\n  ".join(json.dumps(case) for case in made.pop("cases"))
    head = json.dumps(made)[:-1]
    (FOLDER / "vectors.json").write_text(f'{head}, "cases": [\n  {body}\n]}}\n')


if __name__ == "__main__":
    main()
