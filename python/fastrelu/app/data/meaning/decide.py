# SPDX-License-Identifier: BSD-3-Clause
"""From a column's evidence to what it is: one kind, one decimal mark and one order of dates."""

from __future__ import annotations

from collections import Counter

from fastrelu.app.data.meaning.dates import WrittenDate
from fastrelu.app.data.meaning.decide_dates import as_asked, decide_dates, no_dates
from fastrelu.app.data.meaning.evidence import Evidence, Example
from fastrelu.app.data.meaning.numbers import Written, shown
from fastrelu.app.data.meaning.verdict import ELSEWHERE, NAME, Hints, Meaning, Problem, Verdict
from fastrelu.app.data.meaning.words import DIGITS, truth

LIKE_DAYS = (
    "whole numbers that look like days, as 20240131, are numbers (--date-format \0name=%Y%m%d "
    "reads dates)"
)
FEW = 20  # different texts that begin with a number may be classes: 1st, 2nd
OTHER = {".": ",", ",": "."}
MARKS = {".": "a decimal point", ",": "a decimal comma"}


def shown_decimal(evidence: Evidence) -> str | None:
    """Return the decimal mark that a column's numbers show; None if they leave it open."""
    shows = {how.decimal for how in evidence.numbers} & {".", ","}
    return shows.pop() if len(shows) == 1 else None


def decide(evidence: Evidence, hints: Hints, *, target: bool = False) -> Verdict:
    """Return what a column is.

    Parameters
    ----------
    evidence : Evidence
        Of all its cells.
    hints : Hints
        What is known from outside.
    target : bool
        Whether it is the target, whose dates and spellings of true and false are classes.
    """
    present, numbers = evidence.present, evidence.numbers.total()
    if not present:
        return Verdict(Meaning("number"))
    if hints.dated and not target and 2 * as_asked(evidence, hints) <= present:
        return Verdict(Meaning("date", order=hints.order or "ymd"), (), no_dates(evidence, hints))
    truths = evidence.truths.total()
    if truths and truths + evidence.bits == present:
        return _flags(evidence, target)
    if numbers == present:
        return _numbers(evidence, hints, target)
    dates = evidence.dates.total()
    if dates == present and not target:
        return decide_dates(evidence, hints)
    if evidence.clocks == present and not target:
        return Verdict(Meaning("time"), ("times: their seconds are the numbers",))
    if 2 * numbers > present:
        meaning = _numbers(evidence, hints, target).meaning
        return Verdict(meaning, (), _mostly(evidence, "number", numbers))
    if 2 * evidence.clocks > present and not target:
        return Verdict(Meaning("time"), (), _mostly(evidence, "time", evidence.clocks))
    if 2 * dates > present and not target:
        return Verdict(decide_dates(evidence, hints).meaning, (), _mostly(evidence, "date", dates))
    return _categories(evidence, target)


def _mostly(evidence: Evidence, kind: str, n: int) -> Problem:
    stranger = _stranger(evidence, kind)
    example = {"number": "a number", "date": "a date such as 2024-01-31",
               "time": "a time such as 12:30"}[kind]  # fmt: skip
    return Problem(
        f"expected {example}, as in {n} other rows, got {stranger.text[:40]!r} "
        f"({evidence.present - n} such in all); correct or empty the cell, count it as missing "
        f"(--na {stranger.text[:40]!r}), or read the column as categories: --categorical {NAME}",
        stranger.row,
        title=f"mostly {kind}s",
    )


def _stranger(evidence: Evidence, kind: str) -> Example:
    """Return the first cell that is present and not of a kind."""
    absent = evidence.absent.keys()
    own = {"number": Written, "date": WrittenDate}.get(kind)
    return min(
        example
        for key, example in evidence.first.items()
        if key not in absent and not (key == "clock" if own is None else isinstance(key, own))
    )


def _flags(evidence: Evidence, target: bool) -> Verdict:
    spellings = {text.lower() for text in evidence.truths}
    said = "true and false are spelled " + ", ".join(map(repr, list(evidence.truths)[:8]))
    said += ", and as 0 or 1" if evidence.bits else ""
    if target:
        labels = _labels(evidence)
        about = (*_absent_category(evidence, target), *((said,) if labels else ()))
        return Verdict(Meaning("category", labels=labels), about)
    if spellings <= {"true", "false"} and not evidence.bits:
        return Verdict(Meaning("flag"), (said,) if len(evidence.truths) > 2 else ())
    if len(evidence.truths) <= 2 and not evidence.bits:  # each with an input of its own
        return Verdict(Meaning("category"), _absent_category(evidence, target))
    return Verdict(Meaning("flag"), (said,))


def _labels(evidence: Evidence) -> dict[str, str]:
    """Return the class of each spelling if there are more spellings than classes; else {}."""
    firsts = sorted((e, text) for text in evidence.truths for e in [evidence.first[text]])
    found: dict[float, str] = {}
    labels: dict[str, str] = {}
    for _, text in firsts:
        value = truth(text)
        assert value is not None
        labels[text] = found.setdefault(value, text)
    if evidence.bits:
        labels |= {digit: found.setdefault(v, digit) for digit, v in DIGITS.items()}
    return labels if any(text != label for text, label in labels.items()) else {}


def _numbers(evidence: Evidence, hints: Hints, target: bool) -> Verdict:
    """Return how a column of numbers is read."""
    numbers = evidence.numbers
    code = Written(code=True)
    if code in numbers and numbers.keys() <= {Written(), code}:
        said = (
            f"numbers with leading zeros such as {evidence.first[code].text!r} are codes: "
            f"categories (--numeric {NAME} reads numbers)"
        )
        return Verdict(Meaning("category"), (said,))
    units = Counter[str]()
    for how, n in numbers.items():
        units[how.unit] += n
    named = [unit for unit in units if unit]
    decimal, warnings, problem = _decimal(evidence, hints)
    meaning = Meaning("number", decimal, named[0] if named else "")
    if len(named) > 1:
        return _different_units(evidence, named, target)
    warnings += _about_whole(evidence)
    unusual = {text for how in numbers if (text := shown(how))}
    if unusual:
        said = min(unusual, key=lambda text: (-len(text), text))
        example = next(evidence.first[how] for how in numbers if shown(how) == said)
        bare = units[""] if named else 0
        without = f"; {bare} cells without it, too" if bare else ""
        warnings = [
            f"numbers with {said}, such as {example.text[:40]!r}, are read as numbers{without}",
            *warnings,
        ]
    return Verdict(meaning, tuple(warnings), problem)


def _about_whole(evidence: Evidence) -> list[str]:
    """Return what to say of numbers that no double is equal to, of days, and of marks for none."""
    said = []
    if evidence.huge is not None:
        text = evidence.huge.text[:40]
        said.append(
            f"whole numbers beyond 2**53, such as {text!r}, are rounded to the nearest double "
            f"(--categorical {NAME} reads texts)"
        )
    if evidence.days and evidence.numbers.keys() == {Written()}:
        said.append(LIKE_DAYS)
    for mark in ("-", "--", "."):
        if evidence.absent[mark]:
            said.append(f"{mark!r} ({evidence.absent[mark]} rows) counts as missing")
    return said


def _different_units(evidence: Evidence, units: list[str], target: bool) -> Verdict:
    """Return what numbers with several units are: categories, but for a target."""
    first, second = sorted(
        min(evidence.first[how] for how in evidence.numbers if how.unit == unit)
        for unit in units[:2]
    )
    text = (
        f"got {second.text[:40]!r}, and {first.text[:40]!r} in {ELSEWHERE}: numbers with different "
        f"units; bring them to one, or learn classes: --categorical {NAME}"
    )
    said = (
        f"numbers with different units, such as {first.text[:40]!r} and {second.text[:40]!r}: "
        "categories"
    )
    problem = Problem(text, second.row, first.row) if target else None
    return Verdict(Meaning("category"), (said,), problem)


def _decimal(evidence: Evidence, hints: Hints) -> tuple[str, list[str], Problem | None]:
    """Return the column's decimal mark, what to say about it, and what speaks against it."""
    examples = {mark: _first_with(evidence, mark) for mark in ".,"}
    if hints.decimal is not None:
        stranger = examples[OTHER[hints.decimal]]
        if stranger is None:
            return hints.decimal, [], None
        text = (
            f"got {stranger.text[:40]!r}, but the decimal mark is {hints.decimal!r} "
            f"({hints.why}); correct the cell, or give --decimal {OTHER[hints.decimal]!r}"
        )
        return hints.decimal, [], Problem(text, stranger.row)
    point, comma = examples["."], examples[","]
    if point is not None and comma is not None:
        first, second = sorted((point, comma))
        text = (
            f"got {second.text[:40]!r}, and {first.text[:40]!r} in {ELSEWHERE}: a decimal point "
            "and a decimal comma in one column; correct the cells, or say which it is: --decimal"
        )
        problem = Problem(text, second.row, first.row, "mixed decimal marks")
        return ".", [], problem
    if point is not None or comma is not None:
        return "." if point is not None else ",", [], None
    open_marks = {how.mark for how in evidence.numbers if how.decimal == "?"}
    if not open_marks:
        return hints.usual_decimal or ".", [], None
    if len(open_marks) == 2:
        first, second = sorted(
            min(e for how, e in _written(evidence) if how.decimal == "?" and how.mark == mark)
            for mark in open_marks
        )
        text = (
            f"got {second.text[:40]!r}, and {first.text[:40]!r} in {ELSEWHERE}: one of the two "
            "marks stands between thousands; say which is the decimal mark: --decimal"
        )
        return ".", [], Problem(text, second.row, first.row, "mixed decimal marks")
    mark = open_marks.pop()
    decimal = hints.usual_decimal or ("," if mark == "," and hints.separator == ";" else ".")
    example = min(e for how, e in _written(evidence) if how.decimal == "?")
    if decimal == mark == "." and (hints.usual_decimal or hints.separator in (None, ",")):
        return ".", [], None  # the usual decimal point
    what = "a decimal mark" if decimal == mark else "between thousands"
    why = ", as other columns show" if hints.usual_decimal else ""
    said = (
        f"the {mark!r} of {example.text[:40]!r} may be a decimal mark or stand between thousands: "
        f"taken as {what}{why} (--decimal {OTHER[decimal]!r} for the other)"
    )
    return decimal, [said], None


def _written(evidence: Evidence) -> list[tuple[Written, Example]]:
    return [(how, evidence.first[how]) for how in evidence.numbers]


def _first_with(evidence: Evidence, mark: str) -> Example | None:
    return min((e for how, e in _written(evidence) if how.decimal == mark), default=None)


def _absent_category(evidence: Evidence, target: bool) -> tuple[str, ...]:
    """Return what to say of NA and None among categories, where they are not missing."""
    words = [text for text in evidence.absent if text.lower() in ("na", "none", "nil")]
    if not words:
        return ()
    n = sum(evidence.absent[text] for text in words)
    as_what = "a class" if target else "a category"
    return (f"{words[0]!r} ({n} rows) is {as_what}; --na {words[0]} makes it missing",)


def _categories(evidence: Evidence, target: bool) -> Verdict:
    """Return a column of categories, with what makes it look like something else."""
    present, warnings = evidence.present, list(_absent_category(evidence, target))
    loose = evidence.loose.total()
    if 2 * loose > present:
        example = evidence.first["loose"]
        said = f"{loose} of {present} cells begin with a number, such as {example.text[:40]!r}"
        if target and len(evidence.loose_words) > FEW:
            text = (
                f"{said}; correct them, or learn classes: --categorical {NAME}; numbers: "
                f"--numeric {NAME}"
            )
            return Verdict(Meaning("category"), tuple(warnings), Problem(text, example.row))
        warnings.append(f"{said}: categories (--numeric {NAME} reads numbers)")
    elif 2 * evidence.figures > present and len(evidence.figure_words) > FEW:
        text = evidence.first["figures"].text[:40]
        warnings.append(
            f"{evidence.figures} of {present} cells hold digits, such as {text!r}, but are no "
            "numbers or dates in a spelling that is known: categories (--date-format says how "
            "dates are written)"
        )
    if evidence.sums == 1 and evidence.first["sum"].row == evidence.n_rows - 1 > 0:
        text = evidence.first["sum"].text
        warnings.append(f"{text!r} stands in the last row alone, which may hold sums of the others")
    dates = evidence.dates.total()
    if target and 2 * dates > present:
        warnings.append("dates are classes in a target: each of them is one")
    for name, n in (("numbers", evidence.numbers.total()), ("dates", dates)):
        if 10 * n >= present and not (name == "dates" and target):
            warnings.append(f"{n} of {present} cells are {name}: the column is categories")
    return Verdict(Meaning("category"), tuple(warnings))
