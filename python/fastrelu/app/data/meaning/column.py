# SPDX-License-Identifier: BSD-3-Clause
"""Texts to the values of a table's column, once it is known what the column means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning.dates import ORDERS, by_format, moment, seconds
from fastrelu.app.data.meaning.decide import decide
from fastrelu.app.data.meaning.evidence import Evidence
from fastrelu.app.data.meaning.numbers import INFINITE, PLAIN, value
from fastrelu.app.data.meaning.verdict import ELSEWHERE, NAME, Hints, Meaning, Problem, Verdict
from fastrelu.app.data.meaning.words import Missing, truth
from fastrelu.app.errors import DataError

EXPECTED = {"number": "a number", "flag": "true or false", "date": "a date such as 2024-01-31",
            "time": "a time such as 12:30"}  # fmt: skip
NOWHERE = np.datetime64("NaT", "us")


@dataclass(frozen=True)
class Column:
    """A column as it was read.

    Attributes
    ----------
    values : ndarray, (n,)
        float64 (NaN is missing), object array of str ("" is missing) or datetime64[us].
    meaning : Meaning
        How its texts were taken.
    warnings : tuple of str
        What the user should know, each without the column's name.
    """

    values: NDArray[Any]
    meaning: Meaning
    warnings: tuple[str, ...] = ()


def read_texts(
    texts: Any,
    *,
    source: str,
    name: str,
    place: Callable[[int], str],
    hints: Hints | None = None,
    kind: str | None = None,
    known: Meaning | None = None,
    role: str = "column",
    strict: bool = True,
) -> Column:
    """Return a column of texts as what it means.

    Parameters
    ----------
    texts : sequence of str or None, object array, or pyarrow array of text (also dictionary), (n,)
        The cells; None and NaN are missing.
    source, name : str
        The file and the column, for messages.
    place : callable
        Gives the place of a row, counted from 0, for messages: "row 3" or "line 4".
    hints : Hints, optional
        What is known from outside the column: flags, other columns.
    kind : {"numeric", "text", "date"}, optional
        What it has to be, as `ColumnChoice.kind` says; None: told from the cells.
    known : Meaning, optional
        What it was in training; it is read alike, or refused.
    role : {"column", "target", "weights"}
        A target's dates and its spellings of true and false are classes.
    strict : bool
        Whether cells that do not fit are an error; else they are told in the warnings, and the
        column is read as categories.

    Returns
    -------
    Column

    Raises
    ------
    DataError
        If cells do not fit and `strict` is set; it names the first one.
    """
    hints = hints or Hints()
    words, codes = distinct(texts)
    counts = np.bincount(codes, minlength=len(words)).tolist()
    evidence = Evidence(hints.missing, _form(hints))
    evidence.add(words, counts, lambda k: int(np.argmax(codes == k)))
    verdict = settle(evidence, hints, kind, known, role, strict)
    meaning, warnings = verdict.meaning, verdict.warnings
    if verdict.problem is not None:
        text = told(verdict.problem, place, name)
        if strict or kind is not None:
            row = verdict.problem.row
            raise DataError(f"{source}: {place(row)}: {role} {name!r}: {text}")
        title = f"{verdict.problem.title}: " if verdict.problem.title else ""
        warnings = (*warnings, f"{title}{place(verdict.problem.row)}: {text}")
    values, wrong = convert(words, meaning, hints.missing)
    if wrong:
        row = min(int(np.argmax(codes == k)) for k in wrong)
        text = words[int(codes[row])].strip()
        if strict or kind is not None:
            trained = role == "column" and (known is not None or kind is not None)
            said = ", as in training" if trained else ""
            raise unfit(f"{source}: {place(row)}: {role} {name!r}", text, meaning, said)
        meaning = Meaning("category")
        values, _ = convert(words, meaning, hints.missing)
    warnings = tuple(named(text, name) for text in warnings)
    return Column(values[codes] if len(words) else empty(meaning), meaning, warnings)


def _form(hints: Hints) -> str:
    return hints.order if hints.order is not None and hints.order not in ORDERS else ""


def settle(
    evidence: Evidence,
    hints: Hints,
    kind: str | None,
    known: Meaning | None,
    role: str,
    strict: bool = True,
) -> Verdict:
    """Return what a column is and what to say about it; see `read_texts`.

    Parameters
    ----------
    evidence : Evidence
        Of all its cells.

    Returns
    -------
    Verdict
        Its problem is one to refuse.
    """
    if known is not None and kind in (None, known.table_kind):
        return Verdict(known)
    if kind == "text":
        return Verdict(Meaning("category"))
    verdict = decide(evidence, hints, target=role == "target")
    if kind is not None and verdict.meaning.table_kind != kind:
        return Verdict(_forced(evidence, hints, kind))
    if verdict.problem is not None and kind is None and not strict:
        return Verdict(Meaning("category"), verdict.warnings, verdict.problem)
    return verdict


def _forced(evidence: Evidence, hints: Hints, kind: str) -> Meaning:
    """Return how a column is read that has to be of a kind and does not look like it."""
    if kind == "date":
        return Meaning("date", order=hints.order or hints.usual_order or "ymd")
    decimal = hints.decimal or hints.usual_decimal or "."
    shows = {how.decimal for how in evidence.numbers} & {".", ","}
    if hints.decimal is None and len(shows) == 1:
        decimal = shows.pop()
    if evidence.clocks:
        return Meaning("time")
    units = {how.unit for how in evidence.numbers if how.unit} | evidence.loose.keys()
    if len(units) == 1:
        return Meaning("number", decimal, units.pop(), loose=bool(evidence.loose))
    return Meaning("number", decimal)


def told(problem: Problem, place: Callable[[int], str], name: str) -> str:
    """Return a problem's sentence with the column's name and the place of its second cell."""
    text = named(problem.text, name)
    return text.replace(ELSEWHERE, place(problem.other)) if ELSEWHERE in text else text


def named(text: str, name: str) -> str:
    """Return a sentence with the column's name in it."""
    return text.replace(NAME, repr(name))


def unfit(where: str, text: str, meaning: Meaning, said: str = "") -> DataError:
    """Return the error for a cell that is not what its column is.

    Parameters
    ----------
    where : str
        The file, the place and the column.
    text : str
        What stands there.
    meaning : Meaning
        What the column is.
    said : str
        Why, as ", as in training".
    """
    expected = EXPECTED[meaning.kind]
    if meaning.decimal == ",":
        expected += " with a decimal comma"
    if meaning.unit:
        expected += f" with the unit {meaning.unit!r}"
    if meaning.kind == "date" and meaning.order != "ymd":
        expected = f"a date as {ORDERS.get(meaning.order, meaning.order)}"
    return DataError(f"{where}: expected {expected}{said}, got {text[:40]!r}")


def empty(meaning: Meaning) -> NDArray[Any]:
    """Return a column without rows."""
    dtypes: dict[str, Any] = {"numeric": "f8", "date": "M8[us]", "text": object}
    return np.zeros(0, dtypes[meaning.table_kind])


def distinct(texts: Any) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different texts of a column, "" for what is missing, and each cell's number."""
    if hasattr(texts, "to_pylist"):
        return _distinct_arrow(texts)
    places: dict[str, int] = {}
    cells = texts.tolist() if hasattr(texts, "tolist") else list(texts)
    codes = np.empty(len(cells), np.int64)
    for i, cell in enumerate(cells):
        text = cell if isinstance(cell, str) else "" if cell is None or cell != cell else str(cell)
        codes[i] = places.setdefault(text, len(places))
    return list(places), codes


def _distinct_arrow(texts: Any) -> tuple[list[str], NDArray[np.int64]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
        if isinstance(texts, pa.ChunkedArray):  # one that is too long for a single array
            texts = pa.concat_arrays(texts.chunks)
    if not pa.types.is_dictionary(texts.type):
        texts = pc.dictionary_encode(texts)
    words = ["" if word is None else word for word in texts.dictionary.to_pylist()]
    codes = np.asarray(pc.fill_null(texts.indices.cast(pa.int64()), len(words)), np.int64)
    used, codes = np.unique(codes, return_inverse=True)
    words.append("")
    return [words[k] for k in used.tolist()], codes.reshape(-1)


def convert(
    words: Sequence[str], meaning: Meaning, missing: Missing
) -> tuple[NDArray[Any], list[int]]:
    """Return the values of different texts, and the numbers of those that do not fit.

    Parameters
    ----------
    words : sequence of str
        The texts.
    meaning : Meaning
        What their column is.
    missing : Missing
        Which texts stand for nothing.
    """
    texts = [word.strip() for word in words]
    wrong: list[int] = []
    if meaning.kind == "category":
        labels = [
            "" if missing.is_missing(t) else meaning.labels.get(t, t) for t in texts
        ]  # fmt: skip
        values = np.empty(len(labels), object)
        values[:] = labels
        return values, wrong
    one = _reader(meaning)
    values = np.full(len(texts), NOWHERE if meaning.kind == "date" else np.nan)
    for k, text in enumerate(texts):
        if missing.is_missing(text, numbers=True):
            continue
        found = one(text)
        if found is None:
            wrong.append(k)
        else:
            values[k] = np.datetime64(found, "us") if isinstance(found, datetime) else found
    return missing.without(values) if meaning.kind == "number" else values, wrong


def _reader(meaning: Meaning) -> Callable[[str], float | datetime | None]:
    """Return the function that reads one text, None if it does not fit."""
    if meaning.kind == "date":
        if meaning.order in ORDERS:
            return lambda text: moment(text, meaning.order)
        return lambda text: by_format(text, meaning.order)
    if meaning.kind == "time":
        return seconds
    if meaning.kind == "flag":
        return truth

    def number(text: str) -> float | None:
        if meaning.decimal == "." and PLAIN.fullmatch(text):
            return float(text)
        found = value(text, meaning.decimal, meaning.unit, meaning.loose)
        if found is None and text.lower().lstrip("+-") in INFINITE:
            found = float(text)
        return truth(text) if found is None else found

    return number
