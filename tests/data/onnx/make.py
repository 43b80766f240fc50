# SPDX-License-Identifier: BSD-3-Clause
"""How the files beside this one were made: ``python make.py torch``, ``keras`` or ``sklearn``.

Each is a small network as an exporter writes it; torch.npz, keras.npz and sklearn.npz have its
rows, NAME.x, and what the program that it comes from answers, NAME.y. They were made once, with the
versions that README.md of the folder above names; ``tests/test_onnx_exporters.py`` reads them.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
X = np.random.default_rng(3).normal(size=(6, 4)).astype("float32")


KEPT = {}


def keep(name, x, y):
    """Keep the rows and the answers, which are written at the end."""
    KEPT[f"{name}.x"], KEPT[f"{name}.y"] = np.asarray(x), np.asarray(y)


def by_torch():
    """Make the files of both of torch's exporters."""
    import torch

    nn = torch.nn
    torch.manual_seed(0)

    class Clamp(nn.Module):
        """ReLU as some write it."""

        def forward(self, z):
            return z.clamp(min=0)

    class Maximum(nn.Module):
        """ReLU as others write it."""

        def forward(self, z):
            return torch.maximum(z, torch.tensor(0.0))

    class Rows(nn.Module):
        """Rows of all inputs, by a shape."""

        def forward(self, x):
            return x.reshape(-1, 4)

    class Product(nn.Module):
        """A layer without nn.Linear: the bias stands before the product."""

        def __init__(self):
            super().__init__()
            self.w, self.b = nn.Parameter(torch.randn(5, 5)), nn.Parameter(torch.randn(5))

        def forward(self, x):
            return self.b + x @ self.w

    activations = {
        "relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(), "elu": nn.ELU(), "sigmoid": nn.Sigmoid(),
        "tanh": nn.Tanh(), "silu": nn.SiLU(), "clamp": Clamp(), "maximum": Maximum(),
    }  # fmt: skip
    tied = nn.Linear(5, 5)
    modules = {
        name: [nn.Linear(4, 5), part, nn.Linear(5, 2)] for name, part in activations.items()
    } | {
        "tied": [nn.Linear(4, 5), nn.ReLU(), tied, nn.ReLU(), tied, nn.Linear(5, 2, bias=False)],
        "flatten": [nn.Flatten(), nn.Linear(4, 5), nn.Dropout(0.5), nn.ReLU(), nn.Linear(5, 2)],
        "reshape": [Rows(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)],
        "product": [nn.Linear(4, 5), nn.ReLU(), Product(), nn.Tanh(), nn.Linear(5, 2)],
        "double": [nn.Linear(4, 5).double(), nn.Tanh(), nn.Linear(5, 2).double()],
        "active_dropout": [nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 2)],
    }
    for kind, parts in modules.items():
        module = nn.Sequential(*parts).train(kind == "active_dropout")
        rows = X.reshape(6, 2, 2) if kind in ("flatten", "reshape") else X
        x = torch.from_numpy(rows.astype("float64" if kind == "double" else "float32"))
        opsets = {"old": [9, 17], "new": [18, 25]} if kind == "relu" else {"old": [17], "new": [20]}
        for exporter, versions in opsets.items():
            for opset in versions:
                name = f"torch_{exporter}_{kind}_{opset}"
                more = {"dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}} if exporter == "old" else {}
                if exporter == "new":
                    more = {"dynamic_shapes": ({0: torch.export.Dim("n")},)}
                if kind == "active_dropout" and exporter == "old":
                    more["training"] = torch.onnx.TrainingMode.TRAINING
                torch.onnx.export(
                    module, (x,), HERE / f"{name}.onnx", dynamo=exporter == "new",
                    opset_version=opset, input_names=["x"], output_names=["y"], verbose=False,
                    external_data=False, **more,
                )  # fmt: skip
                with torch.no_grad():
                    keep(name, rows.astype(x.numpy().dtype), module.eval()(x))


def by_keras():
    """Make the files of Keras 3 and of tf2onnx."""
    import keras
    import tensorflow as tf
    import tf2onnx

    layers = keras.layers
    keras.utils.set_random_seed(0)

    def sequential(shape, *parts):
        model = keras.Sequential([layers.Input(shape), *parts])
        model.set_weights([X.ravel()[: w.size].reshape(w.shape) for w in model.get_weights()])
        return model

    def dense(n, activation=None, bias=True):
        return layers.Dense(n, activation=activation, use_bias=bias)

    last = [dense(5), layers.ReLU(), dense(2)]
    models = {
        name: sequential((4,), dense(5, name), dense(2))
        for name in ("relu", "elu", "sigmoid", "tanh", "silu", "linear")
    } | {
        "leaky_relu": sequential((4,), dense(5), layers.LeakyReLU(0.01), dense(2)),
        "flatten": sequential((2, 2), layers.Flatten(), layers.Dropout(0.5), *last),
        "reshape": sequential((2, 2), layers.Reshape((4,)), *last),
        "rescaling": sequential((4,), layers.Rescaling(1 / 255), *last),
        "shifted": sequential((4,), layers.Rescaling(1 / 127.5, offset=-1), *last),
        "no_bias": sequential((4,), dense(5, "relu", bias=False), dense(2, bias=False)),
        "softmax": sequential((4,), dense(5, "relu"), dense(3, "softmax")),
    }
    for kind, model in models.items():
        rows = X.reshape(6, 2, 2) if kind in ("flatten", "reshape") else X
        answer = model.predict(rows, verbose=0)
        name = f"keras_{kind}"
        model.export(HERE / f"{name}.onnx", format="onnx", verbose=False)
        keep(name, rows, answer)
    model = models["relu"]
    spec = tf.TensorSpec((None, 4), tf.float32, name="x")
    call = tf.function(lambda x: model(x), input_signature=[spec])
    for opset in (9, 13, 18):
        name = f"tf2onnx_relu_{opset}"
        tf2onnx.convert.from_function(
            call, input_signature=[spec], opset=opset, output_path=HERE / f"{name}.onnx"
        )
        keep(name, X, model.predict(X, verbose=0))


def by_sklearn():
    """Make the files of skl2onnx."""
    import skl2onnx
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    for activation in ("relu", "tanh", "logistic", "identity"):
        for targets in (1, 2):
            y = x[:, :targets] if targets > 1 else x[:, 0]
            model = MLPRegressor(
                hidden_layer_sizes=(5,), activation=activation, solver="lbfgs", max_iter=20
            )
            model.fit(x, y)
            name = f"sklearn_{activation}_{targets}"
            made = skl2onnx.to_onnx(model, x[:1], target_opset=None if targets == 1 else 11)
            (HERE / f"{name}.onnx").write_bytes(made.SerializeToString())
            keep(name, X, model.predict(X).reshape(len(X), -1))
    model = MLPClassifier((5,), solver="lbfgs", max_iter=20).fit(x, np.arange(40) % 3)
    made = skl2onnx.to_onnx(model, x[:1], options={"zipmap": False})
    (HERE / "sklearn_classifier.onnx").write_bytes(made.SerializeToString())
    keep("sklearn_classifier", X, model.predict_proba(X))


if __name__ == "__main__":
    {"torch": by_torch, "keras": by_keras, "sklearn": by_sklearn}[sys.argv[1]]()
    np.savez(HERE / f"{sys.argv[1]}.npz", **KEPT)
