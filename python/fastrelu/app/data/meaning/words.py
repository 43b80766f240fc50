# SPDX-License-Identifier: BSD-3-Clause
"""The spellings of nothing, of true and of false: one list for files, frames and databases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning.numbers import PLAIN

# Compared after spaces around are dropped and in lower case.
MISSING = frozenset(
    (
        "",
        "?",
        "n/a",
        "#n/a",
        "nan",
        "-nan",
        "+nan",
        "nat",
        "null",
        "<na>",
        "\\n",
        "#div/0!",
        "#value!",
        "#ref!",
        "#name?",
        "#num!",
        "#null!",
    )
)  # in every column; the last ones are Excel's errors
MISSING_NUMBERS = frozenset(
    ("na", "none", "nil", "-", "--", ".")
)  # in columns of numbers, dates and flags; in a column of categories they are categories
TRUTH = {
    "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "t": 1.0, "f": 0.0, "y": 1.0, "n": 0.0,
    "on": 1.0, "off": 0.0,
}  # fmt: skip
DIGITS = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}  # beside a word of TRUTH
SUMS = frozenset(
    "total|totals|grand total|sum|sums|subtotal|summe|gesamt|gesamtsumme|insgesamt|somme|totale"
    "|suma|totaal|summa|razem|итого|всего|合計|合计|总计".split("|")
)  # what stands before the sums of a table, in lower case


@dataclass(frozen=True)
class Missing:
    """Which texts stand for nothing.

    Attributes
    ----------
    everywhere : frozenset of str
        In every column; in lower case.
    numbers : frozenset of str
        Further ones in columns of numbers, dates and flags; in lower case.
    """

    everywhere: frozenset[str] = MISSING
    numbers: frozenset[str] = MISSING_NUMBERS

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The numbers that stand for nothing, such as -999, however they are written or stored."""
        found = [float(w) for w in self.everywhere | self.numbers if PLAIN.fullmatch(w)]
        return np.array(sorted(found))

    def without(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return numbers with NaN for those that stand for nothing.

        Parameters
        ----------
        numbers : ndarray, (n,)
            Of any real dtype; one that holds none of them is returned as it is.
        """
        if not len(self.values):
            return numbers
        of = numbers.dtype if numbers.dtype.kind == "f" else np.float64
        gone = np.isin(numbers, self.values.astype(of))
        if not gone.any():
            return numbers
        wide = numbers if numbers.dtype.kind == "f" else numbers.astype(np.float64)
        return np.where(gone, wide.dtype.type(np.nan), wide)

    def is_missing(self, text: str, numbers: bool = False) -> bool:
        """Return whether a text without spaces around it stands for nothing."""
        if len(text) > 40:
            return False
        word = text.lower()
        return word in self.everywhere or (numbers and word in self.numbers)

    def spellings(self) -> list[str]:
        """Return all spellings, in capitals or not, that are missing in every column."""
        found: set[str] = set()
        for word in self.everywhere:
            if sum(map(str.isalpha, word)) <= 5:
                found.update(map("".join, product(*({c, c.upper()} for c in word))))
            else:
                found.update((word, word.upper(), word.title(), word.capitalize()))
        return sorted(found)


# The words that models were trained with before there was a choice: missing in every column.
OLD_MISSING = Missing(MISSING | {"na", "none", "nil"}, MISSING_NUMBERS)


def missing_words(given: Sequence[str] | None) -> Missing:
    """Return what `--na` means: words beside the usual ones, or with an empty one only these."""
    if given is None:
        return Missing()
    words = frozenset(word.strip().lower() for word in given)
    if "" in words:
        return Missing(words, frozenset())
    return Missing(MISSING | words, MISSING_NUMBERS)


def truth(text: str) -> float | None:
    """Return 1 or 0 for a spelling of true or false, None for other texts."""
    word = text.strip().lower()
    value = TRUTH.get(word)
    return DIGITS.get(word) if value is None else value


def same_truth(labels: Iterable[str]) -> dict[float, str]:
    """Return the label of each truth value if all labels spell one; {} if they do not.

    Parameters
    ----------
    labels : iterable of str
        Categories or classes; the empty text, which is missing, may be among them.
    """
    found: dict[float, str] = {}
    for label in labels:
        if not label:
            continue
        value = truth(label)
        if value is None or value in found:
            return {}
        found[value] = label
    return found
