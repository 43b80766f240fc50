# SPDX-License-Identifier: BSD-3-Clause
"""Which column of a file is what: the target, inputs, weights, and what to leave out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastrelu.app.data.meaning import Hints, Meaning, Reading, ReadOptions
from fastrelu.app.errors import DataError

SHOWN = 12


@dataclass(frozen=True)
class ColumnChoice:
    """What the user, or a model, says about a file's columns.

    Attributes
    ----------
    target : str or None
        The target's name (tables: the last column by default; NPZ: the array "y"; NPY: the number
        of a column).
    features : tuple of str or None
        The inputs; None for every column that is nothing else.
    ignore : tuple of str
        Columns that are left out.
    weights : str or None
        The column of the rows' weights.
    extra : tuple of str
        Columns to read that are no inputs.
    categorical : tuple of str
        Columns read as text even if they look like numbers.
    kinds : mapping of str to str
        What a fitted model was given: "numeric", "text" or "date" by column. If not empty, only
        these columns are inputs, each is read as its kind, and none of them has to be there.
    width : int or None
        The number of inputs that a model of array files expects.
    decided : mapping of str to Meaning
        What columns of texts are, where all rows have been looked at to tell, by column.
    keep : tuple of str
        Columns to carry along as they are.
    x, y : str or None
        NPZ: the names of the arrays of inputs and of targets; NPY and IDX: `y` is the file of the
        targets among several.
    folders : tuple of str
        Columns that the names of folders say, not the files.
    sql : str or None
        A query whose rows are the data.
    table : str or None
        The table of a database file, or the sheet of a workbook.
    order : tuple of str
        The columns that a model was trained on, in the order of the file: an array has these.
    options : ReadOptions
        What the user says about the reading of texts.
    reading : Reading or None
        How the training data were read, for a fitted model; None while training.
    lenient : bool
        Whether columns that are nothing in particular are categories with a warning, no error.

    Examples
    --------
    >>> from fastrelu import training
    >>> choice = training.ColumnChoice(target="price", ignore=("id",))
    >>> table = training.read({"id": [1, 2], "size": [0.5, 0.7], "price": [10.0, 20.0]}, choice)
    >>> table.names, table.target.tolist()
    (['size'], [10.0, 20.0])
    """

    target: str | None = None
    features: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    weights: str | None = None
    extra: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    width: int | None = None
    decided: Mapping[str, Meaning] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    x: str | None = None
    y: str | None = None
    folders: tuple[str, ...] = ()
    sql: str | None = None
    table: str | None = None
    order: tuple[str, ...] = ()
    options: ReadOptions = field(default_factory=ReadOptions)
    reading: Reading | None = None
    lenient: bool = False

    def kind(self, name: str) -> str | None:
        """Return the kind that a column is to be read as.

        Parameters
        ----------
        name : str
            The column's name.

        Returns
        -------
        str or None
            "numeric", "text" or "date"; None if its content decides.

        Examples
        --------
        >>> from fastrelu import training
        >>> choice = training.ColumnChoice(categorical=("zip",))
        >>> choice.kind("zip"), choice.kind("size")
        ('text', None)
        """
        if name in self.categorical or (name in self.keep and name not in self.kinds):
            return "text"
        return "numeric" if name in self.options.numeric else self.kinds.get(name)

    def hints(self, name: str) -> Hints:
        """Return what is known about a column of texts from outside it.

        Parameters
        ----------
        name : str
            The column's name.

        Returns
        -------
        Hints
            What the user and the training say: which texts are missing values, the decimal mark,
            the order of dates.

        Examples
        --------
        >>> from fastrelu import training
        >>> training.ColumnChoice().hints("size").decimal is None
        True
        """
        if self.reading is not None:
            return self.reading.hints(name, self.options)
        return self.options.hints(name)

    def known(self, name: str) -> Meaning | None:
        """Return what a column of texts was in training.

        Parameters
        ----------
        name : str
            The column's name.

        Returns
        -------
        Meaning or None
            Its meaning; None if that is not known.

        Examples
        --------
        >>> from fastrelu import training
        >>> training.ColumnChoice().known("size") is None
        True
        """
        if name in self.decided:
            return self.decided[name]
        return None if self.reading is None else self.reading.known(name, self.options)

    def roles(
        self,
        source: str,
        names: Sequence[str],
        need_target: bool = True,
        aside: Sequence[str] = (),
    ) -> Roles:
        """Return what each of a file's columns is.

        Parameters
        ----------
        source : str
            The file, for messages.
        names : sequence of str
            The file's columns.
        need_target : bool
            Whether there has to be a target; if so the last column is it by default.
        aside : sequence of str
            Columns among them that are nothing unless they are named: a data frame's row labels.

        Returns
        -------
        Roles
            The names of the target, the weights, the inputs and the others.

        Raises
        ------
        DataError
            If a column is named that is not there, is named twice, or if no input is left.

        Examples
        --------
        >>> from fastrelu import training
        >>> choice = training.ColumnChoice(ignore=("id",))
        >>> roles = choice.roles("the file", ["id", "size", "price"])
        >>> roles.inputs, roles.target
        (['size'], 'price')
        """
        check_different(source, names)
        there = {*names, *self.folders}
        elsewhere = {name for name in self.folders if name not in names}
        for name, flag in ((self.target, "--target"), (self.weights, "--weights")):
            if name in elsewhere and need_target:
                raise DataError(
                    f"{source}: {flag} {name}: expected a column of the files, got one that the "
                    "names of the folders say"
                )
        notes = []
        target = self.target
        if target is None and need_target:
            taken = {self.weights, *self.ignore, *self.extra, *aside}
            rest = [n for n in names if n not in taken]
            if not rest:
                raise DataError(f"{source}: no column is left for the target")
            target = rest[-1]
            notes.append(f"target: the last column, {target!r} (--target names another)")
        if target is not None and target not in names:
            if need_target:
                said = "the model's target" if self.kinds else "--target"
                raise missing_column(source, target, names, said)
            target = None
        weights = self.weights
        if weights is not None and weights not in names:
            if need_target:
                raise missing_column(source, weights, names, "--weights")
            weights = None
        if need_target or self.lenient:
            for flag, asked in (
                ("--features", self.features or ()),
                ("--ignore", self.ignore),
                ("--categorical", self.categorical),
                ("--numeric", self.options.numeric),
                ("--date-format", self.options.dated),
                ("the columns asked for", self.extra),
            ):
                for name in asked:
                    if name not in there:
                        raise missing_column(source, name, names, flag)
        taken = {target, weights, *self.ignore, *self.extra}
        if need_target:
            self._check_features(source, target, weights)
        unnamed = [n for n in names if n not in aside]
        wanted = set(self.kinds or self.features or unnamed) - taken
        inputs = [n for n in names if n in wanted]
        outside = (set(self.kinds or self.features or elsewhere) - taken) & elsewhere
        if not inputs and self.kinds and not outside:
            takes = _some(list(self.kinds))
            raise DataError(f"{source}: none of the model's columns is there; it takes {takes}")
        if not inputs and need_target and not outside:
            raise DataError(f"{source}: no input columns: every column is the target or left out")
        extra = [n for n in dict.fromkeys(self.extra) if n in names]
        for name in self.keep:
            if name not in there:
                raise missing_column(source, name, names, "--keep")
        keep = [n for n in dict.fromkeys(self.keep) if n in names]
        others = [n for n in names if n not in {*inputs, *extra, *keep, target, weights}]
        return Roles(target, weights, inputs, extra, notes, others, keep)

    def _check_features(self, source: str, target: str | None, weights: str | None) -> None:
        """Raise DataError if an input is to be something else, too."""
        uses = {name: "used for the split" for name in self.extra}
        uses |= {name: "left out" for name in self.ignore}
        uses |= {weights or "": "the weights"} | {target or "": "the target"}
        for name in self.features or ():
            if name in uses:
                raise DataError(
                    f"{source}: --features: expected columns with no other use, got {name!r}, "
                    f"which is {uses[name]}"
                )


@dataclass(frozen=True)
class Roles:
    """What each of one file's columns is, by name; `others` are nothing, `keep` carried along."""

    target: str | None
    weights: str | None
    inputs: list[str]
    extra: list[str]
    notes: list[str]
    others: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)

    @property
    def used(self) -> list[str]:
        """The columns to read."""
        special = [n for n in (self.target, self.weights) if n is not None]
        return list(dict.fromkeys([*self.inputs, *special, *self.extra, *self.keep]))


def tidy_names(names: Sequence[str]) -> list[str]:
    """Return a file's column names without spaces around them, and one for each without a name."""
    return [name.strip() or f"column {j}" for j, name in enumerate(names, 1)]


def check_different(source: str, names: Iterable[str]) -> None:
    """Raise DataError if two columns have one name."""
    seen: dict[str, int] = {}
    for place, name in enumerate(names, 1):
        if name in seen:
            raise DataError(
                f"{source}: expected different column names, got {name!r} twice "
                f"(columns {seen[name]} and {place}); rename one of them"
            )
        seen[name] = place


def nearest_name(name: str, names: Sequence[str]) -> str | None:
    """Return the name that is nearly the one asked for, in capitals or not; None if none is."""
    folded: dict[str, str] = {n.lower(): n for n in reversed(names)}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def missing_column(source: str, name: str, names: Sequence[str], flag: str) -> DataError:
    """Return the error for a column that is not there, with the nearest name."""
    near = nearest_name(name, names)
    hint = f" (did you mean {near!r}?)" if near is not None else ""
    return DataError(f"{source}: {flag}: no column {name!r}{hint}; the columns are {_some(names)}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
