# SPDX-License-Identifier: BSD-3-Clause
"""What a column of texts means is told from all of its cells, and alike wherever they come from."""

import math
from datetime import datetime

import numpy as np
import pytest

from fastrelu.app.data.meaning import (
    Evidence,
    Hints,
    Meaning,
    Missing,
    decide,
    missing_words,
    read_texts,
    same_truth,
)
from fastrelu.training import DataError


def column(cells, **options):
    place = {"source": "f.csv", "name": "a", "place": lambda i: f"line {i + 2}"}
    return read_texts(cells, **place | options)


def refusal(cells, **options):
    with pytest.raises(DataError) as caught:
        column(cells, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("cells", "meaning", "values"),
    [
        (["1", "2.5", ""], Meaning("number"), [1, 2.5, math.nan]),
        (["1,5", "2"], Meaning("number", ","), [1.5, 2]),
        (["1.250", "2,5"], Meaning("number", ","), [1250, 2.5]),
        (["1.234.567", "1.250"], Meaning("number", ","), [1234567, 1250]),
        (["1,234,567", "1,250"], Meaning("number"), [1234567, 1250]),
        (["12,34,567", "5"], Meaning("number"), [1234567, 5]),
        (["1 234,5", "2\u202f000"], Meaning("number", ","), [1234.5, 2000]),
        (["1'234.50", "2\u2019000"], Meaning("number"), [1234.5, 2000]),
        (["$1,250.00", "-$3", "$-4"], Meaning("number", unit="$"), [1250, -3, -4]),
        (["5 \u20ac", "7,5\u20ac"], Meaning("number", ",", "\u20ac"), [5, 7.5]),
        (["CHF 5", "7"], Meaning("number", unit="CHF"), [5, 7]),
        (["12.5%", "3 %"], Meaning("number", unit="%"), [12.5, 3]),
        (["5 kg", "7.25kg"], Meaning("number", unit="kg"), [5, 7.25]),
        (["(5)", "(1,250.5)"], Meaning("number"), [-5, -1250.5]),
        (["\u22125", "\u20137", "8-"], Meaning("number"), [-5, -7, -8]),
        (["1e3", " .5 "], Meaning("number"), [1000, 0.5]),
        (["None", "1", "NA", "-"], Meaning("number"), [math.nan, 1, math.nan, math.nan]),
        (["true", "False", "NA"], Meaning("flag"), [1, 0, math.nan]),
        (["yes", "No", "1", "YES"], Meaning("flag"), [1, 0, 1, 1]),
        (["12:30", "1:02:03.5"], Meaning("time"), [45000, 3723.5]),
        (["12:30 PM", "1:00 am"], Meaning("time"), [45000, 3600]),
        (["?", "n/a"], Meaning("number"), [math.nan, math.nan]),
    ],
)
def test_numbers(cells, meaning, values):
    got = column(cells)
    assert got.meaning == meaning
    np.testing.assert_array_equal(got.values, values)


@pytest.mark.parametrize(
    ("cells", "order", "first"),
    [
        (["2024-01-31", "2024/2/1"], "ymd", "2024-01-31"),
        (["31.01.2024", "01.02.2024"], "dmy", "2024-01-31"),
        (["1. 2. 2024", "NA"], "dmy", "2024-02-01"),
        (["01/31/2024 1:30 PM", "02/03/2024 12:00 am"], "mdy", "2024-01-31T13:30"),
        (["03/02/2024", "31/01/2024"], "dmy", "2024-02-03"),
        (["31-Jan-2024", "Feb 1, 2024"], "ymd", "2024-01-31"),
        (["Wed, 31 Jan 2024 12:00:00 +0100", ""], "ymd", "2024-01-31T11"),
        (["31/Jan/2024:12:30:00 +0000"], "ymd", "2024-01-31T12:30"),
        (["2024-01-31T12:30:00Z"], "ymd", "2024-01-31T12:30"),
        (["2024-01-31T12:30:00.123456789+02:00[Europe/Berlin]"], "ymd",
         "2024-01-31T10:30:00.123456"),
        (["2024-01-31 12:30:00 +0000 UTC"], "ymd", "2024-01-31T12:30"),
        (["2024-01-31 12:30 UTC"], "ymd", "2024-01-31T12:30"),
        (["2024-01-31T12:30-05"], "ymd", "2024-01-31T17:30"),
        (["2024-01-31 12:30 -0530"], "ymd", "2024-01-31T18:00"),
        (["2024-01-31 12:30 CEST"], "ymd", "2024-01-31T10:30"),
        (["20240131T123000Z"], "ymd", "2024-01-31T12:30"),
        (["2024-01-31T12"], "ymd", "2024-01-31T12"),
        (["9999-12-31", "0001-01-01"], "ymd", "9999-12-31"),
        (["99/12/31", "05/03/24"], "ymd", "1999-12-31"),
    ],
)  # fmt: skip
def test_dates(cells, order, first):
    got = column(cells)
    assert got.meaning == Meaning("date", order=order)
    assert got.values[0] == np.datetime64(first, "us")


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["1.5", "2,5"], "line 3: column 'a': got '2,5', and '1.5' in line 2"),
        (["1.250", "2,500"], "which is the decimal mark"),
        (["1", "2", "oops"], "line 4.*expected a number, as in 2 other rows, got 'oops'"),
        (["2024-01-31", "2024-02-01", "0000-00-00"], "line 4.*expected a date.*0000-00-00"),
        (["2024-01-31", "2024-02-01", "unknown"], "line 4.*expected a date.*--na 'unknown'"),
        (["25/03/2024", "06/24/2024"], "line 3.*no order of day, month and year"),
    ],
)
def test_refusals_name_the_cell(cells, says):
    import re

    message = refusal(cells)
    assert re.search(says, message) and message.startswith("f.csv: line ")
    lenient = column(cells, strict=False)
    assert lenient.meaning == Meaning("category") and lenient.warnings


def test_both_readings_are_said():
    (said,) = column(["1,250", "2,500"]).warnings
    assert "taken as between thousands" in said and "--decimal" in said
    comma = column(["1,250", "2,500"], hints=Hints(usual_decimal=","))
    assert comma.values.tolist() == [1.25, 2.5] and comma.warnings
    assert not column(["1.250", "2.500"]).warnings
    point = column(["1.250", "2.500"], hints=Hints(usual_decimal=","))
    assert point.values.tolist() == [1250, 2500] and point.warnings
    order = column(["05/03/2024", "06/04/2024"])
    assert order.meaning.order == "mdy" and "--date-format" in order.warnings[0]
    assert column(["05.03.2024"]).meaning.order == "dmy"
    day = column(["05/03/2024"], hints=Hints(usual_order="dmy"))
    assert day.meaning.order == "dmy" and "another column" in day.warnings[0]


def test_codes_units_and_loose_numbers():
    codes = column(["02139", "10001"])
    assert codes.values.tolist() == ["02139", "10001"] and "leading zeros" in codes.warnings[0]
    assert column(["02139", "10001"], kind="numeric").values.tolist() == [2139, 10001]
    mixed = column(["5 kg", "6 g"])
    assert mixed.meaning.kind == "category" and "different units" in mixed.warnings[0]
    assert "different units" in refusal(["5 kg", "6 g"], role="target")
    rooms = column(["5 rooms", "6 rooms"])
    assert rooms.meaning.kind == "category" and "--numeric" in rooms.warnings[0]
    assert column(["5 rooms", "6 rooms"], kind="numeric").values.tolist() == [5, 6]
    assert "--numeric" in refusal([f"{i}K" for i in range(40)], role="target")
    assert column(["1st", "2nd"], role="target").meaning.kind == "category"


def test_words_that_are_missing():
    kept = column(["None", "Apnea", "", "NaN"])
    assert kept.values.tolist() == ["None", "Apnea", "", ""] and "--na None" in kept.warnings[0]
    gone = column(["None", "Apnea"], hints=Hints(missing_words(["None"])))
    assert gone.values.tolist() == ["", "Apnea"]
    only = Hints(missing_words(["", "-999"]))
    assert column(["?", "-999", ""], hints=only).values.tolist() == ["?", "", ""]
    assert np.isnan(column(["5", "-999"], hints=Hints(missing_words(["-999"]))).values[1])
    assert "NaN" in Missing().spellings() and "NA" not in Missing().spellings()


def test_targets_keep_their_words():
    assert column(["true", "false"], role="target").values.tolist() == ["true", "false"]
    several = column(["True", "FALSE", "true", "1"], role="target")
    assert several.values.tolist() == ["True", "FALSE", "True", "True"] and several.warnings
    assert column(["2024-01-31", "2024-02-01"], role="target").meaning.kind == "category"
    assert column(["$5", "$6"], role="target").values.tolist() == [5, 6]


def test_as_in_training():
    comma = Meaning("number", ",", "kg")
    assert column(["1,5 kg", "2", "NA"], known=comma).values[:2].tolist() == [1.5, 2]
    assert "with a decimal comma with the unit 'kg', as in training, got '1.5 kg'" in refusal(
        ["1.5 kg"], known=comma
    )
    assert "got '3 lb'" in refusal(["3 lb"], known=comma)
    day = Meaning("date", order="dmy")
    assert column(["05/03/2024"], known=day).values[0] == np.datetime64("2024-03-05", "us")
    assert "as day-month-year, as in training, got '05/30/2024'" in refusal(
        ["05/30/2024"], known=day
    )
    assert column(["yes", "0"], known=Meaning("flag")).values.tolist() == [1, 0]
    assert column(["yes", "0"], known=Meaning("number")).values.tolist() == [1, 0]
    assert column([], known=Meaning("category")).values.dtype == object


def test_the_user_says_it():
    said = Hints(decimal=",", why="--decimal")
    assert column(["1.250", "2,5"], hints=said).values.tolist() == [1250, 2.5]
    assert "(--decimal)" in refusal(["1.25"], hints=said)
    order = Hints(order="dmy", why="--date-format")
    assert column(["05/03/2024"], hints=order).values[0] == np.datetime64("2024-03-05", "us")
    form = column(["on 5.3.2024"], hints=Hints(order="on %d.%m.%Y"))
    assert form.values[0] == np.datetime64("2024-03-05", "us")
    assert "expected a date" in refusal(["x"], kind="date")


def test_a_description_brings_a_meaning_back():
    for meaning in (Meaning("number", ",", "kg"), Meaning("category", labels={"a": "b"})):
        assert Meaning.from_description(meaning.describe()) == meaning
    assert Meaning("number").describe() == {"kind": "number"}


def test_evidence_is_the_same_in_blocks():
    cells = ["1,5", "2", "NA", "1.250", "", "x", "2024-01-31", "5 kg"]
    whole, parts = Evidence(), Evidence()
    whole.add(cells, [1] * len(cells), lambda k: k)
    for i, cell in enumerate(cells):
        parts.add([cell], [1], lambda k, i=i: i)
    assert whole == parts and decide(whole, Hints()) == decide(parts, Hints())


def test_the_same_truth():
    assert same_truth(["No", "yes", ""]) == {0.0: "No", 1.0: "yes"}
    assert same_truth(["yes", "true"]) == {} and same_truth(["1", "2"]) == {}


def test_moments_beside_python():
    for hour in range(24):
        text = datetime(2024, 2, 29, hour, 5).strftime("%m/%d/%Y %I:%M %p")
        assert column([text]).values[0] == np.datetime64(f"2024-02-29T{hour:02}:05", "us")
