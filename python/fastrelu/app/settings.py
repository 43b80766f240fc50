# SPDX-License-Identifier: BSD-3-Clause
"""What a run is set to: each setting is a flag of the command and a key of a TOML file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any

from fastrelu import optimizers
from fastrelu.app import kinds
from fastrelu.app.errors import ConfigError
from fastrelu.app.kinds import one_of
from fastrelu.app.option import (
    DATA,
    INPUTS,
    MODEL,
    NETWORK,
    NUMBER,
    READING,
    RUN,
    SEVERAL,
    SOURCE,
    TASKS,
    TRAINING,
    Option,
    loss_choice,
)
from fastrelu.app.option import option as _option
from fastrelu.app.usual import PRESETS, SINGLE, usual_text
from fastrelu.network import ACTIVATIONS


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
        0.1,
        kinds.Real(0, 1, open_high=True),
        DATA,
        "Share of the rows for validation.",
        single=True,
    )
    test: float = _option(
        0.2, kinds.Real(0, 1, open_high=True), DATA, "Share of the rows kept for the test."
    )
    memory: str = _option(
        "256MB",
        kinds.Size(),
        DATA,
        "Data that need more memory are read in blocks; 1MiB at least.",
    )
    x: str | None = _option(
        None, kinds.Text("NAME"), SOURCE, "NPZ: the array of inputs.  [default: X]"
    )
    y: str | None = _option(
        None,
        kinds.Text("NAME|FILE", "file"),
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
    preset: str | None = _option(
        None,
        one_of(*PRESETS, SINGLE),
        MODEL,
        "fast, default, best: several networks by folds, of which each stops when it is best, as "
        "fastrelu.TabularClassifier; single: one network, as flags say that speak of one.  "
        "[default: default, or single with such a flag]",
    )
    time_limit: float | None = _option(
        None,
        kinds.Real(0, 1e9, open_low=True, metavar="SECONDS"),
        MODEL,
        "What a preset may take to train; results then depend on the machine's speed.",
        recipe=True,
    )
    monotone: tuple[str, ...] = _option(
        (),
        kinds.Directions(),
        MODEL,
        "Columns of numbers with which predictions (the probability of the second of two classes) "
        "only rise, 1, or only fall, -1: for certain.",
        recipe=True,
    )
    scaling: str = _option(
        "auto",
        one_of("auto", "standard", "quantile", "none"),
        INPUTS,
        "Scaling of numbers. standard: to mean 0 and standard deviation 1; quantile: to normal "
        "scores; auto: standard, but bytes stay.",
        single=True,
    )
    categories: str = _option(
        "one-hot",
        kinds.Choice({"one-hot": None, "hash": "(?:[1-9][0-9]{0,5})?"}, "one-hot|hash:N"),
        INPUTS,
        "How text becomes numbers: one input for each value, or N (64) hashed inputs for each "
        "column.",
        single=True,
    )
    hidden: tuple[int, ...] = _option(
        (128, 64),
        kinds.Widths(),
        NETWORK,
        "Widths of the hidden layers; none: a linear model.",
        single=True,
    )
    activation: str = _option(
        "relu", one_of(*ACTIVATIONS), NETWORK, "Activation of hidden layers.", single=True
    )
    dtype: str = _option(
        "float32",
        one_of("float32", "float64"),
        NETWORK,
        "dtype of parameters and arithmetic.",
        single=True,
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
        single=True,
    )
    batch_size: int | None = _option(
        None,
        kinds.Whole(1),
        TRAINING,
        "Rows of a minibatch.  [default: by the number of rows]",
        single=True,
    )
    shards: int | None = _option(
        None,
        kinds.Whole(1, 2**31 - 1),
        TRAINING,
        "Contiguous runs into which the training rows are cut, which up to so many processes of "
        "mpiexec share; it enters the bits of the result, the number of processes does not.  "
        "[default: 1]",
        single=True,
    )
    optimizer: str = _option(
        "adam", one_of(*optimizers.names()), TRAINING, "Optimizer.", single=True
    )
    lr: float | None = _option(
        None,
        kinds.Real(0, 1e6, open_low=True),
        TRAINING,
        f"First learning rate.  [default: {usual_text('learning_rate')}]",
        single=True,
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
        single=True,
    )
    sampling: str = _option(
        "shuffle",
        one_of("shuffle", "subset", "with_replacement"),
        TRAINING,
        "How the rows of a step are drawn: in a shuffled order; as an independent subset of all "
        "rows; with replacement.",
        single=True,
    )
    schedule_epochs: int | None = _option(
        None,
        kinds.Whole(1, 10**9),
        TRAINING,
        "Epochs of the schedule.  [default: --epochs]",
        single=True,
    )
    momentum: float | None = _option(
        None,
        kinds.Real(0, 1, open_high=True),
        TRAINING,
        "Momentum of sgd.  [default: 0.9]",
        single=True,
    )
    weight_decay: float | None = _option(
        None,
        kinds.Real(0, 1e6),
        TRAINING,
        f"L2 penalty.  [default: {usual_text('weight_decay')}]",
        single=True,
    )
    clip_norm: float | None = _option(
        None,
        kinds.Real(0, open_low=True),
        TRAINING,
        "Largest norm of a gradient.  [default: no limit]",
        single=True,
    )
    dropout: tuple[float, ...] = _option(
        (0.0,),
        kinds.Rates(),
        TRAINING,
        "Share of the hidden units that each step drops: for all layers, or one for each.",
        single=True,
    )
    loss: str = _option(
        "auto",
        loss_choice(),
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
        "balanced (auto): where the rarer class's F1, or the balanced accuracy, is best on the "
        "validation rows, or those that members left out.  [default: the more probable class]",
    )
    early_stopping: int | None = _option(
        None,
        kinds.Whole(0, 10**9, "EPOCHS"),
        TRAINING,
        "Stop after EPOCHS epochs without a better validation loss; keep the best parameters. 0: "
        "train all epochs, keep the last.  [default: a quarter of --epochs, 10 at least]",
        single=True,
    )
    seeds: int | None = _option(
        None,
        kinds.Whole(1, 1000, "K"),
        SEVERAL,
        "Train K networks with the seeds from --seed on; the model predicts their mean.",
        single=True,
    )
    folds: int | None = _option(
        None,
        kinds.Whole(2, 1000, "K"),
        SEVERAL,
        "Cross-validate on K folds of the rows outside the test, then train as without --folds.",
        single=True,
    )
    search: bool = _option(
        False,
        kinds.Switch(),
        SEVERAL,
        "Try --candidates settings by successive halving; save the best.",
        single=True,
    )
    candidates: int = _option(
        16, kinds.Whole(1, 10_000), SEVERAL, "How many --search tries.", single=True
    )
    search_space: str | None = _option(
        None,
        kinds.Text("SPACE", "file"),
        SEVERAL,
        "The settings to search, as 'hidden=64|128,64; lr=0.0003..0.01', or a TOML file.",
        single=True,
    )
    dask: str | None = _option(
        None,
        kinds.Text("ADDRESS"),
        SEVERAL,
        "Scheduler of a Dask cluster (extra dask), whose workers train the candidates of --search.",
        saved=False,
        fixed=False,
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
        kinds.Text("DIR", "dir"),
        RUN,
        "Folder for the model, its metrics, history, report and checkpoints.",
        saved=False,
        fixed=False,
    )
    tensorboard: str | None = _option(
        None,
        kinds.Text("DIR", "dir"),
        RUN,
        "Write TensorBoard scalars (extra tensorboard).",
        saved=False,
        fixed=False,
    )
    log_json: str | None = _option(
        None,
        kinds.Text("FILE|-", "file"),
        RUN,
        "Write a line of JSON for each epoch; -: to standard output.",
        saved=False,
        fixed=False,
    )

    @property
    def by_recipe(self) -> bool:
        """Whether the model is a preset's, if the data have no say: several networks by folds."""
        return self.preset != SINGLE

    def check(self) -> Settings:
        """Return self if the settings fit together; else raise ConfigError."""
        kept = 0.0 if self.by_recipe else self.validation
        if kept + self.test >= 1:
            raise ConfigError(
                f"--validation {kept:g} and --test {self.test:g} leave no rows to train"
            )
        if self.early_stopping and not self.validation and not self.split.startswith("column"):
            raise ConfigError("--early-stopping needs validation rows, and --validation is 0")
        if isinstance(self.threshold, str) and not (
            self.by_recipe or self.validation or self.split.startswith("column")
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
        if self.dask is not None and not self.search:
            raise ConfigError("--dask goes with --search, whose candidates its workers train")
        if self.no_header and self.header_line is not None:
            raise ConfigError("--no-header and --header-line do not go together")
        both = sorted(set(self.numeric) & set(self.categorical))
        if both:
            raise ConfigError(f"--numeric and --categorical both name {both[0]!r}")
        both = sorted(set(self.features or ()) & set(self.ignore))
        if both:
            raise ConfigError(f"--features and --ignore both name {both[0]!r}")
        for name in as_dict(self):
            text = shown(getattr(self, name))
            if any("\ud800" <= c <= "\udfff" for c in text):
                raise ConfigError(f"{flag(name)}: expected UTF-8 text, got {text!r}")
        return self


def options() -> Iterator[tuple[Field[Any], Option]]:
    """Yield each setting with what it may be."""
    for each in fields(Settings):
        yield each, each.metadata["option"]


def flag(name: str) -> str:
    """Return a setting's flag."""
    return "DATA" if name == "data" else "--" + name.replace("_", "-")


def applies(settings: Settings, option: Option) -> bool:
    """Whether a setting says anything about a run: of one network, or of a preset's members."""
    return not (option.single if settings.by_recipe else option.recipe)


def as_dict(settings: Settings) -> dict[str, Any]:
    """Return the settings that belong to a run as plain values."""
    return {
        each.name: list(value) if isinstance(value, tuple) else value
        for each, option in options()
        if option.saved
        and (value := getattr(settings, each.name)) is not None
        and applies(settings, option)
    }


def shown(value: Any) -> str:
    """Return a setting's value as a flag has it."""
    if isinstance(value, tuple):
        return kinds.shown_names(tuple(map(shown, value))) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def default(each: Field[Any]) -> Any:
    """Return a setting's default."""
    assert each.default is not MISSING
    return each.default
