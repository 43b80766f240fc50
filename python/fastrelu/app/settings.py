# SPDX-License-Identifier: BSD-3-Clause
"""What a run is set to: each setting is a flag of the command and a key of a TOML file."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from fastrelu import optimizers
from fastrelu.app import kinds
from fastrelu.app.errors import ConfigError
from fastrelu.app.kinds import NUMBER, Kind, one_of
from fastrelu.app.usual import usual_text
from fastrelu.network import ACTIVATIONS

TASKS = ("classification", "regression")


@dataclass(frozen=True)
class Option:
    """A setting as a flag: what it may be, and what ``--help`` says.

    `saved`: it belongs to the run, and so to config.toml and to what a resumed run must agree on;
    `fixed`: another value would give another model.
    """

    kind: Kind
    group: str
    help: str
    saved: bool = True
    fixed: bool = True


def _option(default: Any, kind: Kind, group: str, help_text: str, **more: bool) -> Any:
    return field(default=default, metadata={"option": Option(kind, group, help_text, **more)})


DATA, SOURCE, READING, INPUTS, NETWORK, TRAINING, SEVERAL, RUN = (
    "Data", "Where the rows are", "Reading of text", "Preprocessing", "Network", "Training",
    "Several trainings at once", "Running",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The settings of a run; None leaves a choice to the data.

    Each attribute is the flag of its name (``batch_size``: ``--batch-size``) and the key of its
    name in a TOML file.
    """

    data: tuple[str, ...] = _option((), kinds.Names("DATA..."), DATA, "", fixed=False)
    target: str | None = _option(
        None, kinds.Text("COL"), DATA, "Column (or array) to predict.  [default: the last, or y]"
    )
    task: str = _option(
        "auto",
        one_of("auto", *TASKS),
        DATA,
        "auto: classification for text and for whole numbers with few values.",
    )
    features: tuple[str, ...] | None = _option(
        None, kinds.Names(), DATA, "Columns to learn from.  [default: all others]"
    )
    ignore: tuple[str, ...] = _option((), kinds.Names(), DATA, "Columns to leave out.")
    categorical: tuple[str, ...] = _option(
        (), kinds.Names(), DATA, "Columns to read as categories, though they hold numbers."
    )
    weights: str | None = _option(
        None, kinds.Text("COL"), DATA, "Column (or array) with a weight for each row."
    )
    split: str = _option(
        "random",
        kinds.Choice({"random": None, "time": ".+", "column": ".+"}, "random|time:COL|column:COL"),
        DATA,
        "time: test on the latest rows by COL; column: COL says train, validation or test.",
    )
    validation: float = _option(
        0.1, kinds.Real(0, 1, open_high=True), DATA, "Share of the rows for validation."
    )
    test: float = _option(
        0.2, kinds.Real(0, 1, open_high=True), DATA, "Share of the rows kept for the test."
    )
    memory: str = _option(
        "256MB", kinds.Size(), DATA, "Data that need more memory are read in blocks."
    )
    x: str | None = _option(
        None, kinds.Text("NAME"), SOURCE, "NPZ: the array of inputs.  [default: X]"
    )
    y: str | None = _option(
        None,
        kinds.Text("NAME|FILE"),
        SOURCE,
        "NPZ: the array of targets; NPY, IDX: their file.  [default: y; the last file, if it has "
        "one value for each row]",
    )
    sql: str | None = _option(
        None,
        kinds.Text("QUERY"),
        SOURCE,
        "A SELECT whose rows are the data, run by DuckDB (extra sql); files stand in it as FROM "
        "'sales/*.parquet'. DATA is then a database file, or left out.",
    )
    table: str | None = _option(
        None, kinds.Text("NAME"), SOURCE, "A database's table, or a workbook's sheet."
    )
    separator: str | None = _option(
        None,
        kinds.Text("CHAR"),
        READING,
        "Separator of fields: a character, or tab or space.  [default: found from the rows]",
    )
    quote: str | None = _option(
        None, kinds.Text("CHAR"), READING, 'Quote around fields, or none.  [default: "]'
    )
    decimal: str | None = _option(
        None,
        one_of(".", ","),
        READING,
        "The decimal mark; the other mark stands between thousands.  [default: found for each "
        "column]",
    )
    no_header: bool = _option(
        False, kinds.Switch(), READING, "The first line is data, not the columns' names."
    )
    header_line: int | None = _option(
        None,
        kinds.Whole(1, 10**6),
        READING,
        "The line of the columns' names; lines above it are left out.  [default: found from the "
        "rows]",
    )
    na: tuple[str, ...] | None = _option(
        None,
        kinds.Words(),
        READING,
        "Texts that stand for missing values in every column, beside the usual ones; with an empty "
        "one among them (,NA) only these do.",
    )
    date_format: tuple[str, ...] = _option(
        (),
        kinds.DateFormats(),
        READING,
        "How dates are written: ymd, dmy, mdy or a format such as %d.%m.%Y; COL=FORMAT says it for "
        "one column.  [default: found for each column]",
    )
    numeric: tuple[str, ...] = _option(
        (), kinds.Names(), READING, "Columns to read as numbers, whatever they look like."
    )
    scaling: str = _option(
        "auto",
        one_of("auto", "standard", "quantile", "none"),
        INPUTS,
        "Scaling of numbers. standard: to mean 0 and standard deviation 1; quantile: to normal "
        "scores; auto: standard, but bytes stay.",
    )
    categories: str = _option(
        "one-hot",
        kinds.Choice({"one-hot": None, "hash": "(?:[1-9][0-9]{0,5})?"}, "one-hot|hash:N"),
        INPUTS,
        "How text becomes numbers: one input for each value, or N (64) hashed inputs for each "
        "column.",
    )
    hidden: tuple[int, ...] = _option(
        (128, 64), kinds.Widths(), NETWORK, "Widths of the hidden layers; none: a linear model."
    )
    activation: str = _option("relu", one_of(*ACTIVATIONS), NETWORK, "Activation of hidden layers.")
    dtype: str = _option(
        "float32", one_of("float32", "float64"), NETWORK, "dtype of parameters and arithmetic."
    )
    seed: int = _option(
        0, kinds.Whole(0, 2**63 - 1), NETWORK, "Seed of split, initial weights, row order."
    )
    epochs: int | None = _option(
        None,
        kinds.Whole(1, 10**9),
        TRAINING,
        "Number of epochs.  [default: by the number of rows]",
        fixed=False,
    )
    batch_size: int | None = _option(
        None, kinds.Whole(1), TRAINING, "Rows of a minibatch.  [default: by the number of rows]"
    )
    optimizer: str = _option("adam", one_of(*optimizers.names()), TRAINING, "Optimizer.")
    lr: float | None = _option(
        None,
        kinds.Real(0, 1e6, open_low=True),
        TRAINING,
        f"First learning rate.  [default: {usual_text('learning_rate')}]",
    )
    schedule: str = _option(
        "cosine",
        kinds.Choice(
            {
                "constant": None,
                "cosine": None,
                "step": f"(?:{NUMBER},[1-9][0-9]{{0,8}})?",
                "inverse-time": f"(?:{NUMBER})?",
            },
            "constant|cosine|step:FACTOR,EPOCHS|inverse-time:ELL",
        ),
        TRAINING,
        "How the learning rate falls. cosine: to a hundredth, along half a cosine; step: by FACTOR "
        "(0.5) after each EPOCHS (a third of all); inverse-time: as 1/(2 ELL k) in step k.",
    )
    sampling: str = _option(
        "shuffle",
        one_of("shuffle", "subset", "with_replacement"),
        TRAINING,
        "How the rows of a step are drawn: in a shuffled order; as an independent subset of all "
        "rows; with replacement.",
    )
    schedule_epochs: int | None = _option(
        None, kinds.Whole(1, 10**9), TRAINING, "Epochs of the schedule.  [default: --epochs]"
    )
    momentum: float | None = _option(
        None, kinds.Real(0, 1, open_high=True), TRAINING, "Momentum of sgd.  [default: 0.9]"
    )
    weight_decay: float | None = _option(
        None,
        kinds.Real(0, 1e6),
        TRAINING,
        f"L2 penalty.  [default: {usual_text('weight_decay')}]",
    )
    clip_norm: float | None = _option(
        None,
        kinds.Real(0, open_low=True),
        TRAINING,
        "Largest norm of a gradient.  [default: no limit]",
    )
    dropout: tuple[float, ...] = _option(
        (0.0,),
        kinds.Rates(),
        TRAINING,
        "Share of the hidden units that each step drops: for all layers, or one for each.",
    )
    loss: str = _option(
        "auto",
        kinds.loss_choice(TASKS),
        TRAINING,
        "auto: cross_entropy or squared_error.  DELTA is in standard deviations of the target.",
    )
    class_weight: str = _option(
        "none", one_of("none", "balanced"), TRAINING, "balanced: all classes have the same weight."
    )
    threshold: str | float | None = _option(
        None,
        kinds.Threshold(),
        TRAINING,
        "Two classes: the probability from which on the second (in sorted order) is predicted; f1, "
        "balanced (auto): where its F1, or the balanced accuracy, of the validation rows is best.  "
        "[default: the more probable class]",
    )
    early_stopping: int | None = _option(
        None,
        kinds.Whole(1, 10**9, "EPOCHS"),
        TRAINING,
        "Stop after EPOCHS epochs without a better validation loss; keep the best parameters.",
    )
    seeds: int | None = _option(
        None,
        kinds.Whole(1, 1000, "K"),
        SEVERAL,
        "Train K networks with the seeds from --seed on; the model predicts their mean.",
    )
    folds: int | None = _option(
        None,
        kinds.Whole(2, 1000, "K"),
        SEVERAL,
        "Cross-validate on K folds of the rows outside the test, then train as without --folds.",
    )
    search: bool = _option(
        False,
        kinds.Switch(),
        SEVERAL,
        "Try --candidates settings by successive halving; save the best.",
    )
    candidates: int = _option(16, kinds.Whole(1, 10_000), SEVERAL, "How many --search tries.")
    search_space: str | None = _option(
        None,
        kinds.Text("SPACE"),
        SEVERAL,
        "The settings to search, as 'hidden=64|128,64; lr=0.0003..0.01', or a TOML file.",
    )
    checkpoint_every: str = _option(
        "60s", kinds.Cadence(), RUN, "How often to save a checkpoint in --out.", fixed=False
    )
    keep: int = _option(
        3, kinds.Whole(1, 10**6), RUN, "Number of checkpoints to keep.", fixed=False
    )
    threads: int | None = _option(
        None,
        kinds.Whole(1, 1024),
        RUN,
        "Number of threads; results do not depend on it.  [default: all cores]",
        saved=False,
        fixed=False,
    )
    out: str | None = _option(
        None,
        kinds.Text("DIR"),
        RUN,
        "Folder for the model, its metrics, history, report and checkpoints.",
        saved=False,
        fixed=False,
    )
    tensorboard: str | None = _option(
        None,
        kinds.Text("DIR"),
        RUN,
        "Write TensorBoard scalars (extra tensorboard).",
        saved=False,
        fixed=False,
    )
    log_json: str | None = _option(
        None,
        kinds.Text("FILE|-"),
        RUN,
        "Write a line of JSON for each epoch; -: to standard output.",
        saved=False,
        fixed=False,
    )

    def check(self) -> Settings:
        """Return self if the settings fit together; else raise ConfigError."""
        if self.validation + self.test >= 1:
            raise ConfigError(
                f"--validation {self.validation:g} and --test {self.test:g} leave no rows to train"
            )
        if self.early_stopping and not self.validation and not self.split.startswith("column"):
            raise ConfigError("--early-stopping needs validation rows, and --validation is 0")
        if isinstance(self.threshold, str) and not (
            self.validation or self.split.startswith("column")
        ):
            raise ConfigError(
                f"--threshold {self.threshold} is chosen on validation rows, and --validation is 0"
            )
        if self.momentum is not None and self.optimizer != "sgd":
            raise ConfigError(f"--momentum goes with --optimizer sgd, not {self.optimizer}")
        if len(self.dropout) not in (1, len(self.hidden)):
            raise ConfigError(
                f"--dropout: expected one rate, or one for each of {len(self.hidden)} hidden "
                f"layers (--hidden {shown(self.hidden)}), got {shown(self.dropout)}"
            )
        modes = [name for name in ("seeds", "folds", "search") if getattr(self, name)]
        if len(modes) > 1:
            raise ConfigError(f"--{modes[0]} and --{modes[1]} do not go together: run one of them")
        if self.folds and self.split.startswith("time"):
            raise ConfigError("--folds does not go with --split time: it would train on later rows")
        if self.search and not self.validation and not self.split.startswith("column"):
            raise ConfigError("--search chooses by validation rows, and --validation is 0")
        if self.search_space is not None and not self.search:
            raise ConfigError("--search-space goes with --search")
        if self.no_header and self.header_line is not None:
            raise ConfigError("--no-header and --header-line do not go together")
        both = sorted(set(self.numeric) & set(self.categorical))
        if both:
            raise ConfigError(f"--numeric and --categorical both name {both[0]!r}")
        both = sorted(set(self.features or ()) & set(self.ignore))
        if both:
            raise ConfigError(f"--features and --ignore both name {both[0]!r}")
        return self


def options() -> Iterator[tuple[Field[Any], Option]]:
    """Yield each setting with what it may be."""
    for each in fields(Settings):
        yield each, each.metadata["option"]


def flag(name: str) -> str:
    """Return a setting's flag."""
    return "DATA" if name == "data" else "--" + name.replace("_", "-")


def merge(*layers: Mapping[str, Any]) -> Settings:
    """Return the settings that these give, the later over the earlier, checked together."""
    values: dict[str, Any] = {}
    for layer in layers:
        values |= layer
    return replace(Settings(), **values).check()


def load_toml(path: str | Path) -> dict[str, Any]:
    """Return the settings in a TOML file, each checked.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not TOML, or has a key or value that does not fit.
    """
    try:
        content = Path(path).read_bytes()
        raw = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file ({error})") from None
    known = {each.name: option for each, option in options()}
    values = {}
    if isinstance(raw.get("search"), dict):
        raw |= {"search_space": space_text(raw["search"], str(path)), "search": True}
    for key, value in raw.items():
        name = key.replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            raise ConfigError(f"{path}: unknown key {key!r}{hint}")
        try:
            values[name] = known[name].kind.check(value)
        except ValueError as error:
            raise ConfigError(f"{path}: {key}: {error}") from None
    return values


def space_text(table: Mapping[str, Any], path: str) -> str:
    """Return a TOML table as --search-space has it: ``hidden=64|128,64; lr=0.001..0.01``.

    Raises
    ------
    ConfigError
        If a value is neither a list, a text, nor a table of low and high.
    """
    items = []
    for name, value in table.items():
        if isinstance(value, str):
            text = value
        elif isinstance(value, list) and value:
            text = "|".join(shown(tuple(v)) if isinstance(v, list) else shown(v) for v in value)
        elif isinstance(value, dict) and set(value) == {"low", "high"}:
            text = f"{value['low']}..{value['high']}"
        else:
            raise ConfigError(
                f"{path}: [search] {name}: expected a list of values or "
                f"{{low = X, high = Y}}, got {value!r}"
            )
        items.append(f"{name}={text}")
    return "; ".join(items)


def to_toml(settings: Settings, comment: str) -> str:
    """Return the settings that belong to a run as a TOML file's text; None is left out."""
    lines = [f"# {comment}"]
    group = ""
    for each, option in options():
        value = getattr(settings, each.name)
        if not option.saved or value is None:
            continue
        if option.group != group:
            group = option.group
            lines += ["", f"# {group}"]
        lines.append(f"{each.name} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(each) for each in value) + "]"
    if isinstance(value, str):  # JSON's escapes are TOML's, but for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def as_dict(settings: Settings) -> dict[str, Any]:
    """Return the settings that belong to a run as plain values."""
    return {
        each.name: list(value) if isinstance(value, tuple) else value
        for each, option in options()
        if option.saved and (value := getattr(settings, each.name)) is not None
    }


def differences(saved: Settings, given: Mapping[str, Any]) -> list[str]:
    """Return how `given` differs from a saved run's settings, where that changes the model."""
    found = []
    for each, option in options():
        name = each.name
        if not option.fixed or name not in given or given[name] == getattr(saved, name):
            continue
        found.append(f"{flag(name)} {shown(given[name])} (it was {shown(getattr(saved, name))})")
    return found


def shown(value: Any) -> str:
    """Return a setting's value as a flag has it."""
    if isinstance(value, tuple):
        return kinds.shown_names(tuple(map(shown, value))) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def default(each: Field[Any]) -> Any:
    """Return a setting's default."""
    assert each.default is not MISSING
    return each.default
