# SPDX-License-Identifier: BSD-3-Clause
"""Blocks of texts to numbers and dates by pyarrow, to what `convert` makes of them one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import bridge
from fastrelu.app.data.meaning.column import convert
from fastrelu.app.data.meaning.dates import ORDERS
from fastrelu.app.data.meaning.verdict import Meaning
from fastrelu.app.data.meaning.words import Missing

FEW_WORDS = 2000  # different texts of a block that have a dictionary whatever its length
FEW_QUICK = 50  # different texts that are read one by one
LONG, MEAN_OF_LONG = 1 << 16, 1 << 8  # bytes of a text, and of the texts that it is among
_SIGN, _EXP = "[+-]?", "(?:[eE][+-]?[0-9]+)?"
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"  # but 0000


def encoded(texts: Any) -> Any:
    """Return an array of texts with a dictionary if few of them are different, else as it is."""
    packed = texts.dictionary_encode()
    return packed if len(packed.dictionary) <= max(FEW_WORDS, len(texts) // 8) else texts


def numbers_in(texts: Any, missing: Missing) -> Any:
    """Return texts as float64 if each is a plain number or missing, null for the latter; else None.

    Parameters
    ----------
    texts : pyarrow StringArray
        Null is missing.
    missing : Missing
        Which texts stand for nothing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if _are_long(texts):  # pyarrow's error would quote such a text, twice
        return None
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        pass
    texts = pc.utf8_trim_whitespace(texts)
    gone = _are(texts, missing.everywhere | missing.numbers)
    if not pc.any(gone).as_py():
        gone = None
    try:
        kept = texts if gone is None else pc.if_else(gone, bridge.scalar(None), texts)
        return kept.cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def _are_long(texts: Any) -> bool:
    """Return whether one of few texts is so long that no copy of it should be made."""
    import pyarrow.compute as pc

    if texts.nbytes <= MEAN_OF_LONG * len(texts):
        return False
    return (pc.max(pc.binary_length(texts)).as_py() or 0) > LONG


def _are(texts: Any, words: frozenset[str]) -> Any:
    """Return where texts, in lower case, are among some words; false where there is none."""
    import pyarrow.compute as pc

    longest = max(map(len, words), default=0)
    start = pc.utf8_slice_codeunits(texts, 0, longest + 1)
    return pc.is_in(pc.utf8_lower(start), value_set=bridge.strings(sorted(words)))


def values_of(
    texts: Any, meaning: Meaning, missing: Missing, known: dict[str, str] | None = None
) -> tuple[NDArray[Any], int | None]:
    """Return a column's values, and the first row that does not fit its meaning, None if all do.

    Parameters
    ----------
    texts : pyarrow StringArray or DictionaryArray of text, (n,)
        The cells; null is missing.
    meaning : Meaning
        What the column is.
    missing : Missing
        Which texts stand for nothing.
    known : dict of str to str, optional
        Categories of earlier blocks: equal ones are to be one object.
    """
    import pyarrow as pa

    if not pa.types.is_dictionary(texts.type):
        quick = _quick(texts, meaning, missing)
        if quick is not None:
            return quick, None
        texts = texts.dictionary_encode()
    words = texts.dictionary
    codes = bridge.codes(texts, len(words))
    quick = _quick(words, meaning, missing) if len(words) > FEW_QUICK else None
    if quick is not None:
        nothing = np.datetime64("NaT", "us") if meaning.kind == "date" else np.nan
        return np.append(quick, np.array([nothing], quick.dtype))[codes], None
    values, wrong = convert([*words.to_pylist(), ""], meaning, missing)
    if known is not None and values.dtype == object:
        values[:] = [known.setdefault(value, value) for value in values]
    if wrong:
        first = np.flatnonzero(np.isin(codes, wrong))
        if len(first):
            return values[codes], int(first[0])
    return values[codes], None


def _quick(texts: Any, meaning: Meaning, missing: Missing) -> NDArray[Any] | None:
    """Return the values of a StringArray if all of them are written in a usual way, else None."""
    if meaning.kind == "number" and not meaning.unit:
        return _quick_numbers(texts, meaning.decimal, missing)
    if meaning.kind == "date" and meaning.order in ORDERS:
        return _quick_dates(texts, meaning.order, missing)
    return None


def _quick_numbers(texts: Any, decimal: str, missing: Missing) -> NDArray[np.float64] | None:
    """Return numbers without units; None if a text is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = numbers_in(texts, missing) if decimal == "." else None
    if plain is None:
        texts = pc.utf8_trim_whitespace(texts)
        gone = _are(texts, missing.everywhere | missing.numbers)
        texts = pc.if_else(gone, bridge.scalar(None), texts)
        point, comma = ("[.]", ",") if decimal == "." else (",", "[.]")
        grouped = (
            f"^{_SIGN}(?:[0-9]*|[1-9][0-9]{{0,2}}(?:{comma}[0-9]{{3}})+)(?:{point}[0-9]*)?{_EXP}$"
        )
        if pc.all(pc.match_substring_regex(texts, grouped)).as_py() is False:
            return None
        texts = pc.replace_substring(texts, comma.strip("[]"), "")
        texts = pc.replace_substring(texts, point.strip("[]"), ".")
        try:
            plain = texts.cast(pa.float64())
        except pa.ArrowInvalid:
            return None
    return bridge.values(plain, np.float64, np.nan)


_PIECES = (
    f"^(?P<a>[0-9]{{1,2}})[-/.](?P<b>[0-9]{{1,2}})[-/.](?P<c>{_YEAR})"
    "(?:[T ](?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    "(?::(?P<second>[0-9]{2})(?:[.](?P<fraction>[0-9]{1,9}))?)?)?$"
)


def _quick_dates(texts: Any, order: str, missing: Missing) -> NDArray[Any] | None:
    """Return dates, in UTC if they say an offset; None if a text is none of the usual ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(texts)
    gone = _are(texts, missing.everywhere | missing.numbers)
    texts = pc.if_else(gone, bridge.scalar(None), texts)
    if order == "ymd":
        if (np.diff(bridge.text_bytes(texts)[0])[bridge.valid(texts)] < 10).any():
            return None
        if (bridge.text_bytes(texts)[1] == ord(".")).any():
            texts = pc.replace_substring_regex(texts, r"([.][0-9]{6})[0-9]{1,3}", r"\1")
        for zone in (None, "UTC"):
            try:
                found = texts.cast(pa.timestamp("us", zone)).cast(pa.timestamp("us"))
                return bridge.values(found, "datetime64[us]", np.datetime64("NaT", "us"))
            except pa.ArrowInvalid:
                continue
        return None
    pieces = pc.extract_regex(texts, _PIECES)
    if pieces.null_count != texts.null_count:
        return None
    return _assembled(pieces, order)


def _assembled(pieces: Any, order: str) -> NDArray[Any] | None:
    """Return the dates of day, month, year and time in a struct of texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    zero, nothing = bridge.scalar("0"), bridge.scalar("")

    def numbers(name: str) -> NDArray[np.int64]:
        # A leading 0 makes a number of an empty text.
        texts = pc.binary_join_element_wise(zero, pc.struct_field(pieces, name), nothing)
        return bridge.values(texts.cast(pa.int64()), np.int64, 1)

    year, (a, b) = numbers("c"), (numbers("a"), numbers("b"))
    day, month = (a, b) if order == "dmy" else (b, a)
    hour, minute, second = (numbers(name) for name in ("hour", "minute", "second"))
    fraction = pc.struct_field(pieces, "fraction")
    digits = pc.utf8_slice_codeunits(pc.utf8_rpad(fraction, 6, "0"), 0, 6)
    micro = bridge.values(digits.cast(pa.int64()), np.int64, 0)
    sound = (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    if not sound.all():
        return None
    first = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]")
    first = first + (month - 1).astype("timedelta64[M]")
    days = first.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    if (days.astype("datetime64[M]") != first).any():
        return None  # the 30th of February
    in_day = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micro
    moments = days.astype("datetime64[us]") + in_day.astype("timedelta64[us]")
    moments[~bridge.valid(pieces)] = np.datetime64("NaT", "us")
    return np.asarray(moments)
