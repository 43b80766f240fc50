# SPDX-License-Identifier: BSD-3-Clause
"""The effects of columns in the report: means of the model's own predictions, labels whole."""

import dataclasses

import numpy as np
import pytest
from report_tools import content_of, flowers, prices

from fastrelu.app.report.detection import detection
from fastrelu.app.report.effects import POINTS, ROWS, effects
from fastrelu.app.report.write import report_html


def test_an_effect_is_the_mean_prediction_with_that_value_in_all_rows():
    content = content_of(prices(), epochs=5)
    sample = content.sample.take(np.arange(40))
    (size, luck) = effects(content.model, sample, ["size", "luck"])
    assert (size.name, luck.name) == ("size", "luck")
    assert size.values[0] == sample.columns["size"].min() and 2 < len(size.values) <= POINTS
    assert sample.n_rows < ROWS
    for effect in (size, luck):
        for value, mean in zip(effect.values[::8], effect.means[::8], strict=True):
            columns = {**sample.columns, effect.name: np.full(40, value)}
            rows = dataclasses.replace(sample, columns=columns)
            assert mean == pytest.approx(content.model.table_outputs(rows).mean(axis=0))


def test_categories_dates_gaps_and_constants():
    table = prices()
    n = table.n_rows
    day = np.datetime64("2020-01-01", "us") + np.arange(n) * np.timedelta64(1, "D")
    gaps = np.where(np.arange(n) % 3, table.columns["size"], np.nan)
    more = {
        "colour": np.array(["red", "", "a very long name of a colour, whole"] * n, object)[:n],
        "day": day.astype("datetime64[us]"), "gaps": gaps, "none": np.ones(n),
    }  # fmt: skip
    table = dataclasses.replace(table, columns={**table.columns, **more})
    content = content_of(table, epochs=1)
    names = ["colour", "day", "gaps", "none"]
    found = {each.name: each for each in effects(content.model, content.sample, names)}
    assert list(found) == ["colour", "day", "gaps"]
    assert set(found["colour"].values) == {"red", "", "a very long name of a colour, whole"}
    assert np.isfinite(found["gaps"].values).all()
    assert all(np.isfinite(each.means).all() for each in found.values())
    page = report_html(content)
    assert "Effects of the columns" in page
    pytest.importorskip("matplotlib")
    assert "a very long" in page and "colour, whole" in page


def test_long_labels_of_classes_are_whole_everywhere():
    labels = tuple(f"a class of the name {c * 30}, not short" for c in "xyz")
    content = content_of(flowers(classes=labels), epochs=3)
    page = report_html(content)
    matrix = page[page.index('class="confusion"') :]
    assert all(matrix.count(f">{label}<") >= 2 for label in labels)
    assert "…" not in page[: page.index("<h2>Data")]


def test_curves_of_a_part_of_one_class_are_left_out():
    content = content_of(flowers(), epochs=1)
    numbers, outputs = content.known_rows("test")
    assert "ROC" in detection(content, numbers, outputs)
    assert detection(content, np.zeros_like(numbers), outputs) == ""
