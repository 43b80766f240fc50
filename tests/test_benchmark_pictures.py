# SPDX-License-Identifier: BSD-3-Clause
"""The pictures of the roofline, made of the files of results that the documentation has."""

import json
import math
from itertools import combinations
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
RESULTS = sorted((Path(__file__).parents[1] / "docs" / "benchmarks").glob("zen*.json"))
if not RESULTS:
    pytest.skip("needs the sources", allow_module_level=True)


@pytest.fixture(params=RESULTS, ids=lambda path: path.stem)
def drawn(request, monkeypatch, tmp_path):
    """The figure of the roofline, as it is saved."""
    from benchmarks import pictures
    from benchmarks.report import tables

    kept = []
    monkeypatch.setattr(pictures.pyplot, "close", kept.append)
    results = json.loads(request.param.read_text(encoding="utf-8"))
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


def test_no_name_of_a_roof_stands_on_another(drawn):
    (axes,) = drawn.axes
    taken = []
    for text in (text for text in axes.texts if text.get_rotation()):
        height = text.get_fontsize() * drawn.dpi / 72
        angle = math.radians(text.get_rotation())
        x, y = axes.transData.transform(text.get_position())
        across = y * math.cos(angle) - x * math.sin(angle)  # of the line that it lies along
        below = text.get_verticalalignment() == "top"
        taken.append((across - height, across) if below else (across, across + height))
    for (low, high), (other_low, other_high) in combinations(taken, 2):
        assert high <= other_low or other_high <= low
