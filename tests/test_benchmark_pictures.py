# SPDX-License-Identifier: BSD-3-Clause
"""The picture of the roofline, made of the file of results that the documentation has."""

import json
import math
from itertools import combinations
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "zen5-2.json"
if not RESULTS.exists():
    pytest.skip("needs the sources", allow_module_level=True)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The figure of the roofline, as it is saved."""
    from benchmarks import pictures
    from benchmarks.report import tables

    kept = []
    monkeypatch.setattr(pictures.pyplot, "close", kept.append)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    fit, path = tables.own(results["sections"]["fit"]), tmp_path / "roofline.png"
    pictures.roofline(fit, results["machine"], path)
    yield kept[0]
    monkeypatch.undo()
    pictures.pyplot.close(kept[0])


def test_no_name_of_a_net_stands_on_another_or_on_the_roofs(drawn):
    level = [text for text in drawn.axes[0].texts if not text.get_rotation()]
    assert len(level) == 11
    for one, other in combinations(level, 2):
        apart = not one.get_window_extent().overlaps(other.get_window_extent())
        assert apart, f"{one.get_text()} and {other.get_text()}"


def test_what_a_roof_is_of_lies_along_it(drawn):
    (axes,) = drawn.axes
    roofs = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xydata())]
    slanted = [line for line in roofs if len(set(line.get_ydata())) == len(set(line.get_xdata()))]
    along = [text for text in axes.texts if text.get_rotation()]
    assert len(along) == len(slanted) == 3
    for text, line in zip(along, slanted, strict=True):
        (x0, y0), (x1, y1) = axes.transData.transform(line.get_xydata())
        assert text.get_rotation() == pytest.approx(
            math.degrees(math.atan2(y1 - y0, x1 - x0)), 1e-3
        )
