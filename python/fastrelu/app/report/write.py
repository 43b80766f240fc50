# SPDX-License-Identifier: BSD-3-Clause
"""Writing the report."""

from __future__ import annotations

import datetime
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastrelu import whole_files
from fastrelu.app.report.beside import beside_section
from fastrelu.app.report.classification import class_section
from fastrelu.app.report.content import ReportContent
from fastrelu.app.report.influence import influence_section
from fastrelu.app.report.overview import heading, training_section
from fastrelu.app.report.page import page
from fastrelu.app.report.recipe import recipe_section
from fastrelu.app.report.reference import data_section, footer, run_section, use_section
from fastrelu.app.report.regression import value_section
from fastrelu.app.report.several import several_section


def report_html(content: ReportContent, *, written: str | None = None) -> str:
    """Return the report as HTML that needs nothing outside itself.

    Parameters
    ----------
    content : ReportContent
        What it shows.
    written : str, optional
        The time to put in its last line; by default now. All else is the same on every call.
    """
    if written is None:
        written = datetime.datetime.now().astimezone().isoformat(" ", "minutes")
    part = content.shown_part
    predictions = None
    if part is not None:
        predictions = (class_section if content.classification else value_section)(content, part)
    sections = [
        heading(content),
        beside_section(content),
        training_section(content),
        several_section(content),
        recipe_section(content),
        predictions,
        influence_section(content),
        data_section(content),
        use_section(content),
        run_section(content),
        footer(content, written),
    ]
    return page(f"{content.title} - fastrelu", sections)


def write_report(path: Any, content: ReportContent, *, written: str | None = None) -> None:
    """Write the report; an existing file is replaced only once the new one is whole.

    Parameters
    ----------
    path : path-like
        Such as ``DIR/report.html``.
    content : ReportContent
        What it shows.
    written : str, optional
        The time to put in its last line; by default now.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    # A text may hold halves of characters, from a file that is not UTF-8.
    with _uncollected():
        data = report_html(content, written=written).encode("utf-8", "replace")
    whole_files.write_bytes(path, data)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for circles of garbage while pictures are drawn.

    They are made of many small objects: the search takes a tenth of the time, and finds a few MB.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
