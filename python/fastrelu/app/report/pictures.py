# SPDX-License-Identifier: BSD-3-Clause
"""Matplotlib's pictures as SVG inside the page, in the page's own colours."""

from __future__ import annotations

import importlib.util
import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastrelu.app.report.markup import Html, element, escape

INSTALL = "The pictures need Matplotlib: pip install matplotlib, then train again."
# Stand-ins that the page's colours are put in place of, so that one picture suits light, dark
# and paper.
INK, LINE = "#010203", "#c1c2c3"
VARIABLES = {
    INK: "var(--ink)",
    LINE: "var(--line)",
    "#0072b2": "var(--blue)",
    "#d55e00": "var(--orange)",
    "#009e73": "var(--green)",
    "#56b4e9": "var(--sky)",
}


def available() -> bool:
    """Return whether there is a Matplotlib to draw with."""
    return importlib.util.find_spec("matplotlib") is not None


def style(name: str) -> Any:
    """Return Matplotlib's settings for a picture of this name in the page."""
    settings: dict[str, Any] = {
        "font.size": 9.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": LINE,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "text.parse_math": False,  # names of columns and classes are drawn as they are
    }
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    return settings | {key: INK for key in inked}


def svg(
    name: str, draw: Callable[[Any], Any], caption: str, size: tuple[float, float] = (5.2, 3.4)
) -> Html:
    """Return a figure with what `draw(ax)` draws.

    Parameters
    ----------
    name : str
        Of the picture, different from the others' in the page.
    draw : callable
        Takes the axes.
    caption : str
        What it shows; also its text for those who cannot see it.
    size : (float, float)
        Width and height in inches.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # A glyph missing from Matplotlib's font is the browser's to find.
    with matplotlib.rc_context(style(name)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        stream = io.StringIO()
        # Figure.savefig would draw all of it once more before, for nothing.
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(stream, metadata={"Date": None})
    label = f'<svg role="img" aria-label="{escape(caption)}"'
    picture = Html(_tidied(stream.getvalue(), name).replace("<svg", label, 1))
    return element("figure", picture, element("figcaption", caption))


def _tidied(text: str, name: str) -> Html:
    """Return the svg element alone, with the page's colours, and no identifier used twice."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    used = set(re.findall(r'url\(#([^)"]+)\)|href="#([^"]+)"', text))
    kept = {a or b for a, b in used}

    def rename(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in kept else ""

    text = re.sub(r' id="([^"]*)"', rename, text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    # Inside HTML the namespaces are known, and their addresses would look like network ones.
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = text.replace("xlink:href=", "href=")
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    width = re.search(r'<svg[^>]*? width="([\d.]+)pt"', text)
    text = re.sub(r'(<svg[^>]*?) height="[\d.]+pt"', r"\1", text, count=1)
    if width:
        # As wide as drawn (4/3 pixels a point), and narrower where the window is.
        points = f' width="{width[1]}pt"'
        text = text.replace(points, f' style="width:{float(width[1]) * 4 / 3:.0f}px"', 1)
    return Html(re.sub(r"\n\s*", "\n", text).strip())


def curves(ax: Any, lines: Mapping[str, Sequence[tuple[float, float]]], label: str) -> None:
    """Draw quantities by epoch; on a logarithmic axis where they span a factor of 20."""
    from matplotlib.ticker import MaxNLocator

    from fastrelu.plot.axes import COLOURS, STYLES

    for k, (name, points) in enumerate(lines.items()):
        x, y = np.array(points, np.float64).T
        marker = "o" if len(x) == 1 else None
        ax.plot(x, y, STYLES[k % 4], color=COLOURS[k], lw=1.8, marker=marker, label=name)
    values = np.array([y for points in lines.values() for _, y in points])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 20 * values.min():
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(_plain_number)
        ax.yaxis.set_minor_formatter(_plain_two_or_five)
    if ax.get_xlim()[1] - ax.get_xlim()[0] < 1:  # a single epoch
        ax.set_xlim(x[0] - 1, x[0] + 1)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel(label)
    ax.grid(True, alpha=0.6)
    if len(lines) > 1:
        ax.legend(frameon=False, loc="upper right")


def _plain_number(value: float, _: Any = None) -> str:
    """Return a tick's label as text: setting powers of ten costs more than all else drawn."""
    return f"{value:g}"


def _plain_two_or_five(value: float, _: Any = None) -> str:
    return _plain_number(value) if f"{value:e}"[0] in "25" else ""


def picture(
    name: str,
    draw: Callable[[Any], Any],
    caption: str,
    instead: Callable[[], Any],
    size: tuple[float, float] = (5.2, 3.4),
) -> Any:
    """Return a picture, or without Matplotlib what `instead` returns; see `svg`."""
    if available():
        return svg(name, draw, caption, size)
    return element("div", instead(), element("p", caption, class_="soft"))
