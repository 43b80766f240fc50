# SPDX-License-Identifier: BSD-3-Clause
"""Small runs whose reports the tests look at."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np

import fastrelu
from fastrelu.app.data.table import Table
from fastrelu.app.preprocess import Inputs, Target, fit_inputs, fit_target
from fastrelu.app.report import Evaluated, ReportContent, summarize_columns


@dataclass
class Model:
    network: fastrelu.Network
    inputs: Inputs
    target: Target
    target_name: str
    metrics: dict[str, Any] = field(default_factory=dict)
    row_counts: dict[str, int] = field(default_factory=dict)
    epoch_used: int | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def table_outputs(self, table: Table) -> np.ndarray:
        X = self.inputs.transform(table, None, self.network.dtype.name)
        out = self.network(X).astype(np.float64)
        if self.target.task == "regression":
            return out * self.target.std + self.target.mean
        powers = np.exp(out - out.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def flowers(n: int = 300, classes: Any = ("iris", "rose", "tulip")) -> Table:
    """Rows whose class hangs on a and colour; b is noise, never used."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=n), rng.normal(size=n)
    colour = np.array(["red", "blue", ""], object)[rng.integers(0, 3, n)]
    number = (a > 0).astype(int) + ((a > 0) & (colour == "red"))
    b[::7] = np.nan
    target = np.array([classes[k] for k in number], object)
    columns = {"a": a, "b": b, "colour": colour}
    return Table("flowers.csv", n, columns, target=target, target_name="flower")


def prices(n: int = 300) -> Table:
    rng = np.random.default_rng(4)
    X = rng.normal(size=(n, 2))
    y = 1000 + 50 * X[:, 0] + rng.normal(size=n)
    return Table("prices", n, {"size": X[:, 0], "luck": X[:, 1]}, target=y, target_name="price")


def content_of(table: Table, *, epochs: int = 30, validation: bool = True) -> ReportContent:
    """Train on a table and gather what a report is written from."""
    n = table.n_rows
    order = np.random.default_rng(0).permutation(n)
    ends = [n // 5, n // 5 + (n // 10 if validation else 0)]
    parts = dict(zip(("test", "validation", "train"), np.split(order, ends), strict=True))
    rows = parts["train"]
    target = fit_target(table, None)
    if target.task == "regression":
        target = fit_target(table, rows)
    inputs = fit_inputs(table, rows)
    network = fastrelu.Network(
        [inputs.n_inputs, 16, target.n_outputs], scale=inputs.scale, init="glorot_uniform"
    )
    loss = "cross_entropy" if target.classes else "squared_error"
    trainer = fastrelu.Trainer(network, loss=loss, optimizer=fastrelu.Adam(0.01), batch_size=16)
    X = inputs.transform(table)
    y = target.encode(table.target)
    history = trainer.fit(X[rows], y[rows], epochs=epochs, progress=False)
    model = Model(network, inputs, target, table.target_name or "target")
    evaluated, metrics = {}, {}
    for part, which in parts.items():
        if not len(which):
            continue
        outputs = model.table_outputs(table.take(which))
        if target.classes:
            evaluated[part] = Evaluated(y[which], outputs)
            metrics[part] = {"accuracy": float((outputs.argmax(axis=1) == y[which]).mean())}
        else:
            truth = table.target[which]
            evaluated[part] = Evaluated(truth, outputs)
            left = ((truth - outputs[:, 0]) ** 2).mean()
            metrics[part] = {"r2": float(1 - left / truth.var()), "rmse": float(np.sqrt(left))}
    model.metrics = metrics
    model.row_counts = {part: len(which) for part, which in parts.items()}
    records = [
        {"epoch": k + 1, "loss": value, "val_loss": 1.1 * value if validation else None,
         "val_metric": 1 - value if validation else None, "learning_rate": 0.01}
        for k, value in enumerate(history.loss)
    ]  # fmt: skip
    return ReportContent(
        title=table.source,
        model=model,
        history=records,
        metrics={
            **metrics,
            "task": target.task,
            "target": table.target_name,
            "rows": model.row_counts,
            "epochs": epochs,
        },
        evaluated=evaluated,
        sample=table.take(parts["test"]),
        columns=summarize_columns(table, rows),
        config={"data": [table.source], "epochs": epochs, "schedule": {"kind": "constant"}},
        notes=["a note of the run"],
        command=f"fastrelu train {table.source}",
        model_path="runs/one/model.safetensors",
    )


class Page(HTMLParser):
    """What a browser sees: texts, tables, elements with their attributes."""

    VOID = frozenset(("meta", "img", "br", "hr", "path", "use", "rect", "image"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "hr"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.texts.append(data)
        if self.rows and ("td" in self.open or "th" in self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def row(self, first: str) -> list[str]:
        """The first row of a table that begins with this cell."""
        return next(row for row in self.rows if row and row[0] == first)
