# SPDX-License-Identifier: BSD-3-Clause
"""What a column of texts means: numbers, categories, dates, flags; one rule for every format.

`read_texts` is the way in for columns in memory; readers of large files count `Evidence` block by
block, `decide` once, and `convert`.
"""

from fastrelu.app.data.meaning.column import (
    Column,
    convert,
    distinct,
    empty,
    named,
    read_texts,
    settle,
    told,
    unfit,
)
from fastrelu.app.data.meaning.decide import decide, shown_decimal
from fastrelu.app.data.meaning.decide_dates import shown_order
from fastrelu.app.data.meaning.evidence import Evidence
from fastrelu.app.data.meaning.reading import OLD_READING, Reading, ReadOptions
from fastrelu.app.data.meaning.verdict import Hints, Meaning, Problem, Verdict
from fastrelu.app.data.meaning.words import (
    OLD_MISSING,
    Missing,
    missing_words,
    same_truth,
    truth,
)

__all__ = [
    "OLD_MISSING",
    "OLD_READING",
    "Column",
    "Evidence",
    "Hints",
    "Meaning",
    "Missing",
    "Problem",
    "ReadOptions",
    "Reading",
    "Verdict",
    "convert",
    "decide",
    "distinct",
    "empty",
    "missing_words",
    "named",
    "read_texts",
    "same_truth",
    "settle",
    "shown_decimal",
    "shown_order",
    "told",
    "truth",
    "unfit",
]
